"""An audit of an adapter: split the files, plant canaries, train as usual, attack, report.

Half of the files, drawn by a coin, are learned from, and the others are not; both halves come from
one draw over files of which none is a copy of another. Each stage leaves its work beside the
adapters, so that the same command goes on where it was stopped. With a name the stored adapter
itself is attacked, by the files that its card says took no part.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.errors import TrainingError
from codebuddy.inference import machine, own_adapters
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.adapter_card import SHIPPED
from codebuddy.inference.adapter_choice import AdapterChooser
from codebuddy.inference.own_adapters import Base, StoredAdapter
from codebuddy.private_files import make_folder, read_json, write_file
from codebuddy.training.adapter import base_model, fit
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.adapter.sample_file import Endings, read_groups, write_groups
from codebuddy.training.adapter.samples import cut_group
from codebuddy.training.audit.canaries import draw_canaries, planted
from codebuddy.training.audit.findings import (
    CONTROL,
    RUNS,
    Findings,
    bounded,
    canary_row,
    membership_of,
    recitation_of,
    runs_told,
)
from codebuddy.training.audit.rows import Rows
from codebuddy.training.audit.scoring import MiddleScores, SecretScores, score_middles, score_secret
from codebuddy.training.audit.words import told_by_words
from codebuddy.training.own import choosing, cutting, fitting
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.fitting import RANK
from codebuddy.training.own.keeping import MAX_NAMED, alone
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.own.private import private_for
from codebuddy.training.own.run import Surroundings, groups_in
from codebuddy.training.packages import Package
from codebuddy.training.privacy import Goal

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex

# Of each side, groups that are attacked at most, and files that there must be.
_MOST_GROUPS, _LEAST_FILES = 60, 2
_TRIES = 4
# Of another version nothing is gone on from: its secrets are ranked among others.
_ATTACKS_VERSION = 2
# Of the time, what training may take.
_TRAINED_SHARE = 0.6
_GROUPS_PER_FILE = 4
_FACTS, _SIDES = "audit.json", ("members", "others", "canaries")
_MAX_FACTS_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What is audited: a stored adapter by its name, or a training anew; `privacy` of that."""

    minutes: float
    seed: int = 0
    name: str = ""
    privacy: Goal | None = None


@dataclass(frozen=True, slots=True)
class _Material:
    """What is attacked with: groups by side (`_SIDES`), and facts that are kept beside them.

    Of canaries two groups each: without a lookup, and with one.
    """

    sides: Mapping[str, Sequence[SampleGroup]]
    facts: Mapping[str, Any]


def run(around: Surroundings, base: Base, asked: Asked) -> Findings:
    """Audit the adapter that a training of this repository gives, or a stored one.

    Raises:
        TrainingError: There is too little code, or a training or another audit runs.
        CodebuddyError: Model, index or adapter failed; what is done stays.
    """
    with alone(around.repository) as folder:
        try:
            return _Audit(around, base, asked, folder).run()
        except OSError as error:
            raise TrainingError(
                f"cannot keep the audit in {folder}: {error.strerror or error}",
                hint="make room, then give the same command: it goes on where it was",
            ) from error


