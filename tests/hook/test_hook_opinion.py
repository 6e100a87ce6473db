"""CB113, the model's opinion: off by itself, quoted only where the model was sure."""

from __future__ import annotations

import os
import subprocess

import pytest

from codebuddy.hook import session
from codebuddy.hook.catalog import BY_ID
from codebuddy.hook.model import Answer, Model
from codebuddy.hook.report import text
from codebuddy.hook.review import review, rules_in_use
from codebuddy.settings import HookSettings
from codebuddy.vcs.repository import open_repository
from tests.support.hook import SETTINGS, Project

BEFORE = "def first(items, n):\n    return items[:n]\n"
AFTER = "def first(items, n):\n    return items[: n + 1]\n"
REMARK = "one item too many is returned"


class Scripted(Model):
    """Answers every call alike and keeps what it was shown."""

    def __init__(self, answer: Answer) -> None:
        # No engine is greeted.
        self.answer = answer
        self.shown: list[str] = []

    def complete(self, path, text, line, column, max_lines, *, retrieve=None):
        """What was agreed."""
        self.shown.append(text)
        return self.answer


def opinion(folder, files, answer):
    """What CB113 says of staged `files`, and what the model was shown."""
    project = Project(folder, {"paging.py": BEFORE})
    project.stage(files)
    repository, model = open_repository(project.root), Scripted(answer)
    scope = session.staged(repository, None)
    with session.opened(repository, SETTINGS, scope, None, model=model) as opened:
        outcome = review(opened, [BY_ID["CB113"]])
    assert outcome.failed == ()
    return outcome.findings, model.shown


def test_it_is_off_unless_it_is_wanted():
    """Nobody hears a model's opinion without having asked for it."""
    assert "CB113" not in {rule.id for rule in rules_in_use(HookSettings())}
    assert "CB113" in {rule.id for rule in rules_in_use(HookSettings(enable=("CB113",)))}


def test_a_sure_remark_is_said_and_marked_as_an_opinion(tmp_path):
    """The line names the place, whose words they are and how sure it was."""
    [finding], [shown] = opinion(tmp_path / "p", {"paging.py": AFTER}, Answer(f" {REMARK}\n", 0.93))
    assert text([finding]) == f"paging.py:2:1 CB113 the model's opinion (93% sure): {REMARK}"
    assert shown.endswith(
        "Change in paging.py:\n def first(items, n):\n-    return items[:n]\n"
        "+    return items[: n + 1]\n \nRemark: "
    )


@pytest.mark.parametrize(
    "answer",
    [
        Answer(REMARK, 0.79),
        Answer(REMARK, 0.0),
        Answer("", 1.0),
        Answer("fine", 1.0),
        Answer(" Fine, nothing to say here", 1.0),
        Answer("returns one item too few", 1.0),
        Answer("x" * 500, 1.0),
    ],
    ids=["unsure", "untold", "nothing", "fine", "fine at length", "an example", "endless"],
)
def test_what_is_no_remark_is_not_said(tmp_path, answer):
    """Doubt, approval, noise and the prompt's own examples are silence."""
    findings, shown = opinion(tmp_path / "p", {"paging.py": AFTER}, answer)
    assert (findings, len(shown)) == ((), 1)


def test_tests_and_huge_hunks_are_not_shown(tmp_path):
    """The model sees one hunk of code that can be read at once, or nothing."""
    files = {"test_it.py": AFTER, "long.py": "".join(f"x{n} = {n}\n" for n in range(200))}
    assert opinion(tmp_path / "p", files, Answer(REMARK, 1.0)) == ((), [])


def test_a_secret_is_not_shown_to_the_model(tmp_path):
    """Keys of known formats are masked in the prompt."""
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    _, [shown] = opinion(tmp_path / "p", {"key.py": f"TOKEN = '{key}'\n"}, Answer("", 0.0))
    assert key not in shown
    assert "TOKEN = 'ghp_" in shown


def test_a_commit_with_it_switched_on(tmp_path, engine, monkeypatch):
    """Through the engine; `echo` tells no probabilities, so nothing it says counts as sure."""
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "60")
    settings = '[hook]\nenable = ["CB113"]\n'
    project = Project(tmp_path / "p", {"paging.py": BEFORE, ".codebuddy.toml": settings})
    assert project.codebuddy("hook", "install").returncode == 0
    assert project.codebuddy("engine", "start").returncode == 0
    project.stage({"paging.py": AFTER})
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", "-m", "Change"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
