"""Which panels are shown: what the person asked for, as far as the terminal has room."""

from __future__ import annotations

from codebuddy.tui.controllers.host import ControllerHost
from codebuddy.tui.session import SessionState
from codebuddy.tui.widgets.file_tree import FileTree
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from codebuddy.tui.widgets.tab_bar import TabBar

# Narrower or lower than this, side panels go unless they were asked for.
_TREE_FROM_WIDTH = 100
_RECEIPT_FROM_WIDTH = 140
_PANELS_FROM_HEIGHT = 8
_TABS_FROM_HEIGHT = 7


class PanelLayout:
    """Files, tabs and receipt; what is chosen is noted in `state`."""

    def __init__(
        self,
        host: ControllerHost,
        state: SessionState,
        tree: FileTree,
        tabs: TabBar,
        receipt: ReceiptPanel,
    ) -> None:
        self._host = host
        self._state = state
        self._tree = tree
        self._tabs = tabs
        self._receipt = receipt

    def apply(self) -> None:
        """Show what there is room for."""
        width, height = self._host.app.size
        is_high = height >= _PANELS_FROM_HEIGHT
        tree, receipt = self._state.shows_tree, self._state.shows_receipt
        wide_tree = width >= _TREE_FROM_WIDTH if tree is None else tree
        wide_receipt = width >= _RECEIPT_FROM_WIDTH if receipt is None else receipt
        self._tree.display = is_high and wide_tree and width >= 40
        self._receipt.display = is_high and wide_receipt and width >= 60
        self._tabs.display = height >= _TABS_FROM_HEIGHT

    def restore(self, state: SessionState) -> None:
        """Show what was shown the last time; what a key chose meanwhile stays."""
        if self._state.shows_tree is None:
            self._state.shows_tree = state.shows_tree
        if self._state.shows_receipt is None:
            self._state.shows_receipt = state.shows_receipt
        self.apply()

    def toggle_tree(self) -> None:
        """Show or hide the files."""
        self._state.shows_tree = not self._tree.display
        self.apply()

    def toggle_receipt(self) -> None:
        """Show or hide the receipt."""
        self._state.shows_receipt = not self._receipt.display
        self.apply()

    def focus_tree(self, name: str) -> None:
        """Show the files and give them the keys, at the file of this name if there is one."""
        self._state.shows_tree = True
        self.apply()
        self._tree.focus()
        if name:
            self._tree.reveal(name)
