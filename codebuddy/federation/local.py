"""A repository's part in a federation: its labels, what it has sent so far, the head it adopts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy import heads, platforms
from codebuddy.errors import TrainingError
from codebuddy.federation.participant import Participant, head_in_use, judge
from codebuddy.federation.privacy import Privacy, Releases
from codebuddy.federation.strategy import HeadStrategy
from codebuddy.federation.weights import (
    Array,
    Scales,
    classifiers,
    scales_of,
    weights_of,
    zeros,
)
from codebuddy.private_files import make_folder, read_json, write_file
from codebuddy.training.head.adapt import Adaptation, gain_thresholds, head_to_start_from
from codebuddy.training.head.examples import Example, read_examples, read_folder
from codebuddy.training.head.fit import head_content

if TYPE_CHECKING:
    from codebuddy.completion.head import Head
    from codebuddy.vcs.repository import Repository

RECORD_NAME = "federated.json"
_FORMAT = "codebuddy-federated-releases"
_MAX_BYTES = 1 << 20
_MOST_RELEASES = 1_000_000
_LOCK_NAME, _LOCK_WAIT_S = "federated.lock", 30.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What every codebuddy brings along: the shipped labels and head, and their scales."""

    examples: Sequence[Example]
    scales: Scales
    head: Head

    def start(self) -> list[Array]:
        """The weights to begin with: the shipped head's."""
        if self.head.confidence is None:
            return zeros()
        try:
            return weights_of([self.head.syntax, self.head.confidence], self.scales)
        except ValueError:
            return zeros()


def load_shared() -> Shared:
    """The shipped labels and head.

    Raises:
        TrainingError: They are missing or damaged.
    """
    _, examples = read_folder(heads.default_labels_folder())
    return Shared(examples, scales_of(examples), head_to_start_from())


def trained_for_text(header: Mapping[str, Any]) -> str:
    """What labels hold for, as clients say it: model, adapter and budgets."""
    return json.dumps({key: header.get(key) for key in heads.TRAINED_FOR}, sort_keys=True)


@dataclass(slots=True)
class LocalPart:
    """A repository's part.

    Args:
        repository: Whose index folder keeps the record and the head; None keeps nothing.
        labels: The file of labels.
        privacy: The client's own limits.
        shared: What every codebuddy brings along.
    """

    repository: Repository | None
    labels: Path
    privacy: Privacy | None
    shared: Shared
    header: dict[str, Any] = field(init=False)
    examples: list[Example] = field(init=False)
    participant: Participant = field(init=False)
    verdict: Adaptation | None = field(init=False, default=None)
    problem: str = field(init=False, default="")
    # Of what this client sent, how much the record has.
    _n_recorded: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.header, self.examples = read_examples(self.labels)
        self.participant = Participant(
            self.examples, self.shared.scales, self.privacy, earlier=self._earlier()
        )

    @property
    def trained_for(self) -> str:
        """See `trained_for_text`."""
        return trained_for_text(self.header)

    def record_release(self, _count: int) -> None:
        """Keep what was sent so far, before it is sent, beside what other clients here send.

        Raises:
            TrainingError: It cannot be kept, or another client spent what was left; then nothing
                may be sent either.
        """
        if self.repository is None:
            return
        file = self.repository.index_folder / RECORD_NAME
        try:
            make_folder(file.parent)
            with platforms.exclusive_lock(file.with_name(_LOCK_NAME), _LOCK_WAIT_S):
                self._count_others()
                releases = [list(each) for each in self.participant.releases()]
                content = {"format": _FORMAT, "releases": releases}
                write_file(file, json.dumps(content).encode("ascii") + b"\n", is_durable=True)
        except (OSError, TrainingError) as error:
            # It is not sent.
            self.participant.n_sent -= 1
            if isinstance(error, TrainingError):
                raise
            said = error.strerror or "another client holds it"
            raise TrainingError(f"{file} cannot be written: {said}") from error
        self._n_recorded = self.participant.n_sent

    def _count_others(self) -> None:
        """Count what the record says beside this client's own.

        Raises:
            TrainingError: With it more would be spent than is allowed.
        """
        mine = self.participant
        counts = dict(self._earlier())
        counts[mine.own_noise] = counts.get(mine.own_noise, 0) - self._n_recorded
        mine.earlier = tuple((noise, count) for noise, count in counts.items() if count > 0)
        limit = math.inf if mine.privacy is None else mine.privacy.max_epsilon
        if math.isfinite(limit) and mine.epsilon() > limit:
            raise TrainingError("there is no privacy left: another client here spent it")

    def take(self, weights: Sequence[Array]) -> None:
        """Judge an aggregate by the held-out holes, and use it if they say so."""
        wanted = {key: self.header.get(key) for key in heads.TRAINED_FOR}
        try:
            present = head_in_use(self.repository, wanted)
            thresholds = gain_thresholds(
                [each.always.ms for each in self.examples],
                [each.never.ms for each in self.examples],
            )
            verdict = judge(self.participant, weights, present, self.shared.examples, thresholds)
            if verdict.is_better and self.repository is not None:
                name = (
                    f"federated, judged by {verdict.n_holes} holes of {self.header['repository']}"
                )
                content = verdict.head_content(name, wanted, present)
                file = heads.personal_head_file(self.repository)
                make_folder(file.parent)
                heads.save_head(file, content)
        except (TrainingError, OSError) as error:
            self.problem = getattr(error, "message", str(error))
            return
        self.verdict = verdict

    def _earlier(self) -> Releases:
        """What the record says was sent; a damaged one counts as sent without noise."""
        if self.repository is None:
            return ()
        try:
            content = read_json(self.repository.index_folder / RECORD_NAME, _MAX_BYTES)
            pairs = [(float(noise), int(count)) for noise, count in content["releases"]]
            if content["format"] != _FORMAT or not all(
                math.isfinite(noise) and 0 <= count <= _MOST_RELEASES for noise, count in pairs
            ):
                return ((0.0, 1),)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError):
            return ((0.0, 1),)
        return tuple(pairs)


def save_aggregate(file: Path, strategy: HeadStrategy, shared: Shared) -> None:
    """Write the final weights as a head, its readings from the shipped labels.

    Raises:
        TrainingError: It cannot be written.
    """
    stages = classifiers(strategy.weights, shared.scales, shared.examples)
    trained_for = json.loads(strategy.trained_for) if strategy.trained_for else {}
    content = head_content(
        f"federated, {len(strategy.rounds)} rounds",
        trained_for if isinstance(trained_for, dict) else {},
        stages[0],
        stages[1],
        shared.head.asked_again,
    )
    try:
        heads.save_head(file, content)
    except OSError as error:
        raise TrainingError(f"{file} cannot be written: {error.strerror}") from error
