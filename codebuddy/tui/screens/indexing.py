"""The index screen: brings the index up to date and shows how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ProgressBar, Static

from codebuddy.errors import CodebuddyError
from codebuddy.terminal import counted
from codebuddy.tui import literal
from codebuddy.tui.backend import Backend, IndexStep
from codebuddy.tui.widgets.modal import Modal


class IndexScreen(Modal[None]):
    """Updates at once; closing it stops an update, which loses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "dismiss(None)", "Close")]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._backend = backend

    def compose(self) -> ComposeResult:
        """Bar and report."""
        with Vertical(classes="dialog"):
            yield Static(literal.line("the repository's index", "bold $primary"))
            yield ProgressBar(show_eta=False)
            yield Static("looking for changes …", id="index-report", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self._update()

    @work
    async def _update(self) -> None:
        report = self.query_one("#index-report", Static)
        try:
            result = await self._backend.update_index(self._show)
        except CodebuddyError as error:
            report.update(literal.line(f"{error.message}. {error.hint}", "$error"))
            return
        bar = self.query_one(ProgressBar)
        bar.update(total=1, progress=1)
        report.update(index_report(result))

    def _show(self, step: IndexStep) -> None:
        self.query_one(ProgressBar).update(total=step.total_files or None, progress=step.done_files)
        text = step.message or f"{step.done_files} of {counted(step.total_files, 'file')}"
        self.query_one("#index-report", Static).update(literal.line(text, literal.MUTED))


def index_report(result: Mapping[str, Any]) -> Content:
    """What an update of the index did, as the screen shows it."""
    languages = result.get("languages")
    named = list(languages.items())[:6] if isinstance(languages, Mapping) else []
    skipped = result.get("skipped")
    left_out = skipped.items() if isinstance(skipped, Mapping) else []
    lines = [
        f"{counted(result.get('files', 0), 'file')}, {counted(result.get('chunks', 0), 'chunk')} "
        f"in {float(result.get('seconds') or 0):.1f} s",
        f"{result.get('added', 0)} added, {result.get('updated', 0)} updated, "
        f"{result.get('removed', 0)} removed",
        ", ".join(f"{name} {count}" for name, count in named),
        ", ".join(f"{reason}: {count} left out" for reason, count in left_out),
        "Esc closes",
    ]
    return Content("\n").join(literal.line(line) for line in lines if line)
