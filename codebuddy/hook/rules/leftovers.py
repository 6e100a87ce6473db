"""CB108, CB109: what was left in by mistake: debugger stops, focused tests, conflict markers.

Only what is never committed on purpose: `print` and `console.log` may be a program's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from codebuddy.hook.finding import Evidence, FileEdit, Finding, with_edits
from codebuddy.hook.patching import only_lacks_line, patched, stays_well_formed
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
        yield from _debugging(review, change, file, added)


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


def _debugging(
    review: Review, change: Change, file: SourceFile, added: frozenset[int]
) -> Iterator[Finding]:
    pattern = _LEFTOVERS.get(file.language)
    if pattern is None or _ON_PURPOSE.search(change.path):
        return
    n_asked = 0
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
        evidence = (Evidence(file.path, number, text.strip()),)
        finding = Finding("CB108", file.path, number, start + 1, message, evidence)
        # Only a line that is a statement by itself can be taken out without harm.
        if _ALONE.fullmatch(text.strip()):
            review.check_time()
            n_asked += 1
            edit = FileEdit(file.path, number, number, text, None)
            reason = "too many in this file" if n_asked > _MAX_PATCHES else _hindrance(file, edit)
            finding = with_edits(finding, (edit,), reason)
        yield finding


def _start(found: re.Match[str]) -> int:
    return found.end() - len(found[0].lstrip())


def _cut(subject: str) -> str:
    return subject if len(subject) <= _MAX_SHOWN else subject[: _MAX_SHOWN - 3].rstrip() + "..."


def _is_statement(file: SourceFile, number: int, found: re.Match[str]) -> bool:
    """Whether a statement begins where the match does: no text, no comment, no argument."""
    start = _start(found)
    node = file.node_at(number, start + 1)
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
    last = file.node_at(number, len(text))
    raw = text.encode()
    is_comment = last is not None and grammar is not None and last.kind_id in grammar.comments
    if last is not None and is_comment and last.start_point[0] == number - 1:
        raw = raw[: last.start_point[1]].rstrip()
    node = file.node_at(number, found.end())
    while node is not None and not node.type.endswith("_statement"):
        node = node.parent
    if node is not None and node.start_point[0] == node.end_point[0] == number - 1:
        raw = raw[: node.end_point[1]]
    return len(raw.decode("utf-8", "ignore"))


# Each is checked by parsing the file anew.
_MAX_PATCHES = 30
_MAX_SHOWN = 60
_SCRIPT_FOCUS = re.compile(r"^\s*f(?:it|describe)\(")
_ALONE = re.compile(
    r"breakpoint\(\s*\)|import\s+(?:i?pdb|pudb)(?:\s*;\s*(?:i?pdb|pudb)\.set_trace\(\s*\))?"
    r"|(?:i?pdb|pudb)\.set_trace\(\s*\)|debugger\s*;?|binding\.(?:pry|irb)|byebug"
)


# Where statements stand one after another.
_BODIES = frozenset(
    {"module", "program", "block", "statement_block", "switch_case", "switch_default"}
    | {"body_statement", "block_body", "then", "else", "begin", "ensure"}
)
# These may be empty.
_MAY_BE_EMPTY = frozenset({"module", "program", "switch_case", "switch_default"})
_LINE_IMPORTS = re.compile(r"import\s+(i?pdb|pudb)\b")


def _hindrance(file: SourceFile, edit: FileEdit) -> str:
    """Why the line of a leftover cannot be taken out without harm; empty if it can."""
    number, text = edit.first_line, edit.old
    if file.tree is None or file.tree.root_node.has_error:
        return "the file could not be parsed"
    statements = _statements_of(file, number)
    if not statements or statements[0].parent is None:
        return "the statement is a part of another one"
    body = statements[0].parent
    if body.type not in _BODIES or statements[-1].end_point[0] != number - 1:
        return "the statement is a part of another one"
    others = [each for each in body.named_children if not each.is_extra]
    behind = [each for each in others if each.start_byte >= statements[-1].end_byte]
    if len(others) <= len(statements) and body.type not in _MAY_BE_EMPTY:
        return "its block has nothing else"
    if not behind and file.language == "ruby" and body.type != "program":
        return "its block would have another value"
    if behind and _is_text(behind[0]):
        return "the text behind it would become documentation or a directive"
    imported = _LINE_IMPORTS.search(text)
    if imported and any(each.line != number for each in file.occurrences([imported[1]])):
        return f"{imported[1]} is used elsewhere in the file"
    changed = patched(file, [edit])
    if not stays_well_formed(file, changed) or not only_lacks_line(file, changed, number):
        return "the lines around it would mean something else"
    return ""


def _statements_of(file: SourceFile, number: int) -> list[Node]:
    """The outermost nodes that begin and end in a line, comments left out."""
    text = file.lines[number - 1]
    node = file.node_at(number, len(text) - len(text.lstrip()) + 1)
    while node is not None and node.parent is not None:
        outer = node.parent
        if outer.type in _BODIES or outer.start_point[0] != number - 1:
            break
        if outer.end_point[0] != number - 1:
            break
        node = outer
    if node is None or node.parent is None:
        return []
    return [
        each
        for each in node.parent.named_children
        if each.start_point[0] == number - 1 and not each.is_extra
    ]


def _is_text(node: Node) -> bool:
    """Whether a statement is a text and nothing else."""
    inner = node.named_children
    return node.type == "expression_statement" and len(inner) == 1 and "string" in inner[0].type


def _is_in_string(file: SourceFile, number: int, column: int = 0) -> bool:
    """Whether what stands at a place of a line lies in a string or a comment."""
    from codebuddy.syntax.grammar import grammar_for

    grammar = grammar_for(file.language)
    node = file.node_at(number, column + 1)
    for _ in range(6):
        if node is None or grammar is None:
            return False
        if node.kind_id in grammar.comments or node.kind_id in grammar.strings:
            return True
        node = node.parent
    return False
