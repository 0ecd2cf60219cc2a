"""ModelService: the states of versions, and which are served, as TensorFlow Serving asks it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from argand.serve.errors import ServeError, Status, invalid, not_found
from argand.serve.grpc.calls import Call
from argand.serve.grpc.prediction import asked
from argand.serve.grpc.service import Service
from argand.serve.options import VersionPolicy
from argand_client.definitions import messages


class ModelService(Service):
    """Tells states, and takes new configurations where the client shows the management's token."""

    name = "tensorflow.serving.ModelService"

    async def get_model_status(self, request: Any, call: Call) -> Any:
        """The states of a model's versions, or of one."""
        name, number, label = asked(request.model_spec)
        self.allow(call, "model", name)
        model = self.engine.models.get(name)
        if model is None:
            raise not_found(f"there is no model {name!r}", "model")
        if label is not None:
            number = model.options.labels.get(label)
            if number is None:
                raise not_found(f"{name} has no label {label!r}", "label")
        if number is not None and number not in model.versions:
            raise not_found(f"{name} has no version {number}", "version")
        found = messages()("tensorflow.serving.GetModelStatusResponse")()
        for n, version in sorted(model.versions.items(), reverse=True):
            if number in (None, n):
                status = found.model_version_status.add(version=n, state=version.state.value)
                status.status.SetInParent()
                if version.error is not None:
                    status.status.error_code = version.error.status.grpc
                    status.status.error_message = str(version.error)[:1000]
        return found

    async def handle_reload_config_request(self, request: Any, call: Call) -> Any:
        """Serve the versions that a configuration says, of models whose folders the server was
        started with."""
        self.allow(call, "manage")
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid("the request has no model_config_list", "config")
        changed = {c.name: self._options(c) for c in request.config.model_config_list.config}
        self.engine.options.update(changed)
        for name, options in changed.items():
            if name in self.engine.models:
                self.engine.models[name].take(options)
        await self.engine.poll()
        found = messages()("tensorflow.serving.ReloadConfigResponse")()
        found.status.SetInParent()
        return found

    def _options(self, config: Any) -> Any:
        """What a model's configuration asks for, over what is set for it already."""
        if not config.name:
            raise invalid("a configuration names no model", "name")
        if config.base_path:
            self._check_folder(config.name, Path(config.base_path))
        labels = {label: int(n) for label, n in config.version_labels.items()}
        before = self.engine.options.get(config.name, self.engine.default)
        return replace(before, policy=policy(config.model_version_policy), labels=labels)

    def _check_folder(self, name: str, path: Path) -> None:
        """A client may choose among the folders that are served, and no others."""
        folders = {(root / name).resolve() for root in self.engine.roots}
        if path.resolve() not in folders | {root.resolve() for root in self.engine.roots}:
            raise ServeError(
                Status.PERMISSION_DENIED,
                f"{name}: base_path is none of the folders that this server was started with",
                field="base_path",
            )


def policy(given: Any) -> VersionPolicy:
    """Which versions a configuration wants: the latest where it doesn't say."""
    kind = given.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy("all")
    if kind == "specific":
        if not given.specific.versions:
            raise invalid("a specific policy has to name versions", "model_version_policy")
        return VersionPolicy("specific", versions=tuple(given.specific.versions))
    return VersionPolicy("latest", max(given.latest.num_versions, 1))


__all__ = ["ModelService", "policy"]
