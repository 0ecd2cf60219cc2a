"""`argand.jit`: the exported program under TorchScript's names.

`trace` records a module's or a function's program from one call, `script` keeps its Python until it
is saved; `save` writes a `.argand` archive (see `argand.export`), and `load` reads one.
"""

from argand.jit.files import load, save
from argand.jit.marks import (
    Final,
    annotate,
    enable_onednn_fusion,
    export,
    export_opnames,
    fork,
    ignore,
    interface,
    is_scripting,
    is_tracing,
    isinstance,
    onednn_fusion_enabled,
    optimized_execution,
    script_method,
    set_fusion_strategy,
    strict_fusion,
    unused,
    wait,
)
from argand.jit.methods import TracerWarning, TracingCheckError
from argand.jit.modules import (
    RecursiveScriptModule,
    ScriptFunction,
    ScriptModule,
    TopLevelTracedModule,
    TracedModule,
)
from argand.jit.optimizing import freeze, optimize_for_inference, run_frozen_optimizations
from argand.jit.scripting import Attribute, ScriptWarning, script, script_if_tracing
from argand.jit.tracing import trace, trace_module

_script_if_tracing = script_if_tracing
_overload = _overload_method = unused

__all__ = [
    "Attribute",
    "Final",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "ScriptWarning",
    "TopLevelTracedModule",
    "TracedModule",
    "TracerWarning",
    "TracingCheckError",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "run_frozen_optimizations",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]
