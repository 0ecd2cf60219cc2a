"""`argand run`: a program as Python would run it."""

from alias_programs import python


def run(program, *arguments, status=0):
    return python("-m", "argand", "run", program, *arguments, status=status)


def test_a_program_runs_as_main_with_its_arguments_and_neighbours(tmp_path):
    (tmp_path / "helper.py").write_text("import torch.nn as nn\nlayer = nn.Linear(2, 3)\n")
    program = tmp_path / "train.py"
    program.write_text(
        "import argparse, sys, subprocess, os, multiprocessing\n"
        "import torch\n"
        "from helper import layer\n"
        "def main():\n"
        "    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--lr', type=float)\n"
        "    options = parser.parse_args()\n"
        "    print(options.lr, layer(torch.ones(1, 2)).shape, __file__ == sys.argv[0])\n"
        "    print(sys.path[0] == os.path.dirname(os.path.realpath(__file__)))\n"
        "    child = [sys.executable, '-c', 'import torch; print(torch.float32)']\n"
        "    print(subprocess.run(child, capture_output=True, text=True, check=True).stdout)\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [2]))\n"
        "def work(n):\n"
        "    return torch.ones(n).tolist()\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    printed = run(program, "--lr", "0.5").split("\n")
    shape = "0.5 torch.Size([1, 3]) True"
    assert printed[:4] == [shape, "True", "torch.float32", ""] and printed[4] == "[[1.0, 1.0]]"


def test_errors_and_exit_statuses_are_the_programs(tmp_path):
    program = tmp_path / "wrong.py"
    program.write_text("import torch\nx = torch.ones(2)\nx @ torch.ones(3)\n")
    printed = run(program, status=1)
    assert printed.startswith("Traceback (most recent call last):\n  File ")
    assert printed.splitlines()[1].endswith('wrong.py", line 3, in <module>')
    assert "ShapeError" in printed and "runpy" not in printed and "cli" not in printed
    program.write_text("import sys; sys.exit(7)\n")
    run(program, status=7)
    program.write_text("def f(:\n")
    assert "SyntaxError" in run(program, status=1)
    assert "can't read" in run(tmp_path / "nothing.py", status=2)


def test_a_module_runs_by_its_name(tmp_path):
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__main__.py").write_text("import torch, sys\nprint(sys.argv[1:])\n")
    command = ("-m", "argand", "run", "-m", "trainer", "--x", "1")
    assert python(*command, folders=(tmp_path,)) == "['--x', '1']\n"
