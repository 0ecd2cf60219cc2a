"""`ag.install_as_torch`: PyTorch's paths, what they hold, and what is missing."""

import textwrap

from alias_programs import python, run


def test_paths_lead_to_argands_functions_and_classes():
    run(
        """
        import torch, torch.nn as nn, torch.nn.functional as F, torch.utils.data
        from torch.nn.modules.conv import Conv2d
        from torch.nn.modules.batchnorm import _BatchNorm
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data.dataset import Dataset
        from torch.serialization import load
        from torch.autograd import Variable
        import torch.nn.utils.rnn as rnn

        assert torch.Tensor is ag.Tensor and torch.float32 is ag.float32
        assert Conv2d is nn.Conv2d is ag.nn.Conv2d and isinstance(nn.BatchNorm2d(1), _BatchNorm)
        assert F.relu is ag.nn.functional.relu and StepLR is ag.optim.lr_scheduler.StepLR
        assert Dataset is torch.utils.data.Dataset is ag.data.Dataset and load is torch.load
        assert rnn.pack_sequence is ag.nn.utils.rnn.pack_sequence
        assert torch.__version__ >= (2, 13) and torch.__version__.endswith("+argand")
        assert not hasattr(torch, "vision") and not hasattr(torch, "ops_")
        import torch as again
        assert again is torch and repr(torch.nn).startswith("<module 'torch.nn'")
        """
    )


def test_dtypes_and_sizes_print_as_pytorchs():
    printed = run(
        """
        import torch
        print(torch.float32, torch.ones(2, dtype=torch.float64), torch.ones(2, 3).shape)
        print(torch.overrides.resolve_name(torch.add))
        """
    )
    assert printed.splitlines() == [
        "torch.float32 tensor([1., 1.], dtype=torch.float64) torch.Size([2, 3])",
        "torch.add",
    ]


def test_what_is_missing_imports_and_says_so_when_it_is_used():
    printed = run(
        """
        import torch, torch.onnx, torch._inductor.config
        from torch.distributed.fsdp import FullyShardedDataParallel as Sharded, MixedPrecision

        class Mine(Sharded):
            pass

        def annotated(x: Sharded | None, y: "MixedPrecision" = None) -> Sharded: ...

        assert not isinstance(torch.ones(1), Sharded)
        assert issubclass(torch.cuda.OutOfMemoryError, Exception)
        for use in (Sharded, Mine, torch.onnx.InputObserver, torch.sparse.spsolve):
            try:
                use()
            except NotImplementedError as error:
                assert isinstance(error, ag.ArgandError)
                print(error)
        for name in ("tenser", "ones_lik"):
            try:
                getattr(torch, name)
            except AttributeError as error:
                print(error)
        try:
            import torch.nn.functionals
        except ModuleNotFoundError as error:
            print(error)
        """
    )
    fsdp = "torch.distributed.fsdp.FullyShardedDataParallel"
    assert printed.splitlines() == [
        f"{fsdp} is not in Argand; programs run in one process, a group of size 1",
        f"{fsdp} is not in Argand; programs run in one process, a group of size 1",
        "torch.onnx.InputObserver is not in Argand; torch.onnx.export exports a module",
        "torch.sparse.spsolve is not in Argand; a sparse tensor's `to_dense()` gives a plain one",
        "module 'torch' has no attribute 'tenser'; did you mean tensor or tensordot?",
        "module 'torch' has no attribute 'ones_lik'; did you mean ones_like or zeros_like?",
        "No module named 'torch.nn.functionals'",
    ]


def test_what_is_set_on_a_module_is_seen_by_argand():
    run(
        """
        import torch.nn.functional as F
        from torch.nn import Linear
        before, F.relu = F.relu, lambda x: x + 100
        assert ag.nn.functional.relu(ag.zeros(1)).item() == 100
        F.relu = before
        assert ag.nn.functional.relu is before is F.relu
        """
    )


def test_compile_runs_eagerly_what_cant_be_traced_and_says_so_once():
    printed = run(
        """
        import torch, warnings
        warnings.simplefilter("always")

        @torch.compile
        def read(x):
            return x * x.sum().item()

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 2)
            def forward(self, x):
                return self.layer(x).relu()

        print(read(torch.ones(2)), read(torch.ones(3)))
        net = torch.compile(Net(), backend="inductor", mode="max-autotune")
        assert net(torch.ones(1, 2)).shape == (1, 2) and len(net.specialisations) == 1
        try:
            torch.compile(lambda x: x + "a")(torch.ones(1))
        except TypeError as error:
            print("TypeError")
        try:
            torch.compile(lambda x: x.item(), fullgraph=True)(torch.ones(1))
        except ag.base.errors.TraceError:
            print("TraceError")
        """
    )
    assert printed.count("runs eagerly, it can't be traced whole") == 1
    lines = printed.splitlines()
    assert lines[:3] == ["tensor([2., 2.]) tensor([3., 3., 3.])", "TypeError", "TraceError"]


