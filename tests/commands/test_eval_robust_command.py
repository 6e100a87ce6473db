"""`codebuddy eval --robustness`, `--sensitivity` and `--gate`, as they are called."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from codebuddy.cli import cli
from tests.support.evaluation import make_shop


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A repository as the working folder."""
    root = make_shop(tmp_path / "shop")
    monkeypatch.chdir(root)
    return root


def run(*arguments: str):
    """What a call of `eval` with `echo` gives."""
    return CliRunner().invoke(
        cli, ["eval", "--model", "echo", *arguments], standalone_mode=False, catch_exceptions=False
    )


@pytest.mark.process  # matplotlib asks for fonts
def test_robustness_is_reported_and_compared(shop, tmp_path):
    """A table, JSON, a plot, and two runs side by side."""
    words = ("--robustness", "--tasks", "2", "--family", "format")
    first = run(*words, "--plot", str(tmp_path / "plot.svg"))
    assert first.return_value == 0
    assert "new_lines" in first.stdout
    assert "SwapChar" not in first.stdout
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8").startswith("<?xml")
    report = json.loads(run(*words, "--json").stdout)
    assert report["tasks"] == report["planned"] == 2 * 7
    assert set(report["robustness"]["families"]) == {"format"}
    names = [each["run"] for each in json.loads(run("--list", "--json").stdout)]
    compared = json.loads(run("--compare", *names, "--json").stdout)
    assert compared["families"]["format"]["auto"]["robust_edit_similarity"]["difference"] == 0
    assert "robust edit sim" in run("--compare", *names).stdout


def test_a_gate_decides_the_exit_status(shop, tmp_path):
    """0 where the limits are kept, 1 where one is not."""
    gate = tmp_path / "gate.toml"
    words = ("--robustness", "--tasks", "1", "--family", "format", "--gate", str(gate))
    gate.write_text("[maximum.robustness.all.never]\nflips = 0\n")
    kept = run(*words, "--json")
    assert kept.return_value == 0
    assert json.loads(kept.stdout)["gate"]["passed"] is True
    gate.write_text("[minimum.robustness]\nholes = 1000\n")
    refused = run(*words)
    assert refused.return_value == 1
    assert "robustness.holes is 1, less than 1000" in refused.stderr


def test_search_and_people_are_measured(shop):
    """The search needs no model; comments that say who is at work need one."""
    search = json.loads(run("--robustness", "--retrieval-only", "--json").stdout)
    assert search["search"]["queries"] == 2
    people = json.loads(run("--sensitivity", "--tasks", "1", "--json").stdout)
    assert set(people["sensitivity"]["attributes"]["pronoun"]) == {"he", "she", "they"}
    assert "over control" in run("--sensitivity", "--tasks", "1").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--family format", "go with --robustness alone"),
        ("--seeds 1", "go with --robustness alone"),
        ("--on place", "go with --robustness alone"),
        ("--retrieval-only --family format", "go with --robustness alone"),
        ("--sensitivity --seeds 2", "go with --robustness alone"),
        ("--robustness --retrieval-only --on both", "go with --robustness alone"),
        ("--sensitivity --plot a.svg", "nothing of --sensitivity"),
        ("--robustness --retrieval-only --plot a.svg", "of --robustness --retrieval-only"),
        ("--retrieval-only --plot a.svg", "nothing of --retrieval-only"),
        ("--list --gate a.toml", "--gate goes with a measurement"),
        ("--compare one two --gate a.toml", "--gate goes with a measurement"),
        ("--list --plot a.svg", "--plot goes with a measurement"),
        ("--sensitivity --arms never,auto", "one arm, not never,auto"),
        ("--sensitivity --arm windows", "one arm, not auto,windows"),
    ],
)
def test_options_that_would_do_nothing_are_refused(shop, words, said):
    """One sentence instead of a measurement that is another one than was asked for."""
    from codebuddy.errors import UsageError

    with pytest.raises(UsageError, match=said):
        run(*words.split())


def test_calls_that_cannot_work_say_why(shop):
    """Two measurements at once; two runs of people."""
    from codebuddy.errors import UsageError

    with pytest.raises(UsageError, match="neither"):
        run("--sensitivity", "--robustness")
    run("--sensitivity", "--tasks", "1")
    with pytest.raises(UsageError, match="not compared"):
        run("--compare", "last", "last")
