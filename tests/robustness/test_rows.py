"""Rows of numbers that are kept of runs, and of programs that were run, give the same figures."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from codebuddy.cli import cli
from codebuddy.evaluation.robust.results import places_of
from codebuddy.evaluation.robust.sensitivity import summarize_sensitivity
from codebuddy.evaluation.robust.session import pairs_of
from codebuddy.evaluation.robust.summary import summarize_robustness
from codebuddy.evaluation.store import list_runs
from codebuddy.vcs.repository import open_repository
from tests.bench import executed_public, robust_rows
from tests.support.evaluation import make_shop


def evaluated(root, *arguments: str):
    """The run that `eval` with `echo` makes in a repository."""
    words = ["-C", str(root), "eval", "--model", "echo", "--tasks", "1", *arguments]
    CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
    return list_runs(open_repository(root))[0]


def test_rows_give_the_figures_of_the_run_and_hold_no_code(tmp_path):
    """All of them but reasons and log-probabilities by token."""
    root = make_shop(tmp_path / "shop")
    run = evaluated(root, "--robustness")
    rows = robust_rows.rows_of(run)
    places = [place for row in rows for place in robust_rows._places(row)]
    again, before = (summarize_robustness(each, 0) for each in (places, places_of(run)))
    for found in (again, before):
        for figures in found["transformations"].values():
            figures["reasons"] = {}
    assert again["holes"] == before["holes"] == 1
    assert _rounded(again) == _rounded(before)
    assert "return" not in json.dumps(rows)
    people = evaluated(root, "--sensitivity")
    pairs = [pair for row in robust_rows.rows_of(people) for pair in robust_rows._pairs(row)]
    kept, measured = (summarize_sensitivity(p, 0) for p in (pairs, list(pairs_of(people).values())))
    assert _rounded(kept["attributes"]) == _rounded(measured["attributes"])


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items() if name != "accumulated"}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 1) if isinstance(value, float) else value


def test_a_hole_with_more_versions_takes_the_place_of_its_row(tmp_path):
    """Rows are added to, and never lost to a run that was stopped earlier."""
    root = make_shop(tmp_path / "shop")
    (row,) = robust_rows.rows_of(evaluated(root, "--robustness", "--family", "format"))
    less = {**row, "values": dict(list(row["values"].items())[:3])}
    rows: dict = {}
    for each in (less, row, less):
        robust_rows.add_rows(rows, [each])
    assert list(rows.values()) == [row]


def _arm(similarity: float, *, prompt: int, retrieve: int = 0) -> list:
    return [0, similarity, retrieve, prompt, []]


def test_the_ratio_of_drops_is_that_of_sums():
    """`never` loses 30 of 100, `auto` 15 of 100: half."""
    values = {
        "nominal:0": {"never": _arm(100, prompt=0), "auto": _arm(100, prompt=1)},
        "new_lines:0": {"never": _arm(70, prompt=2), "auto": _arm(85, prompt=3, retrieve=1)},
        "tab_indent:0": {"never": _arm(90, prompt=4), "auto": _arm(90, prompt=5)},
    }
    row = {"mode": "robustness", "model": "m", "repository": "r", "commit": "c", "on": "place"}
    rows = [{**row, "hole": name, "values": values} for name in ("a", "b")]
    places = [place for each in rows for place in robust_rows._places(each)]
    found = robust_rows.drop_ratio(places)
    assert found is not None
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx((0.5, 0.5))
    assert found[2] == 2
    lines = "\n".join(robust_rows.lines_of(rows))
    assert "0.50 [0.50, 0.50] of 2 holes" in lines
    assert "2 of 4, goal 5 %" in lines


def _executed(task: str, family: str, *, passed: bool) -> dict:
    return {
        "model": "m", "task": task, "nominal": "n", "family": family, "perturbation": family,
        "passed": passed,
    }  # fmt: skip


def test_a_function_is_robust_that_passes_in_all_versions():
    """Of two that pass as they are, one fails in one of two versions."""
    rows = [
        _executed("1", "", passed=True),
        _executed("2", "", passed=True),
        *(_executed("1", "names", passed=each) for each in (True, False)),
        _executed("2", "names", passed=True),
        _executed("3", "names", passed=True),
    ]
    (line,) = [each for each in executed_public.lines_of(rows) if "names" in each]
    cells = [each.strip() for each in line.strip("|").split("|")]
    assert cells[:4] == ["m", "names", "2", "1.5"]
    assert [each.split(" ")[0] for each in cells[4:]] == ["100.0", "50.0", "50", "50.0"]


def test_prompts_that_were_not_changed_are_left_out(tmp_path):
    """Syntax's tools moved white space of prompts that they changed nothing else in."""
    data = tmp_path / "dataset-release"
    entry = {"task_id": "HumanEval/0", "prompt": "def f():\n", "test": "", "entry_point": "f"}
    _write(data / "nominal" / "HumanEval.jsonl", entry)
    _write(data / "nominal" / "humaneval_partial.jsonl", entry)
    below = data / "perturbed_finalized" / "humaneval" / "full"
    for family, prompt in (
        ("nlaugmenter", "def f():\n"),
        ("func_name", "def g():\n"),
        ("natgen", "def f():\n\n"),
        ("format", "def f():\n\n"),
    ):
        _write(below / family / "humaneval_Some_s0.jsonl", {**entry, "prompt": prompt})
    chosen = list(executed_public.choose(tmp_path, 1, 5, 1))
    assert [each.family for each in chosen] == ["", "", "names", "format"]


def _write(file, entry) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(entry) + "\n", encoding="utf-8")
