"""What training reads: groups of samples, and the tokens that end a middle.

Groups are a file of arrays for each package: token ids, and places and kinds as JSON. No text
of a package is kept. It needs numpy alone, so that training runs where the product's other
dependencies are not.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from codebuddy.training.adapter.packing import Branch, SampleGroup
from codebuddy.training.packages import Package

if TYPE_CHECKING:
    from codebuddy.inference.vocabulary import Vocabulary


def write_groups(file: Path, package: Package, groups: Sequence[SampleGroup]) -> None:
    """Write the groups of a package, whole or not at all."""
    tokens: list[int] = []
    about = []
    for group in groups:
        tokens += group.trunk
        branches = []
        for each in group.branches:
            tokens += [*each.prompt, *each.middle]
            place = each.kind, each.start_byte, each.end_byte, each.shared
            branches.append((*place, len(each.prompt), len(each.middle), each.ending))
        about.append((group.path, group.language, len(group.trunk), branches))
    source = package.registry, package.name, package.version, package.licence
    text = json.dumps({"package": source, "groups": about})
    partial = file.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        tokens=np.array(tokens, np.int32),
        about=np.frombuffer(text.encode(), np.uint8),
    )
    partial.replace(file)


def read_groups(file: Path) -> list[SampleGroup]:
    """The groups of a file that `write_groups` wrote.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            tokens, about = arrays["tokens"].astype(np.int64), json.loads(arrays["about"].tobytes())
    except (EOFError, LookupError, AttributeError, TypeError, BadZipFile, zlib.error) as error:
        raise ValueError(f"the samples in {file} are damaged: {error}") from error
    at = 0

    def take(count: int) -> list[int]:
        nonlocal at
        at += count
        return [int(token) for token in tokens[at - count : at]]

    groups = []
    for path, language, length, rows in about["groups"]:
        trunk = take(length)
        branches = tuple(
            Branch(kind, start, end, shared, take(prompt), take(middle), ending)
            for kind, start, end, shared, prompt, middle, ending in rows
        )
        groups.append(SampleGroup(path, language, trunk, branches))
    return groups


@dataclass(frozen=True, slots=True)
class Endings:
    """The tokens that end a middle.

    `ends` end a text anywhere. `line_ends` maps a text to the tokens that hold it and a line
    break after it: a base ends most lines so, `)` and the line break in one token.
    """

    ends: tuple[int, ...]
    line_ends: Mapping[bytes, tuple[int, ...]]

    def tokens_for(self, ending: str | None) -> tuple[int, ...]:
        """Every token that may end a middle of which `ending` is still to be written."""
        at_line_end = () if ending is None else self.line_ends.get(ending.encode(), ())
        return (*at_line_end, *(() if ending else self.ends))


def write_endings(file: Path, pieces: Sequence[bytes], ends: Sequence[int]) -> None:
    """Note the endings of a vocabulary: the text of each token, and the tokens that end texts."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for token, piece in enumerate(pieces):
        before, line_break, _ = piece.partition(b"\n")
        if line_break:
            found[before.hex()].append(token)
    file.write_text(json.dumps({"ends": list(ends), "line_ends": found}), encoding="utf-8")


def write_endings_of(vocabulary: Vocabulary, file: Path) -> None:
    """Note the endings of a model's vocabulary."""
    tokens = range(vocabulary.size)
    ends = [token for token in tokens if vocabulary.is_end(token)]
    write_endings(file, list(map(vocabulary.piece, tokens)), ends)


def read_endings(file: Path) -> Endings:
    """The endings that `write_endings` noted."""
    read = json.loads(file.read_text(encoding="utf-8"))
    line_ends = {bytes.fromhex(text): tuple(each) for text, each in read["line_ends"].items()}
    return Endings(tuple(read["ends"]), line_ends)
