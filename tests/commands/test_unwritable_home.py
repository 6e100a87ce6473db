"""A home that cannot be written: what is said names what really helps, and that is tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.errors import CodebuddyError
from tests.conftest import REAL_MODELS

COMMAND = [sys.executable, "-m", "codebuddy"]
NAMED = re.compile(r"\b(?:XDG|CODEBUDDY)_[A-Z_]+\b|--token-file")


def run(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command whose home is no folder, for root as for anybody else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "CODEBUDDY_"))}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        env=kept | {"HOME": "/dev/null/home", "CODEBUDDY_MODEL_NAME": "echo"} | variables,
    )


def started(root: Path, *arguments: str, **variables: str) -> str:
    """What `serve` says first, once it serves or cannot."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "CODEBUDDY_"))}
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--model", "echo", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kept | {"HOME": "/dev/null/home", "CODEBUDDY_ENGINE_ENABLED": "false"} | variables,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        return first if first.startswith("serving") else first + process.stdout.read()
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.process
def test_each_remedy_of_serve_is_one(repository, tmp_path):
    """Each thing that is named lets it start, alone; nothing else is named."""
    said = started(repository)
    assert "cannot create the folder /dev/null/home/.local/state/codebuddy" in said
    named = NAMED.findall(said)
    assert named == ["XDG_STATE_HOME", "--token-file"]
    good = str(tmp_path / "good")
    assert started(repository, XDG_STATE_HOME=good).startswith("serving")
    assert started(repository, "--token-file", f"{good}/token").startswith("serving")
    # A token's file that cannot be made is not helped by a variable.
    other = started(repository, "--token-file", "/dev/null/elsewhere/token")
    assert NAMED.findall(other) == ["--token-file"]


@pytest.mark.process
def test_each_remedy_of_the_engine_is_one(repository, tmp_path):
    """Its socket lies in the runtime folder, or else in the cache."""
    said = run(repository, "engine", "start")
    assert said.returncode == 1
    named = NAMED.findall(said.stderr)
    assert named == ["XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]
    for variable in named:
        good = tmp_path / variable
        good.mkdir(mode=0o700)
        try:
            done = run(repository, "engine", "start", **{variable: str(good)})
            assert done.returncode == 0, done.stderr
        finally:
            run(repository, "engine", "stop", **{variable: str(good)})
    in_the_way = tmp_path / "run"
    in_the_way.mkdir(mode=0o700)
    (in_the_way / "codebuddy").write_text("no folder")
    blocked = run(repository, "engine", "start", XDG_RUNTIME_DIR=str(in_the_way))
    assert f"make {in_the_way} writable, or set XDG_RUNTIME_DIR to another" in blocked.stderr


@pytest.mark.process
def test_each_remedy_of_a_model_is_one(repository, tmp_path):
    """Weights lie in the cache, or where the setting says."""
    model = next(REAL_MODELS.glob("*.gguf"))
    said = run(repository, "models", "add", str(model), "--name", "mine")
    assert said.returncode == 1
    named = NAMED.findall(said.stderr)
    assert named == ["XDG_CACHE_HOME", "CODEBUDDY_MODEL_FOLDER"]
    folder = {"CODEBUDDY_MODEL_FOLDER": "/dev/null/models"}
    wrong = run(repository, "models", "add", str(model), "--name", "mine", **folder)
    assert NAMED.findall(wrong.stderr) == []
    assert "make /dev/null writable" in wrong.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["complete", "cart.py:6", "--model", "echo"], 0),
        (["search", "total"], 0),
        (["index"], 0),
        (["models", "list"], 0),
        (["hook", "install"], 0),
        (["hook", "status"], 0),
        (["engine", "status"], 0),
        (["engine", "stop"], 0),
        (["doctor"], 0),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_what_needs_no_home_works_without_one(repository, arguments, code):
    """No home, or one that cannot be used, costs what lies there and nothing else."""
    done = run(repository, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize(
    ("folder", "variables"),
    [
        (paths.models_folder, ["XDG_CACHE_HOME", "CODEBUDDY_MODEL_FOLDER"]),
        (paths.fallback_indexes_folder, ["XDG_CACHE_HOME"]),
        (paths.engine_state_folder, ["XDG_CACHE_HOME"]),
        (paths.cache_folder, ["XDG_CACHE_HOME"]),
        (paths.log_folder, ["XDG_STATE_HOME"]),
        (lambda: paths.serve_token_file().parent, ["XDG_STATE_HOME"]),
        (lambda: paths.user_config_file().parent, ["XDG_CONFIG_HOME"]),
    ],
    ids=["models", "indexes", "state", "cache", "log", "token", "config"],
)
def test_every_folder_of_ours_names_its_own_variable(folder, variables, monkeypatch, tmp_path):
    """And with any of them set the folder is another one, which can be made."""
    for name in list(os.environ):
        if name.startswith(("XDG_", "CODEBUDDY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/dev/null/home")
    with pytest.raises(CodebuddyError) as caught:
        paths.ensure_folder(folder())
    assert NAMED.findall(caught.value.hint) == variables
    for variable in variables:
        if variable.startswith("XDG_"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(tmp_path / variable))
                assert paths.ensure_folder(folder()).is_dir()
