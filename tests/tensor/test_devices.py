"""Devices by name, and the answers of those that are not there, against PyTorch's."""

from __future__ import annotations

import importlib.util
import pickle
import warnings
from pathlib import Path

import pytest

import argand as ag
from argand import nn

PATH = Path(__file__).parents[1] / "compatibility" / "devices.py"
_spec = importlib.util.spec_from_file_location("compatibility_devices", PATH)
devices = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(devices)

NAMED = {
    "kind": lambda m: m.device("cuda"),
    "number": lambda m: m.device("cuda:1"),
    "apart": lambda m: m.device("cuda", 1),
    "keywords": lambda m: m.device(type="xpu", index=0),
    "only type": lambda m: m.device(type="mps"),
    "of another": lambda m: m.device(m.device("meta")),
    "device=": lambda m: m.device(device="cuda:1"),
    "text": lambda m: str(m.device("cuda:1")),
    "cpu:0": lambda m: m.device("cpu", 0),
    "equal": lambda m: m.device("cuda", 1) == m.device("cuda:1"),
    "not equal": lambda m: m.device("cuda") == m.device("cuda:0"),
    "not its name": lambda m: m.device("cuda") == "cuda",
    "hashed": lambda m: len({m.device("cuda:1"), m.device("cuda", 1), m.device("cuda")}),
    "parts": lambda m: (m.device("xla:3").type, m.device("xla:3").index, m.device("hip").index),
    "chosen": lambda m: m.device("cuda" if m.cuda.is_available() else "cpu"),
    "accelerator": lambda m: (
        m.accelerator.current_accelerator().type if m.accelerator.is_available() else "cpu"
    ),
    "kinds": lambda m: [
        m.device(k).type
        for k in [
            "cpu",
            "cuda",
            "ipu",
            "xpu",
            "opengl",
            "opencl",
            "ideep",
            "hip",
            "ve",
            "fpga",
            "maia",
            "xla",
            "lazy",
            "vulkan",
            "mps",
            "meta",
            "hpu",
            "mtia",
            "privateuseone",
        ]
    ],
    "tensor": lambda m: (m.ones(2).device, m.ones(2, device=m.device("cpu")).device.type),
    "flags": lambda m: [
        getattr(m.ones(2), f"is_{k}") for k in ["cpu", "cuda", "meta", "mps", "mtia", "xpu", "xla"]
    ],
    "get_device": lambda m: m.ones(2).get_device(),
    "in a block": lambda m: _in_a_block(m),
    "default": lambda m: (m.set_default_device(None), m.get_default_device()),
}
REFUSED = {
    "no such": lambda m: m.device("cudaa"),
    "empty": lambda m: m.device(""),
    "01": lambda m: m.device("cuda:01"),
    "no number": lambda m: m.device("cuda:"),
    "letter": lambda m: m.device("cuda:a"),
    "negative": lambda m: m.device("cuda:-1"),
    "negative index": lambda m: m.device("cuda", -1),
    "index twice": lambda m: m.device("cuda:1", 1),
    "accelerator": lambda m: m.device(0),
    "negative accelerator": lambda m: m.device(-1),
    "nothing": lambda m: m.device(),
    "none": lambda m: m.device(None),
    "float": lambda m: m.device(1.5),
    "written": lambda m: setattr(m.device("cpu"), "type", "cuda"),
    "ordered": lambda m: m.device("cpu") < m.device("cuda"),
    "zeros": lambda m: m.zeros(2, device="cuda"),
    "zeros of index": lambda m: m.zeros(2, device=m.device("cuda:1")),
    "zeros of mps": lambda m: m.zeros(2, device="mps"),
    "zeros of xpu": lambda m: m.zeros(2, device="xpu"),
    "zeros of mtia": lambda m: m.zeros(2, device="mtia"),
    "zeros of xla": lambda m: m.zeros(2, device="xla"),
    "zeros of 0": lambda m: m.zeros(2, device=0),
    "tensor": lambda m: m.tensor([1.0], device="cuda"),
    "as_tensor": lambda m: m.as_tensor([1.0], device="cuda"),
    "arange": lambda m: m.arange(3, device="cuda"),
    "rand": lambda m: m.rand(3, device="mps"),
    "to": lambda m: m.ones(2).to("cuda"),
    "to mps": lambda m: m.ones(2).to("mps"),
    "to device": lambda m: m.ones(2).to(m.device("cuda:1")),
    "to number": lambda m: m.ones(2).to(0),
    "to with dtype": lambda m: m.ones(2).to("cuda", m.float64),
    "cuda": lambda m: m.ones(2).cuda(),
    "cuda of index": lambda m: m.ones(2).cuda(0),
    "xpu": lambda m: m.ones(2).xpu(),
    "to no such": lambda m: m.ones(2).to("cudaa"),
    "module": lambda m: m.nn.Linear(2, 2).to("cuda"),
    "module cuda": lambda m: m.nn.Linear(2, 2).cuda(),
    "module mps": lambda m: m.nn.Linear(2, 2).to("mps"),
    "module to number": lambda m: m.nn.Linear(2, 2).to(0),
    "module xpu": lambda m: m.nn.Linear(2, 2).xpu(),
    "module made": lambda m: m.nn.Linear(2, 2, device="cuda"),
    "to_empty": lambda m: m.nn.Linear(2, 2).to_empty(device="cuda"),
    "generator": lambda m: m.Generator("cuda"),
    "cuda tensors": lambda m: m.cuda.FloatTensor(2),
    "event": lambda m: m.cuda.Event(enable_timing=True),
    "cuda.device": lambda m: _entered(m.cuda.device(0)),
    "accelerator waits": lambda m: m.accelerator.synchronize(),
    "no switch": lambda m: setattr(m.backends.cuda.matmul, "allow_tf23", True),
    "no module": lambda m: m.get_device_module("xla"),
    "debug mode": lambda m: m.set_deterministic_debug_mode(5),
    "deterministic": lambda m: m.use_deterministic_algorithms(1),
    "kernel by name": lambda m: _entered(m.nn.attention.sdpa_kernel("math")),
}


