"""The same place with never, always and auto side by side: what a lookup changed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from codebuddy.datatypes import RETRIEVE_MODES
from codebuddy.errors import CodebuddyError
from codebuddy.service.response import CompletionResponse
from codebuddy.terminal import counted
from codebuddy.tui import literal
from codebuddy.tui.backend import Backend, SuggestionRequest
from codebuddy.tui.widgets.editor_view import EditorView
from codebuddy.tui.widgets.modal import Modal

_LEAD_CHARACTERS = 12


class CompareScreen(Modal[str]):
    """Three suggestions; a digit takes one of them, Escape none (an empty text)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Close"),
        Binding("1", "take(0)", "Take what came without a lookup"),
        Binding("2", "take(1)", "Take what came with one"),
        Binding("3", "take(2)", "Take what came by the decision"),
    ]

    def __init__(
        self, backend: Backend, request: SuggestionRequest, line_before: str, language: str
    ) -> None:
        super().__init__()
        self._backend = backend
        self._request = request
        self._line_before = line_before
        self._language = language
        self.answers: dict[str, CompletionResponse] = {}

    def compose(self) -> ComposeResult:
        """A column for each arm."""
        with Vertical(classes="page"):
            yield Static(
                literal.line(
                    "what a lookup changes (1, 2, 3 take one; Esc closes)", "bold $primary"
                ),
                classes="page-title",
            )
            with Horizontal(id="arms"):
                for mode in RETRIEVE_MODES:
                    with Vertical(classes="arm", id=f"arm-{mode}"):
                        yield Static(literal.line(mode, "bold"), classes="arm-title")

    def on_mount(self) -> None:
        """Ask one after the other, since there is one model."""
        self._ask_all()

    def action_take(self, index: int) -> None:
        """Insert one of the suggestions."""
        answer = self.answers.get(RETRIEVE_MODES[index])
        if answer is not None and answer["text"]:
            self.dismiss(answer["text"].replace("\r\n", "\n"))

    @work
    async def _ask_all(self) -> None:
        for number, mode in enumerate(RETRIEVE_MODES, 1):
            title = self.query_one(f"#arm-{mode} .arm-title", Static)
            title.update(literal.line(f"{number} {mode} …", "bold $accent"))
            request = replace(
                self._request, retrieve=mode, client=f"compare-{mode}", is_asked_for=True
            )
            try:
                answer = await self._backend.complete(request)
            except CodebuddyError as error:
                title.update(literal.line(f"{number} {mode}: {error.message}", "$error"))
                continue
            self.answers[mode] = answer
            title.update(self._title(number, mode, answer))
            text = answer["text"].replace("\r\n", "\n")
            shown = self._lead() + text if text else "(nothing to add)"
            view = EditorView(shown, language=self._language)
            view.can_focus = False
            await self.query_one(f"#arm-{mode}").mount(view)

    def _lead(self) -> str:
        """The end of the line that the suggestions go on with; columns are narrow."""
        line = self._line_before.lstrip()
        return line if len(line) <= _LEAD_CHARACTERS else "…" + line[-_LEAD_CHARACTERS:]

    def _title(self, number: int, mode: str, answer: CompletionResponse) -> Content:
        decision, total_ms = answer["decision"], answer["timings_ms"]["total"]
        others = [each["text"] for other, each in self.answers.items() if other != mode]
        same = "  same as before" if answer["text"] in others else ""
        verdict = "looked up" if decision["retrieve"] else "not looked up"
        # The chunks are those of the text that was kept.
        is_dropped = decision["kept"] == "first"
        used = "first text kept" if is_dropped else counted(len(answer["chunks"]), "chunk")
        facts = f"{verdict}, {used}, {total_ms:.0f} ms{same}"
        return Content("\n").join(
            [
                literal.line(f"{number} {mode}", "bold $primary"),
                literal.line(facts, literal.MUTED),
                literal.line(decision["reason"], literal.MUTED),
            ]
        )
