"""CB108, CB109: what was left in by mistake: debugger stops, focused tests, conflict markers.

Only what is never committed on purpose: `print` and `console.log` may be a program's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from codebuddy.hook.finding import Evidence, FileEdit, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import Change, SourceFile

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

# Where in a line a leftover begins; that it is a statement there is asked of the tree.
_PYTHON = re.compile(
    r"(?<![\w.])(?:breakpoint\(\s*\)"
    r"|(?:import\s+(?:i?pdb|pudb)\s*;\s*)?(?:i?pdb|pudb)\.set_trace\("
    r"|import\s+i?pdb\s*;\s*\S|from\s+IPython\s+import\s+embed\s*;\s*\S)"
)
_SCRIPT = re.compile(
    r"^\s*+(?:debugger\s*+(?:;\s*+)?(?://.*)?$|(?:describe|it|test|context)\.only\(|f(?:it|describe)\()"
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
# A linter directive says that this statement is intended.
_MEANT = re.compile(r"\bno-(?:debugger|only-tests|focused-tests?)\b|\bnoqa:[^#]{0,200}?\bT100\b")
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
        if len(text) > 1000:
            continue
        found = next(
            (each for each in pattern.finditer(text) if _is_statement(file, number, each)), None
        )
        if found is None or _MEANT.search(text) or _MEANT.search(file.line(number - 1)):
            continue
        start = _start(found)
        subject = text[start : _end(file, number, found)].strip()
        what = "runs this test alone" if ".only(" in subject or _SCRIPT_FOCUS.match(text) else ""
        message = f"{_cut(subject)} {what or 'is left over from debugging'}"
        # Only a line that is a statement by itself can be taken out without harm.
        is_alone = bool(_ALONE.fullmatch(text.strip())) and not _is_only_in_block(file, number)
        edits = (FileEdit(file.path, number, number, text, None),) if is_alone else ()
        evidence = (Evidence(file.path, number, text.strip()),)
        yield Finding("CB108", file.path, number, start + 1, message, evidence, edits=edits)


def _start(found: re.Match[str]) -> int:
    return found.end() - len(found[0].lstrip())


def _cut(subject: str) -> str:
    return subject if len(subject) <= _MAX_SHOWN else subject[: _MAX_SHOWN - 3].rstrip() + "..."


def _node_at(file: SourceFile, number: int, column: int) -> Node | None:
    """The smallest node at a 0-based column, counted in code points."""
    if file.tree is None:
        return None
    place = (number - 1, len(file.lines[number - 1][:column].encode()))
    return file.tree.root_node.descendant_for_point_range(place, place)


def _is_statement(file: SourceFile, number: int, found: re.Match[str]) -> bool:
    """Whether a statement begins where the match does: no text, no comment, no argument."""
    start = _start(found)
    node = _node_at(file, number, start)
    if node is None:
        return not file.lines[number - 1][:start].strip()
    if _is_in_string(file, number, start):
        return False
    if file.language in ("rust", "ruby", "php"):
        # There a macro or a name may be a statement without a node that says so.
        return True
    begin = node.start_byte
    each: Node | None = node
    while each is not None and each.start_byte == begin:
        if each.type.endswith("_statement"):
            return True
        each = each.parent
    # Where the parser lost its way, what begins a line counts.
    is_broken = file.tree is not None and file.tree.root_node.has_error
    return is_broken and not file.lines[number - 1][:start].strip()


def _end(file: SourceFile, number: int, found: re.Match[str]) -> int:
    """The 0-based column after the statement, or after its part in this line."""
    from codebuddy.syntax.grammar import grammar_for

    text = file.lines[number - 1].rstrip()
    grammar = grammar_for(file.language)
    last = _node_at(file, number, len(text) - 1)
    raw = text.encode()
    is_comment = last is not None and grammar is not None and last.kind_id in grammar.comments
    if last is not None and is_comment and last.start_point[0] == number - 1:
        raw = raw[: last.start_point[1]].rstrip()
    node = _node_at(file, number, found.end() - 1)
    while node is not None and not node.type.endswith("_statement"):
        node = node.parent
    if node is not None and node.start_point[0] == node.end_point[0] == number - 1:
        raw = raw[: node.end_point[1]]
    return len(raw.decode("utf-8", "ignore"))


_MAX_SHOWN = 60
_SCRIPT_FOCUS = re.compile(r"^\s*f(?:it|describe)\(")
_ALONE = re.compile(
    r"breakpoint\(\s*\)|import\s+(?:i?pdb|pudb)(?:\s*;\s*(?:i?pdb|pudb)\.set_trace\(\s*\))?"
    r"|(?:i?pdb|pudb)\.set_trace\(\s*\)|debugger\s*;?|binding\.(?:pry|irb)|byebug"
)


def _is_only_in_block(file: SourceFile, number: int) -> bool:
    """Whether the line may be all that its block has."""
    before = file.line(number - 1)
    return before.endswith((":", "{", "do", "then")) or before.startswith(("def ", "class "))


def _is_in_string(file: SourceFile, number: int, column: int = 0) -> bool:
    """Whether what stands at a place of a line lies in a string or a comment."""
    from codebuddy.syntax.grammar import grammar_for

    grammar = grammar_for(file.language)
    node = _node_at(file, number, column)
    for _ in range(6):
        if node is None or grammar is None:
            return False
        if node.kind_id in grammar.comments or node.kind_id in grammar.strings:
            return True
        node = node.parent
    return False
