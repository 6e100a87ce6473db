"""`codebuddy models add --gate`: what does not keep the limits is not added."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from codebuddy.cli import cli
from codebuddy.commands import models_gate
from codebuddy.errors import ConfigError
from tests.support.evaluation import make_shop
from tests.support.tiny_model import write_base


@pytest.fixture
def call(tmp_path, monkeypatch):
    """`models add` of a model of nonsense, with a gate of some text, in a repository."""
    monkeypatch.chdir(make_shop(tmp_path / "shop"))
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "models"))
    model = write_base(tmp_path / "nonsense.gguf")

    def add(limits: str):
        gate = tmp_path / "gate.toml"
        gate.write_text(limits)
        arguments = ["models", "add", str(model), "--gate", str(gate), "--tasks", "1", "--json"]
        return CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)

    return add


def names() -> list[str]:
    """The names of all models that are added."""
    listed = CliRunner().invoke(cli, ["models", "list", "--json"]).stdout
    return [each["name"] for each in json.loads(listed)["models"] if each["added"]]


@pytest.mark.model
def test_a_model_is_added_only_if_it_keeps_the_limits(call):
    """Nonsense is not good enough for one gate, and good enough for the other."""
    refused = call('[minimum]\n"arms.never.edit_similarity" = 99\n')
    assert refused.return_value == 1
    assert "arms.never.edit_similarity is" in refused.stderr
    found = json.loads(refused.stdout)
    assert (found["added"], found["gate"]["passed"]) == (False, False)
    assert names() == []
    taken = call('[minimum]\n"arms.never.edit_similarity" = 0\n')
    assert taken.return_value == 0
    assert json.loads(taken.stdout)["gate"]["passed"] is True
    assert names() == ["nonsense"]


def test_a_gate_of_nothing_that_is_measured_is_refused_before_the_work(call):
    """Neither is anything measured."""
    with pytest.raises(ConfigError, match="models add does not measure"):
        call("[maximum]\nspeed = 1\n")
    assert names() == []


def test_the_file_is_measured_though_a_model_server_is_set(call, monkeypatch):
    """The server of `model.url` is another model."""
    monkeypatch.setenv("CODEBUDDY_MODEL_URL", "http://127.0.0.1:9")
    measured = []

    def measure(context, tasks):
        measured.append((context.settings.model.url, context.settings.model.name))
        return {"cqi": 5.0}, "done"

    monkeypatch.setattr(models_gate, "_completion", measure)
    taken = call("[minimum]\ncqi = 4\n")
    assert taken.return_value == 0
    [(url, name)] = measured
    assert url == ""
    assert name.endswith("nonsense.gguf")


def test_ctrl_c_ends_the_measuring_and_nothing_is_added(call, monkeypatch):
    """No further measurement begins, and the exit status is that of an interruption."""
    begun = []

    def interrupted(context, tasks):
        begun.append("completion")
        return {"cqi": 5.0}, "interrupted"

    monkeypatch.setattr(models_gate, "_completion", interrupted)
    monkeypatch.setattr(models_gate, "_robustness", lambda *_: begun.append("robustness"))
    stopped = call("[minimum]\ncqi = 4\n[maximum]\n'robustness.holes' = 9\n")
    assert stopped.return_value == 130
    assert begun == ["completion"]
    assert json.loads(stopped.stdout)["added"] is False
    assert names() == []
