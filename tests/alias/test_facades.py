"""Parts of PyTorch's namespace that stand around what computes."""

import math
from collections import OrderedDict, defaultdict, namedtuple

import pytest

import argand as ag
import argand.distributed as dist
import argand.library as library
from argand.alias import lenient
from argand.base.errors import ArgumentError
from argand.torch_version import TorchVersion
from argand.utils import _pytree

Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "tree",
    [1, None, [], [1, (2, {"a": 3, "b": [None]})], Point(1, [2]), OrderedDict(b=1, a=2)],
)
def test_a_tree_comes_back(tree):
    leaves, spec = _pytree.tree_flatten(tree)
    again = _pytree.tree_unflatten(leaves, spec)
    assert again == tree and type(again) is type(tree)
    assert spec == _pytree.tree_structure(again) and spec.num_leaves == len(leaves)
    assert _pytree.tree_map(lambda x: (x, x), tree) != tree or not leaves


def test_trees_of_one_structure_are_mapped_together():
    both = _pytree.tree_map(lambda x, y: (x, y), {"a": 1, "b": [2]}, {"b": [4], "a": {"c": 3}})
    assert both == {"a": (1, {"c": 3}), "b": [(2, 4)]}
    for other in ({"a": 1}, {"a": 1, "c": [2]}, {"a": 1, "b": (2,)}, {"a": 1, "b": [2, 3]}):
        with pytest.raises(ValueError, match="expected"):
            _pytree.tree_map(lambda x, y: x, {"a": 1, "b": [2]}, other)
    with pytest.raises(ValueError, match="1 leaves for a structure that holds 2"):
        _pytree.tree_unflatten([1], _pytree.tree_structure([1, 2]))
    assert _pytree._broadcast_to_and_flatten(5, _pytree.tree_structure([1, [2, 3]])) == [5, 5, 5]
    assert _pytree._broadcast_to_and_flatten([5], _pytree.tree_structure([1, 2])) is None


def test_dicts_of_any_kind_are_mapped_by_their_keys():
    first, second = defaultdict(list, b=1, a=2), OrderedDict(a=10, b=20)
    found = _pytree.tree_map(lambda x, y: x + y, first, second)
    assert found == {"b": 21, "a": 12} and type(found) is defaultdict
    assert (
        list(_pytree.tree_map(lambda x, y: x + y, second, first).items()) == [*found.items()][::-1]
    )


def test_leaves_have_paths():
    tree = {"a": [1, (2, 3)], "b": Point(4, [5]), "c": defaultdict(list, {1: 6})}
    found, spec = _pytree.tree_flatten_with_path(tree)
    texts = ["['a'][0]", "['a'][1][0]", "['a'][1][1]", "['b'].x", "['b'].y[0]", "['c'][1]"]
    assert [_pytree.keystr(path) for path, _ in found] == texts
    assert all(_pytree.key_get(tree, path) == leaf for path, leaf in found)
    assert spec == _pytree.tree_structure(tree)
    assert _pytree.tree_leaves(_pytree.tree_map_with_path(lambda p, x: len(p) * x, tree)) == [
        *(2, 6, 9, 8, 15, 12)
    ]
    assert _pytree.tree_leaves_with_path(7) == [((), 7)]


def test_a_class_of_containers_may_say_its_places():
    class Pair:
        def __init__(self, *parts):
            self.parts = parts

    for keys in (None, lambda p: ([(_pytree.GetAttrKey("parts"), p.parts)], None)):
        _pytree.register_pytree_node(
            Pair, lambda p: ([p.parts], None), lambda x, _: Pair(*x), flatten_with_keys_fn=keys
        )
        if keys is None:
            with pytest.raises(ValueError, match="Pair have no places"):
                _pytree.tree_flatten_with_path(Pair(1, 2))
    paths = [_pytree.keystr(path) for path, _ in _pytree.tree_leaves_with_path(Pair(1, 2))]
    assert paths == [".parts[0]", ".parts[1]"]
    del _pytree.SUPPORTED_NODES[Pair]


def test_a_custom_op_has_a_gradient_of_its_own():
    @library.custom_op("tests::cube", mutates_args=())
    def cube(x: ag.Tensor, scale: float = 1.0) -> ag.Tensor:
        return x**3 * scale

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.scale = inputs[1]

    cube.register_autograd(
        lambda ctx, grad: (grad * 100 * ctx.scale * ctx.saved_tensors[0], None),
        setup_context=setup,
    )
    x = ag.tensor([2.0], requires_grad=True)
    y = library.ops.tests.cube(x, scale=2.0)
    y.backward()
    assert y.item() == 16 and x.grad.item() == 400
    with pytest.raises(AttributeError, match=r"cub is not there; did you mean cube"):
        _ = library.ops.tests.cub
    with pytest.raises(OSError, match="C\\+\\+ library"):
        library.ops.load_library("x.so")


