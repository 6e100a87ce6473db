"""The model, as the hook may use it: through the engine that runs, within the time that is left.

No model is ever loaded for a commit. Where no engine runs, or it is late, there is nothing.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.errors import CodebuddyError

if TYPE_CHECKING:
    from codebuddy.engine.client import EngineClient
    from codebuddy.service.response import CompletionResponse

_MIN_BUDGET_S = 0.2
# A running engine answers a status request within milliseconds; it is sent before the rules begin,
# so that their time counts too.
_CONNECT_S = 0.1
# Of a longer budget so much may pass before an engine is taken to be gone.
_CONNECT_SHARE = 0.1
_CLIENT = "hook"


class Model:
    """Completions from the running engine until `deadline` on the clock of `time.monotonic`."""

    def __init__(self, root: Path, deadline: float) -> None:
        self._root = root
        self._deadline = deadline
        self._client: EngineClient | None = None
        self._has_connected = threading.Event()
        self._is_gone = False
        # In a thread, because an engine that hangs answers after seconds only.
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        from codebuddy.engine.client import EngineClient

        with suppress(CodebuddyError, OSError, ValueError, LookupError):
            client = EngineClient.connect(may_start=False)
            client.status()
            self._client = client
        self._has_connected.set()

    def complete(
        self,
        path: str,
        text: str,
        line: int,
        column: int,
        max_lines: int,
        *,
        retrieve: str | None = None,
    ) -> str:
        """The model's text for a place, or an empty one.

        Args:
            path: Relative to the repository's root.
            text: The file as it is being committed.
            line: 1-based.
            column: 1-based, in code points.
            max_lines: Lines at most.
            retrieve: `auto`, `always` or `never`; None leaves it to the settings.
        """
        left_s = self._deadline - time.monotonic()
        if self._is_gone or left_s < _MIN_BUDGET_S:
            return ""
        self._has_connected.wait(max(_CONNECT_S, left_s * _CONNECT_SHARE))
        client = self._client
        if client is None:
            self._is_gone = True
            return ""
        from codebuddy.service.request import CompletionRequest

        call = CompletionRequest(
            str(self._root / path),
            line,
            column,
            text,
            retrieve=retrieve,
            max_lines=max_lines,
            budget_ms=int(left_s * 1000),
            client=_CLIENT,
            priority="typing",
            folder=str(self._root),
            should_update=False,
        )
        answers: list[CompletionResponse] = []

        def ask() -> None:
            with suppress(CodebuddyError, OSError, ValueError, LookupError):
                answers.append(client.complete(call))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(max(0.0, self._deadline - time.monotonic()))
        if not answers:
            self._is_gone = True
            return ""
        return _text(answers[0])


def _text(found: CompletionResponse) -> str:
    return found["text"] if found["finish_reason"] != "budget" else ""
