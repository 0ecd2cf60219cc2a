"""A writer of event files, as `torch.utils.tensorboard.SummaryWriter`."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from argand.base.errors import MissingExtraError, ShapeError
from argand.base.notices import notice
from argand.tensor.core import Tensor

_EDGES = 1e-12 * 1.1 ** np.arange(774)  # up to 1e20, as TensorBoard's own histograms
_BINS = np.concatenate([-_EDGES[::-1], [0.0], _EDGES])


def _package() -> tuple[Any, Any, Any]:
    """TensorBoard's messages and its writer of files; it is no dependency of ours."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer import event_file_writer
    except ImportError as error:
        raise MissingExtraError(
            "SummaryWriter needs the package tensorboard: install it with  pip install tensorboard"
        ) from error
    return event_pb2, summary_pb2, event_file_writer.EventFileWriter


class SummaryWriter:
    """Writes numbers, histograms, images and texts to a folder that TensorBoard shows.

    Args:
        log_dir: the folder; one of this time and machine below `runs` unless given.
        comment: what that folder's name ends with.

    Needs the package `tensorboard`. Follows `torch.utils.tensorboard.SummaryWriter`.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        self._events, self._summaries, self._file_writer = _package()
        now = time.strftime("%b%d_%H-%M-%S")
        default = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir) if log_dir else default
        self._options = (max_queue, flush_secs, filename_suffix)
        self._writer = self._open(self.log_dir)
        self._others: dict[str, Any] = {}

    def _open(self, folder: str) -> Any:
        return self._file_writer(folder, *self._options)

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number at a step."""
        value = float(_array(scalar_value).reshape(-1)[0])
        self._add(global_step, walltime, tag=tag, simple_value=value)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers at a step, each in a folder of its own, shown in one diagram."""
        for tag, scalar in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            if folder not in self._others:
                self._others[folder] = self._open(folder)
            value = float(_array(scalar).reshape(-1)[0])
            event = self._event(global_step, walltime, tag=main_tag, simple_value=value)
            self._others[folder].add_event(event)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are spread at a step."""
        found = _array(values).astype(np.float64).reshape(-1)
        if not found.size:
            raise ShapeError("add_histogram: there are no values")
        counts, limits = np.histogram(found, _BINS if isinstance(bins, str) else bins)
        some = np.flatnonzero(counts)
        first, last = max(some[0] - 1, 0), some[-1] + 1
        message = self._summaries.HistogramProto(
            min=found.min(),
            max=found.max(),
            num=found.size,
            sum=found.sum(),
            sum_squares=(found**2).sum(),
            bucket_limit=limits[first + 1 : last + 1].tolist(),
            bucket=counts[first:last].tolist(),
        )
        self._add(global_step, walltime, tag=tag, histo=message)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """An image at a step; floats between 0 and 1, or integers up to 255."""
        pixels = _pixels(_array(img_tensor), dataformats)
        from PIL import Image  # of the caller's environment

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        message = self._summaries.Summary.Image(
            height=pixels.shape[0],
            width=pixels.shape[1],
            colorspace=pixels.shape[2],
            encoded_image_string=file.getvalue(),
        )
        self._add(global_step, walltime, tag=tag, image=message)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Images at a step, side by side."""
        batch = np.moveaxis(_array(img_tensor), dataformats.index("N"), 0)
        form = dataformats.replace("N", "")
        joined = np.concatenate(list(batch), axis=form.index("W"))
        self.add_image(tag, joined, global_step, walltime, form)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of matplotlib at a step."""
        figures = figure if isinstance(figure, list) else [figure]
        shown = []
        for each in figures:
            each.canvas.draw()
            shown.append(np.asarray(each.canvas.buffer_rgba())[..., :3])
            if close:
                each.clear()
        self.add_images(tag, np.stack(shown), global_step, walltime, "NHWC")

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A text at a step."""
        from tensorboard.compat.proto import tensor_pb2, tensor_shape_pb2

        plugin = self._summaries.SummaryMetadata.PluginData(plugin_name="text")
        size = tensor_shape_pb2.TensorShapeProto.Dim(size=1)
        shape = tensor_shape_pb2.TensorShapeProto(dim=[size])
        value = tensor_pb2.TensorProto(
            dtype="DT_STRING", string_val=[text_string.encode()], tensor_shape=shape
        )
        metadata = self._summaries.SummaryMetadata(plugin_data=plugin)
        whole = f"{tag}/text_summary"
        self._add(global_step, walltime, tag=whole, metadata=metadata, tensor=value)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Hyperparameters as a text, and numbers that came of them."""
        rows = "".join(f"|{name}|{value}|\n" for name, value in hparam_dict.items())
        self.add_text("hparams", f"|name|value|\n|-|-|\n{rows}", global_step)
        for name, value in metric_dict.items():
            self.add_scalar(name, value, global_step)

    def add_graph(self, model: Any, input_to_model: Any = None, *args: Any, **kw: Any) -> None:
        """Nothing is written, which a warning says."""
        notice("SummaryWriter.add_graph writes nothing: there is no graph of modules")

    def flush(self) -> None:
        """Write what waits."""
        for writer in (self._writer, *self._others.values()):
            writer.flush()

    def close(self) -> None:
        """Write what waits, and close the files."""
        for writer in (self._writer, *self._others.values()):
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _add(self, step: int | None, walltime: float | None, **value: Any) -> None:
        self._writer.add_event(self._event(step, walltime, **value))

    def _event(self, step: int | None, walltime: float | None, **value: Any) -> Any:
        summary = self._summaries.Summary(value=[self._summaries.Summary.Value(**value)])
        event = self._events.Event(summary=summary, wall_time=walltime or time.time())
        if step is not None:
            event.step = int(step)
        return event


def _array(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _pixels(image: Any, form: str) -> Any:
    """Bytes of (height, width, channels)."""
    if len(form) != image.ndim:
        raise ShapeError(f"an image of {image.ndim} dimensions is not {form}")
    if "C" not in form:
        image, form = image[..., None], f"{form}C"
    ordered = image.transpose([form.index(c) for c in "HWC"])
    if ordered.shape[2] == 1:
        ordered = np.repeat(ordered, 3, 2)
    if ordered.dtype.kind == "f":
        ordered = (ordered * 255).clip(0, 255)
    return np.ascontiguousarray(ordered.astype(np.uint8))
