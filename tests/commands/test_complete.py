"""`codebuddy complete` through the command line: the contract, with real parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codebuddy.commands.complete import _StreamPrinter
from codebuddy.completion.receipt import receipt_lines
from codebuddy.terminal import StatusLine

COMMAND = [sys.executable, "-m", "codebuddy"]


def codebuddy(
    folder: Path, *arguments: str, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run codebuddy in a folder; standard input is empty unless given."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, input=stdin or b"", capture_output=True, timeout=120
    )


def completed(folder: Path, *arguments: str, stdin: bytes | None = None) -> Any:
    """The JSON answer of `complete`."""
    done = codebuddy(folder, "complete", "--json", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.process
def test_json_has_the_stable_keys(repository):
    """Every key of the contract is there, with the right kind of value."""
    answer = completed(repository, "cart.py:6", "--model", "echo", "--retrieve", "always")
    assert set(answer) >= {
        "text", "file", "line", "column", "model", "finish_reason", "decision", "chunks",
        "tokens", "timings_ms",
    }  # fmt: skip
    assert (answer["file"], answer["line"], answer["column"]) == ("cart.py", 6, 27)
    assert answer["model"] == "echo"
    assert set(answer["decision"]) >= {"retrieve", "probability", "threshold", "reason", "mode"}
    assert set(answer["tokens"]) == {"prompt", "evaluated", "reused", "generated"}
    assert set(answer["timings_ms"]) == {
        "context", "decision", "retrieval", "prompt", "prefill", "generate", "postprocess", "total",
    }  # fmt: skip
    [chunk] = answer["chunks"]
    assert set(chunk) >= {
        "path", "start_line", "end_line", "symbol", "score", "channel", "tokens",
    }  # fmt: skip
    assert (chunk["path"], chunk["start_line"]) == ("pricing.py", 1)


@pytest.mark.process
def test_auto_looks_up_what_another_file_defines(repository):
    """The shipped head names what it expects and what that costs; haste makes it dearer."""
    near = completed(repository, "cart.py:6", "--model", "echo", "--prefer", "quality")["decision"]
    assert (near["retrieve"], near["mode"], near["stage"]) == (True, "auto", "syntax")
    assert near["head"].startswith("codebuddy, ")
    assert "points expected" in near["reason"]
    assert near["expected_gain"] > 0
    assert near["expected_ms"] > 0
    hasty = completed(repository, "cart.py:6", "--model", "echo", "--prefer", "speed")
    assert hasty["decision"]["retrieve"] is False
    assert hasty["decision"]["threshold"] > near["threshold"]
    assert hasty["chunks"] == []


@pytest.mark.process
def test_never_looks_nothing_up(repository):
    """`--retrieve never` needs no index at all."""
    answer = completed(repository, "cart.py:6", "--model", "echo", "--retrieve", "never")
    assert answer["decision"]["retrieve"] is False
    assert answer["chunks"] == []
    assert not (repository / ".git" / "codebuddy").exists()


@pytest.mark.process
def test_the_answer_is_on_stdout_and_the_receipt_on_stderr(repository):
    """stdout holds the suggestion alone; stderr says why and what it cost."""
    done = codebuddy(repository, "complete", "cart.py:10", "--model", "echo")
    assert done.stdout.decode() == "return name.title()\n"
    assert b"decision" in done.stderr
    assert b"tokens" in done.stderr


@pytest.mark.process
def test_it_works_from_any_folder(repository):
    """Paths are relative to where the user stands, and `-C` stands elsewhere."""
    (repository / "sub").mkdir()
    inside = completed(repository / "sub", "../cart.py:6", "--model", "echo")
    assert inside["file"] == "cart.py"
    outside = codebuddy(
        repository.parent, "-C", "shop", "complete", "cart.py:6", "--model", "echo", "--json"
    )
    assert json.loads(outside.stdout)["file"] == "cart.py"


@pytest.mark.process
def test_stdin_is_the_buffer(repository):
    """Unsaved text is completed as it is typed; the file on disk does not matter."""
    answer = completed(
        repository, "cart.py:1", "--stdin", "--model", "echo", stdin=b"hello_world\n"
    )
    assert answer["text"].strip() == "hello_world"
    fresh = completed(repository, "new.py:1", "--stdin", "--model", "echo", stdin=b"hello_new\n")
    assert fresh["text"].strip() == "hello_new"


@pytest.mark.process
def test_apply_inserts_what_was_suggested(repository):
    """`--apply` writes the suggestion at the place, and nothing else."""
    before = (repository / "cart.py").read_text()
    answer = completed(repository, "cart.py:10", "--model", "echo", "--apply")
    assert answer["applied"] is True
    assert (repository / "cart.py").read_text() == before[:-1] + answer["text"] + "\n"


@pytest.mark.process
def test_alternatives_and_stream_are_accepted(repository):
    """`-n` lists alternatives; `--stream` ends with the same text."""
    answer = completed(repository, "cart.py:10", "--model", "echo", "-n", "3")
    assert isinstance(answer["alternatives"], list)
    plain = codebuddy(repository, "complete", "cart.py:10", "--model", "echo")
    streamed = codebuddy(repository, "complete", "cart.py:10", "--model", "echo", "--stream")
    assert streamed.stdout == plain.stdout


@pytest.mark.process
def test_a_stream_as_json_is_one_object_at_the_end(repository):
    """`--json` says what stdout is: `--stream` beside it changes nothing there."""
    arguments = ("complete", "cart.py:10", "--model", "echo", "--json")
    plain = json.loads(codebuddy(repository, *arguments).stdout)
    streamed = codebuddy(repository, *arguments, "--stream")
    answer = json.loads(streamed.stdout)
    assert (streamed.returncode, answer.keys()) == (0, plain.keys())
    assert (answer["text"], answer["finish_reason"]) == (plain["text"], plain["finish_reason"])


@pytest.mark.process
def test_a_receipt_says_what_took_the_time(repository):
    """Alternatives, a wait in the queue and a spent budget are told as what they are."""
    told = completed(repository, "cart.py:6", "--model", "echo", "-n", "2")
    assert told["timings_ms"]["alternatives"] >= 0
    told["engine"] = {"queue_ms": 900.4}
    assert "after 950 to start, 900 of it in the queue" in dict(receipt_lines(told, 950.0))["time"]
    late = told | {"text": "", "finish_reason": "budget"}
    none = {"prompt": 9, "evaluated": 4, "reused": 0, "generated": 0}
    empty = dict(receipt_lines(late | {"tokens": none}, 0.0))["empty"]
    assert empty == "the time was spent before the model wrote anything"
    cut = dict(receipt_lines(late | {"tokens": none | {"generated": 3}}, 0.0))["empty"]
    assert cut == "the time was spent before a line was whole"
    empty = dict(receipt_lines(late | {"finish_reason": "stop"}, 0.0))["empty"]
    assert empty == "the model had nothing to add that would hold"


@pytest.mark.process
def test_a_stream_on_a_terminal_leaves_its_last_line(repository):
    """The line that says what is waited for is wiped before the text comes, and not after it."""
    from tests.support.tui import TerminalProgram

    options = ("--model", "echo", "--retrieve", "never", "--no-engine", "--stream")
    program = TerminalProgram(repository, "complete", "cart.py:6", *options)
    try:
        assert program.end() == 0
    finally:
        program.close()
    _, _, rest = program.output.rpartition(b"reads and writes")
    text, _, _ = rest.partition(b"decision ")
    assert rest
    assert text.rpartition(b"\r\x1b[K")[2].strip().startswith(b"return apply_discount(")


def test_a_stream_that_was_cut_afterwards_says_so(capsys):
    """What was printed stays; where the final text is another, stderr has it."""
    printer = _StreamPrinter(StatusLine())
    printer("a = 1\n")
    printer("a = 1\nb = 2")
    printer.finish("a = 1\nb = 2")
    assert capsys.readouterr() == ("a = 1\nb = 2\n", "")
    printer = _StreamPrinter(StatusLine())
    printer("a = 1\nb = 2\n")
    printer("a = 1")
    printer.finish("a = 1")
    assert capsys.readouterr().err.endswith("the suggestion is:\na = 1\n")


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cart.py:999"], "there is no line 999"),
        (["cart.py:1:999"], "there is no column 999"),
        (["missing.py:1"], "missing.py does not exist"),
        (["cart.py"], "is not a position"),
        (["../outside.py:1"], "../outside.py does not exist"),
        ([".:1"], "is a folder"),
        (["cart.py:1", "--model", "qwen9000"], "qwen9000"),
        (["cart.py:1", "--model", "/nowhere/x.gguf"], "no model file"),
        (["cart.py:1", "--max-lines", "0"], "--max-lines"),
        (["cart.py:1", "--retrieve", "maybe"], "maybe"),
        (["cart.py:1", "--apply", "--stdin"], "--stdin"),
    ],
)
def test_bad_calls_get_one_clear_sentence(repository, arguments, said):
    """A wrong call exits with 1 or 2, names the thing, and shows no traceback."""
    done = codebuddy(repository, "complete", *arguments)
    stderr = done.stderr.decode()
    assert done.returncode in (1, 2)
    assert said in stderr
    assert "Traceback" not in stderr
    assert done.stdout == b""


@pytest.mark.process
def test_a_path_from_the_root_is_told_in_a_folder_below(repository):
    """What `search` prints is a path from the root; a call from elsewhere says how to give it."""
    folder = repository / "below"
    folder.mkdir()
    done = codebuddy(folder, "complete", "cart.py:1", "--model", "echo")
    assert done.returncode == 2
    assert f"it is a path from the repository's root: add -C {repository}" in done.stderr.decode()


@pytest.mark.process
def test_outside_a_repository_nothing_is_looked_up(tmp_path):
    """A file in no repository is completed, and the receipt says why there is no lookup."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    done = codebuddy(folder, "complete", "a.py:1", "--model", "echo")
    assert done.returncode == 0
    assert "not looked up: the file is in no git repository" in done.stderr.decode()


