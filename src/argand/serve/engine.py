"""The engine: models and their versions, loaded beside those that are served, and asked by name.

All protocols stand on it. It lives on one event loop; its methods are called on that loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from argand.base.errors import did_you_mean
from argand.compile.resources import prepare_giving_back, reclaim
from argand.export.program import ExportedProgram
from argand.serve.batching import Batch, Budget
from argand.serve.beside import beside, beside_calls
from argand.serve.errors import NEVER, SOON, ServeError, Status, as_serve_error, not_found
from argand.serve.execution import Executor, InProcess
from argand.serve.folders import Found, Listing, Stamp, found_at, is_onnx
from argand.serve.generation.generator import is_language_model
from argand.serve.options import HUNG_SECONDS, ModelOptions, VersionPolicy
from argand.serve.version import ModelVersion, State

_log = logging.getLogger("argand.serve")

KEPT_VERSIONS: Final = 32
"""How many versions of a model that have ended are remembered."""

SETTLED: Final = 0.25
"""For how many seconds a file of ONNX must have been left alone: nothing in it says whether it is
whole. An archive says so itself."""

_DRAIN: Final = 1.0  # seconds that `poll` waits for versions to end


class Model:
    """The versions of a model by their numbers, those that ended too, and what is set for it."""

    def __init__(self, name: str, options: ModelOptions) -> None:
        self.name = name
        self.options = options
        self._former: dict[str, int] = {}  # what labels named before, whose versions aren't ready
        self.versions: dict[int, ModelVersion] = {}
        self.there: dict[int, Found] = {}
        self.unloaded: set[int] | None = set()  # what stays unloaded until asked for; None: all
        self.budget = Budget(options.batching.max_queued_rows)
        self.is_awaited = False  # whether the server is not ready before a version is
        self.lock = asyncio.Lock()  # held while versions are loaded
        self.stamps: dict[int, Stamp] = {}  # of the files that were read last

    @property
    def ready(self) -> list[int]:
        """The versions that take requests."""
        return [n for n, v in self.versions.items() if v.is_available]

    @property
    def available(self) -> list[int]:
        """The versions that take requests, ascending."""
        return sorted(self.ready)

    @property
    def wanted(self) -> list[int]:
        """The versions that are to be served of those that are there, ascending."""
        if self.unloaded is None:
            return []
        return self.options.policy.wanted([n for n in self.there if n not in self.unloaded])

    @property
    def is_coming(self) -> bool:
        """Whether a version will take requests soon: one is being loaded, or is to be."""
        waits = any(n not in self.versions for n in self.wanted)
        return waits or any(v.is_coming for v in self.versions.values())

    def take(self, options: ModelOptions) -> None:
        """Be served with other options from now on; a label that names another version names the
        one before until the other takes requests."""
        self._former = {label: self.labelled(label) for label in self.options.labels}
        self.options = options

    def labelled(self, label: str) -> int:
        """The version that a label names."""
        number = self.options.labels[label]
        former = self._former.get(label, number)
        return former if number not in self.available and former in self.available else number

    def settle_labels(self) -> None:
        """Forget what labels named before, where what they name takes requests."""
        labels = self.options.labels
        self._former = {
            k: n for k, n in self._former.items() if labels.get(k) not in self.available
        }

    def forget(self) -> None:
        """Forget the oldest of the versions that have ended."""
        ended = sorted(n for n, v in self.versions.items() if v.state is State.END)
        for number in ended[: max(0, len(ended) - KEPT_VERSIONS)]:
            del self.versions[number]


class Engine:
    """Serves the models of some folders or files.

    Args:
        roots: folders of models, or files.
        options: what is set, by the names of models; `default` for the others.
        executor: makes what computes the calls of a version; by default they are computed in this
            process, or with `workers` in as many processes (see `argand.serve.workers`), which
            are ended where one call takes more than `hung_seconds`.
        explicit: load models only when `load` asks for them.
    """

    def __init__(
        self,
        roots: list[Path] | None = None,
        options: Mapping[str, ModelOptions] | None = None,
        *,
        default: ModelOptions | None = None,
        executor: Callable[[ModelVersion], Executor] | None = None,
        workers: int = 0,
        hung_seconds: float = HUNG_SECONDS,
        explicit: bool = False,
    ) -> None:
        prepare_giving_back()
        self.roots = roots or []
        self.empty_roots: list[Path] = []  # without a model, when they were looked at
        self.options = dict(options or {})
        self.default = default or ModelOptions()
        self.models: dict[str, Model] = {}
        self.observers: list[Callable[[ModelVersion, Batch], None]] = []
        self.problems: list[str] = []
        self.pool = _pool(workers, hung_seconds) if workers and executor is None else None
        self._executor = executor or (self.pool.executor if self.pool else _in_process)
        self._explicit = explicit
        self._has_looked = not self.roots
        self._given: set[str] = set()  # models that are in no folder
        self._ending: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._random = random.Random(0)

    # -- asking --------------------------------------------------------------------------------

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ModelVersion:
        """The version that answers a request: the one named, that of a label, or the latest; where
        `weights` are set, one of those that they name, drawn in proportion.

        Raises ServeError: NOT_FOUND where there is none, UNAVAILABLE while it is not loaded, or
        the folders have not been looked at yet.
        """
        model = self._model(name)
        if label is not None:
            version = self._labelled(model, label)
        elif version is None:
            version = self._drawn(model)
        if version is None:
            version = max(model.ready, default=None)
            if version is None:
                raise _not_ready(f"no version of {name} is ready{_why(model)}", model.is_coming)
        found = model.versions.get(version)
        if found is not None and found.is_available:
            return found
        if found is None or (found.state is State.END and found.error is None):
            there = ", ".join(map(str, model.available)) or "none"
            raise not_found(f"{name} has no version {version}; there are {there}", "version")
        why = f": {found.error}" if found.error else ""
        said = f"{name} version {version} is {found.state.name}{why}"
        raise _not_ready(said, found.is_coming)

    def _model(self, name: str) -> Model:
        model = self.models.get(name)
        if model is None:
            if not self._has_looked:
                raise _not_ready("the server has not looked for its models yet", True)
            raise not_found(f"there is no model {name!r}{did_you_mean(name, self.models)}", "model")
        return model

    def _labelled(self, model: Model, label: str) -> int:
        if label not in model.options.labels:
            known = ", ".join(model.options.labels) or "none"
            raise not_found(f"{model.name} has no label {label!r}; there are {known}", "label")
        return model.labelled(label)

    def _drawn(self, model: Model) -> int | None:
        """A version by the weights of the labels whose versions take requests."""
        if not model.options.weights:
            return None
        available = model.available
        drawn = [(model.labelled(k), w) for k, w in model.options.weights.items() if w > 0]
        drawn = [(number, weight) for number, weight in drawn if number in available]
        if not drawn:
            return None
        numbers, weights = zip(*drawn, strict=True)
        (found,) = self._random.choices(numbers, weights)
        return int(found)

    @property
    def is_ready(self) -> bool:
        """Whether each model that was to be served from the start has been loaded, and something
        computes. One that comes later, and may be damaged, keeps no requests from the others."""
        if self.pool is not None and not self.pool.is_ready:
            return False
        return not any(m.is_awaited and m.wanted for m in self.models.values())

    # -- following the folders -----------------------------------------------------------------

    def start_polling(self, seconds: float) -> None:
        """Look at the folders every so many seconds, until `stop_polling` or `close`."""
        self.stop_polling()
        self._polling = asyncio.get_running_loop().create_task(self._poll(seconds))

    def stop_polling(self) -> None:
        """Look no more."""
        if self._polling is not None:
            self._polling.cancel()

    async def _poll(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.poll()
            except Exception:  # a folder that can't be read now, maybe the next time
                _log.exception("the folders of models could not be read")

    async def poll(self) -> None:
        """Look at the folders; load what is new or has changed, and unload what has gone.

        A version takes requests once it has been read and warmed; only then the versions that it
        replaces end. What can't be read has its error, and is tried again when its file changes.
        """
        listing = await asyncio.to_thread(found_at, self.roots)
        self._tell(listing.problems)
        self.empty_roots = listing.empty
        names = set(listing.models)
        for name in sorted(names):
            self._noted(name)
        self._has_looked = True
        if listing.is_whole:  # else a folder is away for a while
            names |= set(self.models) - self._given
        await asyncio.gather(*(self._follow(name, listing) for name in sorted(names)))
        if self._ending:
            await asyncio.wait(self._ending, timeout=_DRAIN)

    def _tell(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self.problems:
                _log.warning("%s", problem)
        self.problems = problems

    async def _follow(self, name: str, listing: Listing) -> None:
        """Serve what a folder has of a model."""
        model = self.models.get(name)
        if model is None:
            if name not in listing.models:
                return  # removed by another look at the folders
            model = self._noted(name)
        async with model.lock:
            if self.models.get(name) is not model:
                return  # likewise, while this one waited
            model.there = listing.models.get(name, {})
            await self._serve(model)
            if not model.there and not model.available:
                del self.models[name]

    def _noted(self, name: str) -> Model:
        """The model of a name in the folders, of which nothing is served yet where it is new."""
        model = self.models.get(name)
        if model is None:
            model = self.models[name] = Model(name, self.options.get(name, self.default))
            model.unloaded = None if self._explicit else set()
            model.is_awaited = not (self._has_looked or self._explicit)
        return model

    async def _serve(self, model: Model) -> None:
        """Load what the policy wants; then let go of what it doesn't."""
        model.budget.limit = model.options.batching.max_queued_rows
        for number in set(model.stamps) - set(model.there):
            del model.stamps[number]
            if model.versions[number].state is State.END:
                del model.versions[number]
        wanted = model.wanted
        for number in wanted:
            await self._load(model, model.there[number])
        model.settle_labels()
        good = [n for n in wanted if n in model.available]
        for number in model.available:
            if number not in wanted and (good or not wanted):
                self._end(model, number)
        model.forget()

    async def _load(self, model: Model, found: Found) -> None:
        before = model.versions.get(found.number)
        if model.stamps.get(found.number) == found.stamp:
            return
        if is_onnx(found.path) and time.time() - found.changed < SETTLED:
            await asyncio.sleep(SETTLED)
            if _stamp_now(self.roots, found) != found.stamp:
                return  # it is being copied
        model.stamps[found.number] = found.stamp
        version = ModelVersion(model.name, found.number, found.path, model.options)
        await self._begin(model, version, before)

    async def _begin(
        self, model: Model, version: ModelVersion, before: ModelVersion | None
    ) -> None:
        """Read a version and let it take requests, in the place of the one that it replaces."""
        number = version.number
        is_served = before is not None and before.is_available
        if not is_served:
            model.versions[number] = version
        version.state = State.LOADING
        executor, is_read = self._executor(version), False
        try:
            with beside_calls():
                await beside(version.read)
                await executor.load(version)
            is_read = True
        except Exception as error:
            version.error = as_serve_error(error)
            _log.warning("%s version %d can't be served: %s", model.name, number, error)
            if before is not None and is_served:
                before.error = version.error  # its file is another by now, and of no use
                _log.warning("%s version %d is served as it was", model.name, number)
        finally:
            if not is_read:
                executor.close()
                version.let_go()
                version.state = State.END
        if not is_read:
            return
        version.open(executor, lambda batch: self._observe(version, batch), model.budget)
        model.versions[number] = version
        model.is_awaited = False
        _log.info("%s version %d is served", model.name, number)
        _tell_how(version)
        if before is not None and is_served:
            self._close(before)

    def _end(self, model: Model, number: int) -> None:
        _log.info("%s version %d is unloaded", model.name, number)
        model.stamps.pop(number, None)
        self._close(model.versions[number])

    def _close(self, version: ModelVersion, deadline: float | None = None) -> None:
        """Let a version finish what it has, beside whatever else happens."""
        version.retire()
        task = asyncio.get_running_loop().create_task(_closed(version, deadline))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _observe(self, version: ModelVersion, batch: Batch) -> None:
        for observer in self.observers:
            observer(version, batch)

    # -- management ----------------------------------------------------------------------------

    async def add(
        self,
        name: str,
        source: ExportedProgram | Path,
        version: int = 1,
        options: ModelOptions | None = None,
    ) -> ModelVersion:
        """Serve a program, or a file, that is in none of the folders.

        Raises ServeError: ALREADY_EXISTS where a folder has a model of that name; else what is
        wrong with the file.
        """
        model = self.models.get(name)
        if model is not None and name not in self._given:
            raise ServeError(Status.ALREADY_EXISTS, f"there is a model {name!r} already")
        if model is None:
            chosen = options or self.options.get(name, self.default)
            model = self.models[name] = Model(name, chosen)
            self._given.add(name)
        is_path = isinstance(source, str | Path)
        made = ModelVersion(
            name,
            version,
            Path(source) if is_path else None,  # type: ignore[arg-type]
            model.options,
            None if is_path else source,  # type: ignore[arg-type]
        )
        async with model.lock:
            await self._begin(model, made, model.versions.get(version))
        if made.error is not None:
            raise made.error
        return made

    async def load(self, name: str, versions: Collection[int] | None = None) -> None:
        """Load a model of the folders: the versions that its policy wants, or those given. What
        could not be read is tried again, and so is what `unload` has unloaded.

        Raises ServeError: NOT_FOUND where no folder has it, else what is wrong with its file.
        """
        listing = await asyncio.to_thread(found_at, self.roots)
        there = listing.models.get(name)
        if there is None:
            meant = did_you_mean(name, listing.models)
            raise not_found(f"no folder has a model {name!r}{meant}", "model")
        for number in versions or ():
            if number not in there:
                shown = ", ".join(map(str, there))
                raise not_found(f"{name} has no version {number}; there are {shown}", "version")
        model = self._noted(name)
        if versions is not None:
            policy = VersionPolicy("specific", versions=tuple(versions))
            model.options = replace(model.options, policy=policy)
        model.unloaded = set() if versions is None else (model.unloaded or set()) - set(versions)
        for number, version in model.versions.items():
            if version.state is State.END or version.error is not None:
                model.stamps.pop(number, None)
        await self._follow(name, listing)
        for number in model.wanted:
            error = model.versions[number].error if number in model.versions else None
            if error is not None:
                raise error

    async def unload(self, name: str, version: int | None = None) -> None:
        """Unload a model, or one version, when it has answered what it has; it stays unloaded until
        `load` is asked for it.

        Raises ServeError (NOT_FOUND) where it is not served.
        """
        model = self._model(name)
        if version is not None and version not in model.available:
            raise not_found(f"{name} has no version {version} that is served", "version")
        async with model.lock:
            numbers = model.available if version is None else [version]
            if version is None:
                model.unloaded = None
            elif model.unloaded is not None:
                model.unloaded.add(version)
            for number in numbers:
                self._end(model, number)
        if self._ending:
            await asyncio.wait(self._ending)
        if name in self._given and not model.available:
            self._given.discard(name)
            del self.models[name]

    def set_label(self, name: str, label: str, version: int | None) -> None:
        """Let a label name a version that takes requests; no version with None.

        Raises ServeError: NOT_FOUND where there is no such model, FAILED_PRECONDITION where the
        version does not take requests.
        """
        model = self._model(name)
        labels = {k: v for k, v in model.options.labels.items() if k != label}
        if version is not None:
            if version not in model.available:
                raise ServeError(
                    Status.FAILED_PRECONDITION,
                    f"{name} version {version} takes no requests, so {label!r} can't name it",
                )
            labels[label] = version
        weights = {k: w for k, w in model.options.weights.items() if k in labels}
        model.options = replace(model.options, labels=labels, weights=weights)

    def set_weights(self, name: str, weights: Mapping[str, float]) -> None:
        """Share the requests that name no version among labels, in proportion."""
        model = self._model(name)
        for label, weight in weights.items():
            self._labelled(model, label)
            if not 0 <= weight < float("inf"):
                raise ServeError(
                    Status.INVALID_ARGUMENT, f"a weight is at least 0, got {weight}", field=label
                )
        model.options = replace(model.options, weights=dict(weights))

    async def set_policy(self, name: str, policy: VersionPolicy) -> None:
        """Serve other versions of a model from now on."""
        model = self._model(name)
        model.options = replace(model.options, policy=policy)
        async with model.lock:
            await self._serve(model)

    # -- the end -------------------------------------------------------------------------------

    async def close(self, deadline: float | None = None) -> None:
        """Let all versions finish what they have, but for what a deadline in seconds cuts off."""
        if self._polling is not None:
            self.stop_polling()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None
        for model in self.models.values():
            for number in model.available:
                model.stamps.pop(number, None)
                self._close(model.versions[number], deadline)
        if self._ending:
            await asyncio.wait(self._ending)
        if self.pool is not None:
            self.pool.close()


