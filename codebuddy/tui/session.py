"""What is restored when a repository is opened again: files, cursors, layout.

It lies beside the index, in the repository's codebuddy folder; a damaged file is none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from codebuddy.private_files import make_folder, read_json, whole_number, write_file

_MAX_BYTES = 1 << 20
# More lines or columns than a file that the editor opens can have.
_MAX_PLACE = 1 << 31
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
    try:
        values = read_json(folder / "session.json", _MAX_BYTES)
        files = [
            OpenFileState(
                _text(each["path"]),
                *(whole_number(each[key], 0, _MAX_PLACE) for key in ("line", "column", "top")),
            )
            for each in values.get("files", [])[:_MAX_FILES]
        ]
        return SessionState(
            files,
            whole_number(values.get("active", 0), 0, _MAX_PLACE),
            _flag(values.get("shows_tree")),
            _flag(values.get("shows_receipt")),
            [_text(each) for each in values.get("recent_searches", [])][:_MAX_FILES],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return SessionState()


def save_session(folder: Path, state: SessionState) -> None:
    """Save the state for the next time.

    Args:
        folder: `tui` in the index's folder; neither may be a link.
        state: What to save.

    Raises:
        OSError: It cannot be written; the last state is still there.
    """
    make_folder(folder, levels=2)
    write_file(folder / "session.json", json.dumps(asdict(state)).encode("ascii"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return value


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
