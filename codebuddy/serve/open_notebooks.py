"""Which cells the notebooks have that an editor has open, and in which order.

An editor that tells notebooks apart from their cells says the order; of one that opens cells as
plain documents, those of one file follow each other as they were opened. It holds no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

_CELL_SCHEME = "notebook-cell"


class OpenNotebooks:
    """Notebooks by URI, each with the URIs of its cells."""

    def __init__(self) -> None:
        self._cells: dict[str, list[tuple[str, bool]]] = {}
        self._notebook_of: dict[str, str] = {}

    def splice(
        self, notebook: str, start: int, n_removed: int, cells: Sequence[tuple[str, bool]]
    ) -> None:
        """Put cells, each with whether it is code, in the place of `n_removed` from `start` on."""
        known = self._cells.setdefault(notebook, [])
        start = max(0, start)
        for uri, _ in known[start : start + max(0, n_removed)]:
            self._notebook_of.pop(uri, None)
        known[start : start + max(0, n_removed)] = cells
        self._notebook_of.update((uri, notebook) for uri, _ in cells)

    def forget(self, notebook: str) -> list[str]:
        """Forget a notebook; the URIs of its cells."""
        uris = [uri for uri, _ in self._cells.pop(notebook, [])]
        for uri in uris:
            self._notebook_of.pop(uri, None)
        return uris

    def notebook_of(self, uri: str) -> str:
        """The notebook that a cell belongs to; empty if it is none that is known."""
        return self._notebook_of.get(uri, "")

    def above(self, uri: str, opened: Sequence[str]) -> list[str]:
        """The cells of code above a cell, in order; none for any other document.

        Args:
            uri: The cell's.
            opened: All open documents in the order of their opening.
        """
        if (notebook := self._notebook_of.get(uri)) is not None:
            above = []
            for each, is_code in self._cells.get(notebook, []):
                if each == uri:
                    break
                if is_code:
                    above.append(each)
            return above
        file = _file_of_cell(uri)
        if not file or uri not in opened:
            return []
        before = opened[: opened.index(uri)]
        return [each for each in before if _file_of_cell(each) == file]


def _file_of_cell(uri: str) -> str:
    """What the cells of one notebook share of their URIs; empty for other documents."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    return f"{parts.netloc}{parts.path}" if parts.scheme.endswith(_CELL_SCHEME) else ""
