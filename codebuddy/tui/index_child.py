"""Updates an index as a child of the TUI and writes its progress as lines of JSON to stdout.

It ends with its parent: stdin's end says so.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from codebuddy.errors import CodebuddyError

_LOCK_TIMEOUT_S = 30.0


def main() -> None:
    """Update the index of the repository around the folder that the first argument names."""
    from codebuddy.config import load_settings
    from codebuddy.index.build import update_index
    from codebuddy.vcs.repository import open_repository

    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        repository = open_repository(Path(sys.argv[1]))
        settings = load_settings(repository.root).settings
        report = update_index(repository, settings, progress=_show, lock_timeout_s=_LOCK_TIMEOUT_S)
        _write_line({"result": report.as_json()})
    except CodebuddyError as error:
        _write_line({"error": error.message, "hint": error.hint})


def _show(progress: Any) -> None:
    _write_line(
        {
            "done": progress.done_files,
            "total": progress.total_files,
            "message": progress.message,
        }
    )


def _write_line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
