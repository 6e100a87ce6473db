"""What a file refers to, as one packed column: names that it uses, and what it imports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def unpack_details(data: bytes) -> tuple[tuple[Reference, ...], tuple[str, ...]]:
    """References and imports.

    Raises:
        DamagedIndexError: `data` is not of `pack_details`.
    """
    content = unpack_json(data, _MAX_BYTES)
    if not isinstance(content, dict) or content.keys() != {"references", "imports"}:
        raise _damaged()
    references, imports = content["references"], content["imports"]
    if not is_list_of(references, list, MAX_REFERENCES) or not all(map(_is_sound, references)):
        raise _damaged()
    if not is_list_of(imports, str, _MAX_IMPORTS) or not all(map(is_utf8, imports)):
        raise _damaged()
    return tuple((name, kind, line) for name, kind, line in references), tuple(imports)


def _is_sound(reference: Sequence[object]) -> bool:
    match reference:
        case [str(name), str(kind), int(line)]:
            return is_utf8(name) and is_utf8(kind) and line > 0
    return False


def _damaged() -> DamagedIndexError:
    return DamagedIndexError("the index is damaged: the details of a file are none")
