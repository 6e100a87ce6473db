"""What an audit has found so far, in a file: a row for each canary and group, as `eval` keeps runs.

A row that a kill cut off, or that is damaged, is dropped, and its work is done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebuddy.errors import TrainingError
from codebuddy.private_files import append_to, parse_json, read_file

_MAX_BYTES = 64 << 20


class Rows:
    """The rows of one audit by their names."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: dict[str, dict[str, Any]] = {}
        try:
            lines = read_file(file, _MAX_BYTES).split(b"\n")
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise TrainingError(f"{file} cannot be read: {error.strerror}") from error
        for line in lines:
            try:
                row = parse_json(line)
                self._rows[str(row["id"])] = row["found"]
            except (ValueError, KeyError, TypeError):
                continue

    def once(self, name: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of that name; found, and on the disk before this returns, if there is none."""
        if name not in self._rows:
            found = find()
            # A row that a kill cut off ends with no line break, and would swallow this one.
            line = "\n" + json.dumps({"id": name, "found": found}) + "\n"
            append_to(self._file, line.encode("ascii"))
            self._rows[name] = found
        return self._rows[name]
