"""The language server: suggestions as an editor shows them while its user types.

`textDocument/inlineCompletion` (3.18) where the editor has it, and one item of
`textDocument/completion` where it has not. Only here and in `lsp_protocol.py` is the
protocol's library used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from codebuddy import __version__
from codebuddy.completion.notebook import is_notebook
from codebuddy.errors import CodebuddyError
from codebuddy.positions import Encoding
from codebuddy.serve.completion_item import ACCEPTED_COMMAND, completion_item, takes_one_line
from codebuddy.serve.framing import FramedInput
from codebuddy.serve.inline_completion import InlineCompletionProvider, ShownSuggestion
from codebuddy.serve.lsp_protocol import CompletionServer
from codebuddy.serve.stdio import take_stdio, watch_process
from codebuddy.serve.text_document import EditorPosition, TextDocument
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.client import CompletionClient

RECEIPT_COMMAND = "codebuddy.receipt"
# After these a fallback client asks by itself; inside words it does so anyway.
_TRIGGER_CHARACTERS = (".", "(", "[", "{", ",", "=", ":", " ")


def run(client: CompletionClient, model: str | None, process_id: int | None = None) -> int:
    """Serve the editor at stdin and stdout until it ends.

    Args:
        client: Answers the requests.
        model: A name of the catalog, or a path; None leaves it to the settings.
        process_id: The editor's, if the command line named it.

    Returns:
        The exit code: 0 if the editor said goodbye or left, 1 if it sent what cannot be read
        or ended the server without warning.
    """
    source, sink = take_stdio()
    # Its messages quote what editors send, which is code.
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    server = CompletionServer(__version__)

    def warn(sentence: str) -> None:
        server.notify_once(f"codebuddy: {sentence}", types.MessageType.Warning)

    async_client = AsyncClient(client, warn)
    front = _EditorFrontend(server, InlineCompletionProvider(async_client, model))
    front.register()
    if process_id is not None:
        watch_process(process_id, _leave)
    framed = FramedInput(source, server.notify_once)
    is_at_end = False
    try:
        server.start_io(cast("Any", framed), sink)
        is_at_end = framed.is_at_end
    finally:
        async_client.close()
    return 0 if server.protocol.is_shut_down or (is_at_end and not framed.is_broken) else 1


def _leave() -> None:
    # The main thread waits for bytes that will not come; the engine sees its sockets close.
    os._exit(1)


class _EditorFrontend:
    """Translates between the protocol and the suggester."""

    def __init__(self, server: CompletionServer, provider: InlineCompletionProvider) -> None:
        self._server = server
        self._documents = server.documents
        self._provider = provider
        self._is_one_line = False

    def register(self) -> None:
        """Say what is offered."""
        handlers: dict[str, Callable[..., None]] = {
            types.INITIALIZE: self._initialize,
            types.TEXT_DOCUMENT_DID_OPEN: self._did_open,
            types.TEXT_DOCUMENT_DID_CHANGE: self._did_change,
            types.TEXT_DOCUMENT_DID_CLOSE: self._did_close,
            types.NOTEBOOK_DOCUMENT_DID_CHANGE: self._did_change,
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self._folders_changed,
        }
        # pygls keeps its notes on the handler itself, which a bound method does not take.
        for name, handler in handlers.items():
            self._server.feature(name)(partial(handler))
        offer = types.InlineCompletionOptions()
        inline = self._server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, offer)
        inline(partial(self._inline_completion))
        self._server.command(ACCEPTED_COMMAND)(partial(self._accepted))
        self._server.command(RECEIPT_COMMAND)(partial(self._receipt))

    def _initialize(self, params: types.InitializeParams) -> None:
        folders = [folder.uri for folder in params.workspace_folders or []]
        root = params.root_uri or (f"file://{params.root_path}" if params.root_path else None)
        self._documents.set_roots(folders or ([root] if root else []))
        # pygls has it as a member of an enumeration or as a text, as the editor sent it.
        encoding = self._server.workspace.position_encoding
        self._documents.encoding = cast("Encoding", getattr(encoding, "value", encoding))
        if params.process_id is not None:
            watch_process(params.process_id, _leave)
        self._is_one_line = takes_one_line(params.client_info)
        text_document = params.capabilities.text_document
        has_inline = text_document is not None and text_document.inline_completion is not None
        options = params.initialization_options
        wanted = options.get("completion") if isinstance(options, dict) else None
        if wanted is True or (wanted is None and not has_inline):
            offer = types.CompletionOptions(trigger_characters=list(_TRIGGER_CHARACTERS))
            fallback = self._server.feature(types.TEXT_DOCUMENT_COMPLETION, offer)
            fallback(partial(self._completion))

    def _folders_changed(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        for folder in params.event.added:
            self._documents.add_root(folder.uri)
        for folder in params.event.removed:
            self._documents.remove_root(folder.uri)

    def _did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = self._documents.get(params.text_document.uri)
        if (file := self._file_of(document)) is not None and not is_notebook(file):
            self._provider.opened(file, document)

    def _did_change(
        self, _params: types.DidChangeTextDocumentParams | types.DidChangeNotebookDocumentParams
    ) -> None:
        self._provider.typed()

    def _did_close(self, _params: types.DidCloseTextDocumentParams) -> None:
        """Registered so that it is announced; the protocol forgets the document."""

    async def _inline_completion(
        self, params: types.InlineCompletionParams
    ) -> types.InlineCompletionList:
        document, offset = self._find(params)
        span = types.Range(params.position, params.position)
        selected = params.context.selected_completion_info
        text = document
        if selected is not None:
            # Shown as if the selected item of the menu had been taken.
            span, taken = selected.range, selected.text
            with _refusing():
                text, offset = _with_text(document, span, taken)
        is_automatic = params.context.trigger_kind == types.InlineCompletionTriggerKind.Automatic
        shown = await self._suggest(text, offset, is_automatic=is_automatic)
        if shown is None:
            return types.InlineCompletionList([])
        before = "" if selected is None else selected.text
        item = types.InlineCompletionItem(
            insert_text=before + shown.text,
            range=span,
            command=types.Command("Accepted", ACCEPTED_COMMAND, arguments=[shown.number]),
        )
        return types.InlineCompletionList([item])

    async def _completion(self, params: types.CompletionParams) -> types.CompletionList:
        document, offset = self._find(params)
        shown = await self._suggest(document, offset, is_automatic=True)
        if shown is None:
            return types.CompletionList(is_incomplete=True, items=[])
        item = completion_item(document, offset, shown, is_one_line=self._is_one_line)
        return types.CompletionList(is_incomplete=True, items=[] if item is None else [item])

    def _find(
        self, params: types.InlineCompletionParams | types.CompletionParams
    ) -> tuple[TextDocument, int]:
        with _refusing():
            document = self._documents.get(params.text_document.uri)
            return document, document.offset_at(_place(params.position))

    async def _suggest(
        self, document: TextDocument, offset: int, *, is_automatic: bool
    ) -> ShownSuggestion | None:
        file = self._file_of(document)
        if file is None or document.problem:
            return None
        try:
            language = self._documents.language_of(document, file)
            text, begin = self._documents.with_cells_above(document)
            if begin:
                document = replace(document, text=text, _starts=[])
            return await self._provider.suggest(
                document, begin + offset, file, language=language, is_automatic=is_automatic
            )
        except CodebuddyError as error:
            self._notify_error(error)
            return None

    def _file_of(self, document: TextDocument) -> str | None:
        try:
            return self._documents.file_of(document)
        except CodebuddyError as error:
            self._notify_error(error)
            return None

    def _notify_error(self, error: CodebuddyError) -> None:
        hint = f" ({error.hint})" if error.hint else ""
        self._server.notify_once(f"codebuddy: {error.message}{hint}")

    def _accepted(self, *arguments: object) -> None:
        """`[id]`, or `[id, characters]` where a part was taken."""
        number = arguments[0] if arguments else None
        characters = arguments[1] if len(arguments) > 1 else None
        if isinstance(number, int):
            taken = characters if isinstance(characters, int) and characters >= 0 else None
            self._provider.accepted(number, taken)

    def _receipt(self, *arguments: object) -> dict[str, Any] | None:
        """`[]` for the newest suggestion, or `[id]`."""
        number = arguments[0] if arguments else None
        return self._provider.receipt(number if isinstance(number, int) else None)


@contextmanager
def _refusing() -> Iterator[None]:
    """A wrong document or place answers the request with one sentence, and no traceback."""
    try:
        yield
    except CodebuddyError as error:
        raise JsonRpcInvalidParams(error.message) from error


def _place(position: types.Position) -> EditorPosition:
    return EditorPosition(position.line, position.character)


def _with_text(document: TextDocument, span: types.Range, text: str) -> tuple[TextDocument, int]:
    """A copy of the document in which `text` stands in the place of `span`, and its end."""
    changed = TextDocument(
        document.uri, document.language_id, document.text, document.encoding, document.version
    )
    offset = document.offset_at(_place(span.start)) + len(text)
    changed.replace(_place(span.start), _place(span.end), text)
    return changed, offset
