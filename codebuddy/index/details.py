"""What a file refers to, as one packed column: names that it uses, and what it imports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codebuddy.index.packing import is_list_of, pack_json, unpack_json
from codebuddy.index.row_checks import is_utf8
from codebuddy.index.schema import DamagedIndexError

MAX_REFERENCES = 20_000
_MAX_IMPORTS = 20_000
_MAX_BYTES = 4 << 20

REFERENCE_KINDS = ("call", "import", "type", "name")

Reference = tuple[str, str, int]


def pack_details(references: Iterable[Reference], imports: Iterable[str]) -> bytes:
    """References, each as (name, kind, line), and imports; the first ones where it is too much."""
    content: dict[str, list[Any]] = {
        "references": [list(each) for each in references][:MAX_REFERENCES],
        "imports": list(imports)[:_MAX_IMPORTS],
    }
    while (packed := pack_json(content, _MAX_BYTES)) is None:
        content = {key: values[: len(values) // 2] for key, values in content.items()}
    return packed


def unpack_imports(data: bytes) -> tuple[str, ...]:
    """What the file imports. The references are not looked at.

    Raises:
        DamagedIndexError: `data` is not of `pack_details`.
    """
    imports = _unpacked(data)["imports"]
    if not is_list_of(imports, str, _MAX_IMPORTS) or not all(map(is_utf8, imports)):
        raise _damaged()
    return tuple(imports)


def unpack_references(data: bytes, name: str) -> list[Reference]:
    """Where the file uses `name`, in source order. The imports are not looked at.

    Raises:
        DamagedIndexError: `data` is not of `pack_details`.
    """
    references = _unpacked(data)["references"]
    if not is_list_of(references, list, MAX_REFERENCES):
        raise _damaged()
    found: list[Reference] = []
    for each in references:
        if len(each) != len(("name", "kind", "line")):
            raise _damaged()
        used, kind, line = each
        if used == name:
            if kind not in REFERENCE_KINDS or type(line) is not int or line < 1:
                raise _damaged()
            found.append((name, kind, line))
    return found


def _unpacked(data: bytes) -> dict[str, Any]:
    content = unpack_json(data, _MAX_BYTES)
    if not isinstance(content, dict) or content.keys() != {"references", "imports"}:
        raise _damaged()
    return content


def _damaged() -> DamagedIndexError:
    return DamagedIndexError("the index is damaged: the details of a file are none")
