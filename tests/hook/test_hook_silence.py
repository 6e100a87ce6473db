"""Nothing that is staged silences the hook: what was found is shown, whatever happens after."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codebuddy.hook import stub
from codebuddy.hook.lines import added_lines
from tests.support.hook import Project

TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
SECRET = f'TOKEN = "{TOKEN}"\n'
UNSEEN = b"not all new lines could be looked at"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with the hook installed, whose limit a busy machine does not meet."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "20000")
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "0")
    project = Project(
        tmp_path / "project",
        {"a.py": "import b\n\n\nx = b.y\n", "b.py": "def y():\n    return 1\n", "c.js": "let x\n"},
    )
    project.index()
    assert project.codebuddy("hook", "install").returncode == 0
    return project


def commit(project, **environment):
    """Commit, and return what was said."""
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", "-m", "Change"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


HOSTILE = {
    "blank lines": "\n" * 300_000,
    "indented blank lines": "    \n" * 60_000,
    "spaces": " " * 300_000,
    "one letter": "a" * 300_000,
    "quotes": '"' * 100_000,
    "escaped quotes": '\\"' * 100_000,
    "brackets": "(" * 100_000,
    "names of secrets": ("secret" * 600 + "\n") * 80,
    "underscores": f"secret_key = '{'_' * 100}abcdefgh!1'\n",
    "keys without an end": ("sk-" * 1300 + "\n") * 80,
    "import lines": "import __getattr__ " * 10_000,
    "many equal lines": "".join(f"\nx{n}\n" for n in range(700)),
}


@pytest.mark.process
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", ["py", "js"])
def test_a_hostile_text_beside_a_secret_hides_it_not(project, name, suffix):
    """Changed and new files of all kinds of repetition, before and after the secret's own."""
    old = HOSTILE[name].replace("x", "y") if name == "many equal lines" else "z = 1\n"
    project.stage({f"aa.{suffix}": old, f"b.{suffix}": "def y():\n    return 1\n"})
    project.git("commit", "-q", "--no-verify", "-m", "Before")
    text = HOSTILE[name]
    project.stage({f"aa.{suffix}": text, f"b.{suffix}": text + SECRET, "zz.py": SECRET})
    told = commit(project)
    assert b"zz.py:1:10 CB110" in told
    assert UNSEEN not in told


def with_fault(project, module, fault):
    """Let the script call a Python whose rule `module` does `fault`."""
    program = project.root.parent / "python"
    program.write_text(
        f"#!{sys.executable} -P\n"
        "import importlib, os, re, signal, sys, time\n"
        "def check(review):\n"
        f"    {fault}\n"
        "    yield\n"
        f"importlib.import_module('codebuddy.hook.rules.{module}').check = check\n"
        "sys.argv[1:] = sys.argv[sys.argv.index('codebuddy') + 1:]\n"
        "from codebuddy.cli import main\n"
        "sys.exit(main())\n"
    )
    program.chmod(0o755)
    file = project.root / ".git" / "hooks" / "pre-commit"
    file.write_text(stub.script("pre-commit", program, 60))


FAULTS = {
    "hangs": "while True: time.sleep(0.1)",
    "is busy": "while True: pass",
    "holds the interpreter": "re.search('(a+)+b', 'a' * 60)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "leaves": "os._exit(3)",
    "fails": "raise RuntimeError",
    "fails in an unknown way": "raise type('Unheard', (Exception,), {})",
    "runs out of stack": "check(review).__next__()",
    "exits": "sys.exit(4)",
}


@pytest.mark.process
@pytest.mark.parametrize("fault", FAULTS)
def test_a_rule_at_fault_costs_its_own_findings(project, fault):
    """The secret was found before, and the commit is made; the work of others is no part of it."""
    with_fault(project, "removed", FAULTS[fault])
    project.stage({"a.py": "import b\n\n\nx = b.y\n" + SECRET})
    told = commit(project, CODEBUDDY_HOOK_LIMIT_MS="4000")
    assert b"a.py:5:10 CB110" in told
    assert UNSEEN not in told


@pytest.mark.process
@pytest.mark.parametrize("fault", ["is busy", "holds the interpreter", "is killed", "fails"])
def test_a_look_that_did_not_end_is_told(project, fault):
    """A rule of the first ones at fault: secrets are shown, and that something is missing."""
    with_fault(project, "leftovers", FAULTS[fault])
    project.stage({"a.py": "import b\n" + SECRET})
    told = commit(project, CODEBUDDY_HOOK_LIMIT_MS="4000")
    assert b"a.py:2:10 CB110" in told
    assert UNSEEN in told
    assert b"codebuddy hook run --range HEAD~1..HEAD" in told


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "fault", "left"),
    [
        ("removed", "hangs", b"CB102, CB103, CB101, CB112, CB104"),
        ("deprecated", "holds the interpreter", b"CB112, CB104"),
        ("imports", "gives up", b"CB103"),
        ("removed", "fails", b""),
        ("removed", "is killed", b""),
    ],
)
def test_rules_that_ran_out_of_time_are_named(project, module, fault, left):
    """One line says which of the later rules were not done; a rule at fault is no such one."""
    out_of_time = "raise importlib.import_module('codebuddy.hook.review').OutOfTime"
    with_fault(project, module, {**FAULTS, "gives up": out_of_time}[fault])
    project.stage({"a.py": "import b\n" + SECRET})
    told = commit(project, CODEBUDDY_HOOK_LIMIT_MS="4000")
    assert b"a.py:2:10 CB110" in told
    line = b"codebuddy: no time was left for " + left + b"; to see the rest: codebuddy hook run"
    assert (line in told, b"no time" in told) == (bool(left), bool(left))
    assert UNSEEN not in told


