"""The command line: exit codes, errors in one sentence, bugs with a report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from codebuddy import __version__

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-m", "codebuddy"]

_BUG = """
import sys, types, click
from codebuddy import cli
module = types.ModuleType("codebuddy.commands.explode")

@click.command()
def command():
    raise RuntimeError("boom \\x1b[31m")

module.command = command
sys.modules["codebuddy.commands.explode"] = module
cli.COMMANDS["explode"] = ("explode", "Fail.")
cli.main(["explode"])
"""


def test_a_bug_exits_with_3_and_leaves_a_report(own_home):
    """What nobody foresaw is told in a sentence, with the path of a report that has the trace."""
    done = subprocess.run([sys.executable, "-c", _BUG], capture_output=True, text=True)
    assert done.returncode == 3
    assert "this is a bug in codebuddy: RuntimeError: boom ^[[31m" in done.stderr
    assert "Traceback" not in done.stderr
    report = Path(done.stderr.rpartition("the report is in ")[2].strip())
    assert own_home in report.parents
    text = report.read_text()
    assert "RuntimeError: boom" in text
    assert __version__ in text


def test_a_folder_that_is_gone_is_told_not_reported_as_a_bug(tmp_path):
    """Somebody removed the folder that the shell stands in."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"rmdir {gone}; {sys.executable} -m codebuddy complete a.py:1"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["sh", "-c", line], cwd=gone, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert "the current folder cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compleet"], "did you mean 'complete'?"),
        (["nothing-like-it"], "nothing-like-it"),
        (["complete"], "FILE:LINE"),
        (["complete", "a.py:1", "--nonsense"], "--nonsense"),
        (["-C", "/nowhere", "index"], "/nowhere"),
        (["-C", "a\0b", "index"], "a"),
        (["search", ""], "empty"),
        (["search", "x", "-k", "0"], "-k"),
        (["search", "-path:tests", "x"], "what begins with - and is no option stands behind --"),
    ],
)
def test_wrong_calls_exit_with_2(arguments, said, tmp_path):
    """A wrong call is a usage error: exit code 2, one sentence, nothing on stdout."""
    if any("\0" in argument for argument in arguments):
        program = f"from codebuddy.cli import main; main({arguments!r})"
        command = [sys.executable, "-c", program]
    else:
        command = [*COMMAND, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_no_command_shows_the_help(tmp_path):
    """Bare `codebuddy` and `codebuddy models` show their help, on stderr, and exit with 2."""
    for arguments in ([], ["models"]):
        done = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: codebuddy")
        assert "^J" not in done.stderr
        assert done.stdout == ""


def test_outputs_that_cannot_take_more_are_known_errors(repository):
    """A full disk under stdout and a closed stdin are told in a sentence."""
    command = " ".join([*COMMAND, "complete", "cart.py:6", "--model", "echo"])
    full = subprocess.run(
        ["bash", "-c", f"{command} > /dev/full"], cwd=repository, capture_output=True, text=True
    )
    assert full.returncode == 1
    assert "the answer cannot be written: No space left on device" in full.stderr
    closed = subprocess.run(
        ["bash", "-c", f"{command} --stdin <&-"], cwd=repository, capture_output=True, text=True
    )
    assert closed.returncode == 2
    assert "stdin is closed" in closed.stderr


def test_version_and_help_are_answers():
    """`--version` and `--help` go to stdout and exit with 0."""
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "complete" in done.stdout
    assert done.stderr == ""


@pytest.mark.model
def test_ctrl_c_while_modules_are_imported_is_no_traceback():
    """Half a second on a busy machine, in which an impatient person interrupts."""
    program = (
        "import sys\n"
        "from codebuddy.__main__ import main\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr == b"error: interrupted\n"


def test_the_console_script_starts_there():
    """Not at a module that imports others first."""
    [script] = entry_points(group="console_scripts", name="codebuddy")
    assert script.value == "codebuddy.__main__:main"


def test_ctrl_c_during_a_completion_exits_with_130(repository):
    """An interrupted completion says so, exits with 130 and shows no traceback."""
    long = "\n".join(f"value_{i} = compute({i}, {i + 1})" for i in range(400))
    (repository / "long.py").write_text(long + "\n")
    process = subprocess.Popen(
        [*COMMAND, "complete", "long.py:400", "--retrieve", "never"],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.pid
    _wait_until_it_computes(process.pid)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert b"interrupted" in stderr
    assert b"Traceback" not in stderr
    assert stdout == b""


def _wait_until_it_computes(pid: int) -> None:
    """Until the process has used CPU time that only an evaluation takes."""
    tick = os.sysconf("SC_CLK_TCK")
    for _ in range(3000):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / tick > 2.5:
            return
        time.sleep(0.05)
    raise AssertionError("the completion never began to compute")
