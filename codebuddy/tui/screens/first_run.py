"""What the first start shows where the model is missing: what works without, and a pull."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from codebuddy.tui import literal
from codebuddy.tui.backend import Backend, ModelLine

_TEXT = """\
Everything but suggestions works without a model: editing, search, definitions.
For suggestions a model is needed, once; it then runs on this machine alone."""


class FirstRunScreen(ModalScreen[None]):
    """Offers to pull the model in use, to choose another, or to go on without."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Go on without")]

    def __init__(self, backend: Backend, model: ModelLine) -> None:
        super().__init__()
        self._backend = backend
        self._model = model

    def compose(self) -> ComposeResult:
        """Text and choices."""
        model = self._model
        with Vertical(classes="dialog"):
            yield Static(literal.line("welcome to codebuddy", "bold $primary"))
            yield Static(literal.lines(_TEXT, literal.MUTED), classes="dialog-detail")
            yield OptionList(
                Option(literal.line(f"Pull {model.name} ({model.size}, {model.licence})")),
                Option(literal.line("Choose another model")),
                Option(literal.line("Build the repository's index now, for search")),
                Option(literal.line("Go on without")),
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do it."""
        from codebuddy.tui.screens.indexing import IndexScreen
        from codebuddy.tui.screens.models import ModelsScreen

        event.stop()
        self.dismiss(None)
        if event.option_index == 0:
            self.app.push_screen(ModelsScreen(self._backend, self._model.name))
        elif event.option_index == 1:
            self.app.push_screen(ModelsScreen(self._backend))
        elif event.option_index == 2:
            self.app.push_screen(IndexScreen(self._backend))