@pytest.mark.process
@pytest.mark.slow
def test_a_hook_that_is_ended_from_outside_says_so(project):
    """A machine so busy that the interpreter has not begun before the script's own limit."""
    program = project.root.parent / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    file = project.root / ".git" / "hooks" / "pre-commit"
    file.write_text(stub.script("pre-commit", program, 1))
    project.stage({"a.py": SECRET})
    told = b"the time was over before all was looked at; to see it: codebuddy hook run --range"
    assert told in commit(project)


@pytest.mark.process
@pytest.mark.slow
def test_no_reviewing_process_stays(project):
    """A review that hangs is ended with the hook."""
    mark = project.root.parent / "pid"
    hang = f"open({str(mark)!r}, 'w').write(str(os.getpid())); re.search('(a+)+b', 'a' * 60)"
    with_fault(project, "removed", hang)
    project.stage({"a.py": SECRET})
    assert b"CB110" in commit(project, CODEBUDDY_HOOK_LIMIT_MS="4000")
    # Whoever adopted it may take a moment to notice; the test's own timeout ends the wait.
    while Path(f"/proc/{mark.read_text()}").exists():
        time.sleep(0.02)


@pytest.mark.process
def test_a_review_by_hand_that_is_interrupted_shows_what_it_found(project):
    """Ctrl-C in a rule that takes for ever."""
    mark = project.root.parent / "reached"
    with_fault(project, "removed", f"open({str(mark)!r}, 'w').close(); time.sleep(600)")
    project.stage({"a.py": SECRET})
    program = project.root.parent / "python"
    process = subprocess.Popen(
        [str(program), "-m", "codebuddy", "hook", "run", "--no-update"],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A run under nohup would have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not mark.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, remarks = process.communicate()
    assert b"a.py:1:10 CB110" in told
    assert b"not everything was reviewed" in remarks
    assert process.returncode == 130


@pytest.mark.process
def test_a_pipe_in_the_place_of_the_patches_is_not_waited_for(project):
    """It is exchanged for a file, and the patch that was named can be applied."""
    file = project.root / ".git" / "codebuddy" / "hook.json"
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    project.stage({"a.py": SECRET + "breakpoint()\n"})
    told = commit(project)
    assert b"a.py:1:10 CB110" in told
    assert file.is_file()
    assert b"codebuddy hook apply" in told
    assert project.codebuddy("hook", "apply", "CB108").returncode == 0
    assert (project.root / "a.py").read_text() == SECRET


@pytest.mark.process
def test_where_the_patches_cannot_be_kept_the_findings_are_shown_without(project):
    """A folder in the place of their file."""
    file = project.root / ".git" / "codebuddy" / "hook.json"
    file.unlink(missing_ok=True)
    file.mkdir()
    project.stage({"a.py": SECRET + "breakpoint()\n"})
    told = commit(project)
    assert b"a.py:1:10 CB110" in told
    assert b"to apply" not in told


def pairs(count):
    """Two texts of lines that alternate between blank and unlike."""
    lines = [[line for n in range(count) for line in ("", f"{word}{n}")] for word in "xy"]
    return lines[0], lines[1]


def cost(count):
    """Seconds of this thread for a comparison, the best of three."""
    old, new = pairs(count)
    times = []
    for _ in range(3):
        started = time.thread_time()
        found = added_lines(old, new)
        times.append(time.thread_time() - started)
    assert {number for number, line in enumerate(new, 1) if line} <= found
    return min(times)


def test_lines_that_are_alike_everywhere_cost_no_cube():
    """Four times as many alternating lines, which cost difflib 64 times as much."""
    assert cost(700) < 16 * cost(175)


@pytest.mark.parametrize(
    ("old", "new", "added"),
    [
        ("abc", "abc", ""),
        ("", "abc", "123"),
        ("abc", "", ""),
        ("abc", "aXbc", "2"),
        ("abcd", "aXcY", "24"),
        ("abab", "baba", "1"),
        ("abcabc", "abcXabc", "4"),
    ],
)
def test_new_lines_are_those_of_the_longest_common_runs(old, new, added):
    assert "".join(map(str, sorted(added_lines(list(old), list(new))))) == added


@pytest.mark.process
def test_a_file_that_git_cannot_compare_is_told(project):
    """Without the old content no line counts as new: a secret may hide there."""
    old = project.git("rev-parse", "HEAD:b.py").strip()
    project.stage({"b.py": SECRET})
    place = project.root / ".git" / "objects" / old[:2] / old[2:]
    place.unlink()
    # Without `-q` git itself shows what the commit changed, and fails at that.
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", "-q", "-m", "Change"],
        capture_output=True,
        check=True,
    )
    assert UNSEEN in done.stdout + done.stderr


@pytest.mark.process
def test_git_that_fails_half_way_is_told(project, tmp_path):
    """It says what is staged and is gone when contents are asked for: nothing was looked at."""
    project.stage({"a.py": SECRET + "def f():\n    pass\n"})
    folder, git, chmod = tmp_path / "bin", shutil.which("git"), shutil.which("chmod")
    folder.mkdir()
    script = folder / "git"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *diff-index*) {chmod} -x "$0" ;; esac\nexec {git} "$@"\n'
    )
    script.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", "hook", "run", "--from-git", "pre-commit"],
        cwd=project.root,
        env={
            **os.environ,
            "PATH": str(folder),
            "CODEBUDDY_HOOK_BUDGET_S": "30",
            "CODEBUDDY_ENGINE_ENABLED": "1",
        },
        capture_output=True,
        check=True,
    )
    assert UNSEEN in done.stdout
