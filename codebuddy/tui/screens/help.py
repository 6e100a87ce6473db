"""Every key, made from the bindings themselves, so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from codebuddy.tui import literal

_NAMES = {
    "ctrl+@": "Ctrl+Space",
    "full_stop": ".",
    "comma": ",",
    "underscore": "_",
    "slash": "/",
    "right_square_bracket": "]",
    "pagedown": "PageDown",
    "pageup": "PageUp",
    "escape": "Esc",
}
_TWO_COLUMNS_FROM = 110


class HelpScreen(ModalScreen[None]):
    """All keys by group."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "dismiss(None)", "Close")]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._groups = grouped(bindings) | elsewhere()

    def compose(self) -> ComposeResult:
        """A page of keys."""
        with Vertical(classes="page"):
            yield Static(literal.line("keys (Esc closes)", "bold $primary"), classes="page-title")
            with VerticalScroll():
                yield Static(id="help-text", markup=False)

    def on_mount(self) -> None:
        """Fit the text to the width."""
        self._show()

    def on_resize(self) -> None:
        """Fit it again."""
        self._show()

    def _show(self) -> None:
        blocks = [_block(name, rows) for name, rows in self._groups.items()]
        text = self.query_one("#help-text", Static)
        if self.app.size.width < _TWO_COLUMNS_FROM:
            text.update(
                Content("\n").join(line for block in blocks for line in [*block, Content("")])
            )
            return
        left, right = _columns(blocks)
        width = max(line.cell_length for line in left) + 4
        rows = []
        for index in range(max(len(left), len(right))):
            first = left[index] if index < len(left) else Content("")
            second = right[index] if index < len(right) else Content("")
            rows.append(first + Content(" " * (width - first.cell_length)) + second)
        text.update(Content("\n").join(rows))


def grouped(bindings: Iterable[Binding]) -> dict[str, list[tuple[str, str]]]:
    """Keys and what they do, by the bindings' groups."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for binding in bindings:
        group = binding.group.description if binding.group else "Other"
        groups.setdefault(group, []).append((shown_keys(binding.key), binding.description))
    return groups


def elsewhere() -> dict[str, list[tuple[str, str]]]:
    """Keys that only some screen or bar has."""
    from codebuddy.tui.screens.compare import CompareScreen
    from codebuddy.tui.screens.models import ModelsScreen
    from codebuddy.tui.screens.picker import PickerScreen
    from codebuddy.tui.screens.review import ReviewScreen
    from codebuddy.tui.screens.settings import SettingsScreen
    from codebuddy.tui.widgets.find_bar import FindBar

    places: dict[str, list[BindingType]] = {
        "In the find bar": FindBar.BINDINGS,
        "In palettes": PickerScreen.BINDINGS,
        "In the comparison": CompareScreen.BINDINGS,
        "In the review": ReviewScreen.BINDINGS,
        "In the models": ModelsScreen.BINDINGS,
        "In the settings": SettingsScreen.BINDINGS,
    }
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, bindings in places.items():
        keys = [each for each in bindings if isinstance(each, Binding)]
        groups[name] = [(shown_keys(each.key), each.description) for each in keys]
    return groups


def shown_keys(keys: str) -> str:
    """Keys as people write them; ways to write the same key once."""
    shown: list[str] = []
    for key in keys.split(","):
        name = _NAMES.get(key)
        if name is None:
            parts = [_NAMES.get(part, part.capitalize()) for part in key.split("+")]
            name = "+".join(parts)
        if name == "Ctrl+_":
            name = "Ctrl+/"
        if name not in shown:
            shown.append(name)
    return ", ".join(shown)


def _block(name: str, rows: list[tuple[str, str]]) -> list[Content]:
    width = max(len(keys) for keys, _ in rows)
    block = [Content.styled(name, "bold $secondary")]
    for keys, text in rows:
        block.append(
            Content("").join([Content.styled(f"  {keys:<{width}}  ", "$accent"), Content(text)])
        )
    return block


def _columns(blocks: list[list[Content]]) -> tuple[list[Content], list[Content]]:
    """Blocks in two columns of about the same height, in order."""
    total = sum(len(block) + 1 for block in blocks)
    left: list[Content] = []
    right: list[Content] = []
    for block in blocks:
        column = left if len(left) + len(block) / 2 <= total / 2 else right
        column += [*block, Content("")]
    return left, right
