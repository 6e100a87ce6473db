"""The model, as the hook may use it: through the engine that runs, within the time that is left.

No model is ever loaded for a commit. Where no engine runs, or it is late, there is nothing.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from codebuddy.errors import CodebuddyError

_MIN_BUDGET_S = 0.2
# An engine that says nothing for this share of the time that is left is not waited for.
_ALIVE_SHARE = 0.2
_CLIENT = "hook"


class Model:
    """Completions from the running engine until `deadline` on the clock of `time.monotonic`."""

    def __init__(self, root: Path, deadline: float) -> None:
        self._root = root
        self._deadline = deadline
        self._is_gone = False

    def complete(self, path: str, text: str, line: int, column: int, max_lines: int) -> str:
        """The model's text for a place, or an empty one.

        Args:
            path: Relative to the repository's root.
            text: The file as it is being committed.
            line: 1-based.
            column: 1-based, in code points.
            max_lines: Lines at most.
        """
        left_s = self._deadline - time.monotonic()
        if self._is_gone or left_s < _MIN_BUDGET_S:
            return ""
        from codebuddy.engine.client import EngineClient
        from codebuddy.engine.protocol import CompletionCall

        call = CompletionCall(
            str(self._root / path),
            line,
            column,
            text,
            max_lines=max_lines,
            budget_ms=int(left_s * 1000),
            client=_CLIENT,
            priority="typing",
            folder=str(self._root),
            should_update=False,
        )
        answers: list[dict[str, object]] = []
        is_alive = threading.Event()

        def ask() -> None:
            with suppress(CodebuddyError, OSError):
                client = EngineClient.connect(may_start=False)
                client.status()
                is_alive.set()
                answers.append(client.complete(call))
            is_alive.set()

        # In a thread, because an engine that hangs answers after seconds only.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        if is_alive.wait(_ALIVE_SHARE * left_s):
            thread.join(max(0.0, self._deadline - time.monotonic()))
        if not answers:
            self._is_gone = True
            return ""
        found = answers[0].get("text", "")
        is_cut = answers[0].get("finish_reason") == "budget"
        return found if isinstance(found, str) and not is_cut else ""
