"""The keys of every command's `--json`, as they are: programs read them.

`json_keys.json` holds them by command: a path of keys for each value, `[]` for the items of a
list. Below the keys of `_OPEN` the keys are data (languages, ranks), so that only theirs counts.
A new key is added to the file; one that goes or changes breaks somebody's program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.evaluation import make_shop
from tests.support.index import run_git

pytestmark = pytest.mark.process

KEYS = json.loads(Path(__file__).with_name("json_keys.json").read_text(encoding="utf-8"))
_OPEN = {
    *("channels", "ranks", "factors", "languages", "skipped", "settings", "workers", "rules"),
    # Of `doctor`: labels for a person; of `eval`: the same for each arm and metric.
    *("codebuddy", "machine", "runtime", "intervals", "kinds", "differences"),
}

CALLS = {
    "complete": ["complete", "cart.py:6", "--retrieve", "always", "--no-engine"],
    "complete with the engine": ["complete", "cart.py:6", "--retrieve", "always"],
    "search": ["search", "discount", "--no-engine"],
    "search with the engine": ["search", "discount"],
    "index": ["index"],
    "doctor": ["doctor"],
    "models list": ["models", "list"],
    "hook install": ["hook", "install"],
    "hook status": ["hook", "status"],
    "hook run": ["hook", "run", "--staged"],
    "hook uninstall": ["hook", "uninstall"],
    "engine start": ["engine", "start", "--model", "echo"],
    "engine status": ["engine", "status"],
    "engine logs": ["engine", "logs"],
    "engine stop": ["engine", "stop"],
    "train head --reset": ["train", "head", "--reset"],
}


def paths_of(value: object, before: str = "") -> set[str]:
    """The path of each key of a JSON value."""
    if isinstance(value, list):
        return {path for each in value for path in paths_of(each, before + "[]")}
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, each in value.items():
        path = f"{before}.{key}" if before else key
        found.add(path)
        if key not in _OPEN:
            found |= paths_of(each, path)
    return found


def keys_of(folder: Path, *arguments: str) -> list[str]:
    """The paths of what a command prints with `--json`."""
    command = [sys.executable, "-P", "-m", "codebuddy", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, input=b"", capture_output=True, timeout=240)
    assert done.stdout, done.stderr.decode()
    return sorted(paths_of(json.loads(done.stdout)))


@pytest.mark.usefixtures("engine")
def test_every_command_answers_with_its_keys(repository, git, monkeypatch):
    """One after the other in one repository, with a change that the hook finds fault with."""
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    unfinished = (repository / "cart.py").read_text(encoding="utf-8")
    changed = "import pricing\n\n\nbreakpoint()\nprice = pricing.gone()\n  x"
    found = {}
    for name, arguments in CALLS.items():
        (repository / "cart.py").write_text(changed if "hook" in name else unfinished)
        git(repository, "add", ".")
        found[name] = keys_of(repository, *arguments)
    assert found == {name: KEYS[name] for name in CALLS}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("eval", ["--model", "echo", "--tasks", "2"]),
        ("eval --retrieval-only", ["--retrieval-only", "--tasks", "2"]),
    ],
)
def test_an_evaluation_answers_with_its_keys(tmp_path, name, options):
    """The report of a small run, and then the lists of runs."""
    root = make_shop(tmp_path / "shop")
    assert keys_of(root, "eval", *options) == KEYS[name]
    if name == "eval":
        assert keys_of(root, "eval", "--list") == KEYS["eval --list"]


def test_a_server_announces_itself_with_its_keys(tmp_path):
    """One line of JSON before the first request."""
    root = make_shop(tmp_path / "shop")
    assert run_git(root, "status", "--short") == ""
    command = [sys.executable, "-P", "-m", "codebuddy", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--model", "echo"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert sorted(paths_of(announced)) == KEYS["serve"]
