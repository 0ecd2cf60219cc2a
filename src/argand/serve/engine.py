"""The engine: models and their versions, loaded beside those that are served, and asked by name.

All protocols stand on it. It lives on one event loop; its methods are called on that loop's thread.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from argand.base.errors import did_you_mean
from argand.serve.batching import Batch
from argand.serve.errors import ServeError, Status, not_found
from argand.serve.execution import Executor, InProcess
from argand.serve.folders import Found, found_at
from argand.serve.options import ModelOptions
from argand.serve.version import ModelVersion, State, as_serve_error


class Model:
    """The versions of a model by their numbers, those that ended too, and what is set for it."""

    def __init__(self, name: str, options: ModelOptions) -> None:
        self.name = name
        self.options = options
        self.versions: dict[int, ModelVersion] = {}

    @property
    def available(self) -> list[int]:
        """The versions that take requests, ascending."""
        return sorted(n for n, v in self.versions.items() if v.state is State.AVAILABLE)


class Engine:
    """Serves the models of some folders or files.

    Args:
        roots: folders of models, or files.
        options: what is set, by the names of models; `default` for the others.
        executor: makes what computes the calls of a version.
    """

    def __init__(
        self,
        roots: list[Path] | None = None,
        options: Mapping[str, ModelOptions] | None = None,
        *,
        default: ModelOptions | None = None,
        executor: Callable[[ModelVersion], Executor] = lambda version: InProcess(),
    ) -> None:
        self.roots = roots or []
        self.options = dict(options or {})
        self.default = default or ModelOptions()
        self.models: dict[str, Model] = {}
        self.observers: list[Callable[[ModelVersion, Batch], None]] = []
        self._executor = executor
        self._stamps: dict[tuple[str, int], tuple[int, int]] = {}
        self._loading = asyncio.Lock()
        self._random = random.Random(0)

    # -- asking --------------------------------------------------------------------------------

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ModelVersion:
        """The version that answers a request: the one named, that of a label, or the latest; where
        `weights` are set, one of those that they name, drawn in proportion.

        Raises ServeError: NOT_FOUND where there is none, UNAVAILABLE while it is not loaded.
        """
        model = self.models.get(name)
        if model is None:
            raise not_found(f"there is no model {name!r}{did_you_mean(name, self.models)}")
        if version is None and label is None and model.options.weights:
            weights = model.options.weights
            (label,) = self._random.choices(list(weights), list(weights.values()))
        if label is not None:
            if label not in model.options.labels:
                known = ", ".join(model.options.labels) or "none"
                raise not_found(f"{name} has no label {label!r}; there are {known}")
            version = model.options.labels[label]
        if version is None:
            available = model.available
            if not available:
                raise ServeError(Status.UNAVAILABLE, f"no version of {name} is ready")
            version = available[-1]
        found = model.versions.get(version)
        if found is None:
            there = ", ".join(map(str, sorted(model.versions))) or "none"
            raise not_found(f"{name} has no version {version}; there are {there}")
        if found.state is not State.AVAILABLE:
            why = f": {found.error}" if found.error else ""
            raise ServeError(
                Status.UNAVAILABLE, f"{name} version {version} is {found.state.name}{why}"
            )
        return found

    @property
    def is_ready(self) -> bool:
        """Whether each model has a version that takes requests."""
        return all(model.available for model in self.models.values())

    # -- loading -------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Look at the folders; load what is new or has changed, and unload what has gone.

        A version takes requests once it has been read and warmed; only then the versions that it
        replaces end. What can't be read stays as it is, with its error, until its file changes.
        """
        async with self._loading:
            there: dict[str, dict[int, Found]] = {}
            for root in self.roots:
                there |= await asyncio.to_thread(found_at, root)
            for name, versions in there.items():
                await self._follow(name, versions)
            for name in set(self.models) - set(there):
                await self._follow(name, {})

    async def _follow(self, name: str, there: Mapping[int, Found]) -> None:
        """Serve the versions that the policy wants of those that are there."""
        options = self.options.get(name, self.default)
        model = self.models.setdefault(name, Model(name, options))
        wanted = model.options.policy.wanted(list(there))
        for number in wanted:
            await self._load(model, there[number])
        good = [n for n in wanted if n in model.available]
        for number in model.available:
            if number not in wanted and (good or not wanted):
                await self._unload(model, number)
        if not there and not model.available:
            del self.models[name]

    async def _load(self, model: Model, found: Found) -> None:
        key = (model.name, found.number)
        if self._stamps.get(key) == found.stamp:
            return
        self._stamps[key] = found.stamp
        version = ModelVersion(model.name, found.number, found.path, model.options)
        before = model.versions.get(found.number)
        if before is None or before.state is not State.AVAILABLE:
            model.versions[found.number] = version
        version.state = State.LOADING
        try:
            await asyncio.to_thread(version.read)
            await asyncio.to_thread(version.warm)
        except Exception as error:
            version.error = as_serve_error(error)
            version.state = State.END
            return
        version.open(self._executor(version), lambda batch: self._observe(version, batch))
        model.versions[found.number] = version
        if before is not None and before.state is State.AVAILABLE:
            await before.close()

    async def _unload(self, model: Model, number: int) -> None:
        self._stamps.pop((model.name, number), None)
        await model.versions[number].close()

    def _observe(self, version: ModelVersion, batch: Batch) -> None:
        for observer in self.observers:
            observer(version, batch)

    async def close(self) -> None:
        """Let all versions finish what they have."""
        for model in self.models.values():
            for number in model.available:
                await self._unload(model, number)


__all__ = ["Engine", "Model"]
