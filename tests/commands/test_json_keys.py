"""The keys of every command's `--json`, as they are: programs read them.

`json_keys.json` holds them by command: a path of keys for each value, `[]` for the items of a
list. Below the keys of `_OPEN` the keys are data (languages, ranks), so that only theirs counts.
A new key is added to the file; one that goes or changes breaks somebody's program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from codebuddy.cli import cli
from tests.support.evaluation import make_shop
from tests.support.index import run_git
from tests.support.models import write_gguf

pytestmark = pytest.mark.process

KEYS = json.loads(Path(__file__).with_name("json_keys.json").read_text(encoding="utf-8"))
_OPEN = {
    *("channels", "ranks", "factors", "languages", "skipped", "settings", "workers", "rules"),
    # Of `fleet`: what the command of one repository answers.
    "result",
    # Of `doctor`: labels for a person; of `eval`: the same for each arm and metric.
    *("codebuddy", "machine", "runtime", "intervals", "kinds", "differences"),
    # Of robustness and sensitivity: figures by arm, which are the same for each.
    *("all", "families", "transformations", "attributes", "unchanged"),
}

CALLS = {
    "complete": ["complete", "cart.py:6", "--retrieve", "always", "--no-engine"],
    "complete with the engine": ["complete", "cart.py:6", "--retrieve", "always"],
    "search": ["search", "discount", "--no-engine"],
    "search with the engine": ["search", "discount"],
    "ask": ["ask", "what does apply_discount do [A1]", "--no-engine"],
    "ask with the engine": ["ask", "what does apply_discount do [A1]"],
    "ask without a model": ["ask", "--no-model", "discount", "--no-engine"],
    "index": ["index"],
    "fleet add": ["fleet", "add", "."],
    "fleet list": ["fleet", "list"],
    "fleet index": ["fleet", "index", "--workers", "1"],
    "search --fleet": ["search", "--fleet", "discount", "--no-engine"],
    "fleet remove": ["fleet", "remove", "shop"],
    "doctor": ["doctor"],
    "models list": ["models", "list"],
    "adapters list": ["adapters", "list"],
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


def answer_of(folder: Path, *arguments: str) -> Any:
    """What a command prints with `--json`."""
    command = [sys.executable, "-P", "-m", "codebuddy", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, input=b"", capture_output=True, timeout=240)
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout)


def keys_of(folder: Path, *arguments: str) -> list[str]:
    """The paths of what a command prints with `--json`."""
    return sorted(paths_of(answer_of(folder, *arguments)))


def commands_with_json(command: click.Command, name: str, context: click.Context) -> Iterator[str]:
    """The words of each command that has `--json`."""
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from commands_with_json(below, f"{name} {word}".strip(), context)
    if any("--json" in parameter.opts for parameter in command.params):
        yield name


def test_no_command_is_left_out():
    """A new command with `--json` brings its keys."""
    found = set(commands_with_json(cli, "", click.Context(cli)))
    assert found - KEYS.keys() == set()


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
    assert found == {name: KEYS.get(name) for name in CALLS}


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_tuning_answers_with_its_keys(repository):
    """Of the small model, for some seconds; then the status says what holds."""
    arguments = ["engine", "tune", "--model", "smollm2-135m", "--force", "--seconds", "5"]
    assert keys_of(repository, *arguments) == KEYS["engine tune"]


def test_models_answer_with_their_keys(repository, tmp_path, monkeypatch):
    """A file of one's own is added, looked at and removed again."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "models"))
    write_gguf(tmp_path / "tiny.gguf")
    added = ["models", "add", str(tmp_path / "tiny.gguf"), "--name", "tiny"]
    for name, arguments in {
        "models add": added,
        "models pull": ["models", "pull", "tiny"],
        "models verify": ["models", "verify", "tiny"],
        "models remove": ["models", "remove", "tiny"],
    }.items():
        assert keys_of(repository, *arguments) == KEYS[name], name


def test_a_patch_that_is_applied_answers_with_its_keys(repository, git):
    """The hook's finding first, then its patch."""
    # `cart.py` does not parse, so that nothing is taken out of it.
    with (repository / "pricing.py").open("a", encoding="utf-8") as stream:
        stream.write("\n\nimport pdb; pdb.set_trace()\n")
    git(repository, "add", ".")
    findings = answer_of(repository, "hook", "run", "--staged")["findings"]
    (name,) = [each["id"] for each in findings if each["has_patch"]]
    assert keys_of(repository, "hook", "apply", name) == KEYS["hook apply"]


def test_a_training_answers_with_its_keys(tmp_path):
    """One of a repository with too few holes to learn from."""
    root = make_shop(tmp_path / "shop")
    options = ["--model", "echo", "--minutes", "0.01", "--per-kind", "1"]
    assert keys_of(root, "train", "head", *options) == KEYS["train head"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("eval", ["--model", "echo", "--tasks", "2"]),
        ("eval --retrieval-only", ["--retrieval-only", "--tasks", "2"]),
        ("eval --robustness", ["--robustness", "--model", "echo", "--tasks", "1"]),
        (
            "eval --robustness --retrieval-only",
            ["--robustness", "--retrieval-only", "--tasks", "2"],
        ),
        ("eval --sensitivity", ["--sensitivity", "--model", "echo", "--tasks", "2"]),
    ],
)
def test_an_evaluation_answers_with_its_keys(tmp_path, name, options):
    """The report of a small run, and then the lists of runs."""
    root = make_shop(tmp_path / "shop")
    assert keys_of(root, "eval", *options) == KEYS[name]
    if name == "eval":
        assert keys_of(root, "eval", "--list") == KEYS["eval --list"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("serve", ["--port", "0", "--model", "echo"]), ("mcp", ["--http", "0"])],
)
def test_a_server_announces_itself_with_its_keys(tmp_path, name, options):
    """One line of JSON before the first request."""
    root = make_shop(tmp_path / "shop")
    assert run_git(root, "status", "--short") == ""
    command = [sys.executable, "-P", "-m", "codebuddy", name, "--json", *options]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert sorted(paths_of(announced)) == KEYS[name]