def test_a_group_of_one_process():
    with pytest.raises(RuntimeError, match="call init_process_group first"):
        dist.get_rank()
    with pytest.raises(RuntimeError, match="a group of 2 processes"):
        dist.init_process_group("gloo", rank=0, world_size=2)
    dist.init_process_group("gloo", rank=0, world_size=1)
    try:
        x, y = ag.tensor([1.0, 2.0]), ag.zeros(2)
        assert dist.all_reduce(x) is None and dist.all_reduce(x, async_op=True).wait()
        dist.all_gather([y], x)
        assert y.tolist() == x.tolist() == [1.0, 2.0]
        found = [None]
        dist.all_gather_object(found, "a")
        assert found == ["a"] and (dist.get_rank(), dist.get_world_size()) == (0, 1)
        with pytest.raises(RuntimeError, match="2 places"):
            dist.all_gather([y, y], x)
        with pytest.raises(ArgumentError, match="no process 1"):
            dist.broadcast(x, src=1)
        with pytest.raises(RuntimeError, match="needs a second process"):
            dist.send(x, 1)
        with pytest.raises(RuntimeError, match="already"):
            dist.init_process_group()
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


@pytest.mark.parametrize("count, parts", [(10, 3), (2, 4), (9, 3)])
@pytest.mark.parametrize("drop", [False, True])
def test_parts_of_samples_are_equal_and_cover_all(count, parts, drop):
    samplers = [
        ag.data.DistributedSampler(range(count), parts, rank, drop_last=drop, seed=3)
        for rank in range(parts)
    ]
    found = [list(sampler) for sampler in samplers]
    assert {len(part) for part in found} == {len(samplers[0])}
    together = [i for part in found for i in part]
    assert set(together) <= set(range(count))
    if drop:
        assert len(together) == len(set(together)) == count // parts * parts
    else:
        assert (
            set(together) == set(range(count)) and len(together) == math.ceil(count / parts) * parts
        )
    orders = set()
    for epoch in range(8):
        samplers[0].set_epoch(epoch)
        orders.add(tuple(samplers[0]))
    assert tuple(found[0]) in orders and (len(orders) > 1 or not together)


def test_versions_compare_by_their_numbers():
    version = TorchVersion("2.13.0+argand")
    assert version >= (2, 13) and version < "2.14" and version == "2.13" and version != (2, 12)
    assert version == "2.13.0+argand" and TorchVersion("2.0.0") == (2,) and version > "2.9"
    assert {version: 1}["2.13.0+argand"] == 1


def test_what_compiles_is_what_pytorch_says():
    def plain(x):
        return x + 1

    assert lenient.compile(plain, backend="eager") is plain
    assert lenient.compile(plain, disable=True) is plain
    with pytest.warns(UserWarning, match="backend='aot_x' has no effect"):
        compiled = lenient.compile(plain, backend="aot_x")
    assert compiled(ag.ones(1)).item() == 2 and compiled.specialisations
    with pytest.raises(ValueError, match="no backend 'inducto'"):
        lenient.compile(plain, backend="inducto")


def test_a_method_that_cant_be_traced_runs_eagerly():
    class Reader:
        def __init__(self):
            self.calls = 0

        @ag.compile(fullgraph=False)
        def read(self, x):
            return x.sum().item() + 1

    reader = Reader()
    with pytest.warns(UserWarning, match="read runs eagerly, it can't be traced whole"):
        assert reader.read(ag.ones(2)) == 3
    assert reader.read(ag.ones(3)) == 4
    with pytest.raises(RuntimeError, match="not known while"):
        ag.compile(lambda x: x.item())(ag.ones(1))


def test_a_wrapper_of_an_optimizer_steps_it_once_with_its_hooks():
    class Wrapper(ag.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self, closure=None):
            return self.optimizer.step()

    parameter = ag.nn.Parameter(ag.ones(1))
    parameter.grad = ag.ones(1)
    inner, seen = ag.optim.SGD([parameter], lr=0.5), []
    inner.register_step_pre_hook(lambda optimizer, args, kwargs: seen.append(optimizer))
    Wrapper(inner).step()
    assert parameter.item() == 0.5 and seen == [inner]


def test_futures_can_be_annotated_with():
    import argand.futures

    assert argand.futures.Future[int].__origin__ is argand.futures.Future


def test_an_op_asks_the_classes_of_its_arguments():
    """As `fx` needs it, which traces `torch.ops.profiler` into programs."""
    import argand.profiler

    class Marked:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func, args

    ops, mark = library.Ops().profiler, Marked()
    assert ops._record_function_exit(mark) == (ops._record_function_exit, (mark,))
    with argand.profiler.LegacyProfile() as profile:
        handle = ops._record_function_enter("block")
        ops._record_function_exit(handle)
    assert "block" in str(profile)
