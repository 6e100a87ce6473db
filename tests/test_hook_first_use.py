"""What somebody who tries the commit hook for the first time meets."""

from __future__ import annotations

import pytest

from tests.hook_support import staged_review, told

BEFORE = {"a.py": "def f():\n    return 1\n"}


@pytest.mark.parametrize(
    "line",
    [
        't = "import pdb; pdb.set_trace()"',
        't = "x; breakpoint()"',
        "x = 1  # then; breakpoint()",
        "t = [breakpoint()]",
    ],
)
def test_a_debugger_in_a_text_is_no_leftover(tmp_path, line):
    """CB108 speaks of statements, not of what a string or a comment says."""
    staged = {"a.py": f"def f():\n    {line}\n    return 1\n"}
    assert staged_review(tmp_path / "p", BEFORE, staged, "CB108") == []


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("a.py", "x = 1; breakpoint()  # look", "a.py:2 breakpoint() is left over from debugging"),
        (
            "a.py",
            "import pdb; pdb.set_trace()  # look",
            "a.py:2 import pdb; pdb.set_trace() is left over from debugging",
        ),
        ("a.py", "if f: breakpoint()", "a.py:2 breakpoint() is left over from debugging"),
        ("a.js", "debugger; // look", "a.js:2 debugger; is left over from debugging"),
        (
            "a.js",
            f"it.only('{'x' * 60}', () => 1);",
            f"a.js:2 it.only('{'x' * 48}... runs this test alone",
        ),
    ],
)
def test_a_leftover_is_told_by_its_statement(tmp_path, path, line, message):
    """CB108 names the statement alone, and says where it was cut."""
    head = "def f():\n" if path == "a.py" else "function f() {\n"
    tail = "    return 1\n" + ("" if path == "a.py" else "}\n")
    staged = {path: f"{head}    {line}\n{tail}"}
    assert told(staged_review(tmp_path / "p", BEFORE, staged, "CB108")) == [message]
