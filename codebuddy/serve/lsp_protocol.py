"""The Language Server Protocol's rules that pygls leaves open.

Documents are ours (`workspace.py`), so that a change lands exactly where the editor meant
it; a request that cannot be read is answered; nothing is served before `initialize` and
nothing after `shutdown`. It does not complete.
"""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from codebuddy.errors import CodebuddyError
from codebuddy.serve.open_document import EditorPosition
from codebuddy.serve.workspace import EditorWorkspace

_SERVER_NOT_INITIALIZED = -32002
_INVALID_REQUEST = -32600

Change = tuple[EditorPosition, EditorPosition, str] | str


class CompletionServer(LanguageServer):
    """The server's side of one editor."""

    protocol: CompletionProtocol

    def __init__(self, version: str) -> None:
        super().__init__("codebuddy", version, protocol_cls=CompletionProtocol)
        self.documents = EditorWorkspace()
        self._told: set[str] = set()

    def tell_once(self, message: str, kind: types.MessageType = types.MessageType.Error) -> None:
        """An error, or a sentence of another kind, for the editor's log; the same one once."""
        if message not in self._told:
            self._told.add(message)
            self.window_log_message(types.LogMessageParams(kind, message))

    def report_server_error(self, error: Exception, source: object) -> None:
        """An error that no request can be answered with."""
        self.tell_once(f"codebuddy: a message could not be handled: {type(error).__name__}")


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
        """Keep a document that was opened, then tell the server's own handler."""
        item = params.text_document
        try:
            self._server.documents.open(item.uri, item.language_id, item.text, item.version)
        except CodebuddyError as error:
            self._server.tell_once(f"codebuddy: {error.message}")
            return
        yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Any:
        """Follow the changes, then tell the server's own handler."""
        identifier = params.text_document
        changes = [_change(each) for each in params.content_changes]
        try:
            self._server.documents.change(identifier.uri, identifier.version, changes)
        except CodebuddyError as error:
            self._server.tell_once(f"codebuddy: {error.message}")
            return
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forget a document that was closed."""
        self._server.documents.close(params.text_document.uri)

    @property
    def is_shut_down(self) -> bool:
        """Whether the editor asked for the end as the protocol says."""
        return bool(self._shutdown)


def _change(event: types.TextDocumentContentChangeEvent) -> Change:
    if not isinstance(event, types.TextDocumentContentChangePartial):
        return event.text
    start, end = event.range.start, event.range.end
    return (
        EditorPosition(start.line, start.character),
        EditorPosition(end.line, end.character),
        event.text,
    )
