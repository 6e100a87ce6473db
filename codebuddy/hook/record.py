"""The patches of the last reviews, kept beside the index so that `hook apply` can find them.

Derived data like the index: lost without harm, replaced as a whole, for its owner alone.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import asdict
from typing import Any

from codebuddy.errors import DocumentError, UsageError
from codebuddy.hook.finding import FileEdit, Finding
from codebuddy.private_files import make_folder, read_json, whole_number, write_file
from codebuddy.vcs.repository import Repository

_NAME = "hook.json"
_MAX_BYTES = 8 << 20
# What was printed stays usable through so many later reviews, if it is no more than this.
_MAX_REVIEWS = 10
_MAX_ROWS = 500
_MAX_KEPT_BYTES = 2 << 20
# More lines than a file that is looked at can have.
_MAX_LINE = 1 << 31


def save_patches(repository: Repository, findings: Sequence[Finding]) -> bool:
    """Keep the findings and those of a few reviews before; whether they could be kept."""
    if not findings:
        return True
    file = repository.index_folder / _NAME
    new = {
        each.id: {
            "id": each.id,
            "rule": each.rule,
            "age": 0,
            "edits": [asdict(edit) for edit in each.edits],
        }
        for each in findings
    }
    content = _content(list(new.values()), _earlier(repository, new))
    try:
        make_folder(repository.index_folder)
        write_file(file, content.encode("ascii"))
    except OSError:
        return False
    return True


def find_finding(repository: Repository, wanted: str) -> tuple[str, tuple[FileEdit, ...]]:
    """The rule and edits of the finding `wanted`: its id, or its rule's if that is the only one.

    Raises:
        UsageError: There is none, or several.
        DocumentError: What was kept cannot be read.
    """
    named = [row for row in _rows(repository) if wanted in (row["id"], row["rule"])]
    # A rule's name means the last review that spoke of it.
    age = min((row["age"] for row in named), default=0)
    found = [row for row in named if row["age"] == age and row["edits"]]
    if named and not found:
        raise UsageError(f"the finding {wanted} has no patch", hint="change what it names by hand")
    if not found:
        raise UsageError(
            f"no patch called {wanted}",
            hint="'codebuddy hook run' shows the ids of what is staged; "
            "after the commit, 'codebuddy hook run --range HEAD~1..HEAD'",
        )
    if len(found) > 1:
        ids = ", ".join(str(row["id"]) for row in found)
        raise UsageError(f"{wanted} has several patches", hint=f"give one of: {ids}")
    return str(found[0]["rule"]), tuple(_edit(each) for each in found[0]["edits"])


def _earlier(repository: Repository, new: Container[str]) -> list[dict[str, Any]]:
    """What earlier reviews left, each a review older; nothing where it cannot be read."""
    try:
        rows = _rows(repository)
    except DocumentError:
        return []
    return [
        {**row, "age": row["age"] + 1}
        for row in rows
        if row["id"] not in new and row["age"] + 1 < _MAX_REVIEWS
    ]


def _content(new: Sequence[dict[str, Any]], earlier: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON: all new ones, and of the others as many as there is room for."""
    lines = [json.dumps(row) for row in new]
    n_bytes = sum(map(len, lines))
    for row in earlier[: max(0, _MAX_ROWS - len(new))]:
        line = json.dumps(row)
        n_bytes += len(line)
        if n_bytes > _MAX_KEPT_BYTES:
            break
        lines.append(line)
    return f"[{', '.join(lines)}]"


def _rows(repository: Repository) -> list[dict[str, Any]]:
    file = repository.index_folder / _NAME
    try:
        rows: Any = read_json(file, _MAX_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DocumentError(
            f"{file} cannot be read: {error.strerror or error}", hint="delete it"
        ) from error
    except ValueError as error:
        raise DocumentError(f"{file} cannot be read: {error}", hint="delete it") from error
    if not isinstance(rows, list) or not all(map(_is_ours, rows)):
        raise DocumentError(f"{file} is not what codebuddy left there", hint="delete it")
    return [{**row, "age": row.get("age", 0)} for row in rows]


def _is_ours(row: Any) -> bool:
    """Whether a row has the form that `save_patches` writes; edits are checked when read."""
    if not isinstance(row, dict) or not isinstance(row.get("edits"), list):
        return False
    age = row.get("age", 0)
    has_age = type(age) is int and 0 <= age < _MAX_REVIEWS
    return has_age and all(isinstance(row.get(key), str) for key in ("id", "rule"))


def _edit(row: Any) -> FileEdit:
    try:
        edit = FileEdit(**row)
        first = whole_number(edit.first_line, 1, _MAX_LINE)
        # A patch that only inserts ends on the line before its first one.
        whole_number(edit.last_line, first - 1, _MAX_LINE)
    except (TypeError, ValueError) as error:
        raise _unreadable() from error
    if not isinstance(edit.path, str) or not isinstance(edit.old, str):
        raise _unreadable()
    if not isinstance(edit.new, str | None):
        raise _unreadable()
    return edit


def _unreadable() -> DocumentError:
    return DocumentError("a patch cannot be read", hint="run 'codebuddy hook run --staged' again")
