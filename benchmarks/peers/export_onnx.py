"""Exports the inference workloads to ONNX files (needs torch, onnx, onnxscript).

    python export_onnx.py FOLDER

bench_ort.py and bench_openvino.py read that folder (environment variable BENCH_ONNX)."""

import json
import os
import sys

import torch
import torch_models as M
from common import SEED


class Fn(torch.nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *a):
        return self.f(*a)


class WithWeight(torch.nn.Module):
    """Micro operations whose later arguments are weights: constants of the model."""

    def __init__(self, f, *w):
        super().__init__()
        self.f = f
        self.w = torch.nn.ParameterList(torch.nn.Parameter(t) for t in w)

    def forward(self, x):
        return self.f(x, *self.w)


def jobs():
    def ints(high, *s):
        return torch.randint(0, high, s)

    yield "mlp_infer", M.MLP(), (torch.randn(128, 784),)
    yield "mlp_infer_b1", M.MLP(), (torch.randn(1, 784),)
    yield "dqn_infer_b1", M.MLP((4, 128, 128, 2)), (torch.randn(1, 4),)
    yield "mnist_infer", M.MnistCNN(), (torch.randn(64, 1, 28, 28),)
    yield "resnet18_infer", M.ResNet18Cifar(), (torch.randn(32, 3, 32, 32),)
    yield "resnet50_infer_b1", M.ResNet50(), (torch.randn(1, 3, 224, 224),)
    yield "mobilenetv2_infer_b1", M.MobileNetV2(), (torch.randn(1, 3, 224, 224),)
    yield "gpt_infer", M.baby_gpt(), (ints(65, 8, 256),)
    yield "minilm_infer", M.MiniLM(), (ints(30522, 8, 128),)
    for name, (f, shapes) in M.micro_ops().items():
        args = [torch.randn(*s) for s in shapes]
        if name in ("conv3x3", "dwconv3x3", "layernorm"):
            yield "micro_" + name, WithWeight(f, *args[1:]), (args[0],)
        else:
            yield "micro_" + name, Fn(f), tuple(args)
    yield "overhead_jit_call", Fn(lambda a, b: a + b), (torch.randn(4), torch.randn(4))
    g = M.gpt2()
    yield "gpt2_prefill", M.Prefill(g), (ints(50257, 1, 128),)
    past = [torch.randn(1, 12, 127, 64) for _ in range(24)]
    yield "gpt2_decode", M.DecodeConcat(g), (ints(50257, 1, 1), *past)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(SEED)
    index = {}
    for name, model, args in jobs():
        model.eval()
        path = os.path.join(folder, name + ".onnx")
        try:
            with torch.no_grad():
                torch.onnx.export(
                    model, args, path, dynamo=True, verbose=False, external_data="gpt2" in name
                )
            ok = True
        except Exception as e:
            print("dynamo export failed for", name, type(e).__name__, str(e)[:300])
            ok = False
        index[name] = ok
        print(name, ok, flush=True)
    with open(os.path.join(folder, "index.json"), "w") as f:
        json.dump(index, f)


if __name__ == "__main__":
    main(sys.argv[1])
