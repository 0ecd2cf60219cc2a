"""Who may ask what: bearer tokens of models and of the management."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Literal

from argand.serve.errors import ServeError, Status

Scope = Literal["open", "model", "read", "manage"]
"""Who may ask: anyone; who has the model's token; who has any token; who has the management's."""


class Access:
    """The tokens of a server.

    Args:
        management: the token that loads and unloads models, and opens everything else. Without
            one the management is off.
        models: the tokens of models by their names; `"*"` is for the models that have none.
    """

    def __init__(
        self, management: str | None = None, models: Mapping[str, str] | None = None
    ) -> None:
        self.management = management
        self.models = dict(models or {})

    def check(self, scope: Scope, model: str | None, authorization: str | None) -> None:
        """Raises ServeError unless the value of the header `authorization` lets one ask."""
        if scope == "open" or (not self.models and scope != "manage"):
            return
        if scope == "manage" and self.management is None:
            raise ServeError(
                Status.PERMISSION_DENIED,
                "models can't be managed over the network: the server was started without "
                "--token, the management's",
            )
        wanted = self._tokens(scope, model)
        if wanted is None:
            return
        kind, _, token = (authorization or "").partition(" ")
        given = token.strip().encode() if kind.lower() == "bearer" else b""
        if not any(hmac.compare_digest(given, w.encode()) for w in wanted):
            what = f"the model {model!r}" if scope == "model" else "this"
            came = ", and the token that came is another one" if given else ""
            raise ServeError(
                Status.UNAUTHENTICATED,
                f"{what} takes the header `authorization: Bearer TOKEN`{came}",
            )

    def _tokens(self, scope: Scope, model: str | None) -> list[str] | None:
        """The tokens that open something; None where it is open."""
        manager = [] if self.management is None else [self.management]
        if scope == "manage":
            return manager
        if scope == "read":
            return [*manager, *self.models.values()]
        own = self.models.get(model or "", self.models.get("*"))
        return None if own is None else [own, *manager]


__all__ = ["Access", "Scope"]
