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
    """What the file imports. The references, which nothing asks for, are not looked at.

    Raises:
        DamagedIndexError: `data` is not of `pack_details`.
    """
    content = unpack_json(data, _MAX_BYTES)
    if not isinstance(content, dict) or content.keys() != {"references", "imports"}:
        raise _damaged()
    imports = content["imports"]
    if not is_list_of(imports, str, _MAX_IMPORTS) or not all(map(is_utf8, imports)):
        raise _damaged()
    return tuple(imports)


def _damaged() -> DamagedIndexError:
    return DamagedIndexError("the index is damaged: the details of a file are none")
