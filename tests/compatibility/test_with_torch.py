"""All that is compared with PyTorch, in an environment of its own: `pytest -m torch`.

The first run installs PyTorch (`environment.py`); without a network everything is skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import environment
import pytest

TESTS = environment.ROOT / "tests"
HERE = Path(__file__).parent
PARTS = 16
SUITES = sorted(
    str(path.relative_to(environment.ROOT))
    for path in TESTS.rglob("test_*.py")
    if 'importorskip("torch"' in path.read_text() and path != Path(__file__)
)

pytestmark = [pytest.mark.torch, pytest.mark.timeout(3600)]


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has PyTorch."""
    try:
        return environment.python()
    except environment.NotInstalledError as error:
        pytest.skip(str(error))


def run(python: Path, *words: str) -> str:
    """The output of a command of the environment, which must succeed."""
    folders = (environment.ROOT / "src", TESTS, TESTS / "distributions", HERE)
    paths = {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, *words],
        cwd=environment.ROOT,
        env=os.environ | paths | one,
        capture_output=True,
        text=True,
    )
    text = f"{done.stdout}\n{done.stderr}"
    assert not done.returncode, text[-4000:]
    return text


@pytest.mark.parametrize("suite", SUITES)
def test_suites_that_compare(python: Path, suite: str) -> None:
    """Among them the walk over the registry, `tests/conformance/test_torch.py`."""
    text = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite)
    assert not re.search("PyTorch (is not|isn't) installed", text)


@pytest.mark.parametrize("part", range(PARTS))
def test_operators(python: Path, part: int) -> None:
    """PyTorch's database of operators: no difference but those that are pinned."""
    run(python, f"{HERE}/operators.py", "--part", f"{part}/{PARTS}", "--check")


@pytest.mark.parametrize(
    "name",
    [
        "module_samples",
        "modules",
        "optimizers",
        "files",
        "distributions",
        "promotion",
        "printing",
        "random_numbers",
    ],
)
def test_tables(python: Path, name: str) -> None:
    """What was pinned with PyTorch is what it gives now."""
    run(python, f"{HERE}/{name}.py", "--check")


def test_names_of_torchvision(python: Path) -> None:
    """Where its wheel is one for the PyTorch that is installed; of CUDA beside a CPU it is not."""
    words = [python, "-W", "ignore", "-c", "import torchvision"]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("torchvision can't be loaded beside this PyTorch")
    run(python, f"{HERE}/vision.py", "--check")
