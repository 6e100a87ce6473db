"""The documents that an editor has open, and which of them belong to its workspace.

Decides which paths are inside the workspace; no file is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from codebuddy.completion.notebook import is_notebook, joined
from codebuddy.errors import UsageError
from codebuddy.positions import Encoding
from codebuddy.serve.open_notebooks import OpenNotebooks
from codebuddy.serve.text_document import EditorPosition, TextDocument
from codebuddy.syntax.languages import EDITOR_IDS, NOTEBOOK_CODE, NOTEBOOK_TEXT, extensions
from codebuddy.syntax.notebook import is_notebook_text

# Schemes that name a place; whatever they do not lead to is refused.
_PLACES = frozenset({"file", "http", "https", "ftp"})
_IN_GIT_FOLDER = re.compile(r"(/.*)/\.git//[^/]+/(.+)")


class EditorWorkspace:
    """Open documents by URI, and the folders that the editor works in."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._documents: dict[str, TextDocument] = {}
        self._roots: list[Path] = []
        self._notebooks = OpenNotebooks()

    def set_roots(self, uris: Iterable[str]) -> None:
        """The workspace's folders; without any, each file's own repository is its workspace."""
        found = [path for uri in uris if (path := path_of(uri)) is not None]
        self._roots = [Path(os.path.realpath(path)) for path in found]

    def add_root(self, uri: str) -> None:
        """A folder that joins."""
        path = path_of(uri)
        if path is not None:
            self._roots.append(Path(os.path.realpath(path)))

    def remove_root(self, uri: str) -> None:
        """A folder that leaves."""
        path = path_of(uri)
        if path is not None and (real := Path(os.path.realpath(path))) in self._roots:
            self._roots.remove(real)

    def open(self, uri: str, language_id: str, text: str, version: int) -> TextDocument:
        """A document that the editor opened.

        Raises:
            DocumentError: It is too large.
        """
        document = TextDocument(uri, language_id, "", self.encoding, version)
        document.replace_all(text)
        self._documents[uri] = document
        return document

    def get(self, uri: str) -> TextDocument:
        """An open document.

        Raises:
            UsageError: It is not open.
        """
        document = self._documents.get(uri)
        if document is None:
            raise UsageError(f"{uri} is not open")
        return document

    def change(
        self,
        uri: str,
        version: int,
        changes: Iterable[tuple[EditorPosition, EditorPosition, str] | str],
    ) -> TextDocument:
        """Follow changes: ranges with their new text, or a whole text.

        Raises:
            UsageError: The document is not open, or a range does not lie in it. Then it stays
                as it was before that change, and is not completed until it is sent whole.
            DocumentError: It grew too large; as above.
        """
        document = self.get(uri)
        for change in changes:
            if isinstance(change, str):
                document.replace_all(change)
            elif not document.problem:
                try:
                    document.replace(*change)
                except Exception:
                    document.problem = "a change did not fit; the editor's text is not known"
                    raise
        document.version = version
        return document

    def close(self, uri: str) -> None:
        """A document that the editor closed."""
        self._documents.pop(uri, None)

    def arrange_cells(
        self, notebook: str, start: int, n_removed: int, cells: Sequence[tuple[str, bool]]
    ) -> None:
        """A notebook was opened, or some of its cells were replaced.

        Args:
            notebook: Its URI.
            start: The first cell that changed, from 0.
            n_removed: How many go.
            cells: The URIs of those that come, and whether each is code.
        """
        self._notebooks.splice(notebook, start, n_removed, cells)

    def close_notebook(self, notebook: str) -> None:
        """A notebook that the editor closed, with its cells."""
        for uri in self._notebooks.forget(notebook):
            self.close(uri)

    def with_cells_above(self, document: TextDocument) -> tuple[str, int]:
        """The text that a document is completed in, and where its own begins there.

        A cell of a notebook stands behind the code of the cells above it, any other document
        alone.
        """
        if document.language_id == NOTEBOOK_TEXT:
            return document.text, 0
        above = self._notebooks.above(document.uri, list(self._documents))
        known = [each for uri in above if (each := self._documents.get(uri)) is not None]
        texts = [each.text for each in known if each.language_id == document.language_id]
        whole = joined([text.replace("\r\n", "\n") for text in texts], document.text)
        return whole, len(whole) - len(document.text)

    def language_of(self, document: TextDocument, file: str) -> str:
        """Language of a document, where its path does not say: a notebook's cells.

        Raises:
            UsageError: It is a notebook's own JSON.
        """
        if not is_notebook(file):
            return ""
        if is_notebook_text(document.text) and urlsplit(document.uri).scheme == "file":
            raise UsageError(
                f"{file} is open as a notebook's JSON, which is not completed",
                hint="open it as a notebook, or use 'codebuddy complete FILE:LINE --apply'",
            )
        language = EDITOR_IDS.get(document.language_id, document.language_id)
        return language if extensions(language) else NOTEBOOK_CODE

    def file_of(self, document: TextDocument) -> str:
        """The absolute path that stands for a document; a made-up one for a buffer without file.

        Raises:
            UsageError: It lies outside the workspace, or is no file of this machine.
        """
        uri = self._notebooks.notebook_of(document.uri) or document.uri
        scheme = urlsplit(uri).scheme
        if scheme not in _PLACES:
            # A buffer, or another program's view of a file: the text is the editor's.
            path = _viewed_path(uri)
            if path is not None and self._roots and self._is_inside(path):
                return path
            folder = self._roots[0] if self._roots else Path.cwd()
            suffix = _extension(document.language_id) or Path(path or "").suffix
            return str(folder / f"untitled{suffix}")
        path = path_of(uri)
        if path is None:
            raise UsageError(f"{uri:.200} is no file of this machine")
        if self._roots and not self._is_inside(path):
            raise UsageError(
                f"{path} is outside the workspace", hint="open its folder in the editor"
            )
        return path

    def _is_inside(self, path: str) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in self._roots)


def path_of(uri: str) -> str | None:
    """The path of a `file:` URI of this machine, or `None`."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not os.path.isabs(path) or "\0" in path:  # noqa: PTH117
        return None
    return os.path.normpath(path)


def _viewed_path(uri: str) -> str | None:
    """The path that a URI of another scheme speaks of, such as `git:` or a notebook's cell."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = os.fsdecode(unquote_to_bytes(parts.path))
    # fugitive:///repository/.git//COMMIT/path
    if match := _IN_GIT_FOLDER.fullmatch(path):
        path = f"{match[1]}/{match[2]}"
    if not os.path.isabs(path) or "\0" in path:  # noqa: PTH117
        return None
    return os.path.normpath(path)


def _extension(language_id: str) -> str:
    known = extensions(EDITOR_IDS.get(language_id, language_id))
    return f".{known[0]}" if known else ""
