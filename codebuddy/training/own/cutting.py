"""The samples of a repository's adapter: cut once, kept beside the index until it is trained.

Four parts: groups that are learned from, replayed ones of code from elsewhere (Python's own
library, which every machine has), groups that say when to stop, and groups that say what the
training brought, of files that took part in neither.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codebuddy.errors import TrainingError
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.private_files import make_folder, read_json, write_file
from codebuddy.settings import TrainSettings
from codebuddy.training.adapter.corpus import cut_folder
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.adapter.sample_file import (
    Endings,
    read_endings,
    read_groups,
    write_endings_of,
    write_groups,
)
from codebuddy.training.adapter.samples import cut_group
from codebuddy.training.own.choosing import Choice
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.packages import Package
from codebuddy.vcs.repository import Repository

PARTS = ("learned", "replayed", "watched", "judged", "elsewhere")
MIN_GROUPS = 6
_WATCHED, _JUDGED, _ELSEWHERE = 4, 8, 4
# Files that are tried for a group that is wanted; groups that are tried of each file by itself.
_TRIES, _GROUPS_PER_FILE = 4, 4
# Of the groups that go on from an earlier training, those of files that it knew.
_KNOWN_SHARE = 0.3
_LIBRARY_FILES = 40
# Groups of code from elsewhere that a private training begins with, whatever the repository holds.
LIBRARY_GROUPS = 16
_LIBRARY_BYTES = (3_000, 60_000)
_LIBRARY_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo"}
)
_FACTS = "plan.json"
_MAX_FACTS_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Samples:
    """Groups by part, the tokens that end a middle, and `facts` about where they are from."""

    groups: dict[str, list[SampleGroup]]
    endings: Endings
    facts: dict[str, Any]

    @property
    def sources(self) -> frozenset[str]:
        """The files of the repository that are learned from."""
        return frozenset(group.path for group in self.groups["learned"])


def kept_samples(folder: Path, key: object) -> Samples | None:
    """The samples that an earlier call cut for the same training; `None` if there are none."""
    try:
        facts: Any = read_json(folder / _FACTS, _MAX_FACTS_BYTES)
        if not isinstance(facts, dict) or facts.get("key") != key:
            return None
        groups = {part: read_groups(folder / f"{part}.npz") for part in PARTS}
        return Samples(groups, read_endings(folder / "endings.json"), facts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def cut_samples(
    repository: Repository,
    index: RepositoryIndex,
    vocabulary: Vocabulary,
    choice: Choice,
    count: int,
    replay_percent: int,
    seed: int,
    deadline: float,
    clock: PausableClock,
    show: Callable[[str], None],
    *,
    is_private: bool = False,
) -> dict[str, list[SampleGroup]]:
    """Cut the groups of every part.

    Args:
        repository: Whose files; it is not changed.
        index: Its index, up to date.
        vocabulary: Of the model that is to be trained.
        choice: Which files.
        count: How many groups to learn from at most.
        replay_percent: How many of all samples are of code from elsewhere.
        seed: Of all choices.
        deadline: When to stop, on the clock.
        clock: Waited for before each group.
        show: Told how far it is.
        is_private: Whether what is cut of a file depends on that file alone (`cut_alone`): `count`
            and `deadline` bound nothing that is learned from.

    Raises:
        TrainingError: There is too little code.
    """
    rng = random.Random(seed)
    cut_it = partial(cut_group, repository, index, vocabulary)

    def cut(paths: Sequence[str], wanted: int, what: str) -> list[SampleGroup]:
        groups: list[SampleGroup] = []
        for number in range(_TRIES * wanted if paths else 0):
            if len(groups) == wanted or (clock() > deadline and len(groups) >= MIN_GROUPS):
                break
            clock.wait()
            path = paths[number % len(paths)]
            group = cut_it(path, rng, choice.deprecated.is_in, stands_alone=is_private)
            groups += [] if group is None else [group]
            show(f"{what}: {len(groups)} of {wanted} stretches of code")
        return groups

    watched, judged = judging_files(choice.held_out)
    if is_private:
        learned = cut_alone(repository, index, vocabulary, choice, seed, show, clock.wait)
    else:
        learned = cut(_in_turn(choice, rng), count, "cutting samples")
    said = "cutting held-out samples"
    found = {"watched": cut(watched, _WATCHED, said), "judged": cut(judged, _JUDGED, said)}
    if len(learned) < MIN_GROUPS or not found["judged"] or not found["watched"]:
        raise _too_little(repository, choice)
    show("cutting samples of code from elsewhere")
    wanted = LIBRARY_GROUPS if is_private else replayed_for(len(learned), replay_percent)
    return found | {"learned": learned} | _from_elsewhere(vocabulary, wanted, seed)


def _from_elsewhere(
    vocabulary: Vocabulary, replayed: int, seed: int
) -> dict[str, list[SampleGroup]]:
    library = library_groups(vocabulary, replayed + _ELSEWHERE, seed)
    return {"elsewhere": library[:_ELSEWHERE], "replayed": library[_ELSEWHERE:]}


def cut_alone(
    repository: Repository,
    index: RepositoryIndex,
    vocabulary: Vocabulary,
    choice: Choice,
    seed: int,
    show: Callable[[str], None],
    wait: Callable[[], None] = lambda: None,
) -> list[SampleGroup]:
    """Groups of the files to learn from: each file's the same, whatever other files there are.

    Each file's choices are made by its path and `seed`, each file gives so many groups at most, and
    no time ends it: what is cut of a file is its own function, as private training with files as
    units supposes. `wait` is called before each file.
    """
    groups: list[SampleGroup] = []
    for number, path in enumerate(choice.learned):
        wait()
        rng = random.Random(f"{seed}:{path}")
        own: list[SampleGroup] = []
        for _ in range(_TRIES * _GROUPS_PER_FILE):
            group = cut_group(
                repository, index, vocabulary, path, rng, choice.deprecated.holds, stands_alone=True
            )
            own += [] if group is None else [group]
            if len(own) == _GROUPS_PER_FILE:
                break
        groups += own
        show(f"cutting samples: {number + 1} of {len(choice.learned)} files")
    return groups


def keep_samples(
    folder: Path,
    groups: dict[str, list[SampleGroup]],
    vocabulary: Vocabulary,
    facts: dict[str, Any],
) -> Samples:
    """Write samples for the calls that go on with them, for their owner alone."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    write_endings_of(vocabulary, folder / "endings.json")
    package = Package("repository", str(facts["repository"]), str(facts["commit"]))
    for part in PARTS:
        write_groups(folder / f"{part}.npz", package, groups[part])
    # Last: what is not whole counts as nothing.
    write_file(folder / _FACTS, json.dumps(facts).encode())
    return Samples(groups, read_endings(folder / "endings.json"), facts)


