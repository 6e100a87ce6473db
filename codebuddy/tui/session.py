"""What is restored when a repository is opened again: files, cursors, layout.

It lies beside the index, in the repository's codebuddy folder; a damaged file is none.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_MAX_BYTES = 1 << 20
_MAX_FILES = 40


@dataclass(slots=True)
class OpenFileState:
    """An open file: `line` and `column` are 0-based, `top` the first row in sight."""

    path: str
    line: int = 0
    column: int = 0
    top: int = 0


@dataclass(slots=True)
class SessionState:
    """What the person left; `None` where the window's size decides."""

    files: list[OpenFileState] = field(default_factory=list)
    active: int = 0
    shows_tree: bool | None = None
    shows_receipt: bool | None = None
    recent_searches: list[str] = field(default_factory=list)


def load_session(folder: Path) -> SessionState:
    """The state saved in `folder`, or an empty one."""
    file = folder / "session.json"
    try:
        if file.stat().st_size > _MAX_BYTES:
            return SessionState()
        values = json.loads(file.read_text(encoding="utf-8"))
        files = [
            OpenFileState(str(each["path"]), *(int(each[key]) for key in ("line", "column", "top")))
            for each in values.get("files", [])[:_MAX_FILES]
        ]
        return SessionState(
            files,
            int(values.get("active", 0)),
            _flag(values.get("shows_tree")),
            _flag(values.get("shows_receipt")),
            [str(each) for each in values.get("recent_searches", [])][:_MAX_FILES],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return SessionState()


def save_session(folder: Path, state: SessionState) -> None:
    """Save the state for the next time.

    Raises:
        OSError: It cannot be written; the last state is still there.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=".session.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(state), stream, ensure_ascii=True)
        Path(name).replace(folder / "session.json")
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
