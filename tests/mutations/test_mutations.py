"""Every optimisation that changes order or memory, and every guard, has a test that sees it broken.

    pytest -m slow tests/mutations          all of them, in about ten minutes
    pytest -m slow tests/mutations -k name  those with this in their names

Each mutation of `mutations.toml` is made in a copy of the tree, with a cache of its own, and the
tests that it names run there: each must fail, of a wrong result. All of them pass in the copy as it
is. A mutation that survives asks for a test.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "mutations.toml").read_text(encoding="utf-8")
)["mutation"]
IDS = [re.sub(r"\W+", "_", m["name"]) for m in MUTATIONS]
NO_RESULT = re.compile(
    r"\b(ImportError|ModuleNotFoundError|SyntaxError|NameError|AttributeError)\b"
)
"""A test that fails of these has not looked at a result."""


def mutated(mutation: dict[str, Any], root: Path = ROOT) -> str:
    """The text of the mutation's file with the mutation in it."""
    text = (root / "src" / "argand" / mutation["file"]).read_text(encoding="utf-8")
    assert text.count(mutation["old"]) == 1, f"{mutation['file']} has {mutation['old']!r} not once"
    return text.replace(mutation["old"], mutation["new"])


# -- in the short suite: every mutation can be made ------------------------------------------------


def test_names_are_distinct() -> None:
    assert len(set(IDS)) == len(IDS) >= 60


@pytest.mark.parametrize("mutation", MUTATIONS, ids=IDS)
def test_it_applies_and_its_tests_exist(mutation: dict[str, Any]) -> None:
    assert set(mutation) == {"name", "file", "old", "new", "tests"}
    ast.parse(mutated(mutation))
    assert mutation["tests"]
    for test in mutation["tests"]:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        assert name.partition("[")[0] in functions, test


# -- in the slow suite: every mutation is found ----------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree."""
    folder = tmp_path_factory.mktemp("mutations") / "tree"
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def outcomes(tree: Path, tests: list[str], cache: Path) -> tuple[dict[str, list[str]], str]:
    """For each test, by file and function, how its cases went, but for those that were skipped: ""
    for those that passed, else what they failed of; and what pytest printed."""
    report = cache.with_suffix(".xml")
    names = [f"tests/{test}" for test in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    done = subprocess.run(
        [*command, f"--junitxml={report}", *names],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "ARGAND_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout[-4000:] + done.stderr[-1000:]
    assert report.exists(), text
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name', '').partition('[')[0]}"
        wrong = [*case.iter("failure"), *case.iter("error")]
        what = "\n".join(f"{w.tag}: {w.get('message')}" for w in wrong)
        cases = found.setdefault(name, [])
        if case.find("skipped") is None:
            cases.append(what)
    return found, text


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_pass_in_the_copy_as_it_is(tree: Path, tmp_path: Path) -> None:
    tests = sorted({test for m in MUTATIONS for test in m["tests"]})
    found, text = outcomes(tree, tests, tmp_path / "cache")
    assert not any(what for cases in found.values() for what in cases), text
    assert all(test.partition("[")[0] in found for test in tests), text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=IDS)
def test_it_is_found(mutation: dict[str, Any], tree: Path, tmp_path: Path) -> None:
    file = tree / "src" / "argand" / mutation["file"]
    before = file.read_text(encoding="utf-8")
    file.write_text(mutated(mutation, tree), encoding="utf-8")
    try:
        found, text = outcomes(tree, mutation["tests"], tmp_path / "cache")
    finally:
        file.write_text(before, encoding="utf-8")
    if not any(found.values()) and found:
        pytest.skip("this machine can't run its tests")
    for test in mutation["tests"]:
        wrong = [what for what in found.get(test.partition("[")[0], []) if what]
        assert wrong, f"{test} passes with the mutation: {mutation['name']}\n{text}"
        assert not any(NO_RESULT.search(what) for what in wrong), "\n".join(wrong)
