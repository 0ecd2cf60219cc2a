"""What `models.py` runs in both interpreters: ``python model_programs.py FOLDER < specs.txt``.

Each line of the input names a model of a library, as `models.txt` does. It is built after
`torch.manual_seed(0)`; its first values are noted. Then its weights are drawn again by NumPy, from
their names, so that no layer hides behind another's zeros; its outputs for inputs drawn alike are
written to FOLDER/NAME.npz, or what went wrong to FOLDER/NAME.txt.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers_configs import CONFIGS


def generator(name: str) -> np.random.Generator:
    """Random numbers that depend on a name alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def normal(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(name).standard_normal(shape, dtype=np.float32))


def words(name: str, *shape: int, limit: int = 99) -> torch.Tensor:
    return torch.from_numpy(generator(name).integers(3, limit, shape))


# -- weights ---------------------------------------------------------------------------------------


def first_values(model: torch.nn.Module) -> dict[str, list[float]]:
    """Some of the values of each weight as the model has drawn it."""
    return {n: p.detach().flatten()[:16].tolist() for n, p in model.named_parameters()}


def draw_again(model: torch.nn.Module) -> None:
    """Draw every weight, and the running statistics of norms, from its name."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim and p.is_floating_point():
                p.copy_(torch.from_numpy(drawn(name, tuple(p.shape))))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(normal(name, *b.shape) * 0.1)
            elif name.endswith("running_var"):
                b.copy_(torch.from_numpy(generator(name).uniform(0.5, 1.5, b.shape)).float())


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight: of products, by its number of inputs; of norms, about 1; biases about 0."""
    values = generator(name).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return values / np.sqrt(np.prod(shape[1:]), dtype=np.float32)
    return values * np.float32(0.1) + np.float32(not name.endswith("bias"))


# -- the libraries ---------------------------------------------------------------------------------

Program = tuple[torch.nn.Module, Callable[[Any], Any]]


def of_timm(name: str, side: int, *told: str) -> Program:
    """A model of images."""
    import timm

    model = timm.create_model(name, **dict.fromkeys(told, side))
    channels = model.default_cfg["input_size"][0]
    return model, lambda model: model(normal("image", 1, channels, side, side))


def of_torchvision(name: str, side: int) -> Program:
    """A model of images, of videos (8 frames, 16 where it is made for them), or of detections."""
    from torchvision import models

    options: dict[str, Any] = {"weights": None}
    kind = models.get_model_builder(name).__module__.split(".")[2:][0]
    if kind in ("detection", "segmentation"):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = True
    if name.startswith("vit_"):
        options["image_size"] = side
    if kind == "detection" and not name.startswith("ssd"):
        options |= {"min_size": 96, "max_size": 160}
    model = models.get_model(name, **options)
    if kind == "detection":
        images = [normal("image 1", 3, 96, 128).sigmoid(), normal("image 2", 3, 80, 64).sigmoid()]
        return model, lambda model: model(images)
    if kind == "video":
        frames = 16 if name.startswith(("mvit", "s3d")) else 8
        return model, lambda model: model(normal("video", 1, 3, frames, side, side))
    image = normal("image", 1, 3, side, side)
    if kind == "optical_flow":
        return model, lambda model: model(image, normal("image 2", 1, 3, side, side))
    return model, lambda model: model(image)


def of_transformers(name: str, side: int) -> Program:
    """A model from a small configuration: its outputs, and a greedy generation where it has one."""
    import transformers as hf

    kind, options = CONFIGS[name]
    config = hf.AutoConfig.for_model(name, **options)
    model = getattr(hf, kind).from_config(config, attn_implementation="eager")
    given = transformers_inputs(name, kind, config, side)

    def run(model: Any) -> dict[str, Any]:
        found = {"forward": dict(model(**given))}
        if kind in GENERATING:
            del given["decoder_input_ids" if "decoder_input_ids" in given else "use_cache"]
            found["tokens"] = model.generate(
                **given, max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=None
            )
        return found

    return model, run


GENERATING = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq")


def transformers_inputs(name: str, kind: str, config: Any, side: int) -> dict[str, Any]:
    """What a kind of model is called with."""
    mask = torch.ones(2, 7, dtype=torch.int64)
    text = {"input_ids": words("text", 2, 7), "attention_mask": mask}
    image = {"pixel_values": normal("image", 1, 3, side, side)}
    if kind == "AutoModelForCausalLM":
        return text | {"use_cache": True}
    if kind == "AutoModelForSeq2SeqLM":
        return text | {"decoder_input_ids": words("decoder", 2, 3)}
    if kind == "AutoModelForSpeechSeq2Seq":
        features = normal("sound", 1, config.num_mel_bins, 2 * config.max_source_positions)
        return {"input_features": features, "decoder_input_ids": words("decoder", 1, 3)}
    if kind == "AutoModelForMaskedLM":
        mask[1, 5:] = 0
        return text
    if kind == "AutoModelForCTC":
        return {"input_values": normal("sound", 1, 4000)}
    return text | image if name in ("clip", "siglip", "blip", "align") else image


LIBRARIES = {"timm": of_timm, "torchvision": of_torchvision, "transformers": of_transformers}


# -- running ---------------------------------------------------------------------------------------


def arrays(result: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a result, by their place in it."""
    if isinstance(result, torch.Tensor):
        yield path or "result", result.detach().numpy()
    elif isinstance(result, Mapping):
        for key, value in result.items():
            yield from arrays(value, f"{path}.{key}".lstrip("."))
    elif isinstance(result, list | tuple):
        for i, value in enumerate(result):
            yield from arrays(value, f"{path}.{i}".lstrip("."))


def run(
    library: str, name: str, side: str, *told: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The outputs of a model, and what is noted of it."""
    begun = time.perf_counter()
    torch.manual_seed(0)
    model, program = LIBRARIES[library](name, int(side), *told)
    first = first_values(model)
    draw_again(model)
    model.eval()
    built = time.perf_counter()
    with torch.no_grad():
        found = dict(arrays(program(model)))
    seconds = [round(built - begun, 2), round(time.perf_counter() - built, 2)]
    return found, {"first": first, "seconds": seconds}


def main() -> None:
    """Run every model of the input."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        spec = line.split()
        name = spec[1]
        try:
            found, notes = run(*spec)
        except Exception:
            folder.joinpath(f"{name}.txt").write_text(traceback.format_exc())
        else:
            folder.joinpath(f"{name}.json").write_text(json.dumps(notes))
            np.savez(folder / f"{name}.npz", **found)


if __name__ == "__main__":
    main()
