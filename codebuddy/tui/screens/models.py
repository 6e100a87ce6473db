"""The models screen: what there is, what is installed, what is in use; pulling and switching."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, ProgressBar, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from codebuddy.errors import CodebuddyError
from codebuddy.tui import literal
from codebuddy.tui.backend import Backend, ModelLine, PullProgress
from codebuddy.tui.widgets.modal import Modal


class ModelsScreen(Modal[str]):
    """Enter uses a model, after pulling it if need be. Answers with the model in use."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close, or stop a download")
    ]

    def __init__(self, backend: Backend, chosen: str = "") -> None:
        super().__init__()
        self._backend = backend
        self._chosen = chosen
        self._lines: Sequence[ModelLine] = ()
        self._work: Worker[None] | None = None
        self._bar = ProgressBar(show_eta=True)
        self._progress: PullProgress | None = None

    def compose(self) -> ComposeResult:
        """List, bar, note."""
        with Vertical(classes="page"):
            yield Static(literal.line("models", "bold $primary"), classes="page-title")
            yield OptionList(markup=False)
            yield self._bar
            yield Static(id="page-note", classes="page-note", markup=False)

    def on_mount(self) -> None:
        """Show the catalog; pull at once what was chosen before."""
        self._bar.display = False
        self._work = self._begin()

    def on_unmount(self) -> None:
        """A download goes no further."""
        if self._progress is not None:
            self._progress.is_cancelled.set()

    @work
    async def _begin(self) -> None:
        await self._list()
        chosen = next((each for each in self._lines if each.name == self._chosen), None)
        if chosen is not None:
            await self._use(chosen)

    async def _list(self) -> None:
        try:
            self._lines = await self._backend.models()
        except CodebuddyError as error:
            self.show_error(error)
            return
        options = self.query_one(OptionList)
        at = options.highlighted
        options.clear_options()
        options.add_options([Option(_line(each)) for each in self._lines])
        options.highlighted = at or 0
        options.focus()
        self.show_message("Enter uses a model, and pulls it first if it is not here; Esc closes")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Use it."""
        event.stop()
        if self._work is None or self._work.is_finished:
            self._work = self._choose(self._lines[event.option_index])

    @work
    async def _choose(self, model: ModelLine) -> None:
        await self._use(model)

    async def _use(self, model: ModelLine) -> None:
        try:
            if not model.is_installed:
                await self._pull(model)
            self.show_message(f"loading {model.name} …")
            await self._backend.use(model.name)
        except CodebuddyError as error:
            self.show_error(error)
            return
        finally:
            self._bar.display = False
        await self._list()
        self.show_message(f"{model.name} is in use")

    async def _pull(self, model: ModelLine) -> None:
        self._bar.display = True
        loop = asyncio.get_running_loop()

        def show(done_bytes: int, total_bytes: int | None) -> None:
            self._bar.update(total=total_bytes, progress=done_bytes)

        def forward(done_bytes: int, total_bytes: int | None) -> None:
            loop.call_soon_threadsafe(show, done_bytes, total_bytes)

        self._progress = PullProgress(forward)
        self.show_message(f"pulling {model.name} ({model.size}); Esc stops, what arrived is kept")
        try:
            await self._backend.pull(model.name, self._progress)
        finally:
            self._progress = None

    def action_close(self) -> None:
        """Stop a download; without one, close."""
        if self._progress is not None:
            self._progress.is_cancelled.set()
        else:
            self.dismiss(self._backend.model)


def _line(model: ModelLine) -> Content:
    mark = "●" if model.is_in_use else "✓" if model.is_installed else " "
    state = "in use" if model.is_in_use else "installed" if model.is_installed else "not here"
    return Content("").join(
        [
            literal.line(f"{mark} ", "$primary"),
            literal.line(f"{model.name:<24}", "bold"),
            literal.line(f"{model.size:>9}  {model.licence}  {state}", literal.MUTED),
            Content("\n"),
            literal.line(f"  {model.good_for}", literal.MUTED),
        ]
    )
