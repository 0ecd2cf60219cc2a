"""Objects that are linked without LLVM: they run as LLVM's linker lets them, or are left to it."""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys

import pytest

from argand.base.errors import CompileError
from argand.codegen.llvm import objects
from argand.codegen.llvm.linking import can_link, link
from argand.codegen.llvm.objects import LoadedObject, load_object, text_to_object
from argand.codegen.llvm.target import host_target

pytestmark = pytest.mark.skipif(not can_link(), reason="only for Linux on x86-64")

EVERYTHING = """
@counter = internal global i64 40, align 8
@zeros = internal global [3 x i64] zeroinitializer, align 64
@outside = external global i8
@table = internal constant [4 x i64] [i64 3, i64 1, i64 4, i64 1]
declare double @twice(double)
declare i64 @labs(i64)

define i64 @count() {
  %old = load i64, ptr @counter
  %new = add i64 %old, 1
  store i64 %new, ptr @counter
  %zero = load i64, ptr getelementptr (i8, ptr @zeros, i64 16)
  %sum = add i64 %new, %zero
  ret i64 %sum
}
define i64 @at(i64 %i) {
  %n = call i64 @labs(i64 %i)
  %p = getelementptr i64, ptr @table, i64 %n
  %x = load i64, ptr %p
  ret i64 %x
}
define double @four_times(double %x) {
  %a = call double @twice(double %x)
  %b = call double @twice(double %a)
  %c = fmul double %b, 1.0
  ret double %c
}
define ptr @where() {
  ret ptr @outside
}
define double @half(double %x) {
  %y = fmul double %x, 0.1
  ret double %y
}
"""
NAMES = ["count", "at", "four_times", "where", "half"]
TWICE = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: 2 * x)
IMPORTED = {"twice": ctypes.cast(TWICE, ctypes.c_void_p).value or 0, "outside": 0x1234_5678_9ABC}


def object_of(text: str) -> bytes:
    return text_to_object(text, host_target(), "test")


def call(code: LoadedObject, name: str, result: type, *args: float) -> float:
    kinds = [ctypes.c_double if isinstance(x, float) else ctypes.c_int64 for x in args]
    found: float = ctypes.CFUNCTYPE(result, *kinds)(code.address(name))(*args)
    return found


@pytest.mark.parametrize("whose", ["ours", "LLVM's"])
def test_calls_constants_and_variables(whose: str) -> None:
    load = load_object if whose == "ours" else objects.load_by_llvm
    code = load(object_of(EVERYTHING), NAMES, IMPORTED)
    assert [call(code, "count", ctypes.c_int64) for _ in range(3)] == [41, 42, 43]
    assert [call(code, "at", ctypes.c_int64, i) for i in (0, -1, 2, -3)] == [3, 1, 4, 1]
    assert call(code, "four_times", ctypes.c_double, 1.25) == 5
    assert call(code, "where", ctypes.c_int64) == IMPORTED["outside"]
    assert call(code, "half", ctypes.c_double, 3.0) == 3.0 * 0.1


def test_two_objects_have_variables_of_their_own() -> None:
    data = object_of(EVERYTHING)
    first, second = (load_object(data, NAMES, IMPORTED) for _ in range(2))
    assert call(first, "count", ctypes.c_int64) == 41
    assert call(second, "count", ctypes.c_int64) == 41
    assert call(first, "count", ctypes.c_int64) == 42


def test_the_code_is_gone_with_its_object() -> None:
    with open("/proc/self/maps") as file:
        before = file.read().count("r-xp")
    held = [load_object(object_of(EVERYTHING), NAMES, IMPORTED) for _ in range(50)]
    assert len(held) == 50
    held.clear()
    with open("/proc/self/maps") as file:
        assert file.read().count("r-xp") < before + 10


def test_code_is_not_writable() -> None:
    code = load_object(object_of(EVERYTHING), NAMES, IMPORTED)
    begin = code.address("half")
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    spans = [(*(int(x, 16) for x in span.split("-")), rights) for span, rights, *_ in lines]
    (rights,) = [r for low, high, r in spans if low <= begin < high]
    assert rights == "r-xp"


def test_a_name_that_is_nowhere_is_an_error() -> None:
    text = "declare void @no_such_function_anywhere()\n"
    text += "define void @f() {\n  call void @no_such_function_anywhere()\n  ret void\n}"
    with pytest.raises(CompileError, match="f could not be linked"):
        load_object(object_of(text), ["f"], {})


@pytest.mark.parametrize(
    "text",
    [
        "@x = thread_local global i64 5\n"
        "define i64 @f() {\n  %a = load i64, ptr @x\n  ret i64 %a\n}",
        "@x = common global i64 0\ndefine i64 @f() {\n  %a = load i64, ptr @x\n  ret i64 %a\n}",
    ],
    ids=["a variable for each thread", "a common symbol"],
)
def test_what_is_not_known_is_left_to_llvm(text: str) -> None:
    assert link(object_of(text), ["f"], {}) is None


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(80)])
def test_no_object(data: bytes) -> None:
    assert link(data, ["f"], {}) is None


def test_a_warm_process_loads_no_llvm(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    run(folder, "argand.export.export(model, (x,)).save(path); print(float(f()(x).sum()))")
    first = run(folder, "print(float(f()(x).sum()))")
    rooms = "'llvmlite.binding', 'argand.kernels', 'argand.lowering', 'argand.passes.pipeline'"
    second = run(folder, f"print(float(f()(x).sum())); assert not {{{rooms}}} & set(sys.modules)")
    assert first == second
    assert math.isfinite(float(first))


SCRIPT = """
import sys
import argand
from argand import nn
argand.manual_seed(0)
x = argand.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
model = nn.Sequential(model, nn.Linear(5, 7), nn.Softmax(-1)).eval()
path = sys.argv[1] + "/m.argand"
def f():
    return argand.export.load(path)
"""


def run(folder: object, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import argand.export\n{SCRIPT}\n{script}", str(folder)],
        env={**os.environ, "ARGAND_CACHE": f"{folder}/cache"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
