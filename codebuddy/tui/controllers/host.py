"""What a controller may ask of the screen that holds it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from textual.app import App
from textual.notifications import SeverityLevel

from codebuddy.errors import CodebuddyError

AsyncFunction = Callable[[], Coroutine[Any, Any, object]]


class ControllerHost(Protocol):
    """A screen: it alone gets messages and keys, and its workers end with it."""

    @property
    def app(self) -> App[object]:
        """The application, which opens other screens and has the theme."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether the screen still takes messages."""
        ...

    def start_worker(
        self, work: AsyncFunction, *, group: str = "default", exclusive: bool = False
    ) -> None:
        """Run an async function; `exclusive` cancels others of its group.

        Only within one does `App.push_screen_wait` work. It takes the function, not its
        coroutine, since a worker can be cancelled before it begins.
        """
        ...

    def notify_user(self, text: str, severity: SeverityLevel = "information") -> None:
        """Show a notification."""
        ...

    def notify_error(self, error: CodebuddyError) -> None:
        """Show an error with its hint as a notification."""
        ...

    def set_status(self, text: str) -> None:
        """Show a text in the status row, until the next key."""
        ...