def test_beside_pytorch_it_is_refused(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("'''The real one.'''\n")
    text = """
        import sys
        {}
        import argand as ag
        try:
            ag.install_as_torch()
        except ImportError as error:
            print(error)
        assert "ag" not in getattr(sys.modules.get("torch"), "__name__", "")
        """
    for first, what in (("", "PyTorch is installed, at"), ("import torch", "PyTorch is imported")):
        printed = python("-c", textwrap.dedent(text.format(first)), folders=(tmp_path,))
        assert printed.startswith(what) and "import argand as torch" in printed


def test_draws_pytorchs_random_numbers():
    printed = run(
        """
        import torch
        torch.manual_seed(0)
        print(torch.randn(3), torch.rand(2), torch.randperm(5), ag.settings.generator)
        """
    )
    assert printed == (
        "tensor([ 1.5410, -0.2934, -2.1788]) tensor([0.4556, 0.6323]) "
        "tensor([1, 3, 2, 4, 0]) mt19937\n"
    )


def test_metadata_ops_and_dunder_modules_are_found():
    printed = run(
        """
        import importlib.metadata, importlib.util, torch
        print(importlib.metadata.version("torch") == torch.__version__)
        print(torch.ops.aten.add.Tensor(torch.ones(1), torch.ones(1)))
        print(torch.ops.aten.linalg_vector_norm.default(torch.ones(4)))
        print(torch.ops.aten.add.Tensor is torch.ops.aten.add.Tensor)
        print(torch.__config__.show()[:6], hasattr(torch, "__nothing__"))
        print(torch.ones(1).type(), torch.typename(torch.zeros(1, dtype=torch.long)))
        private = torch.ops.aten._softmax_backward_data.default
        for use in (private, lambda: torch.ops.aten.nothing):
            try:
                use()
            except AttributeError as error:
                print(error)
        x = torch.arange(6).view(2, 3)
        print(torch.ops.aten.slice.Tensor(x, 1, 1, 3).tolist())
        print(torch.ops.aten.index.Tensor(x, [None, torch.tensor([2])]).tolist())
        assert torch.torch.Tensor is torch.Tensor and torch._tensor_str._tensor_str(x[0], 0)
        families = vars(torch.distributions)
        assert issubclass(families["Cauchy"], families["Distribution"])
        """
    )
    lines = printed.splitlines()
    assert lines[7:] == [
        "torch.ops.aten.nothing is not there; an op is registered by  "
        "@torch.library.custom_op('aten::nothing', mutates_args=())",
        "[[1, 2], [4, 5]]",
        "[[2], [5]]",
    ]
    assert lines[:4] == ["True", "tensor([2.])", "tensor(2.)", "True"]
    assert lines[4:6] == ["Argand False", "torch.FloatTensor torch.LongTensor"]
    assert lines[6].startswith("torch.ops.aten._softmax_backward_data is not in Argand: PyTorch")


def test_an_extension_module_that_needs_pytorchs_library_is_told_so(tmp_path):
    """The linker's errors are those of PyTorch's libraries; another one stays as it is."""
    for name in ("linked", "broken"):
        (tmp_path / f"{name}.so").write_bytes(b"")
    text = """
        from importlib.machinery import ExtensionFileLoader

        def create_module(self, spec):
            missing = "libc10.so" if spec.name == "linked" else "libz.so"
            raise ImportError(f"{missing}: cannot open shared object file", name=spec.name)

        ExtensionFileLoader.create_module = create_module
        for name in ("linked", "broken"):
            try:
                __import__(name)
            except ImportError as error:
                print(isinstance(error, ag.ArgandError), error)
        """
    told, plain = run(text, tmp_path).splitlines()
    assert told.startswith("True linked is compiled against PyTorch's C++ library")
    assert plain == "False libz.so: cannot open shared object file"


def test_classes_of_data_are_recognised_by_their_modules() -> None:
    out = run(
        """
        import pickle
        from torch.utils.data import DataLoader, Dataset, TensorDataset
        print(DataLoader.__module__, Dataset.__module__, TensorDataset.__mro__[1].__module__)
        print(pickle.loads(pickle.dumps(DataLoader)) is DataLoader)
        """
    )
    assert out.split() == ["torch.utils.data.dataloader", *["torch.utils.data.dataset"] * 2, "True"]
