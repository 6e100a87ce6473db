"""Small questions: one of a few answers, or a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.tui import literal
from codebuddy.tui.widgets.entry import Entry, EntryModal


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer that can be chosen: what it stands for, and its words."""

    value: str
    label: str


class ChoiceScreen(ModalScreen[str]):
    """A question with a few answers; Escape, if it may, answers with an empty text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(
        self,
        question: str,
        choices: Sequence[Choice],
        detail: str = "",
        *,
        can_cancel: bool = True,
    ) -> None:
        super().__init__()
        self._can_cancel = can_cancel
        self._question = question
        self._detail = detail
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Question, detail, answers."""
        with Vertical(classes="dialog"):
            yield Static(literal.line(self._question, "bold"), classes="dialog-title")
            if self._detail:
                yield Static(literal.lines(self._detail, literal.MUTED), classes="dialog-detail")
            yield OptionList(*[Option(literal.line(each.label)) for each in self._choices])

    def action_cancel(self) -> None:
        """Answer with nothing, where that is an answer."""
        if self._can_cancel:
            self.dismiss("")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """That is the answer."""
        self.dismiss(self._choices[event.option_index].value)


class EntryScreen(EntryModal[str]):
    """A line of text; Escape answers with an empty one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "Cancel")]

    def __init__(self, question: str, text: str = "") -> None:
        super().__init__()
        self._question = question
        self._text = text

    def compose(self) -> ComposeResult:
        """Question and line."""
        with Vertical(classes="dialog"):
            yield Static(literal.line(self._question, "bold"), classes="dialog-title")
            yield Entry(value=self._text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """That is the text."""
        self.dismiss(event.value)
