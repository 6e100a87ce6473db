"""What the screen shows of suggestions: the last response, and the text of the status row."""

from __future__ import annotations

from collections.abc import Callable

from codebuddy.errors import CodebuddyError, ModelError
from codebuddy.service.response import CompletionResponse
from codebuddy.tui.backend import is_engine_unreachable
from codebuddy.tui.controllers.suggestions import SuggestionController
from codebuddy.tui.documents import EditorDocument
from codebuddy.tui.widgets.status_bar import StatusContent

# A longer wait is shown in seconds.
_LONG_S = 3.0


class SuggestionStatus:
    """Observes a `SuggestionController`.

    Args:
        on_change: The row may look different now.
        on_response: There is another `last_response`, with the keys of `complete --json`.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        on_response: Callable[[CompletionResponse], None],
    ) -> None:
        self.last_response: CompletionResponse | None = None
        self._on_change = on_change
        self._on_response = on_response
        self._text = ""
        self._has_failed = False

    def set_text(self, text: str) -> None:
        """Show a text, until the next key."""
        self._text, self._has_failed = text, False
        self._on_change()

    def clear_text(self) -> None:
        """A key was pressed; the caller shows the row again."""
        self._text = ""

    def suggestion_started(self) -> None:
        """The model works."""
        self._on_change()

    def suggestion_ended(self, response: CompletionResponse | None) -> None:
        """It stopped: show why the suggestion is what it is."""
        if response is not None:
            self.last_response = response
            if self._has_failed:
                self._has_failed, self._text = False, ""
            self._text = self._text or ("" if response["text"] else "nothing to add")
            self._on_response(response)
        self._on_change()

    def suggestion_failed(self, error: CodebuddyError) -> None:
        """It failed: quietly, since a person types."""
        self._has_failed = True
        if isinstance(error, ModelError):
            self._text = f"{error.message} (F6)"
        elif is_engine_unreachable(error):
            self._text = "the engine ended; it starts again with the next suggestion"
        else:
            self._text = error.message
        self._on_change()

    def is_waiting_long(self, suggester: SuggestionController) -> bool:
        """Whether the row counts seconds."""
        return suggester.waiting_s >= _LONG_S

    def content(
        self, document: EditorDocument | None, suggester: SuggestionController, model: str
    ) -> StatusContent:
        """The status row for the document in front and the model in use."""
        is_working = suggester.is_running
        state = self._text or model
        if is_working:
            state = f"… {suggester.waiting_s:.0f} s" if self.is_waiting_long(suggester) else "…"
        if document is None:
            return StatusContent(state=state, is_working=is_working, has_failed=self._has_failed)
        editing = document.editor.editing
        return StatusContent(
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
