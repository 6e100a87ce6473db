"""A gate lets through what keeps its limits, and says which one is not kept."""

from __future__ import annotations

import pytest

from codebuddy.errors import ConfigError
from codebuddy.evaluation.gate import Limit, check_paths, judge, read_gate, verdict_lines

REPORT = {"arms": {"auto": {"edit_similarity": 50.0, "codebleu": None}}, "tasks": 3}


def test_limits_are_read_by_path(tmp_path):
    """Quoted or as tables, which is the same."""
    file = tmp_path / "gate.toml"
    file.write_text(
        '[minimum]\n"arms.auto.edit_similarity" = 40\n[maximum.arms.auto]\nflips = 0.5\n'
    )
    assert read_gate(file) == [
        Limit("arms.auto.edit_similarity", "minimum", 40.0),
        Limit("arms.auto.flips", "maximum", 0.5),
    ]


@pytest.mark.parametrize(
    ("kind", "bound", "passed"),
    [("minimum", 50, True), ("minimum", 51, False), ("maximum", 50, True), ("maximum", 49, False)],
)
def test_a_limit_may_be_reached(kind, bound, passed):
    """The bound itself is kept."""
    verdict = judge(REPORT, [Limit("arms.auto.edit_similarity", kind, bound)], is_whole=True)
    assert verdict["passed"] == passed
    assert verdict["limits"][0]["value"] == 50
    assert ("not passed" in verdict_lines(verdict, is_whole=True)[-1]) != passed


@pytest.mark.parametrize("path", ["arms.auto.codebleu", "arms.auto.gone", "tasks.more", "arms"])
def test_what_was_not_measured_is_not_kept(path):
    """A figure that is missing closes the gate, and is named."""
    verdict = judge(REPORT, [Limit(path, "maximum", 1e9)], is_whole=True)
    assert not verdict["passed"]
    assert verdict_lines(verdict, is_whole=True)[0] == f"gate: {path} was not measured"


def test_a_measurement_that_is_not_finished_does_not_pass():
    """Whatever it has seen so far."""
    verdict = judge(REPORT, [Limit("tasks", "minimum", 1)], is_whole=False)
    assert not verdict["passed"]
    assert "not finished" in verdict_lines(verdict, is_whole=False)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no limit"),
        ("[minimum]\n", "has no limit"),
        ("[minimum\n", "is no TOML"),
        ("[least]\na = 1\n", "'least'"),
        ("minimum = 3\n", "'minimum'"),
        ("[minimum]\na = 'b'\n", "is no number"),
        ("[minimum]\na = true\n", "is no number"),
        ("[minimum]\na = nan\n", "is no number"),
        ("[minimum]\na = inf\n", "is no number"),
        ("\xff", "is no TOML"),
    ],
)
def test_a_file_that_is_no_gate_is_refused(tmp_path, text, said):
    """In one sentence that names the file."""
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"gate\.toml") as error:
        read_gate(file)
    assert said in error.value.message


def test_a_gate_that_is_not_there_or_too_large_is_refused(tmp_path):
    """Nothing of it is read."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_gate(tmp_path / "gone.toml")
    (tmp_path / "large.toml").write_text("#" * 200_000)
    with pytest.raises(ConfigError, match="larger"):
        read_gate(tmp_path / "large.toml")


def test_a_limit_of_another_measurement_is_refused_before_the_work(tmp_path):
    """The sentence says which, and what could be limited."""
    limits = [Limit("sensitivity.worst", "minimum", -1)]
    with pytest.raises(ConfigError, match=r"sensitivity\.worst") as error:
        check_paths(tmp_path / "g.toml", limits, frozenset({"arms"}), "eval")
    assert "arms" in error.value.hint