def _tell_how(version: ModelVersion) -> None:
    """Say what the requests of a version have to do without; a warning where it was declared."""
    if is_language_model(version):
        return  # its calls are batched by another
    for name, signature in version.signatures.items():
        place = (version.model, version.number, name)
        if signature.reason is not None:
            _log.info("%s version %d, %s is not batched: %s", *place, signature.reason)
        if signature.padding_reason is not None:
            _log.warning("%s version %d, %s is not padded: %s", *place, signature.padding_reason)


def _in_process(version: ModelVersion) -> Executor:
    return InProcess()


def _pool(count: int, hung_seconds: float) -> Any:
    from argand.serve.workers import WorkerPool  # needs msgspec

    return WorkerPool(count, hung_seconds)


async def _closed(version: ModelVersion, deadline: float | None) -> None:
    executor = version.executor
    await version.close(deadline)
    if deadline is None:  # else the process ends
        await asyncio.to_thread(_reclaim, executor)


def _reclaim(executor: Executor | None) -> None:
    """Give back the memory of a version, once the call that gave its last answer has returned."""
    if executor is not None:
        executor.join()
    reclaim()


def _stamp_now(roots: list[Path], found: Found) -> Any:
    now = found_at(roots).models.get(found.model, {}).get(found.number)
    return None if now is None else now.stamp


def _not_ready(said: str, is_coming: bool) -> ServeError:
    """The error of what can't answer now, and whether it is worth asking again."""
    return ServeError(Status.UNAVAILABLE, said, retry_after=SOON if is_coming else NEVER)


def _why(model: Model) -> str:
    """Why no version takes requests: one is loaded now, or what is wrong with the latest."""
    loading = [n for n, v in model.versions.items() if v.state is State.LOADING]
    if loading:
        return f": version {max(loading)} is being loaded"
    errors = [v.error for _, v in sorted(model.versions.items()) if v.error is not None]
    if errors:
        return f": {errors[-1]}"
    return ": it is not loaded until that is asked for" if model.unloaded is None else ""


__all__ = ["KEPT_VERSIONS", "Engine", "Model"]
