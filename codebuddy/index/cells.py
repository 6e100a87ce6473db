"""A notebook's cells, cut and read for symbols: their code alone, no outputs and no metadata.

Lines are those of the notebook's file, where an editor shows them; bytes are those of the
cells' text, which is what is stored. It opens no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codebuddy.index.parts import Part, read_part
from codebuddy.index.symbols import FoundDefinition
from codebuddy.syntax.notebook import Cell, NotebookError, parsable, read_notebook


@dataclass(frozen=True, slots=True)
class CellPart:
    """One cell: its text as bytes, what is in it, and the file's line of each of its lines."""

    source: bytes
    part: Part
    lines: Sequence[int]

    def line(self, number: int) -> int:
        """The line in the file of the cell's line `number`, both from 1."""
        return self.lines[max(0, min(number, len(self.lines)) - 1)]


def read_cells(source: bytes, deadline: float) -> tuple[str, list[CellPart]]:
    """The kernel's language and the cells that hold any text.

    Args:
        source: The notebook's bytes.
        deadline: When to give up, on the clock of `time.monotonic`; cells after it are cut by
            lines.

    Raises:
        NotebookError: It is none that can be read.
    """
    try:
        file = source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotebookError(f"it is not UTF-8 text (byte {error.start})") from None
    notebook = read_notebook(file)
    return notebook.language, [
        _read(cell, notebook.lines_of(cell), deadline)
        for cell in notebook.cells
        if cell.text.strip()
    ]


def _read(cell: Cell, lines: Sequence[int], deadline: float) -> CellPart:
    text = cell.text if cell.text.endswith("\n") else cell.text + "\n"
    # What is masked for the parser stays in the text that is kept.
    code = parsable(text, cell.language).encode("utf-8", "replace")
    part = read_part(code, cell.language, deadline)
    if cell.kind != "code":
        # Headings are no names that code could mean.
        part = Part(part.cuts, fallback=part.fallback)
    return CellPart(text.encode("utf-8", "replace"), part, lines)


def moved_definition(found: FoundDefinition, cell: CellPart, n_bytes: int) -> FoundDefinition:
    """A definition of a cell with its lines in the file, and `n_bytes` further down the text."""
    return replace(
        found,
        line=cell.line(found.line),
        end_line=cell.line(found.end_line),
        start_byte=found.start_byte + n_bytes,
        extent=(found.extent[0] + n_bytes, found.extent[1] + n_bytes),
    )
