"""Notebooks as the rules see them: the code of the cells, each line where the file has it.

Rules speak of lines and columns of that code; `in_file` turns what they found into places and
patches of the notebook's own JSON. What cannot be patched for certain has no patch.
"""

from __future__ import annotations

from dataclasses import replace

from codebuddy.hook.finding import Evidence, FileEdit, Finding
from codebuddy.hook.notebook_code import CellCode, written_line
from codebuddy.hook.state import SourceFile, State
from codebuddy.syntax.notebook import escaped, place_in_string

# What these say is about the file's own text, whatever it holds.
_ABOUT_THE_FILE = frozenset({"CB110", "CB111"})


def in_file(finding: Finding, state: State) -> Finding:
    """A finding with its places and patches in the files as they are on disk."""
    if finding.rule in _ABOUT_THE_FILE:
        return finding
    cells = _cells_of(state.file(finding.path))
    line, column = finding.line, finding.column
    if cells is not None and line:
        line, column = _place(cells, line, column)
    edits = [_edit(each, _cells_of(state.file(each.path))) for each in finding.edits]
    whole = tuple(each for each in edits if each is not None)
    return replace(
        finding,
        line=line,
        column=column,
        evidence=tuple(_evidence(each, state) for each in finding.evidence),
        edits=whole if len(whole) == len(edits) else (),
    )


def _cells_of(file: SourceFile | None) -> CellCode | None:
    return None if file is None else file.cells


def _evidence(evidence: Evidence, state: State) -> Evidence:
    if not evidence.path.endswith(".ipynb") or not evidence.line:
        return evidence
    cells = _cells_of(state.file(evidence.path))
    return evidence if cells is None else replace(evidence, line=_line(cells, evidence.line))


def _line(cells: CellCode, line: int) -> int:
    return cells.lines[line - 1] if 0 < line <= len(cells.lines) else line


def _place(cells: CellCode, line: int, column: int) -> tuple[int, int]:
    number = _line(cells, line)
    string = cells.strings.get(number)
    if string is None or number != line:
        return number, 1
    start = cells.file.rfind("\n", 0, string.start) + 1
    return number, place_in_string(cells.file, string, column - 1) - start + 1


def _edit(edit: FileEdit, cells: CellCode | None) -> FileEdit | None:
    """The patch of the JSON that changes the code so; `None` where that is not certain."""
    if cells is None:
        return edit
    numbers = range(edit.first_line, edit.last_line + 1)
    strings = [cells.strings.get(number) for number in numbers]
    known = [each for each in strings if each is not None]
    if len(known) < len(strings) or any(_line(cells, number) != number for number in numbers):
        return None
    written = [written_line(cells.file, each) for each in known]
    indent = written[0][0]
    old = "\n".join(before + '"' + inner + '"' + after for before, inner, after in written)
    last, ending = known[-1], written[-1][2]
    if edit.new is None:
        # Without the last of a list, the one before it would have a comma too many.
        return replace(edit, old=old) if ending.strip() == "," else None
    lines = edit.new.split("\n")
    items = []
    for place, line in enumerate(lines):
        is_last = place == len(lines) - 1
        has_break = not is_last or last.text.endswith("\n")
        inner = escaped(line, cells.file) + "\\n" * has_break
        items.append(indent + '"' + inner + '"' + (ending if is_last else ","))
    return replace(edit, old=old, new="\n".join(items))
