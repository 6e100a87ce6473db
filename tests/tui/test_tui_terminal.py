"""The editor in a real pseudo-terminal: signals, crashes, control bytes, plain terminals."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time

import psutil
import pytest

from codebuddy.inference.catalog import load_catalog
from codebuddy.tui.text.journal import Journal
from tests.support.engine import is_gone, wait_until
from tests.support.tui import TerminalProgram, plain

pytestmark = pytest.mark.terminal

ECHO = ("--model", "echo", "--no-engine")


@pytest.fixture
def opened():
    """Starts the editor in a terminal; whatever is left of it goes at the end."""
    programs = []

    def open_terminal(root, *arguments, **options):
        echo = () if "--model" in arguments else ECHO
        program = TerminalProgram(root, "tui", *arguments, *echo, **options)
        programs.append(program)
        return program

    yield open_terminal
    for program in programs:
        program.close()


@pytest.fixture
def start(opened):
    """Starts the editor on a file, drawn and ready for keys."""

    def open_file(root, *arguments, **options):
        program = opened(root, *arguments, **options)
        # Of the text itself: the list of files has the name of `pricing.py` earlier.
        is_cart = arguments[0].startswith("cart")
        program.wait_for("from pricing" if is_cart else "apply_discount")
        program.rest()
        return program

    return open_file


def journal_of(root):
    """The repository's records of unsaved text."""
    return Journal(root / ".git" / "codebuddy" / "tui" / "unsaved")


