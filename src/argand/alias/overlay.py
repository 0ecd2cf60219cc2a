"""What is different under the alias, by PyTorch's module: names, with ``module:attribute``.

Most are names that PyTorch keeps private and programs use all the same.
"""

from __future__ import annotations

OVERLAY: dict[str, dict[str, str]] = {
    "torch": {
        "__version__": "argand.alias.release:VERSION",
        "compile": "argand.alias.lenient:compile",
        "ops": "argand.library:ops",
        "OutOfMemoryError": "argand.base.errors:OutOfMemoryError",
    },
    "torch.cuda": {"OutOfMemoryError": "argand.base.errors:OutOfMemoryError"},
    "torch.autograd.profiler": {"record_function": "argand.profiler:record_function"},
    "torch.utils.model_zoo": {"load_url": "argand.hub:load_state_dict_from_url"},
    "torch.utils.hooks": {"RemovableHandle": "argand.transform.hooks:RemovableHandle"},
    "torch.version": {"__version__": "argand.alias.release:VERSION"},
    "torch.nn.modules.batchnorm": {
        "_BatchNorm": "argand.nn.norm:_BatchNorm",
        "_NormBase": "argand.nn.norm:_NormBase",
    },
    "torch.nn.modules.instancenorm": {"_InstanceNorm": "argand.nn.norm:_InstanceNorm"},
    "torch.nn.modules.conv": {
        "_ConvNd": "argand.nn.conv:_Conv",
        "_ConvTransposeNd": "argand.nn.conv:_ConvTranspose",
    },
    "torch.nn.modules.loss": {
        "_Loss": "argand.nn.loss:_Loss",
        "_WeightedLoss": "argand.nn.loss:_WeightedLoss",
    },
}
