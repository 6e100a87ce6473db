"""CB106 offers a body only where the file parses with it, and the body is the function's."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from codebuddy.hook import session
from codebuddy.hook.catalog import RULES
from codebuddy.hook.model import Model
from codebuddy.hook.review import review
from codebuddy.settings import HookSettings
from codebuddy.vcs.repository import open_repository
from tests.support.hook import SETTINGS, Project

STUB = "def double(value):\n    pass\n\n\nx = 1\n"


class Stand:
    """A model that always gives the same text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def complete(self, *_place: object, **_more: object) -> str:
        return self._text


@pytest.mark.parametrize(
    ("text", "is_offered"),
    [
        ("return value * 2", True),
        ("if value:\n        return 2\n    return 0\n", True),
        ("return (value", False),
        ("return x = 3", False),
        ("for each in value:\n        # each of them", False),
        ("return 1\n\n\ndef other():\n    return 2", False),
        ("return 1\n\nprint(3)", False),
    ],
)
def test_a_body_is_offered_only_if_it_is_one(tmp_path, text, is_offered):
    """What does not parse, or goes on behind the function, is no body."""
    project = Project(tmp_path / "p", {"a.py": "x = 1\n"})
    project.stage({"b.py": STUB})
    repository = open_repository(project.root)
    settings = replace(SETTINGS, hook=HookSettings())
    scope = session.staged(repository, None)
    with session.opened(repository, settings, scope, None) as opened:
        opened.model = cast("Model", Stand(text))
        found = review(opened, [rule for rule in RULES if rule.id == "CB106"]).findings
    assert [bool(each.edits) for each in found] == [True] * is_offered
