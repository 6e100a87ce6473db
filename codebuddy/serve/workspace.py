"""The documents that an editor has open, and which of them belong to its workspace.

Paths in and out of it are judged here; no file is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from codebuddy.errors import UsageError
from codebuddy.positions import Encoding
from codebuddy.serve.open_document import EditorPosition, OpenDocument
from codebuddy.syntax.languages import extensions

# The protocol's names of languages that have another one here.
_LANGUAGE_IDS = {
    "shellscript": "bash",
    "csharp": "c_sharp",
    "javascriptreact": "javascript",
    "typescriptreact": "tsx",
    "objective-c": "objc",
    "makefile": "make",
    "jsonc": "json",
    "terraform": "hcl",
    "less": "css",
    "scss": "css",
}


class EditorWorkspace:
    """Open documents by URI, and the folders that the editor works in."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._documents: dict[str, OpenDocument] = {}
        self._roots: list[Path] = []

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

    def open(self, uri: str, language_id: str, text: str, version: int) -> OpenDocument:
        """A document that the editor opened.

        Raises:
            DocumentError: It is too large.
        """
        document = OpenDocument(uri, language_id, "", self.encoding, version)
        document.replace_all(text)
        self._documents[uri] = document
        return document

    def get(self, uri: str) -> OpenDocument:
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
    ) -> OpenDocument:
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
            elif not document.trouble:
                try:
                    document.replace(*change)
                except Exception:
                    document.trouble = "a change did not fit; the editor's text is not known"
                    raise
        document.version = version
        return document

    def close(self, uri: str) -> None:
        """A document that the editor closed."""
        self._documents.pop(uri, None)

    def file_of(self, document: OpenDocument) -> str:
        """The absolute path that stands for a document; a made-up one for a buffer without file.

        Raises:
            UsageError: It lies outside the workspace, or is no file of this machine.
        """
        scheme = urlsplit(document.uri).scheme
        if scheme == "untitled" or not scheme:
            folder = self._roots[0] if self._roots else Path.cwd()
            return str(folder / f"untitled{_extension(document.language_id)}")
        path = path_of(document.uri)
        if path is None:
            raise UsageError(f"{document.uri:.200} is no file of this machine")
        real = Path(os.path.realpath(path))
        if self._roots and not any(real.is_relative_to(root) for root in self._roots):
            raise UsageError(
                f"{path} is outside the workspace", hint="open its folder in the editor"
            )
        return path


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


def _extension(language_id: str) -> str:
    known = extensions(_LANGUAGE_IDS.get(language_id, language_id))
    return f".{known[0]}" if known else ""
