"""The Language Server Protocol's rules that pygls leaves open.

Documents are ours (`workspace.py`), so that a change lands exactly where the editor meant
it; a request that cannot be read is answered; nothing is served before `initialize` and
nothing after `shutdown`. It does not complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from codebuddy.errors import CodebuddyError
from codebuddy.serve.text_document import EditorPosition
from codebuddy.serve.workspace import EditorWorkspace
from codebuddy.syntax.notebook import MAX_CELLS

_SERVER_NOT_INITIALIZED = -32002
_INVALID_REQUEST = -32600

Change = tuple[EditorPosition, EditorPosition, str] | str


class CompletionServer(LanguageServer):
    """The server's side of one editor."""

    protocol: CompletionProtocol

    def __init__(self, version: str) -> None:
        every = types.NotebookDocumentFilterWithNotebook(notebook="*")
        super().__init__(
            "codebuddy",
            version,
            protocol_cls=CompletionProtocol,
            notebook_document_sync=types.NotebookDocumentSyncOptions([every]),
        )
        self.documents = EditorWorkspace()
        self._notified: set[str] = set()

    def notify_once(self, message: str, kind: types.MessageType = types.MessageType.Error) -> None:
        """An error, or a sentence of another kind, for the editor's log; the same one once."""
        if message not in self._notified:
            self._notified.add(message)
            self.window_log_message(types.LogMessageParams(kind, message))

    def report_server_error(self, error: Exception, source: object) -> None:
        """An error that no request can be answered with."""
        self.notify_once(f"codebuddy: a message could not be handled: {type(error).__name__}")


class CompletionProtocol(LanguageServerProtocol):
    """Messages in and out."""

    _server: CompletionServer

    def structure_message(self, data: dict[str, Any]) -> Any:
        """The message that `data` holds; a request that cannot be read is answered here."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "method" not in data or not isinstance(data.get("id"), int | str):
                raise
            self._send_response(data["id"], error=error.to_response_error())
            return None

    def handle_message(self, message: Any) -> None:
        """Serve a message, if it comes at its time."""
        if message is None:
            return
        method = getattr(message, "method", None)
        refusal = self._untimely(method)
        if refusal is None:
            super().handle_message(message)
        elif getattr(message, "id", None) is not None:
            self._send_response(message.id, error=refusal)

    def _untimely(self, method: str | None) -> types.ResponseError | None:
        if method is None or method == types.EXIT:
            return None
        if self._shutdown:
            return types.ResponseError(_INVALID_REQUEST, "the server was shut down")
        if self._workspace is None and method != types.INITIALIZE:
            return types.ResponseError(_SERVER_NOT_INITIALIZED, "initialize comes first")
        if self._workspace is not None and method == types.INITIALIZE:
            return types.ResponseError(_INVALID_REQUEST, "the server is initialized already")
        return None

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Any:
        """Store an opened document, then call the server's own handler."""
        item = params.text_document
        if self._open(item):
            yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Any:
        """Apply the changes, then call the server's own handler."""
        if self._change(params.text_document, params.content_changes):
            yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forget a document that was closed."""
        self._server.documents.close(params.text_document.uri)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        """Keep a notebook's cells and their order."""
        notebook = params.notebook_document
        for item in params.cell_text_documents:
            self._open(item)
        self._server.documents.arrange_cells(notebook.uri, 0, MAX_CELLS, _cells(notebook.cells))

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(
        self, params: types.DidChangeNotebookDocumentParams
    ) -> Any:
        """Apply changes of cells, then call the server's own handler."""
        change = params.change.cells
        if change is None:
            return
        if change.structure is not None:
            array = change.structure.array
            for item in change.structure.did_open or ():
                self._open(item)
            for closed in change.structure.did_close or ():
                self._server.documents.close(closed.uri)
            self._server.documents.arrange_cells(
                params.notebook_document.uri,
                array.start,
                array.delete_count,
                _cells(array.cells or ()),
            )
        followed = [self._change(each.document, each.changes) for each in change.text_content or ()]
        if any(followed):
            yield self.fm.features[types.NOTEBOOK_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(
        self, params: types.DidCloseNotebookDocumentParams
    ) -> None:
        """Forget a notebook and its cells."""
        self._server.documents.close_notebook(params.notebook_document.uri)
        for closed in params.cell_text_documents:
            self._server.documents.close(closed.uri)

    def _open(self, item: types.TextDocumentItem) -> bool:
        """Keep a document; whether it is one that can be kept."""
        try:
            self._server.documents.open(item.uri, item.language_id, item.text, item.version)
        except CodebuddyError as error:
            self._server.notify_once(f"codebuddy: {error.message}")
            return False
        return True

    def _change(
        self,
        document: types.VersionedTextDocumentIdentifier,
        events: Sequence[types.TextDocumentContentChangeEvent],
    ) -> bool:
        """Follow a document's changes; whether they fit."""
        changes = [_change(each) for each in events]
        try:
            self._server.documents.change(document.uri, document.version, changes)
        except CodebuddyError as error:
            self._server.notify_once(f"codebuddy: {error.message}")
            return False
        return True

    @property
    def is_shut_down(self) -> bool:
        """Whether the editor asked for the end as the protocol says."""
        return bool(self._shutdown)


def _cells(cells: Iterable[types.NotebookCell]) -> list[tuple[str, bool]]:
    return [(each.document, each.kind == types.NotebookCellKind.Code) for each in cells]


def _change(event: types.TextDocumentContentChangeEvent) -> Change:
    if not isinstance(event, types.TextDocumentContentChangePartial):
        return event.text
    start, end = event.range.start, event.range.end
    return (
        EditorPosition(start.line, start.character),
        EditorPosition(end.line, end.character),
        event.text,
    )
