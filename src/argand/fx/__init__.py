"""`argand.fx`: graphs of modules, functions and methods, to be read, edited and run.

`symbolic_trace` runs a module's Python on proxies; the graph that they leave is run by a
`GraphModule` node by node, without generating code. `GraphModule.program` gives the Program below.
"""

from argand.fx._symbolic_trace import PH, Tracer, symbolic_trace, wrap
from argand.fx.graph import Graph
from argand.fx.graph_module import GraphModule
from argand.fx.interpreter import Interpreter, Transformer
from argand.fx.node import Node, has_side_effect, map_arg
from argand.fx.proxy import Proxy
from argand.fx.subgraph_rewriter import replace_pattern

__all__ = [
    "PH",
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "has_side_effect",
    "map_arg",
    "replace_pattern",
    "symbolic_trace",
    "wrap",
]
