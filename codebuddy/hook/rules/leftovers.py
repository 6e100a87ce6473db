"""CB108, CB109: what was left in by mistake: debugger stops, focused tests, conflict markers.

Only what nobody commits on purpose: a `print` or a `console.log` may be a program's answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebuddy.hook.finding import Edit, Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import Change, SourceFile

_PYTHON = re.compile(
    r"^\s*(?:(?:.*;\s*)?(?:breakpoint\(\s*\)|(?:i?pdb|pudb)\.set_trace\(|import\s+i?pdb\s*;"
    r"|from\s+IPython\s+import\s+embed\s*;))"
)
_SCRIPT = re.compile(
    r"^\s*(?:debugger\s*;?\s*$|(?:describe|it|test|context)\.only\(|f(?:it|describe)\()"
)
_RUST = re.compile(r"^\s*(?:let\s+\w+\s*=\s*)?dbg!\(")
_RUBY = re.compile(r"^\s*(?:binding\.(?:pry|irb|break)|byebug)\b\s*$")
_PHP = re.compile(r"^\s*(?:var_dump|dd|dump)\(.*\);\s*$")
_LEFTOVERS = {
    "python": _PYTHON,
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "rust": _RUST,
    "ruby": _RUBY,
    "php": _PHP,
}
# A debugger's own code and what tests it stop in a debugger on purpose.
_ON_PURPOSE = re.compile(r"(?:^|[/_.-])(?:i?pdb|debug(?:ger|ging)?|breakpoints?)(?:[/_.-]|$)", re.I)
# Somebody told a linter that this very statement is meant to be there.
_MEANT = re.compile(r"\bno-(?:debugger|only-tests|focused-tests?)\b|\bnoqa:[^#]*\bT100\b")
_OURS, _THEIRS = re.compile(r"^<{7}(?: \S.*)?$"), re.compile(r"^>{7}(?: \S.*)?$")
_MIDDLE = re.compile(r"^={7}$")


def check(review: Review) -> Iterator[Finding]:
    """Both rules, on the new lines of every file."""
    for change, file in review.state.written():
        review.check_time()
        added = review.state.added(change)
        yield from _conflicts(file, added)
        yield from _debugging(change, file, added)


def _conflicts(file: SourceFile, added: frozenset[int]) -> Iterator[Finding]:
    """A marker of each kind, in order, each at the beginning of a new line."""
    if b"<<<<<<<" not in file.source or b">>>>>>>" not in file.source:
        return
    begun = middle = 0
    for number in sorted(added):
        text = file.lines[number - 1]
        if _OURS.match(text):
            begun, middle = number, 0
        elif begun and _MIDDLE.match(text):
            middle = number
        elif begun and middle and _THEIRS.match(text):
            if not _is_in_string(file, begun):
                evidence = tuple(
                    Evidence(file.path, line, file.line(line)) for line in (begun, middle, number)
                )
                message = f"a merge conflict is left in lines {begun} to {number}"
                yield Finding("CB109", file.path, begun, 1, message, evidence)
            begun = middle = 0


def _debugging(change: Change, file: SourceFile, added: frozenset[int]) -> Iterator[Finding]:
    pattern = _LEFTOVERS.get(file.language)
    if pattern is None or _ON_PURPOSE.search(change.path):
        return
    for number in sorted(added):
        text = file.lines[number - 1]
        if len(text) > 1000 or not pattern.match(text) or _is_in_string(file, number):
            continue
        if _MEANT.search(text) or _MEANT.search(file.line(number - 1)):
            continue
        column = len(text) - len(text.lstrip()) + 1
        statement = text.strip()
        what = "runs this test alone" if ".only(" in statement or _SCRIPT_FOCUS.match(text) else ""
        message = f"{statement[:60]} {what or 'is left over from debugging'}"
        # Only a line that is a statement by itself can be taken out without harm.
        is_alone = bool(_ALONE.fullmatch(statement)) and not _is_only_in_block(file, number)
        edits = (Edit(file.path, number, number, text, None),) if is_alone else ()
        evidence = (Evidence(file.path, number, statement),)
        yield Finding("CB108", file.path, number, column, message, evidence, edits=edits)


_SCRIPT_FOCUS = re.compile(r"^\s*f(?:it|describe)\(")
_ALONE = re.compile(
    r"breakpoint\(\s*\)|import\s+(?:i?pdb|pudb)(?:\s*;\s*(?:i?pdb|pudb)\.set_trace\(\s*\))?"
    r"|(?:i?pdb|pudb)\.set_trace\(\s*\)|debugger\s*;?|binding\.(?:pry|irb)|byebug"
)


def _is_only_in_block(file: SourceFile, number: int) -> bool:
    """Whether the line may be all that its block has."""
    before = file.line(number - 1)
    return before.endswith((":", "{", "do", "then")) or before.startswith(("def ", "class "))


def _is_in_string(file: SourceFile, number: int) -> bool:
    """Whether the line's first character lies in a string that began before it, or a comment."""
    from codebuddy.syntax.grammar import grammar_for

    grammar = grammar_for(file.language)
    if file.tree is None or grammar is None:
        return False
    text = file.lines[number - 1]
    row, column = number - 1, len(text) - len(text.lstrip())
    node = file.tree.root_node.descendant_for_point_range((row, column), (row, column))
    for _ in range(6):
        if node is None:
            return False
        if node.kind_id in grammar.comments:
            return True
        if node.kind_id in grammar.strings:
            return bool(node.start_point[0] < row)
        node = node.parent
    return False