def judging_files(held_out: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of the files held out, those that say when to stop, and those that judge the outcome."""
    if len(held_out) < 2:
        return list(held_out), list(held_out)
    return list(held_out[1::2]), list(held_out[::2])


def _in_turn(choice: Choice, rng: random.Random) -> list[str]:
    """Files in the order in which groups are cut: recent ones twice, of each round a shuffle.

    Where a training goes on, those that changed since, and some that it knew.
    """
    learned = list(choice.learned)
    if choice.renewed:
        renewed = [path for path in learned if path in choice.renewed]
        known = [path for path in learned if path not in choice.renewed]
        count = round(len(renewed) * _KNOWN_SHARE / (1 - _KNOWN_SHARE))
        learned = renewed + rng.sample(known, min(len(known), max(1, count)))
    weighted = learned + [path for path in learned if path in choice.recent]
    rng.shuffle(weighted)
    return weighted


def _too_little(repository: Repository, choice: Choice) -> TrainingError:
    named = ", ".join(f"{reason} {count}" for reason, count in choice.left_out.items())
    hint = "an adapter needs some ten files of code; see the train.* settings"
    return TrainingError(
        f"{repository.root} has too little code to learn from and to be judged by:"
        f" {len(choice.learned)} files are left to learn from, {len(choice.held_out)} to judge by"
        f" ({f'left out: {named}' if named else 'no other files of code'})",
        hint=hint if choice.renewed is None else f"{hint}, or begin anew with --fresh",
    )


def replayed_for(learned: int, percent: int) -> int:
    """How many groups of code from elsewhere make that share of all."""
    return round(learned * percent / max(1, 100 - percent))


def library_groups(vocabulary: Vocabulary, count: int, seed: int) -> list[SampleGroup]:
    """Groups of Python's own library; none where it does not lie in files."""
    library = Path(sysconfig.get_paths()["stdlib"])
    low, high = _LIBRARY_BYTES
    files = [
        file
        for file in sorted(library.rglob("*.py"))
        if _LIBRARY_LEFT_OUT.isdisjoint(file.relative_to(library).parts)
        and low <= file.stat().st_size <= high
    ]
    chosen = random.Random(seed).sample(files, min(len(files), _LIBRARY_FILES))
    if not chosen:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "library"
        for file in chosen:
            copy = root / file.relative_to(library)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        return cut_folder(root, vocabulary, count, str(seed))


def choice_facts(choice: Choice) -> dict[str, Any]:
    """What a card says of the files."""
    watched, judged = judging_files(choice.held_out)
    return {
        "files": len(choice.learned),
        "left_out": dict(choice.left_out),
        "watched": watched,
        "judged": judged,
        "deprecated": sorted(choice.deprecated.names),
        "renewed": None if choice.renewed is None else len(choice.renewed),
    }


def settings_key(settings: TrainSettings) -> dict[str, Any]:
    """Settings as what a training is kept by: one of others is another one."""
    own = dataclasses.asdict(settings)
    # How it goes about its work is no part of what comes of it.
    del own["give_way"]
    return json.loads(json.dumps(own))  # type: ignore[no-any-return]
