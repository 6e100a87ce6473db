"""From a repository to its adapter: choose files, cut samples, train, compare, keep the better.

Each stage leaves its work beside the index: the same command goes on where it was stopped.
What is kept is for the user alone and never leaves the machine.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.errors import TrainingError
from codebuddy.evaluation import gate
from codebuddy.evaluation.gate import Limit
from codebuddy.inference import hardware, machine, own_adapters
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.adapter_choice import AdapterChooser
from codebuddy.inference.own_adapters import Base, StoredAdapter
from codebuddy.settings import Settings
from codebuddy.training.own import choosing, cutting, fitting, judging
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.fitting import RANK, Progress, Trained
from codebuddy.training.own.judging import Verdict
from codebuddy.training.own.keeping import alone, keep_adapter
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.own.private import Private, private_for
from codebuddy.training.privacy import Goal
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.datatypes import Adapter, Generator
    from codebuddy.index.search import RepositoryIndex

# Of the time: what cutting and training may take; the rest compares.
_CUT_SHARE, _TRAINED_SHARE = 0.2, 0.75
# Tokens a second that the default model learns on two cores, and of a group of samples.
_TOKENS_PER_S, _GROUP_TOKENS, _PARAMETERS = 100.0, 1600.0, 1.5e9
_MOST_GROUPS, _LEAST_GROUPS = 400, 16
_WORK, _UNUSED = "unfinished", "-unused"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; `is_fresh` forgets what was learned before.

    A private training begins anew, since an earlier one knows the same code. `limits` are of a
    gate, by paths in the outcome's JSON: an adapter that does not keep them is not used.
    """

    minutes: float
    seed: int = 0
    is_fresh: bool = False
    privacy: Goal | None = None
    limits: Sequence[Limit] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs from its caller.

    Args of its functions: `with_index` runs what it is given on an index that is up to date,
    `open_generator` loads the model, `show` tells a person how far it is, `why_to_wait` says why
    this is no time to train, `tell` says what is to stay on the screen.
    """

    repository: Repository
    settings: Settings
    with_index: Callable[[Callable[[RepositoryIndex], Any]], Any]
    open_generator: Callable[[], Generator]
    show: Callable[[str], None]
    on_progress: Callable[[Progress], None]
    why_to_wait: Callable[[], str]
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; `trained` is None where nothing was new, `gate` without limits."""

    name: str
    facts: Mapping[str, Any]
    trained: Trained | None
    verdict: Verdict | None
    started_from: str = ""
    gate: gate.Verdict | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it is used from now on."""
        return self.verdict is not None and self.verdict.is_better

    def as_json(self) -> dict[str, Any]:
        """The outcome in numbers."""
        trained = self.trained
        return {
            "adapter": self.name,
            "kept": self.is_kept,
            "started_from": self.started_from or None,
            "files": self.facts.get("files"),
            "left_out": self.facts.get("left_out"),
            "steps": trained and trained.steps,
            "seconds": trained and round(trained.seconds, 1),
            "loss": trained and {part: dict(each) for part, each in trained.loss.items()},
            "compared": self.verdict and self.verdict.as_json(),
            "privacy": trained and trained.privacy,
            **({} if self.gate is None else {"gate": self.gate}),
        }


def check_memory(base: Base) -> None:
    """Refuse what would drive the machine into swapping.

    Raises:
        TrainingError: Training takes more memory than there is.
    """
    needed, available = fitting.needed_bytes(base.header), hardware.available_bytes()
    if needed > available:
        raise TrainingError(
            f"training an adapter of {base.name} takes {needed / 1e9:.1f} GB of memory, and"
            f" {available / 1e9:.1f} GB are available",
            hint="close something ('codebuddy engine stop'), or adapt a smaller model: --model",
        )


def run(around: Surroundings, base: Base, options: Options) -> Outcome:
    """Train an adapter of the repository and keep it if it is better.

    Raises:
        TrainingError: There is too little code, or another training runs.
        CodebuddyError: Model or index failed; what is done stays.
    """
    with alone(around.repository) as folder:
        try:
            return OwnTraining(around, base, options, folder).run()
        except OSError as error:
            raise TrainingError(
                f"cannot keep the training in {folder}: {error.strerror or error}",
                hint="make room, then give the same command: it goes on where it was",
            ) from error


def groups_in(seconds: float, base: Base) -> float:
    """How many groups can be learned from in that time, a group counted at each pass."""
    speed = _TOKENS_PER_S * _PARAMETERS / fitting.parameters_of(base.header)
    return seconds * speed / _GROUP_TOKENS


class OwnTraining:
    """The stages of a training; `run` is all of them in order.

    Args:
        around: What it needs.
        base: The weights that get an adapter.
        options: What the user asked for.
        folder: Of the repository's adapters; the caller holds its lock (`alone`).
        work: What unfinished work is called there.
    """

    def __init__(
        self,
        around: Surroundings,
        base: Base,
        options: Options,
        folder: Path,
        work: str = _WORK,
    ) -> None:
        self._around = around
        self._base = base
        self._options = options
        self._folder = folder
        self._chooser = AdapterChooser(base.header, base.digest)
        self.work = folder / f"{work}-{base.digest[:12]}"
        self._clock = PausableClock(around.why_to_wait, lambda why: around.show(f"waiting: {why}"))
        self._deadline = self._clock() + 60 * options.minutes

    def run(self) -> Outcome:
        """All stages, going on where an earlier call stopped."""
        options = self._options
        if options.is_fresh:
            shutil.rmtree(self.work, ignore_errors=True)
        start = None if options.is_fresh or options.privacy else self._start()
        samples = self.samples(start)
        if samples is None:
            assert start is not None
            made_by, judged = start.card.get("made_by", {}), judging.judge_nothing(options.limits)
            return Outcome(start.name, made_by, None, None, start.name, judged)
        trained = self.train(samples, start)
        # The weights that were trained on: the comparison loads the model once more.
        gc.collect()
        verdict = self.compare(samples, trained)
        judged, verdict = judging.pass_gate(options.limits, trained.loss, verdict)
        name = self.keep(samples, trained, verdict, start)
        shutil.rmtree(self.work, ignore_errors=True)
        begun = "" if start is None else start.name
        return Outcome(name, samples.facts, trained, verdict, begun, judged)

    def samples(self, start: StoredAdapter | None) -> Samples | None:
        """The samples, as an earlier call cut them or new; `None` where `start` knows all."""
        goal = self._options.privacy
        key: dict[str, Any] = {
            "base": self._base.digest,
            # What was cut of an older commit may hold what was taken out since.
            "commit": self._around.repository.head_commit(),
            "start": "" if start is None else start.sha256,
            "settings": cutting.settings_key(self._around.settings.train),
            "seed": self._options.seed,
        }
        if goal is not None:
            # What was cut when files still depended on each other is cut anew.
            key["privacy"] = [goal.epsilon, goal.unit, "each file by itself"]
        found: Samples | None = self._around.with_index(
            lambda index: self._kept(index, key) or self._cut(index, key, start)
        )
        return found

    def _kept(self, index: RepositoryIndex, key: dict[str, Any]) -> Samples | None:
        """What was cut before, unless a file of it is left out since: also without a commit."""
        found = cutting.kept_samples(self.work, key)
        if found is None or choosing.may_be_learned(found.sources, index):
            return found
        self._around.tell("the unfinished training has files that are left out now: it begins anew")
        return None

    def _start(self) -> StoredAdapter | None:
        """The adapter to go on from: the one in use."""
        chosen = self._in_use()
        if chosen is None or chosen.rank != RANK:
            return None
        card = {"sha256": chosen.sha256}
        if chosen.path.parent == self._folder:
            card = dict(own_adapters.find(self._folder, chosen.name).card)
        return StoredAdapter(chosen.name, chosen.path, card)

    def _cut(
        self, index: RepositoryIndex, key: dict[str, Any], start: StoredAdapter | None
    ) -> Samples | None:
        """The samples; `None` where an adapter knows all that there is."""
        from codebuddy.inference.vocabulary import open_vocabulary

        around, settings = self._around, self._around.settings.train
        earlier = choosing.earlier_training({} if start is None else start.card)
        around.show("looking for code to learn from")
        is_private = self._options.privacy is not None
        choice = choosing.choose_files(
            around.repository, index, settings, earlier, each_alone=is_private
        )
        if choice.renewed is not None and not choice.renewed & set(choice.learned):
            return None
        vocabulary = open_vocabulary(self._base.file)
        groups = cutting.cut_samples(
            around.repository,
            index,
            vocabulary,
            choice,
            self._n_groups(choice),
            settings.replay,
            self._options.seed,
            self._clock() + 60 * self._options.minutes * _CUT_SHARE,
            self._clock,
            around.show,
            is_private=is_private,
        )
        facts = {
            "key": key,
            "repository": around.repository.root.name,
            "commit": around.repository.head_commit(),
            **cutting.choice_facts(choice),
            "learned_from": len({group.path for group in groups["learned"]}),
            "groups": {part: len(each) for part, each in groups.items()},
        }
        return cutting.keep_samples(self.work, groups, vocabulary, facts)

    def _n_groups(self, choice: choosing.Choice) -> int:
        """As many as can be learned from in the time, some passes over, and files give."""
        in_time = groups_in(60 * self._options.minutes * _TRAINED_SHARE, self._base) / 2
        files = len(choice.renewed or choice.learned)
        return int(min(_MOST_GROUPS, 4 * files, max(_LEAST_GROUPS, in_time)))

    def train(self, samples: Samples, start: StoredAdapter | None) -> Trained:
        """Learn from the samples, beginning with `start`; the file lies in the folder of work."""
        around = self._around
        left = (self._deadline - self._clock()) / 60 / self._options.minutes
        seconds = 60 * self._options.minutes * max(0.1, left - (1 - _TRAINED_SHARE))
        wish = self._wish(seconds, None if start is None else start.file, self._private(samples))
        if wish.privacy is not None:
            around.tell(wish.privacy.plan.words())
        around.show("reading the model")
        return fitting.train(wish, samples, self._clock, around.on_progress, around.tell)

    def explained(self, samples: Samples, file: Path) -> Trained:
        """An adapter of elsewhere as if it had been trained here: what it explains of the samples.

        Raises:
            ModelError: It does not fit.
        """
        return fitting.explained(self._wish(0.0, file), samples)

    def _wish(
        self, seconds: float, start: Path | None, privacy: Private | None = None
    ) -> fitting.Wish:
        give_way = self._around.settings.train.give_way
        return fitting.Wish(
            base=self._base.file,
            folder=self.work,
            seconds=seconds,
            rank=RANK,
            rate=fitting.rate_for(fitting.parameters_of(self._base.header)),
            seed=self._options.seed,
            start=start,
            threads=machine.free_cores() if give_way else 0,
            privacy=privacy,
        )

    def _private(self, samples: Samples) -> Private | None:
        if self._options.privacy is None:
            return None
        return private_for(
            self._options.privacy,
            samples.groups["learned"],
            self._around.repository,
            groups_in(60 * self._options.minutes * _TRAINED_SHARE, self._base),
        )

    def compare(self, samples: Samples, trained: Trained) -> Verdict:
        """Complete the holes of the files that judge, by each arm."""
        around = self._around
        own = read_adapter(trained.file, self._base.header)
        default = self._in_use()
        deprecated = choosing.Deprecated(frozenset(samples.facts["deprecated"]))
        around.show("loading the model")
        generator = around.open_generator()

        def ask(index: RepositoryIndex) -> Verdict:
            trial = judging.Trial(
                repository=around.repository,
                index=index,
                generator=generator,
                settings=around.settings.completion,
                own=own,
                default=default,
                deprecated=deprecated,
                seed=self._options.seed,
                clock=self._clock,
                deadline=self._deadline,
            )
            found = judging.complete_holes(trial, samples.facts["judged"], around.show)
            return judging.judge(found, deprecated, trained.gain, trained.loss, self._options.seed)

        try:
            verdict: Verdict = around.with_index(ask)
        finally:
            close = getattr(generator, "close", None)
            if close is not None:
                close()
        return verdict

    def _in_use(self) -> Adapter | None:
        """The adapter that writes here now, by the setting, if there is one."""
        return self._chooser.choose(self._around.settings.model.adapter, self._folder).adapter

    def keep(
        self,
        samples: Samples,
        trained: Trained,
        verdict: Verdict,
        start: StoredAdapter | None,
        made_of: str = "",
    ) -> str:
        """Put the adapter beside its card; use it if it is better. `made_of` ends its name."""
        name = own_adapters.name_for(self._around.repository.root.name, samples.facts["commit"])
        name += "-private" if self._options.privacy else ""
        name += made_of + ("" if verdict.is_better else _UNUSED)
        made_by = {
            **{name: facts for name, facts in samples.facts.items() if name != "key"},
            "start": None if start is None else start.name,
        }
        return keep_adapter(self._folder, self._base, name, trained, verdict, made_by)
