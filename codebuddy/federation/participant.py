"""One client: its labels, what it sends of them, and whether what came back is of use to it.

Labels are split by file: from three quarters of the files it learns, the others it keeps to judge
by. It answers with an update of the weights and the number of labels behind it, and with nothing
else; both can be seen beforehand (`preview`). It knows neither Flower nor the network.
"""

from __future__ import annotations

import random as standard_random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codebuddy import heads
from codebuddy.completion.head import Head
from codebuddy.errors import TrainingError
from codebuddy.federation import privacy as private
from codebuddy.federation.privacy import Privacy, Releases
from codebuddy.federation.weights import (
    Array,
    Data,
    Scales,
    StepConfig,
    classifiers,
    data_of,
    norm,
    shapes_fit,
    step,
)
from codebuddy.training.head.adapt import Adaptation, GainThresholds, compared_stages
from codebuddy.training.head.examples import Example

# Of a client's files, one in so many is never learned from.
HELD_OUT = 4
# With fewer on either side nothing can be said.
MIN_HELD_OUT = 15


@dataclass(frozen=True, slots=True)
class Update:
    """What a client sends: a change of each stage's weights, and how many labels are behind it.

    With privacy the number is 1 for everybody, since it would tell, too.
    """

    change: Sequence[Array]
    n_examples: int

    def as_json(self) -> dict[str, Any]:
        """All of it, in numbers."""
        return {
            "n_examples": self.n_examples,
            "change": [[round(value, 6) for value in each.tolist()] for each in self.change],
            "numbers": sum(len(each) for each in self.change),
            "norm": round(norm(self.change), 6),
        }


@dataclass(slots=True)
class Participant:
    """A client's labels and what it has spent of its privacy.

    Args:
        examples: Its labels.
        scales: The shared ones.
        privacy: Its own limits; None to send updates as they are.
        seed: Of the split and the noise; None draws noise from the system.
        earlier: What was sent in earlier federations, by noise.
    """

    examples: Sequence[Example]
    scales: Scales
    privacy: Privacy | None = None
    seed: int | None = None
    earlier: Releases = ()
    n_sent: int = 0
    learned: list[Example] = field(init=False)
    held_out: list[Example] = field(init=False)
    _random: np.random.Generator = field(init=False)
    # The labels that the matrices are of; others came where it is another list.
    _known: tuple[list[Example], Data] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self.learned, self.held_out = split_by_file(self.examples, self.seed or 0)

    @property
    def may_send(self) -> bool:
        """Whether there is something to learn from, and privacy left to spend."""
        if not self.learned:
            return False
        if self.privacy is None or self.privacy.noise <= 0 or self.privacy.place == "server":
            return True
        return self.n_sent < private.releases_within(self.privacy, self.earlier)

    @property
    def own_noise(self) -> float:
        """What it adds itself, in units of its clip."""
        own = self.privacy
        return own.noise if own is not None and own.place == "client" else 0.0

    def update(self, sent: Sequence[Array], config: StepConfig) -> Update:
        """The answer to weights that the server sent; it counts as a release.

        Raises:
            TrainingError: The weights are none of this codebuddy's head, or nothing may be sent.
        """
        if not shapes_fit(sent):
            raise TrainingError("the server's weights are none of this codebuddy's head")
        if not self.may_send:
            raise TrainingError("there is nothing to send: no labels, or no privacy left")
        data = self._matrices()
        stepped = step(sent, data, config)
        change = [new - old for new, old in zip(stepped, sent, strict=True)]
        n_examples = data.n_examples
        if self.privacy is not None:
            n_examples = 1
            change = private.clipped(change, self.privacy.clip)
            if self.privacy.place == "client" and self.privacy.noise > 0:
                deviation = self.privacy.noise * self.privacy.clip
                change = private.noised(change, deviation, self._random)
        self.n_sent += 1
        return Update(change, n_examples)

    def _matrices(self) -> Data:
        if self._known is None or self._known[0] is not self.learned:
            self._known = self.learned, data_of(self.learned, self.scales)
        return self._known[1]

    def epsilon(self) -> float:
        """What it has spent, earlier federations included.

        Infinite once something was sent without noise of its own.
        """
        return private.epsilon(self.releases(), (self.privacy or Privacy()).delta)

    def releases(self) -> Releases:
        """All that was sent, by noise."""
        counts = dict(self.earlier)
        counts[self.own_noise] = counts.get(self.own_noise, 0) + self.n_sent
        return tuple((each, count) for each, count in sorted(counts.items()) if count)


def preview(participant: Participant, sent: Sequence[Array], config: StepConfig) -> dict[str, Any]:
    """What the first answer would be, without sending or counting it."""
    n_sent = participant.n_sent
    try:
        update = participant.update(sent, config)
    finally:
        participant.n_sent = n_sent
    return {
        "sent": update.as_json(),
        "labels": {"learned": len(participant.learned), "held_out": len(participant.held_out)},
        "privacy": None
        if participant.privacy is None
        else {
            "clip": participant.privacy.clip,
            "noise": participant.privacy.noise,
            "place": participant.privacy.place,
        },
    }


def split_by_file(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """The labels to learn from and those to judge by; none of a file is on both sides."""
    files = sorted({each.path for each in examples})
    standard_random.Random(seed).shuffle(files)
    kept_back = set(files[::HELD_OUT]) if len(files) > 1 else set()
    learned = [each for each in examples if each.path not in kept_back]
    return learned, [each for each in examples if each.path in kept_back]


def verdict_as_json(verdict: Adaptation) -> dict[str, Any]:
    """What held-out holes say of an aggregate, in numbers, stage by stage."""
    found: dict[str, Any] = {"holes": verdict.n_holes, "adopted": verdict.is_better}
    for name, each in verdict.stages.items():
        found[name] = {
            "is_better": each.is_better,
            "present": {
                "gain_error": round(each.default.gain_error, 3),
                "net_gain": round(each.default.net_gain, 3),
            },
            "aggregate": {
                "gain_error": round(each.adapted.gain_error, 3),
                "net_gain": round(each.adapted.net_gain, 3),
            },
        }
    return found


def judge(
    participant: Participant,
    weights: Sequence[Array],
    present: Head,
    shared: Sequence[Example],
    thresholds: GainThresholds,
) -> Adaptation:
    """Compare an aggregate with the head that decides here now, on held-out holes alone.

    Args:
        participant: Whose holes.
        weights: The aggregate.
        present: The head in use.
        shared: The labels that ship with codebuddy, for the readings of the scores.
        thresholds: The gain that a lookup must bring there.

    Raises:
        TrainingError: The weights make no sense, or too few holes are held out to tell.
    """
    if not shapes_fit(weights):
        raise TrainingError("the aggregate is none of this codebuddy's head")
    if len(participant.held_out) < MIN_HELD_OUT:
        raise TrainingError(
            f"{len(participant.held_out)} holes are too few to judge an aggregate by:"
            f" {MIN_HELD_OUT} are needed",
            hint="'codebuddy train head' labels more",
        )
    aggregate = classifiers(weights, participant.scales, [*shared, *participant.learned])
    return compared_stages(present, aggregate, participant.held_out, thresholds)


def head_in_use(repository: Any, wanted: Mapping[str, Any]) -> Head:
    """The head that decides in the repository now.

    Raises:
        TrainingError: There is none.
    """
    chosen = heads.choose_head(repository, wanted)
    if chosen.head is None:
        raise TrainingError("there is no head to compare with", hint="reinstall codebuddy")
    return chosen.head
