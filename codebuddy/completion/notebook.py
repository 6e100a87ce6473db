"""A cell of a notebook as a document: the cells above it, then its own text up to the cursor.

A place in the notebook's file becomes one in that text, and a suggestion for it becomes JSON
again when it is written. It knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codebuddy import syntax
from codebuddy.datatypes import Document, Position
from codebuddy.errors import DocumentError, UsageError
from codebuddy.positions import position_at, resolve
from codebuddy.syntax.languages import NOTEBOOK_CODE
from codebuddy.syntax.notebook import (
    Cell,
    Notebook,
    NotebookError,
    SourceString,
    escaped,
    is_notebook_text,
    offset_in_string,
    place_in_string,
    read_notebook,
)

# What stands between two cells in the text that a model reads.
CELL_BREAK = "\n\n"


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A place in a cell: in `string` before the character `offset` of it, or in an empty list.

    `place` is the one in the file.
    """

    cell: Cell
    string: SourceString | None
    offset: int
    place: int


def is_notebook(path: str) -> bool:
    """Whether a path is that of a notebook, by its name."""
    return syntax.language_for(path) == syntax.NOTEBOOK


def joined(cells_above: Sequence[str], own: str) -> str:
    """The text of a cell behind those of the cells above it."""
    above = [each.rstrip("\n") for each in cells_above]
    return CELL_BREAK.join([*(each for each in above if each.strip()), own])


def cell_document(
    document: Document, line: int, column: int | None, *, must_be_notebook: bool = False
) -> tuple[Document, Position]:
    """The cell at a place of a notebook's file as a document, and the place in that.

    Text that is no JSON is what an editor made of the cells; it is completed as it is.

    Args:
        document: The file; its text is JSON.
        line: 1-based, of the file.
        column: 1-based, of the file; `None` is the end of the cell's line.
        must_be_notebook: Whether anything but JSON is an error, as it is on disk.

    Raises:
        DocumentError: It is no notebook that can be read.
        UsageError: The place lies in no cell's source.
    """
    if not is_notebook_text(document.text) and not must_be_notebook:
        position, _ = resolve(document.text, line, column, document.path)
        return replace(document, language=document.language or NOTEBOOK_CODE), position
    notebook = _read(document)
    cursor = _find(notebook, document.path, line, column)
    cell = cursor.cell
    above = [
        each.text
        for each in notebook.cells[: cell.number - 1]
        if (each.kind, each.language) == ("code", cell.language) and cell.kind == "code"
    ]
    text = joined(above, cell.text)
    own = len(text) - len(cell.text)
    for each in cell.strings:
        if each is cursor.string:
            break
        own += len(each.text)
    in_file = Position(line, notebook.column_at(cursor.place))
    found = replace(document, text=text, language=cell.language, cell=cell.number, in_file=in_file)
    return found, position_at(text, own + cursor.offset)


def written_form(document: Document, position: Position, text: str) -> tuple[int, str]:
    """Where in a notebook's file a suggestion goes, and how it is written there.

    A text of several lines becomes several strings of the list, each on a line of its own, where
    the notebook has its lines so.

    Args:
        document: The file; its text is JSON.
        position: A place in the file, with its column.
        text: What goes in there.

    Raises:
        DocumentError: It is no notebook that can be read.
        UsageError: The place lies in no cell's source.
    """
    notebook = _read(document)
    cursor = _find(notebook, document.path, position.line, position.column)
    lines = [escaped(line, notebook.file) for line in text.split("\n")]
    if cursor.string is None:
        return cursor.place, '"' + "\\n".join(lines) + '"'
    return cursor.place, (_between_lines(notebook.file, cursor.string) or "\\n").join(lines)


def _between_lines(file: str, string: SourceString) -> str:
    """What ends one string of a list and begins the next; empty if it has no line of its own."""
    start = file.rfind("\n", 0, string.start) + 1
    indent = file[start : string.start - 1]
    newline = file.find("\n", string.end)
    rest = file[string.end + 1 : len(file) if newline < 0 else newline]
    if newline < 0 or indent.strip() or rest.strip() not in ("", ","):
        return ""
    if file[:start].rstrip()[-1:] not in ("[", ","):
        return ""
    ending = "\r\n" if rest.endswith("\r") else "\n"
    return f'\\n",{ending}{indent}"'


def _read(document: Document) -> Notebook:
    try:
        return read_notebook(document.text)
    except NotebookError as error:
        raise DocumentError(
            f"{document.path} is no notebook that can be read: {error}",
            hint="open it in Jupyter and save it again",
        ) from error


def _find(notebook: Notebook, path: str, line: int, column: int | None) -> _Cursor:
    """The place in a cell that a line and a column of the file mean."""
    found = notebook.range_of_line(line)
    if found is None:
        # Says how many lines there are.
        resolve(notebook.file, line, column, path)
        raise AssertionError("a line that is not there was found")
    start, end = found
    strings = [
        (cell, each)
        for cell in notebook.cells
        for each in cell.strings
        if start <= each.start <= end
    ]
    empty = [cell for cell in notebook.cells if start <= cell.empty_at <= end]
    if not strings and not empty:
        raise UsageError(
            f"line {line} of {path} holds no source of a cell", hint=_example(notebook, path)
        )
    if column is None:
        cells = {cell.number for cell, _ in strings} | {cell.number for cell in empty}
        if len(cells) > 1:
            raise UsageError(
                f"line {line} of {path} holds the sources of {len(cells)} cells",
                hint="give a column too, as FILE:LINE:COLUMN",
            )
        if not strings:
            return _Cursor(empty[0], None, 0, empty[0].empty_at)
        cell, string = strings[-1]
        offset = len(string.text.removesuffix("\n").removesuffix("\r"))
        return _Cursor(cell, string, offset, place_in_string(notebook.file, string, offset))
    resolve(notebook.file, line, column, path)
    place = start + column - 1
    for cell, string in strings:
        if string.start <= place <= string.end:
            offset = offset_in_string(notebook.file, string, place)
            place = place_in_string(notebook.file, string, offset)
            return _Cursor(cell, string, offset, place)
    for cell in empty:
        if cell.empty_at == place:
            return _Cursor(cell, None, 0, place)
    raise UsageError(
        f"column {column} of line {line} of {path} lies outside of the cell's source",
        hint="leave out the column for the end of the cell's line",
    )


def _example(notebook: Notebook, path: str) -> str:
    """A place that would do."""
    for cell in notebook.cells:
        if cell.kind == "code" and cell.strings:
            return f"give a line of a cell's code, such as {path}:" + str(
                notebook.line_at(cell.strings[-1].start)
            )
    return "give a line that holds a cell's code"
