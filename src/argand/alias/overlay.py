"""What is different under the alias, by PyTorch's module: names, with ``module:attribute``.

Most are names that PyTorch keeps private and programs use all the same.
"""

from __future__ import annotations

from argand import foreach

_CHECKS = """_assert _check _check_index _check_is_size _check_type _check_value _check_with
_shape_as_tensor"""
_OF_DYNAMO = "allow_in_graph assume_constant_result disable is_compiling mark_dynamic reset"
_OF_OPTIMIZERS = """ParamsT _default_to_fused_or_foreach _disable_dynamo_if_unsupported
_get_capturable_supported_devices _get_value _params_t _stack_if_compiling
_use_grad_for_differentiable _view_as_real"""

_STEPS = "adadelta adagrad adam adamax adamw asgd nadam radam rmsprop rprop sgd"
_OF_FUNC = """debug_unwrap functional_call functionalize grad grad_and_value hessian jacfwd jacrev
jvp linearize replace_all_batch_norm_modules_ stack_module_state vjp vmap"""
_INSIDE_FUNC = """get_unwrapped is_batchedtensor is_functionaltensor is_functorch_wrapped_tensor
is_gradtrackingtensor is_legacy_batchedtensor maybe_get_level"""
_FUNCTORCH = "apis batch_norm_replacement eager_transforms functional_call utils vmap"

OVERLAY: dict[str, dict[str, str]] = (
    {
        "torch": {
            "__version__": "argand.alias.release:VERSION",
            "compile": "argand.alias.lenient:compile",
            "ops": "argand.library:ops",
            "OutOfMemoryError": "argand.base.errors:OutOfMemoryError",
            "_sample_dirichlet": "argand.distributions.dirichlet:sample_dirichlet",
            "UntypedStorage": "argand.tensor.storage:Storage",
        }
        | {name: f"argand.checks:{name}" for name in _CHECKS.split()}
        | {name: f"argand.foreach:{name}" for name in foreach.NAMES},
        "torch._dynamo": {name: f"argand.compiler:{name}" for name in _OF_DYNAMO.split()}
        | {
            "mark_static": "argand.compiler:mark_dynamic",
            "mark_static_address": "argand.compiler:mark_dynamic",
        },
        "torch._dynamo.utils": {"is_compile_supported": "argand.compiler:is_compile_supported"},
        "torch._tensor_str": {
            "PRINT_OPTS": "argand.tensor.printing:PrintOptions",
            "_tensor_str": "argand.tensor.printing:body",
        },
        "torch.cuda": {"OutOfMemoryError": "argand.base.errors:OutOfMemoryError"},
        "torch.autograd.profiler": {
            name: f"argand.profiler:{name}" for name in ("kineto_available", "record_function")
        }
        | {
            "profile": "argand.profiler:LegacyProfile",
            "EventList": "argand.profiler.events:EventList",
        },
        "torch.utils.data": {"functional_datapipe": "argand.alias.lenient:functional_datapipe"},
        "torch.utils.data._utils.collate": {
            "np_str_obj_array_pattern": "argand.data.collate:NO_NUMBERS"
        },
        "torch.utils.model_zoo": {"load_url": "argand.hub:load_state_dict_from_url"},
        "torch.fx.node": {"Argument": "typing:Any", "Target": "typing:Any"},
        "torch.jit.annotations": {
            name: f"typing:{name}" for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")
        },
        "torch.distributed.tensor": {
            name: f"argand.distributed:{name}"
            for name in ("Partial", "Placement", "Replicate", "Shard")
        },
        "torch.distributed.constants": {
            "default_pg_timeout": "argand.distributed:default_pg_timeout",
        },
        "torch.nn.parameter": {"is_lazy": "argand.nn.uninitialized:is_lazy"},
        "torch.serialization": {"FILE_LIKE": "typing:Any", "MAP_LOCATION": "typing:Any"},
        "torch.storage": {"UntypedStorage": "argand.tensor.storage:Storage"},
        "torch.optim.optimizer": {
            name: f"argand.optim.foreign:{name}" for name in _OF_OPTIMIZERS.split()
        },
        "torch.optim._adafactor": {"adafactor": "argand.optim._functional:adafactor"},
        "torch.optim._muon": {"muon": "argand.optim._functional:muon"},
        "torch.utils._python_dispatch": {
            "is_traceable_wrapper_subclass": "argand.checks:is_traceable_wrapper_subclass",
        },
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
        "torch._dynamo._trace_wrapped_higher_order_op": {
            "TransformGetItemToIndex": "argand.func.inside:TransformGetItemToIndex",
        },
        "torch._C._functorch": {
            name: f"argand.func.inside:{name}" for name in _INSIDE_FUNC.split()
        },
    }
    | {
        f"torch._functorch.{module}": {name: f"argand.func:{name}" for name in _OF_FUNC.split()}
        | {"argnums_t": "typing:Any"}
        for module in _FUNCTORCH.split()
    }
    | {f"torch.optim.{name}": {name: f"argand.optim._functional:{name}"} for name in _STEPS.split()}
)
