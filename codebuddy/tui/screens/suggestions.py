"""The screen's upper half: suggestions while one types, their receipt, and the status row.

When to ask is `Suggester`'s; here is what the editor reports to it and what is shown of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import on, work

from codebuddy.errors import CodebuddyError, ModelError
from codebuddy.tui.backend import Backend, is_engine_gone
from codebuddy.tui.screens.desk import Desk
from codebuddy.tui.session_statistics import SessionStatistics
from codebuddy.tui.suggesting import Suggester
from codebuddy.tui.widgets.editor import Editor
from codebuddy.tui.widgets.editor_view import EditorView
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from codebuddy.tui.widgets.status_bar import StatusBar, StatusLine

# Whoever waits longer is told how long.
_LONG_S = 3.0


class SuggestingDesk(Desk):
    """A desk whose editors are suggested to. `receipt` is that of the last answer."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.statistics = SessionStatistics()
        self.suggester = Suggester(backend, self, self.statistics)
        self.receipt: Mapping[str, Any] | None = None
        self._notice = ""
        self._has_failed = False

    def refresh_tabs(self) -> None:
        """Marks stand in the tabs and in the status row."""
        super().refresh_tabs()
        self.refresh_status()

    def set_status(self, text: str) -> None:
        """Say something in the status row, until the next key."""
        self._notice, self._has_failed = text, False
        self.refresh_status()

    @on(EditorView.Changed)
    def editor_changed(self, event: EditorView.Changed) -> None:
        """Typing goes on; so does asking."""
        self._notice = ""
        document = self.document_controller.document_of(event.editor)
        if document is not None and not document.is_notebook:
            self.suggester.changed(document, is_typing=event.is_typing)
        self.refresh_tabs()

    @on(EditorView.Moved)
    def editor_moved(self, event: EditorView.Moved) -> None:
        """Nothing is suggested where nothing was typed."""
        self._notice = ""
        document = self.document_controller.document_of(event.editor)
        if document is not None and not document.is_notebook:
            self.suggester.moved(document)
        self.refresh_status()

    @on(Editor.GhostUsed)
    def ghost_used(self, event: Editor.GhostUsed) -> None:
        """Count what became of a suggestion."""
        characters = len("".join(event.text.split()))
        document = self.document_controller.document_of(event.editor)
        if event.how in ("accepted", "typed"):
            self.suggester.typed_over(event.text)
        if event.how == "accepted":
            self.statistics.accepted_characters += characters
            self._tell_accepted(event.text)
            if event.editor.ghost is None:
                self.statistics.accepted += 1
                if document is not None:
                    self.suggester.after_accepting(document)
        elif event.how == "typed":
            self.statistics.typed_over_characters += characters
        elif event.how == "dismissed":
            self.statistics.dismissed += 1
            self.suggester.cancel()
        elif event.how == "left":
            self.suggester.cancel()
        self.refresh_status()

    @on(Editor.SuggestionAsked)
    def suggestion_asked(self, event: Editor.SuggestionAsked) -> None:
        """A key asked for one."""
        document = self.document_controller.document_of(event.editor)
        if document is not None and document.is_notebook:
            self.notify_user(
                "nothing is suggested in a notebook's JSON; for a cell:"
                f" codebuddy complete {document.name}:LINE --apply"
            )
        elif document is not None and not document.opened.is_read_only:
            self.suggester.ask(document, should_vary=event.should_vary)

    @work(exclusive=True, group="accepted")
    async def _tell_accepted(self, text: str) -> None:
        await self.backend.accepted(text)

    def suggestion_started(self) -> None:
        """The model works."""
        self.refresh_status()

    def suggestion_ended(self, receipt: Mapping[str, Any] | None) -> None:
        """It stopped: show why the suggestion is what it is."""
        if receipt is not None:
            self.receipt = receipt
            if self._has_failed:
                self._has_failed, self._notice = False, ""
            self._notice = self._notice or ("" if receipt.get("text") else "nothing to add")
            self.query_one(ReceiptPanel).show(receipt)
        self.refresh_status()

    def suggestion_failed(self, error: CodebuddyError) -> None:
        """It failed: quietly, since a person types."""
        self._has_failed = True
        if isinstance(error, ModelError):
            self._notice = f"{error.message} (F6)"
        elif is_engine_gone(error):
            self._notice = "the engine ended; it starts again with the next suggestion"
        else:
            self._notice = error.message
        self.refresh_status()

    def action_toggle_automatic(self) -> None:
        """Suggest by itself, or only when asked."""
        self.suggester.is_automatic = not self.suggester.is_automatic
        self.suggester.cancel()
        how = "by themselves" if self.suggester.is_automatic else "when asked"
        self.set_status(f"suggestions come {how}")

    @on(ReceiptPanel.ChunkChosen)
    async def go_to_chunk(self, event: ReceiptPanel.ChunkChosen) -> None:
        """Jump to a chunk of the receipt."""
        await self.navigation.jump(event.path, event.line)

    # Status

    def on_mount(self) -> None:
        """Let a person who waits see that time goes by."""
        self.set_interval(1.0, self._count_seconds)

    def _count_seconds(self) -> None:
        if self.suggester.waiting_s >= _LONG_S:
            self.refresh_status()

    def _working_text(self) -> str:
        waiting_s = self.suggester.waiting_s
        return f"… {waiting_s:.0f} s" if waiting_s >= _LONG_S else "…"

    def refresh_status(self) -> None:
        """Show the last row as things are now."""
        if not self.is_mounted:
            return
        document = self.active
        is_working = self.suggester.is_running
        state = self._working_text() if is_working else self._notice or self.backend.model
        status = StatusLine(state=state, is_working=is_working, has_failed=self._has_failed)
        if document is not None:
            editing = document.editor.editing
            status = StatusLine(
                name=document.name,
                is_modified=document.is_modified,
                note=document.note,
                line=editing.cursor.line + 1,
                column=editing.cursor.column + 1,
                selected=len(editing.selected_text) if editing.has_selection else 0,
                language=document.editor.language,
                state=state,
                is_working=is_working,
                has_failed=self._has_failed and not is_working,
            )
        self.query_one(StatusBar).show(status, self.statistics)