class _Audit:
    """One call: the stages in order."""

    def __init__(self, around: Surroundings, base: Base, asked: Asked, folder: Path) -> None:
        self._around = around
        self._base = base
        self._asked = asked
        self._stored = own_adapters.find(folder, asked.name) if asked.name else None
        goal = asked.privacy
        kind = "plain" if goal is None else f"private-{goal.epsilon:g}-{goal.unit}"
        kind = f"of-{asked.name}" if asked.name else kind
        self._work = folder / f"audit-{base.digest[:12]}-{kind}"
        self._clock = PausableClock(around.why_to_wait, lambda why: around.show(f"waiting: {why}"))

    def run(self) -> Findings:
        make_folder(self._work)
        key = {
            "base": self._base.digest,
            "commit": self._around.repository.head_commit(),
            "seed": self._asked.seed,
            "attacks": _ATTACKS_VERSION,
            "settings": cutting.settings_key(self._around.settings.train),
            "adapter": "" if self._stored is None else self._stored.sha256,
        }
        samples, material = self._around.with_index(
            lambda index: self._kept(index, key) or self._cut(index, key)
        )
        subject, file, rank = self._adapter(samples)
        self._around.show("reading the model")
        model = fitting.model_with(
            self._wish(file, rank),
            fit.AdapterConfig(fitting.NAME, rank, tuple(base_model.LINEAR), 0),
        )
        model.eval()
        findings = self._attack(model, samples.endings, material, subject)
        shutil.rmtree(self._work, ignore_errors=True)
        return findings

    def _kept(self, index: RepositoryIndex, key: object) -> tuple[Samples, _Material] | None:
        """What was cut before, unless a file of it is left out since."""
        samples, material = cutting.kept_samples(self._work, key), _kept_material(self._work)
        if samples is None or material is None:
            return None
        return (samples, material) if choosing.may_be_learned(samples.sources, index) else None

    def _cut(self, index: RepositoryIndex, key: dict[str, Any]) -> tuple[Samples, _Material]:
        from codebuddy.inference.vocabulary import open_vocabulary

        around, settings = self._around, self._around.settings.train
        around.show("looking for code to learn from")
        earlier = None if self._stored is None else choosing.earlier_training(self._stored.card)
        chosen = choosing.choose_files(around.repository, index, settings, earlier)
        choice = self._split(chosen, index)
        vocabulary = open_vocabulary(self._base.file)
        rng = random.Random(f"audit:{self._asked.seed}")
        cut_it = partial(cut_group, around.repository, index, vocabulary)

        def cut(paths: Sequence[str]) -> list[SampleGroup]:
            groups: list[SampleGroup] = []
            wanted = min(_MOST_GROUPS, _GROUPS_PER_FILE * len(paths))
            for number in range(_TRIES * wanted):
                if len(groups) == wanted:
                    break
                self._clock.wait()
                path, is_private = paths[number % len(paths)], self._asked.privacy is not None
                group = cut_it(path, rng, choice.deprecated.is_in, stands_alone=is_private)
                groups += [] if group is None else [group]
                around.show(f"cutting: {len(groups)} of {wanted} stretches of code")
            return groups

        members, others = cut(choice.learned), cut(choice.held_out)
        if not members or len(others) < 2:
            raise self._too_little(choice)
        canaries = []
        if self._stored is None:
            canaries = draw_canaries(
                around.repository, index, vocabulary, choice.learned, self._asked.seed
            )
        # They say when the training stops, and are not attacked.
        watched = others[::2][:4] if self._stored is None else []
        replayed: list[SampleGroup] = []
        if self._stored is None:
            count = cutting.replayed_for(len(members), settings.replay)
            count = cutting.LIBRARY_GROUPS if self._asked.privacy else count
            replayed = cutting.library_groups(vocabulary, count, self._asked.seed)
        groups = {
            "learned": [*members, *planted(canaries, rng)],
            "replayed": replayed,
            "watched": watched or others[:1],
            "judged": [each for each in others if each not in watched][:8] or others,
            "elsewhere": [],
        }
        rng.shuffle(groups["learned"])
        facts = {
            "key": key,
            "repository": around.repository.root.name,
            **{name: key[name] for name in ("commit", "seed")},
            **cutting.choice_facts(choice),
        }
        samples = cutting.keep_samples(self._work, groups, vocabulary, facts)
        pairs = [group for each in canaries for group in (each.plain, each.found)]
        unseen = [each for each in others if each not in watched]
        sides = {"members": members, "others": unseen, "canaries": pairs}
        about = {"canaries": [each.as_json() for each in canaries]}
        return samples, _keep_material(self._work, _Material(sides, about), facts)

    def _split(self, choice: choosing.Choice, index: RepositoryIndex) -> choosing.Choice:
        """Who is in and who is out: by the card of a stored adapter, else by a coin."""
        files = sorted({*choice.learned, *choice.held_out})
        if self._stored is not None:
            watched, judged = _held_out_of(self._stored)
            if choice.renewed is None:
                raise TrainingError(
                    f"{self._stored.name} was trained at a commit that is not here, so that nobody"
                    f" knows which files it learned from",
                    hint="'codebuddy audit adapter' without a name trains one and audits that",
                )
            out = judged & set(files)
            inside = sorted({*files} - judged - watched - choice.renewed)
        else:
            texts = {p: "".join(chunk.text for chunk in index.chunks_of(p)) for p in files}
            files = sorted(set(files) - set(choosing.copies(texts)))
            drawn = random.Random(f"coin:{self._asked.seed}").sample(files, len(files))
            inside, out = drawn[: (len(files) + 1) // 2], set(drawn[(len(files) + 1) // 2 :])
        found = dataclasses.replace(
            choice, learned=tuple(sorted(inside)), held_out=tuple(sorted(out)), renewed=None
        )
        if min(len(found.learned), len(found.held_out)) < _LEAST_FILES:
            raise self._too_little(found)
        return found

    def _too_little(self, choice: choosing.Choice) -> TrainingError:
        return TrainingError(
            f"{self._around.repository.root} has too little code to audit an adapter with:"
            f" {len(choice.learned)} files that it learns from and {len(choice.held_out)} that it"
            f" does not; of so few any share of hits has the interval 0 to 100%",
            hint="an audit needs some ten files of code that are no copies of each other",
        )

    def _adapter(self, samples: Samples) -> tuple[dict[str, Any], Path, int]:
        """Facts about the adapter, its file and its rank; it is trained if it is not stored."""
        facts = {
            "model": self._base.name,
            "base": self._base.digest,
            "commit": samples.facts["commit"],
            "files": samples.facts["files"],
            "left_out": samples.facts["left_out"],
            "seed": self._asked.seed,
        }
        if self._stored is not None:
            chosen = AdapterChooser(self._base.header, self._base.digest)
            adapter = chosen.choose(str(self._stored.file)).adapter
            assert adapter is not None
            made_by = self._stored.card.get("made_by", {})
            privacy = made_by.get("privacy") if isinstance(made_by, dict) else None
            told = {"adapter": self._stored.name, "privacy": privacy}
            return facts | told, self._stored.file, adapter.rank
        file, note_file = self._work / "trained.gguf", self._work / "trained.json"
        if not (file.exists() and note_file.exists()):
            wish = self._wish(self._start(), RANK)
            if self._asked.privacy is not None:
                groups = samples.groups["learned"]
                in_time = groups_in(60 * self._asked.minutes * _TRAINED_SHARE, self._base)
                private = private_for(self._asked.privacy, groups, self._around.repository, in_time)
                self._around.tell(private.plan.words())
                wish = dataclasses.replace(wish, privacy=private)
            around = self._around
            trained = fitting.train(wish, samples, self._clock, around.on_progress, around.tell)
            about = {
                "steps": trained.steps,
                "seconds": round(trained.seconds, 1),
                "loss": {part: dict(each) for part, each in trained.loss.items()},
                "privacy": trained.privacy,
            }
            write_file(note_file, json.dumps(about).encode())
        read_adapter(file, self._base.header)
        told = read_json(note_file, _MAX_FACTS_BYTES)
        return facts | {"adapter": None, **told}, file, RANK

    def _start(self) -> Path | None:
        """The adapter that ships with the model, which knows nothing of this repository."""
        if self._asked.privacy is not None:
            return None
        chosen = AdapterChooser(self._base.header, self._base.digest).choose(SHIPPED).adapter
        return chosen.path if chosen is not None and chosen.rank == RANK else None

    def _wish(self, start: Path | None, rank: int) -> fitting.Wish:
        parameters = fitting.parameters_of(self._base.header)
        gives_way = self._around.settings.train.give_way
        return fitting.Wish(
            base=self._base.file,
            folder=self._work,
            seconds=60 * self._asked.minutes * _TRAINED_SHARE,
            rank=rank,
            rate=fitting.rate_for(parameters),
            seed=self._asked.seed,
            start=start,
            threads=machine.free_cores() if gives_way else 0,
        )

    def _attack(
        self, model: Any, endings: Endings, material: _Material, subject: dict[str, Any]
    ) -> Findings:
        rows = Rows(self._work / "rows.jsonl")
        sides: dict[str, list[dict[str, Any]]] = {}
        for side in ("members", "others"):
            sides[side] = []
            for number, group in enumerate(material.sides[side]):
                self._clock.wait()
                found = rows.once(
                    f"{side}:{number}",
                    lambda group=group: middles_as_json(score_middles(model, group, endings, 0)),  # type: ignore[misc]
                )
                sides[side] += [{"file": group.path, **each} for each in found["middles"]]
                self._around.show(f"{side}: {number + 1} of {len(material.sides[side])}")
        canaries = [
            self._canary(model, rows, material, number)
            for number in range(len(material.facts["canaries"]))
        ]
        seed, groups, both = self._asked.seed, material.sides, (sides["members"], sides["others"])
        told = membership_of(*both, seed)
        besides = {
            CONTROL: told_by_words(groups["members"], groups["others"], seed),
            RUNS: runs_told(*both, seed),
        }
        told |= {name: each for name, each in besides.items() if each is not None}
        findings = Findings(subject, tuple(canaries), told, recitation_of(*both))
        privacy = subject.get("privacy")
        return bounded(findings, privacy["delta"]) if privacy else findings

    def _canary(self, model: Any, rows: Rows, material: _Material, number: int) -> dict[str, Any]:
        about = material.facts["canaries"][number]
        plain, found = material.sides["canaries"][2 * number : 2 * number + 2]
        others = about["others"]

        def score() -> dict[str, Any]:
            # What both read of one prompt.
            read = fit.PromptCache(model, "cpu")
            scores = {
                "adapter": score_secret(model, plain, others, has_adapter=True, prompts=read),
                "base": score_secret(model, plain, others, has_adapter=False, prompts=read),
                "found": score_secret(model, found, (), has_adapter=True),
            }
            return canary_row(about, {name: secret_as_json(each) for name, each in scores.items()})

        self._clock.wait()
        self._around.show(f"canaries: {number + 1} of {len(material.facts['canaries'])}")
        return rows.once(f"canary:{number}", score)


def _held_out_of(stored: StoredAdapter) -> tuple[set[str], set[str]]:
    """The files that said when to stop, and those that judged, by the card."""
    made_by = stored.card.get("made_by")
    lists = [isinstance(made_by, dict) and made_by.get(part) for part in ("watched", "judged")]
    watched, judged = ({*map(str, each)} if isinstance(each, list) else set() for each in lists)
    why = "" if judged else f"the card of {stored.name} does not say which files it never saw"
    if max(len(watched), len(judged)) >= MAX_NAMED:
        why = f"the card of {stored.name} names only the first {MAX_NAMED} files that it never saw"
    if why:
        hint = "'codebuddy audit adapter' without a name trains one and audits that"
        raise TrainingError(why, hint=hint)
    return watched, judged


def middles_as_json(scores: Sequence[MiddleScores]) -> dict[str, Any]:
    """The row of a group."""
    return {"middles": [dataclasses.asdict(each) for each in scores]}


def secret_as_json(scores: SecretScores) -> dict[str, Any]:
    """What `canary_row` takes of a secret."""
    return {"own": scores.own, "others": scores.others, "greedy": scores.is_greedy}


def _keep_material(folder: Path, material: _Material, facts: Mapping[str, Any]) -> _Material:
    package = Package("repository", str(facts["repository"]), str(facts["commit"]))
    for side in _SIDES:
        write_groups(folder / f"side-{side}.npz", package, material.sides[side])
    write_file(folder / _FACTS, json.dumps(material.facts).encode())
    return material


def _kept_material(folder: Path) -> _Material | None:
    try:
        facts = read_json(folder / _FACTS, _MAX_FACTS_BYTES)
        sides = {side: read_groups(folder / f"side-{side}.npz") for side in _SIDES}
        if len(sides["canaries"]) != 2 * len(facts["canaries"]):
            return None
        return _Material(sides, facts)
    except (OSError, ValueError, KeyError, TypeError):
        return None
