"""CB108 takes out a line only where what is left parses, and means what it meant."""

from __future__ import annotations

import pytest

from tests.support.hook import Project, staged_review

CASES = {
    "a.py": ("def f():\n    # look\n    breakpoint()\n    return 1\n", 3, ""),
    "b.py": ("breakpoint()\n", 1, ""),
    "c.py": ("x = 1\nimport pdb; pdb.set_trace()\ny = 2\n", 2, ""),
    "d.py": ("for _ in x:\n    # note\n    breakpoint()\n", 3, "its block has nothing else"),
    "e.py": ("if x:\n    breakpoint()\nelse:\n    y()\n", 2, "its block has nothing else"),
    "f.py": ("if x: y()\nelse:\n\n    breakpoint()\n", 4, "its block has nothing else"),
    "g.py": (
        "import pdb; pdb.set_trace()\nx = 1\npdb.run('x')\n",
        1,
        "pdb is used elsewhere in the file",
    ),
    "h.py": (
        "def f():\n    breakpoint()\n    'A text.'\n    return 1\n",
        2,
        "the text behind it would become documentation or a directive",
    ),
    "i.py": ("def f(:\n    pass\n\n\nbreakpoint()\nx = 1\n", 5, "the file could not be parsed"),
    "j.py": ("x = [\n    1,\n]\nbreakpoint()\n\ny = 2\n", 4, ""),
    "a.js": ("function f(x) {\n  debugger;\n  return x;\n}\n", 2, ""),
    "b.js": (
        "function f(x, y) {\n  if (x)\n    debugger;\n    return y;\n}\n",
        3,
        "the statement is a part of another one",
    ),
    "c.js": ("if (x)\n  debugger;\nelse\n  y();\n", 2, "the statement is a part of another one"),
    "d.js": (
        "let a = b\ndebugger;\n(c || d)()\n",
        2,
        "the lines around it would mean something else",
    ),
    "e.js": ("switch (a) {\n  case 1:\n    debugger;\n  default:\n    b();\n}\n", 3, ""),
    "f.js": ("do\n  debugger;\nwhile (x);\n", 2, "the statement is a part of another one"),
    "g.js": (
        "debugger;\n'use strict';\nx = 1;\n",
        1,
        "the text behind it would become documentation or a directive",
    ),
    "h.ts": ("const x: number = 1;\ndebugger;\nexport { x };\n", 2, ""),
    "a.rb": ("def f\n  binding.pry\n  g\nend\n", 2, ""),
    "b.rb": ("def f\n  g\n  binding.pry\nend\n", 3, "its block would have another value"),
    "c.rb": ("g\nbyebug\n", 2, ""),
    "d.rb": ("def f\n  binding.pry\nend\n", 2, "its block has nothing else"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """All cases in one review."""
    root = tmp_path_factory.mktemp("leftovers") / "p"
    staged = {path: text for path, (text, _, _) in CASES.items()}
    return {each.path: each for each in staged_review(root, {"x.md": "x\n"}, staged, "CB108")}


@pytest.mark.parametrize("path", CASES)
def test_a_leftover_is_found_and_taken_out_only_without_harm(found, path):
    """The line goes where that is safe; elsewhere the finding says why it has no patch."""
    text, line, reason = CASES[path]
    finding = found[path]
    assert (finding.line, finding.unpatched) == (line, reason)
    edits = [(each.first_line, each.last_line, each.new) for each in finding.edits]
    assert edits == ([] if reason else [(line, line, None)])
    assert text.split("\n")[line - 1] in [each.old for each in finding.edits] or reason


def test_so_many_in_one_file_that_they_are_not_all_looked_at(tmp_path):
    """Each patch is checked by parsing; what was not checked has none."""
    staged = {"a.py": "x = 1\nbreakpoint()\n" * 40}
    found = staged_review(tmp_path / "p", {"x.md": "x\n"}, staged, "CB108")
    assert len(found) == 40
    assert [each.unpatched for each in found if not each.edits] == ["too many in this file"] * 10


@pytest.mark.process
def test_a_finding_without_a_patch_says_why(tmp_path):
    """In the text, and to one who wants to apply it."""
    project = Project(tmp_path / "p", {"a.py": "x = 1\n"})
    project.index()
    project.stage({"a.py": "if x:\n    breakpoint()\n"})
    told = project.codebuddy("hook", "run", "--no-update").stdout
    assert told.endswith("\n    no patch: its block has nothing else\n")
    done = project.codebuddy("hook", "apply", "CB108")
    assert (done.returncode, "has no patch: its block has nothing else" in done.stderr) == (2, True)
