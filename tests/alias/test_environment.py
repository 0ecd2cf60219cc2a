"""`argand as-torch`: whole or not at all, and only where it may."""

import importlib.metadata
import os
from pathlib import Path

import pytest
from alias_programs import python

from argand.alias import environment, pip_conf
from argand.alias.environment import Environment, PlaceError
from argand.alias.release import VERSION


@pytest.fixture
def place(tmp_path):
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text("")
    return Environment(tmp_path, site)


def files(place):
    return sorted(str(p.relative_to(place.prefix)) for p in place.prefix.rglob("*") if p.is_file())


def test_the_alias_is_found_by_python_and_by_its_metadata(place):
    place.add()
    (found,) = importlib.metadata.distributions(name="torch", path=[str(place.site)])
    assert found.version == VERSION and all(Path(f.locate()).is_file() for f in found.files or ())
    script = (
        "import importlib.util; assert importlib.util.find_spec('torch')\n"
        "import torch.nn.functional as F, torch, argand as ag\n"
        "print(F.relu is ag.nn.functional.relu, torch.float32, torch.__version__)"
    )
    assert python("-c", script, folders=(place.site,)) == f"True torch.float32 {VERSION}\n"


def test_adding_twice_and_removing_leave_what_was_there(place):
    place.pip_conf.write_text("[install]\nno-deps = true\n")
    before = files(place)
    place.add()
    once = files(place)
    place.add()
    assert files(place) == once != before
    assert place.remove() and files(place) == before and not place.remove()
    assert place.pip_conf.read_text() == "[install]\nno-deps = true\n"


def test_an_unfinished_alias_is_finished_or_removed(place):
    place.add()
    (place.info / "METADATA").unlink()
    (place.site / ".argand-as-torch-x").mkdir()
    place.add()
    assert (place.info / "METADATA").exists()
    assert not (place.site / ".argand-as-torch-x").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from argand.alias import environment
from argand.alias.environment import Environment

place = Environment(Path(sys.argv[1]), Path(sys.argv[2]))
before, moments = sorted(place.prefix.rglob("*")), 0
while True:  # a child that is killed at its first event, its second, ...
    child = os.fork()
    if not child:
        left = moments
        def count(event, arguments):
            global left
            if event.startswith(("os.", "shutil.", "tempfile.")) or event == "open":
                left -= 1
                if left == -1:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        getattr(place, sys.argv[3])()
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    infos = list(place.site.glob("torch-*.dist-info"))
    assert all((info / "INSTALLER").exists() and (info / "RECORD").exists() for info in infos)
    if sys.argv[3] == "add":
        if moments % 2:
            place.add()
        place.remove()
        assert sorted(place.prefix.rglob("*")) == before, moments
    else:
        place.add()
        assert sorted(place.prefix.rglob("*")) == before, moments
    moments += 1
print(moments)
"""


@pytest.mark.parametrize("call", ["add", "remove"])
def test_killed_at_any_moment_it_can_be_done_again_or_undone(place, call):
    if call == "remove":
        place.add()
    assert int(python("-c", KILLED, place.prefix, place.site, call)) > 10


@pytest.mark.parametrize("step", ["_constrain", "rename of the package", "rename of the metadata"])
def test_what_fails_leaves_nothing(place, monkeypatch, step):
    before = files(place)
    if step == "_constrain":
        monkeypatch.setattr(environment, "with_constraint", _fails)
    else:
        wanted = "info" if "metadata" in step else "torch"
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda p, to: _fails() if p.name == wanted else rename(p, to)
        )
    with pytest.raises(OSError, match="disk"):
        place.add()
    assert files(place) == before


def _fails(*args):
    raise OSError("no space on the disk")


def test_pytorch_itself_is_never_touched(place):
    real = place.site / "torch"
    real.mkdir()
    (real / "__init__.py").write_text("")
    before = files(place)
    with pytest.raises(PlaceError, match=r"PyTorch is installed, at .*it keeps its name"):
        place.add()
    assert not place.remove() and files(place) == before
    (real / "__init__.py").unlink()
    real.rmdir()
    info = place.site / "torch-2.13.0.dist-info"
    info.mkdir()
    (info / "INSTALLER").write_text("pip\n")
    with pytest.raises(PlaceError, match=r"torch-2\.13\.0\.dist-info"):
        place.add()
    assert not place.remove() and info.exists()


def test_the_systems_python_and_a_closed_folder_are_refused(place, monkeypatch):
    (place.prefix / "pyvenv.cfg").unlink()
    with pytest.raises(PlaceError, match="no virtual environment"):
        place.add()
    (place.prefix / "pyvenv.cfg").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != place.site)
    for call in (place.add, place.remove):
        with pytest.raises(PlaceError, match="can't be written to"):
            call()
    assert files(place) == ["pyvenv.cfg"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[global]\nindex-url = x\n",
        "# mine\n[install]\nconstraint = b.txt\n",
        "[global]\nconstraint = b.txt\n  c.txt\n[list]\n",
        "[global]\ntimeout = 3\nconstraint=b.txt\n",
    ],
)
def test_a_pip_conf_keeps_its_lines(text):
    added = pip_conf.with_constraint(text, "file:///x%20y")
    assert "file:///x%20y" in added
    assert pip_conf.with_constraint(added, "file:///x%20y") == added
    removed = pip_conf.without_constraint(added, "file:///x%20y")
    assert removed == text
    assert all(line in added for line in text.splitlines())
