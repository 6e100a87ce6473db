"""CB106: a stub in new code, with the model's completion of it as a patch.

Without a model that answers in time there is no finding: the stub's author knows it. Python only,
where a stub can be distinguished from an interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebuddy.hook.finding import Evidence, FileEdit, Finding
from codebuddy.hook.patching import patched, stays_well_formed
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.index.symbols import FoundDefinition
from codebuddy.syntax.traits import traits_of

_KINDS = frozenset({"function", "method"})
_STUB = re.compile(
    r"(?:pass|\.\.\.|raise NotImplementedError(?:\(.*\))?|(?:#\s*(?:TODO|FIXME)\b.*\n\s*)?"
    r"(?:pass|\.\.\.))"
)
_MAYBE_STUB = re.compile(rb"(?m)^[^\S\n]++(?:(?:pass|raise NotImplementedError)\b|\.\.\.)")
# Where an empty body is what is meant.
_INTERFACE = re.compile(r"@(?:\w+\.)*(?:abstract\w*|overload|override|typing\.overload)\b")
_INTERFACE_CLASS = re.compile(r"\b(?:ABC|Protocol|ABCMeta|Interface)\b")
_EMPTY_ON_PURPOSE = re.compile(r"(?i)noop|no_op|dummy|null|stub|ignore|abstract|base|hook|on_")
_MAX_STUBS = 3
_MAX_LINES = 12
_LINES_ABOVE = 4


def may_apply(review: Review) -> bool:
    """Whether a changed file may hold a stub."""
    return any(
        "stubs" in traits_of(file.language).analyses and _MAYBE_STUB.search(file.source)
        for _, file in review.state.written()
    )


def check(review: Review) -> Iterator[Finding]:
    """Stubs that the model could complete."""
    if review.model is None:
        return
    count = 0
    for change, file in review.state.written():
        has_stubs = "stubs" in traits_of(file.language).analyses
        if not has_stubs or role_of(change.path, file.source) != "code":
            continue
        added = review.state.added(change)
        for definition in file.symbols.definitions:
            review.check_time()
            body = _stub_body(file, definition)
            if body is None or not added.issuperset(range(body[0], body[1] + 1)):
                continue
            finding = _completed(review, file, definition, body)
            if finding is not None:
                yield finding
                count += 1
            if count >= _MAX_STUBS:
                return


def _stub_body(file: SourceFile, definition: FoundDefinition) -> tuple[int, int] | None:
    """The first and last line of a body that is a stub, documentation left out."""
    if definition.kind not in _KINDS or file.path.endswith(".pyi"):
        return None
    start, end = definition.extent
    assert file.tree is not None
    node = file.tree.root_node.descendant_for_byte_range(start, end - 1)
    if node is None or node.type != "function_definition":
        return None
    body = node.child_by_field_name("body")
    if body is None or _is_interface(file, definition):
        return None
    statements = body.named_children
    if statements and statements[0].type == "expression_statement":
        inner = statements[0].named_children
        if inner and inner[0].type == "string":
            statements = statements[1:]
    if not statements or statements[0].start_point[0] == node.start_point[0]:
        return None
    first, last = statements[0].start_point[0] + 1, statements[-1].end_point[0] + 1
    text = "\n".join(file.lines[first - 1 : last]).strip()
    return (first, last) if _STUB.fullmatch(text) else None


def _is_interface(file: SourceFile, definition: FoundDefinition) -> bool:
    if _EMPTY_ON_PURPOSE.search(definition.name) or definition.name.startswith("__"):
        return True
    above = "\n".join(file.lines[max(0, definition.line - 1 - _LINES_ABOVE) : definition.line - 1])
    owner = definition.qualified.rpartition(".")[0]
    signature = next((d.signature for d in file.symbols.definitions if d.qualified == owner), "")
    return bool(_INTERFACE.search(above) or _INTERFACE_CLASS.search(signature.partition("(")[2]))


def _completed(
    review: Review, file: SourceFile, definition: FoundDefinition, body: tuple[int, int]
) -> Finding | None:
    """The finding with the model's body as its edit; `None` if the model has none."""
    assert review.model is not None
    first, last = body
    old = "\n".join(file.lines[first - 1 : last])
    indent = old[: len(old) - len(old.lstrip())]
    lines = [*file.lines[: first - 1], indent, *file.lines[last:]]
    content, column = "\n".join(lines), len(indent) + 1
    text = review.model.complete(file.path, content, first, column, _MAX_LINES)
    new = (indent + text).rstrip()
    edit = FileEdit(file.path, first, last, old, new)
    if not text.strip() or _STUB.fullmatch(text.strip()) or not _is_body(file, edit, definition):
        return None
    return Finding(
        "CB106",
        file.path,
        first,
        len(indent) + 1,
        f"{definition.name}() is a stub; the model has a body for it",
        tuple(Evidence(file.path, first, line) for line in new.split("\n")[:3]),
        edits=(edit,),
    )


def _is_body(file: SourceFile, edit: FileEdit, definition: FoundDefinition) -> bool:
    """Whether the file parses with the new body, and the body is the function's to its end."""
    assert edit.new is not None
    changed = patched(file, [edit])
    if not stays_well_formed(file, changed):
        return False
    last = edit.first_line + edit.new.count("\n")
    same = [each for each in changed.symbols.definitions if each.line == definition.line]
    return any(each.name == definition.name and each.end_line == last for each in same)