def type_and_wait(program, root, text):
    """Type, and wait until the text is kept safe."""
    program.send(text)
    deadline = time.monotonic() + 20
    while not any(text in record.text for record in journal_of(root).records()):
        assert time.monotonic() < deadline
        program.read(0.1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_gives_the_terminal_back_and_keeps_unsaved_text(repository, name, start):
    """Ending it from outside restores the modes and the main screen; nothing typed is lost."""
    program = start(repository, "cart.py")
    program.send("precious")
    program.wait_for("precious")
    os.kill(program.process.pid if name != "SIGINT" else program.editor_pid, getattr(signal, name))
    assert program.end() == 0
    assert program.is_terminal_restored()
    (record,) = journal_of(repository).records()
    assert record.text.startswith("precious")
    assert not (repository / "cart.py").read_text().startswith("precious")


def give_the_terminal_up():
    """As a program that was started in no session of its own."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    fcntl.ioctl(0, termios.TIOCNOTTY)
    signal.signal(signal.SIGHUP, before)


# Ways in which a program does not hear that its terminal hangs up.
DEAF = {
    "told": lambda: None,
    "ignored": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    "blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP}),
    "not its own": give_the_terminal_up,
}


@pytest.mark.parametrize("way", DEAF)
def test_a_terminal_that_vanishes_ends_it_and_keeps_unsaved_text(repository, way, start):
    """The window is closed, with or without a signal: it ends, and nothing typed is lost."""
    program = start(repository, "cart.py", prepare=DEAF[way])
    editor = psutil.Process(program.editor_pid)
    program.send("precious")
    program.wait_for("precious")
    assert program.vanish() == 0
    assert not editor.is_running()
    (record,) = journal_of(repository).records()
    assert record.text.startswith("precious")


@pytest.mark.parametrize("mode", ["set -m", "set +m"])
def test_it_ends_when_its_parent_is_killed(repository, mode, start):
    """With a shell above and only the parent killed: modes and text are safe, nobody is left."""
    program = start(repository, "cart.py", shell=f'{mode}; "$@"; echo shell is back; exec cat')
    (parent,) = psutil.Process(program.process.pid).children()
    (editor,) = parent.children()
    program.send("precious")
    program.wait_for("precious")
    parent.kill()
    program.wait_for("shell is back")
    editor.wait(60)
    program.rest()
    assert program.is_terminal_restored()
    program.send("for the shell\n")
    program.wait_for("for the shell\r\nfor the shell")
    (record,) = journal_of(repository).records()
    assert record.text.startswith("precious")


@pytest.mark.parametrize("parent_stops", [False, True])
def test_modes_that_a_shell_has_set_meanwhile_stay(repository, start, parent_stops):
    """What the shell wants of its terminal is not overwritten by the editor that ends late."""
    program = start(
        repository, "cart.py", shell='set -m; "$@"; stty -echo icanon; echo shell is back; exec cat'
    )
    (parent,) = psutil.Process(program.process.pid).children()
    (editor,) = parent.children()
    editor.suspend()
    if parent_stops:
        # As it does when the editor stops: the shell is back, and the editor stays stopped.
        program.wait_for("shell is back")
    parent.kill()
    if not parent_stops:
        program.wait_for("shell is back")
    assert wait_until(lambda: is_gone(parent.pid))
    editor.resume()
    editor.wait(60)
    assert not program.echoes()


def test_a_violent_death_gives_the_terminal_back_and_says_so(repository, start):
    """A crash of native code ends with the old modes, one sentence and exit code 3."""
    program = start(repository, "cart.py")
    type_and_wait(program, repository, "precious")
    os.kill(program.editor_pid, signal.SIGSEGV)
    assert program.end() == 3
    assert program.is_terminal_restored()
    assert b"ended by SIGSEGV" in plain(program.output)


def test_the_text_is_offered_again_after_a_crash(repository, opened, start):
    """The next start shows what was typed, and restores it with Enter."""
    program = start(repository, "cart.py")
    type_and_wait(program, repository, "precious")
    os.kill(program.editor_pid, signal.SIGKILL)
    program.end()
    program = opened(repository, "cart.py")
    program.wait_for("unsaved text from the last time")
    program.rest()
    program.send("\r")
    program.rest()
    program.send("\x13")
    deadline = time.monotonic() + 20
    while not (repository / "cart.py").read_text().startswith("precious"):
        assert time.monotonic() < deadline
        program.read(0.1)
    program.send("\x11")
    assert program.end() == 0


def test_leaving_and_saving_by_keys(repository, start):
    """Ctrl+S saves what was typed, Ctrl+Q leaves with exit code 0 and a clean terminal."""
    program = start(repository, "cart.py:5:1")
    program.send("# note\r")
    program.rest()
    program.send("\x13")
    program.wait_for("saved cart.py")
    program.send("\x11")
    assert program.end() == 0
    assert program.is_terminal_restored()
    assert (repository / "cart.py").read_text().split("\n")[4] == "# note"


def test_keys_of_a_plain_terminal_do_what_they_say(repository, start):
    """Esc and a key is Alt with it: words are deleted, nothing is typed, no file is closed."""
    program = start(repository, "cart.py")
    program.send("one two")
    program.rest()
    program.send("\x1b\x7f\x1b]\x1b0")
    program.rest()
    program.send("\x1bw\x1bm\x13")
    program.wait_for("saved cart.py")
    text = (repository / "cart.py").read_text()
    assert text.startswith("one from pricing")
    program.send("\x11")
    assert program.end() == 0


def test_shift_f3_of_a_plain_terminal_goes_a_match_back(repository, start):
    """It looks like a report of the cursor's place, and is taken for the key that it is."""
    program = start(repository, "cart.py")
    program.send("\x06item")
    program.wait_for("4:15")
    program.send("\x1bOR")
    program.wait_for("5:28")
    program.send("\x1b[1;2R")
    program.wait_for("4:15")


@pytest.mark.parametrize("key", ["\x06", "\x12", "\x10", "\x14", "\x07", "\x0e", "\x1bs"])
def test_what_is_typed_at_once_behind_a_key_goes_where_the_key_leads(repository, key, start):
    """Letters that come with Ctrl+F, Ctrl+P and their like never go into the text."""
    program = start(repository, "cart.py")
    program.send(key + "zqj")
    program.wait_for("zqj")
    program.rest()
    program.send("\x1b")
    program.rest()
    program.send("\x11")
    assert program.end() == 0
    assert journal_of(repository).records() == []


def test_what_is_typed_at_once_behind_tab_goes_into_the_replacement(repository, start):
    """Find, Tab and replacement in one piece fill both lines."""
    program = start(repository, "cart.py")
    program.send("\x12item\tmoney")
    program.wait_for("1/")
    program.rest()
    program.send("\x1ba")
    program.wait_for("replaced")
    program.send("\x13")
    program.wait_for("saved cart.py")
    text = (repository / "cart.py").read_text()
    assert "money" in text
    assert "itemmoney" not in text


def test_foreign_control_bytes_do_not_reach_the_terminal(repository, start):
    """Names and texts with escape sequences are drawn without one of their control bytes."""
    payloads = [
        b"\x1b]52;c;QUFB\x07",
        b"\x1bPq\x1b\\",
        b"\x1b]8;;http://x\x07",
        "\x9d52;c;A\x9c".encode(),
    ]
    (repository / "evil\x1b]0;HACK\x07.py").write_text("x = 1\n")
    (repository / "evil.py").write_bytes(
        b"apply_discount\n" + b"\n".join(b"s = '" + payload + b"' # MARK" for payload in payloads)
    )
    program = start(repository, "evil.py", columns=140)
    if b"MARK" not in program.output:
        program.wait_for("MARK")
    program.send("\x10")
    program.rest()
    program.send("evil")
    program.rest()
    program.send("\x1b")
    program.rest()
    assert b"]52;c;QUFB^G" in plain(program.output)
    for payload in (b"\x1b]52", b"\x1bPq", b"\x1b]8;;http", b"\x1b]0;HACK", b"\x9d52", b"\x9d"):
        assert payload not in program.output
    rest = plain(program.output).decode("utf-8", "replace")
    assert not re.search("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f-\x9f]", rest)


def test_no_color_means_no_colour(repository, start):
    """With NO_COLOR nothing is coloured; the cursor is still told by reverse video."""
    program = start(repository, "cart.py", environment={"NO_COLOR": "1"})
    program.rest()
    styles = re.findall(rb"\x1b\[([0-9;]*)m", program.output)
    codes = {int(code) for style in styles for code in style.split(b";") if code}
    assert not codes & {*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108)}
    assert 7 in codes