def _entered(block):
    with block:
        pass


def _in_a_block(m):
    with m.device("cpu") as entered:
        return entered, m.get_default_device(), m.zeros(2).device


def _raised(call, m):
    with pytest.raises(Exception) as info:  # which one is what is compared
        call(m)
    return info.value


def test_devices_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for name, call in NAMED.items():
        assert repr(call(ag)) == repr(call(torch)), name
    for name, call in REFUSED.items():
        expected, found = _raised(call, torch), _raised(call, ag)
        assert isinstance(found, type(expected)), (name, expected, found)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused(name):
    error = _raised(REFUSED[name], ag)
    if isinstance(error, ag.base.errors.DeviceError):
        kinds = (ag.ArgandError, AssertionError, NotImplementedError, RuntimeError, ValueError)
        assert all(isinstance(error, kind) for kind in kinds)
        assert "CPU" in str(error) or "no module" in str(error)


def test_every_answer_is_pytorchs():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    known = devices.reasons(devices.DIFFERENT) | devices.reasons(devices.LEFT_OUT)
    found = {
        f"{space}.{name}": text
        for space, texts in devices.compared().items()
        for name, text in texts.items()
        if text
    }
    assert found.keys() == known.keys()


def test_a_default_device():
    assert ag.get_default_device() == ag.device("cpu")
    with ag.device("cpu:0"):
        assert ag.get_default_device() == ag.device("cpu", 0)
        with pytest.raises(AssertionError, match="'cuda' is not available"), ag.device("cuda"):
            pass
        assert ag.get_default_device() == ag.device("cpu", 0)
    assert ag.get_default_device() == ag.device("cpu")
    with pytest.raises(AssertionError, match="'cuda:1' is not available"):
        ag.set_default_device("cuda:1")
    assert ag.zeros(2, device="meta").is_meta


def test_devices_are_pickled_and_loaded(tmp_path):
    device = ag.device("cuda:1")
    assert pickle.loads(pickle.dumps(device)) == device
    ag.save({"x": ag.ones(2), "device": device}, tmp_path / "saved.pt")
    assert ag.load(tmp_path / "saved.pt", map_location="cpu")["device"] == device
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        ag.load(tmp_path / "saved.pt", map_location=ag.device("cuda"))


def test_usual_preparations_run():
    """What published programs do before they begin."""
    device = ag.device("cuda" if ag.cuda.is_available() else "cpu")
    ag.manual_seed(0)
    ag.cuda.manual_seed_all(0)
    ag.backends.cudnn.benchmark = ag.backends.cudnn.deterministic = True
    ag.backends.cuda.matmul.allow_tf32 = True
    assert ag.get_float32_matmul_precision() == "high"
    ag.set_float32_matmul_precision("highest")
    assert not ag.backends.cuda.matmul.allow_tf32
    ag.use_deterministic_algorithms(True, warn_only=True)
    assert ag.are_deterministic_algorithms_enabled()
    assert ag.is_deterministic_algorithms_warn_only_enabled()
    ag.set_deterministic_debug_mode("default")
    ag.backends.cudnn.benchmark = ag.backends.cudnn.deterministic = False
    ag.cuda.empty_cache()
    model, x = nn.Linear(2, 2).to(device), ag.ones(1, 2, device=device)
    with ag.cuda.device(None), ag.cuda.stream(None), ag.device(device):
        assert model(x).device.type == "cpu"
    assert ag.get_device_module(device).is_available()
    assert not isinstance(x, ag.cuda.FloatTensor)


def test_switches_are_set_for_a_block():
    cudnn = ag.backends.cudnn
    assert cudnn.enabled
    with cudnn.flags(enabled=False, benchmark=True):
        assert cudnn.benchmark
        assert cudnn.benchmark_limit == 10
        assert not cudnn.enabled
    assert cudnn.enabled
    assert not cudnn.benchmark
    assert cudnn.benchmark_limit is None
    with pytest.raises(TypeError, match="got benchmarks"), cudnn.flags(benchmarks=True):
        pass
    with pytest.raises(TypeError, match="set_flags takes"):
        cudnn.set_flags(_benchmarks=True)


def test_kernels_of_attention_are_asked_for():
    from argand.nn.attention import SDPBackend, sdpa_kernel

    answers = ag.backends.cuda
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]):
        assert answers.math_sdp_enabled()
        assert not answers.flash_sdp_enabled()
    assert answers.flash_sdp_enabled()
    with (
        pytest.raises(RuntimeError, match="add SDPBackend"),
        sdpa_kernel(SDPBackend.CUDNN_ATTENTION),
    ):
        pass
    with pytest.warns(FutureWarning, match="older name"), answers.sdp_kernel(enable_math=False):
        assert not answers.math_sdp_enabled()


def test_mixed_precision_of_a_gpu_is_disabled_and_says_so():
    amp = ag.cuda.amp
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scaler, block = amp.GradScaler(), amp.autocast()
        forward = amp.custom_fwd(lambda ctx, x: x)
    assert [w.category for w in said] == [FutureWarning, UserWarning] * 2 + [FutureWarning]
    assert {w.filename for w in said} == {__file__}
    assert not scaler.is_enabled()
    with block:
        assert (ag.ones(2, 2) @ ag.ones(2, 2)).dtype is ag.float32
    assert callable(forward)
