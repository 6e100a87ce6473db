"""The patches of the last reviews, kept beside the index so that `hook apply` can find them.

Derived data like the index: lost without harm, replaced as a whole, for its owner alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
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
    """Keep the findings and those of a few reviews before; whether they could be kept.

    A review that found nothing gives up none, and is the last one from then on.
    """
    file = repository.index_folder / _NAME
    new = {
        each.id: {
            "id": each.id,
            "rule": each.rule,
            "age": 0,
            "is_last": True,
            "edits": [asdict(edit) for edit in each.edits],
            "needs": each.needs,
            "unpatched": each.unpatched,
        }
        for each in findings
    }
    earlier = _earlier(repository, new)
    if not new and not any(row["is_last"] for row in earlier):
        return True
    content = _content(list(new.values()), [{**row, "is_last": False} for row in earlier])
    try:
        make_folder(repository.index_folder)
        write_file(file, content.encode("ascii"))
    except OSError:
        return False
    return True


def find_finding(repository: Repository, wanted: str) -> tuple[str, tuple[FileEdit, ...]]:
    """The rule and edits of the finding `wanted`: its id, or its rule's if that is the only one.

    A rule's name means the last review, whether that found something or not.

    Raises:
        UsageError: There is none, or several.
        DocumentError: What was kept cannot be read, or the work tree lacks what the edits call.
    """
    named = [row for row in _rows(repository) if wanted in (row["id"], row["rule"])]
    if not named:
        raise UsageError(
            f"no patch called {wanted}",
            hint="'codebuddy hook run' shows the ids of what is staged; "
            "after the commit, 'codebuddy hook run --range HEAD~1..HEAD'",
        )
    meant = [row for row in named if row["is_last"] or row["id"] == wanted]
    if not meant:
        raise UsageError(
            f"the last review found no {wanted}",
            hint="a patch of an earlier review is called by its id",
        )
    found = [row for row in meant if row["edits"]]
    if not found:
        reasons = {str(row.get("unpatched") or "") for row in meant}
        told = f": {reasons.pop()}" if len(reasons) == 1 and "" not in reasons else ""
        raise UsageError(
            f"the finding {wanted} has no patch{told}", hint="change what it names by hand"
        )
    if len(found) > 1:
        ids = ", ".join(str(row["id"]) for row in found)
        raise UsageError(f"{wanted} has several patches", hint=f"give one of: {ids}")
    edits = tuple(_edit(each) for each in found[0]["edits"])
    _check_needs(repository, found[0].get("needs", []))
    return str(found[0]["rule"]), edits


def _check_needs(repository: Repository, needs: Any) -> None:
    """Check that the work tree still has the definitions that a patch calls.

    Raises:
        DocumentError: One is gone, as after a commit that was undone.
    """
    from codebuddy.completion.document import load_document
    from codebuddy.hook.state import SourceFile

    if not isinstance(needs, list):
        raise _unreadable()
    for each in needs:
        if not isinstance(each, list) or [type(part) for part in each] != [str, str]:
            raise _unreadable()
        path, name = each
        document = load_document(str(repository.root / path), repository.root, shown=path)
        file = SourceFile(path, document.text.encode("utf-8", "replace"))
        if name not in {definition.qualified for definition in file.symbols.definitions}:
            raise DocumentError(
                f"{path} has no {name}, which the patch calls; nothing was written",
                hint="run 'codebuddy hook run' again",
            )


def _earlier(repository: Repository, new: Collection[str]) -> list[dict[str, Any]]:
    """What earlier reviews left, older where there is something new; nothing if unreadable."""
    try:
        rows = _rows(repository)
    except DocumentError:
        return []
    older = 1 if new else 0
    return [
        {**row, "age": row["age"] + older}
        for row in rows
        if row["id"] not in new and row["age"] + older < _MAX_REVIEWS
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
    # Of an older version: without ages all were of one review.
    whole = [{**row, "age": row.get("age", 0)} for row in rows]
    return [{**row, "is_last": row.get("is_last", row["age"] == 0)} for row in whole]


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