@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (80, 24), (200, 60)])
def test_it_works_in_small_and_large_terminals(repository, columns, rows, start):
    """The file is shown and typed into at any size, also after it was another one."""
    program = start(repository, "cart.py", columns=columns, rows=rows)
    program.send("ZQ")
    program.wait_for("Q")
    program.resize(20, 5)
    program.rest()
    program.resize(columns, rows)
    program.rest()
    program.send("XJ")
    program.wait_for("J")


def test_the_terminals_own_size_counts(start, repository):
    """What a shell exported as its size long ago is not the size: a wide screen has its panels."""
    program = start(
        repository, "cart.py", columns=160, environment={"COLUMNS": "70", "LINES": "10"}
    )
    assert b"What was decided" in plain(program.output)


def test_a_terminal_that_cannot_draw_is_told_so(repository, opened):
    """TERM=dumb and a pipe give one sentence, a hint and exit code 2."""
    program = opened(repository, environment={"TERM": "dumb"})
    assert program.end() == 2
    assert b"cannot show the editor" in program.output
    assert b"codebuddy complete" in program.output
    done = subprocess.run(
        [sys.executable, "-m", "codebuddy", "tui"], cwd=repository, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "it is no terminal" in done.stderr


def test_outside_a_repository_it_says_so_and_leaves(tmp_path, opened):
    """The terminal is restored first, then the error is told as by any other command."""
    program = opened(tmp_path)
    assert program.end() == 2
    assert program.is_terminal_restored()
    assert b"is not inside a git repository" in plain(program.output)


@pytest.mark.parametrize("target", ["cart.py:6", "cart.py:6:5", "gone/new.py"])
def test_any_target_opens(repository, target, opened):
    """A place and a file that does not exist are opened."""
    program = opened(repository, target)
    program.wait_for({"cart.py:6": "6:1", "cart.py:6:5": "6:5"}.get(target, "new"))
    program.send("\x11")
    assert program.end() == 0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("cart.py:abc", b"is not a position"),
        ("cart.py:0", b"start at 1"),
        ("shelf", b"shelf is a folder"),
        ("shelf:3", b"shelf is a folder"),
        ("pipe", b"pipe is not a regular file"),
        ("pipe:3", b"pipe is not a regular file"),
        ("/dev/zero", b"/dev/zero is not a regular file"),
        ("x" * 300, b"cannot be opened: File name too long"),
    ],
)
def test_what_is_no_file_is_refused_before_the_screen(repository, target, words, opened):
    """A folder, a pipe, a device and a position that is none: one sentence and exit code 2."""
    (repository / "shelf").mkdir()
    os.mkfifo(repository / "pipe")
    program = opened(repository, target)
    assert program.end() == 2
    assert words in program.output
    assert b"\x1b[?1049h" not in program.output


def test_a_binary_file_says_why_it_cannot_be_written(repository, opened):
    """It opens read-only, and the reason is on the screen."""
    (repository / "blob.bin").write_bytes(b"a\0b" * 40)
    program = opened(repository, "blob.bin")
    program.wait_for("blob.bin is a binary file")


@pytest.mark.parametrize("name", ["nosuch", "./nosuch.gguf"])
def test_a_model_that_does_not_exist_is_refused_before_the_screen(repository, name, opened):
    """One sentence and exit code 1, as from `complete`; not with the first suggestion."""
    program = opened(repository, "cart.py", "--no-engine", "--model", name)
    assert program.end() == 1
    assert b"there is no model" in program.output
    assert b"\x1b[?1049h" not in program.output


def test_a_first_model_is_offered_and_a_further_one_refused(repository, tmp_path, opened):
    """A model that is not installed opens the first-run screen unless another one is there."""
    folder = tmp_path / "models"
    folder.mkdir()
    first, other = load_catalog().entries[:2]
    environment = {"CODEBUDDY_MODEL_FOLDER": str(folder)}
    arguments = ("cart.py", "--no-engine", "--model", first.name)
    program = opened(repository, *arguments, environment=environment)
    program.wait_for("welcome to codebuddy")
    (folder / other.file).write_bytes(b"")
    program = opened(repository, *arguments, environment=environment)
    assert program.end() == 1
    assert b"is not installed" in program.output
