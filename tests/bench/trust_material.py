"""What `tests.bench.trust` measures with: stretches of a public repository, and planted secrets.

Cut once, in the way of private training (`cutting.cut_alone`: no chunk of another file in a
prompt), so that plain and private training learn from the very same samples.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codebuddy.inference.installed import find_model
from codebuddy.inference.vocabulary import Vocabulary, open_vocabulary
from codebuddy.service.context import repository_context_of_folder
from codebuddy.service.refresh import with_index
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.adapter.sample_file import (
    Endings,
    read_endings,
    read_groups,
    write_endings_of,
    write_groups,
)
from codebuddy.training.adapter.samples import cut_group
from codebuddy.training.audit import canaries
from codebuddy.training.own import choosing, cutting
from codebuddy.training.packages import Package

# Of the shapes of secrets, those that differ most: digits of which all are known, and letters.
KINDS = ("number", "key")
PARTS = ("members", "others", "canaries", "library")


@dataclass(frozen=True, slots=True)
class Material:
    """Groups by part, what the canaries are, and the model's vocabulary and file.

    Of each canary two groups: without a lookup, and with one.
    """

    groups: Mapping[str, Sequence[SampleGroup]]
    canaries: Sequence[Mapping[str, Any]]
    endings: Endings
    vocabulary: Vocabulary
    base: Path


def material(root: Path, model: str, folder: Path, stretches: int) -> Material:
    """What an earlier call cut into `folder`, or cut now: one stretch of each of so many files."""
    context = repository_context_of_folder(root, {"model.name": model})
    base = find_model(model, context.settings).path
    assert base is not None
    vocabulary = open_vocabulary(base)
    facts = folder / "canaries.json"
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        groups, drawn = with_index(
            context, partial(_cut, context, vocabulary, stretches), should_update=True
        )
        package = Package("repository", root.name, context.repository.head_commit())
        for part in PARTS:
            write_groups(folder / f"{part}.npz", package, groups[part])
        write_endings_of(vocabulary, folder / "endings.json")
        facts.write_text(json.dumps([each.as_json() for each in drawn]), "utf-8")
    groups = {part: read_groups(folder / f"{part}.npz") for part in PARTS}
    about = json.loads(facts.read_text("utf-8"))
    return Material(groups, about, read_endings(folder / "endings.json"), vocabulary, base)


def _cut(
    context: Any, vocabulary: Vocabulary, stretches: int, index: Any
) -> tuple[dict[str, Sequence[SampleGroup]], list[canaries.Canary]]:
    """Sides by a coin among files of which none is a copy of another."""
    repository = context.repository
    choice = choosing.choose_files(repository, index, context.settings.train, each_alone=True)
    paths = sorted({*choice.learned, *choice.held_out})
    texts = {p: "".join(chunk.text for chunk in index.chunks_of(p)) for p in paths}
    alone = sorted(set(paths) - set(choosing.copies(texts)))
    drawn = random.Random("coin").sample(alone, len(alone))
    sides: dict[str, list[SampleGroup]] = {"members": [], "others": []}
    learned: list[str] = []
    for number, path in enumerate(drawn):
        side = "members" if number % 2 else "others"
        if len(sides[side]) == stretches:
            continue
        rng = random.Random(path)
        group = cut_group(repository, index, vocabulary, path, rng, stands_alone=True)
        if group is not None:
            sides[side].append(group)
            learned += [path] if side == "members" else []
    if not all(sides.values()):
        raise SystemExit(f"{repository.root.name} has too few files that are no copies of others")
    kinds = [kind for kind in canaries.KINDS if kind.name in KINDS]
    found = canaries.draw_canaries(repository, index, vocabulary, sorted(learned), 0, kinds)
    pairs = [group for each in found for group in (each.plain, each.found)]
    library = cutting.library_groups(vocabulary, cutting.LIBRARY_GROUPS, 0)
    return {**sides, "canaries": pairs, "library": library}, found