@pytest.mark.process
def test_a_missing_model_names_the_command(repository, tmp_path, monkeypatch):
    """Without a terminal, a model that is not installed is an error that names the pull."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "none"))
    done = codebuddy(repository, "complete", "cart.py:6")
    assert done.returncode == 1
    assert "codebuddy models pull qwen2.5-coder-1.5b" in done.stderr.decode()


@pytest.mark.process
def test_escape_sequences_in_names_and_code_stay_off_the_terminal(repository):
    """Neither a file's name nor its text can send control bytes through any output."""
    name = "evil\x1b]52;c;cHduZWQ=\x07.py"
    (repository / name).write_text("payload = '\x1b[2J'  # \x1b]0;title\x07\nx = payload\n")
    for arguments in ([f"{name}:2", "--model", "echo"], [f"{name}:99"]):
        done = codebuddy(repository, "complete", *arguments)
        assert b"\x1b]" not in done.stdout + done.stderr
        assert b"\x1b[2J" not in done.stdout + done.stderr
        assert b"\x07" not in done.stdout + done.stderr


@pytest.mark.process
def test_closed_and_broken_outputs_do_no_harm(repository):
    """A reader that leaves early is no error; a closed stdout neither."""
    command = " ".join([*COMMAND, "complete", "cart.py:10", "--model", "echo"])
    for tail in ("| head -c 0", ">&-", "2>&-"):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} {tail}"],
            cwd=repository,
            capture_output=True,
            timeout=60,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 141), done.stderr


