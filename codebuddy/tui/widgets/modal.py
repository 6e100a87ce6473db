"""A screen over the others."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

ResultT = TypeVar("ResultT")


class Modal(ModalScreen[ResultT]):
    """Its workers end when it is dismissed, before its widgets go: they would miss them."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close it, with a result."""
        self.workers.cancel_node(self)
        return super().dismiss(result)
