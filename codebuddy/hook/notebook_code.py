"""The code of a notebook's cells, each line where the file has it."""

from __future__ import annotations

from dataclasses import dataclass

from codebuddy.syntax.notebook import NotebookError, SourceString, read_notebook


@dataclass(frozen=True, slots=True)
class CellCode:
    """The code of a notebook's cells. `lines` has the file's line of each of its lines.

    `strings` holds, by line, the JSON string that is that line and has a line of the file to
    itself.
    """

    file: str
    language: str
    text: str
    lines: tuple[int, ...]
    strings: dict[int, SourceString]


def read_cell_code(source: bytes) -> CellCode | None:
    """The code of a notebook; `None` if it is none that can be read."""
    try:
        notebook = read_notebook(source.decode("utf-8"))
    except (NotebookError, UnicodeDecodeError):
        return None
    text: list[str] = []
    lines: list[int] = []
    strings: dict[int, SourceString] = {}
    for cell in notebook.code_cells:
        code = cell.text.removesuffix("\n").split("\n")
        for line, number in zip(code, notebook.lines_of(cell), strict=False):
            # Blank lines until the file's line is reached, so that both count alike.
            n_blank = max(0, number - 1 - len(text))
            lines += range(len(text) + 1, len(text) + 1 + n_blank)
            text += [""] * n_blank
            text.append(line.removesuffix("\r"))
            lines.append(number)
        for string in cell.strings:
            strings[notebook.line_at(string.start)] = string
    alone = {
        number: string for number, string in strings.items() if _is_alone(notebook.file, string)
    }
    return CellCode(notebook.file, notebook.language, "\n".join(text) + "\n", tuple(lines), alone)


def written_line(file: str, string: SourceString) -> tuple[str, str, str]:
    """A string's line in the file: what stands before its quotes, in them, and behind them."""
    start = file.rfind("\n", 0, string.start) + 1
    end = file.find("\n", string.end)
    after = file[string.end + 1 : len(file) if end < 0 else end].removesuffix("\r")
    return file[start : string.start - 1], file[string.start : string.end], after


def _is_alone(file: str, string: SourceString) -> bool:
    """Whether a string is one line of code and has a line of the file to itself."""
    before, _, after = written_line(file, string)
    is_one_line = "\n" not in string.text.removesuffix("\n")
    return is_one_line and not before.strip() and after.strip() in ("", ",")