@pytest.mark.process
def test_a_damaged_index_heals_during_a_completion(repository):
    """Damage found while completing rebuilds the index; the answer is the right one."""
    good = completed(repository, "cart.py:6", "--model", "echo")
    file = repository / ".git" / "codebuddy" / "index.db"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)
    healed = completed(repository, "cart.py:6", "--model", "echo")
    assert healed["chunks"] == good["chunks"]
    assert healed["text"] == good["text"]


@pytest.mark.process
def test_without_an_index_completion_goes_on(repository):
    """An index that cannot be had is a warning, and the completion comes without lookups."""
    done = codebuddy(repository, "complete", "cart.py:6", "--model", "echo", "--no-update")
    assert done.returncode == 0
    assert b"not indexed yet; completing without lookups" in done.stderr
    assert b"not looked up" in done.stderr


@pytest.mark.process
def test_nothing_connects_to_the_network(repository):
    """Without any network device, and watched by an audit hook, a completion succeeds."""
    program = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "flags = 0x40000000 | (0 if os.geteuid() == 0 else 0x10000000)\n"
        "assert libc.unshare(flags) == 0, os.strerror(ctypes.get_errno())\n"
        "calls = []\n"
        "watched = ('socket.connect', 'socket.getaddrinfo', 'socket.sendto')\n"
        "sys.addaudithook(lambda event, args: calls.append(event) if event in watched else None)\n"
        "from codebuddy.cli import run\n"
        "code = run(['complete', 'cart.py:6', '--model', 'smollm2-135m', '--max-tokens', '4'])\n"
        "sys.exit(code or len(calls))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.process
def test_it_works_without_home_and_locale(repository):
    """An empty environment with an odd locale still completes."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C", "HOME": "/nonexistent"}
    environment["CODEBUDDY_ENGINE_ENABLED"] = "false"
    done = subprocess.run(
        [*COMMAND, "complete", "cart.py:6", "--model", "echo", "--json"],
        cwd=repository,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == "cart.py"


@pytest.mark.process
@pytest.mark.model
def test_the_real_model_uses_what_the_lookup_found(repository):
    """With the real weights: the call is completed from the other file's signature."""
    answer = completed(repository, "cart.py:6", "--max-lines", "1", "--retrieve", "always")
    assert answer["model"] == "qwen2.5-coder-1.5b"
    assert answer["decision"]["retrieve"] is True
    assert {chunk["path"] for chunk in answer["chunks"]} == {"pricing.py"}
    assert "amount_cents" in answer["text"]
    assert "percent" in answer["text"]
    assert "<|" not in answer["text"]
    assert answer["tokens"]["generated"] > 0


@pytest.mark.process
@pytest.mark.model
def test_a_model_without_fim_completes_too(repository):
    """With the real small weights: a prefix prompt gives a suggestion and a receipt."""
    answer = completed(repository, "cart.py:6", "--model", "smollm2-135m", "--max-tokens", "16")
    assert answer["model"] == "smollm2-135m"
    assert answer["tokens"]["generated"] > 0
