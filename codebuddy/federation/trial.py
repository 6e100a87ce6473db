"""A federation tried out in one process: against all labels in one place, and each client alone."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy import heads
from codebuddy.errors import UsageError
from codebuddy.federation import privacy as private
from codebuddy.federation.client import HeadClient
from codebuddy.federation.measure import aurocs, centralised
from codebuddy.federation.participant import HELD_OUT, Participant
from codebuddy.federation.partitions import Dealing, deal, divergence
from codebuddy.federation.privacy import Privacy
from codebuddy.federation.secure import client_kind
from codebuddy.federation.simulation import simulate
from codebuddy.federation.strategy import HeadStrategy, Rules
from codebuddy.federation.weights import Array, Scales, data_of, scales_of, zeros
from codebuddy.training.head.examples import Example, read_folder


@dataclass(frozen=True, slots=True)
class Dealt:
    """Who has which labels (`partitions.deal`), and how many clients send junk."""

    dealing: Dealing = "repository"
    n_clients: int = 50
    alpha: float = 1.0
    seed: int = 0
    n_poisoned: int = 0


class PoisonedClient(HeadClient):
    """Sends the opposite of what it learned, ten times as long; every third numbers that are none.

    Args:
        number: Which client.
        participant: Whose labels.
    """

    def __init__(self, number: int, participant: Participant) -> None:
        super().__init__(participant, "simulated")
        self._number = number

    def fit(self, ins: Any) -> Any:
        """An update that would do harm."""
        answer = super().fit(ins)
        change = self._common.parameters_to_ndarrays(answer.parameters)
        factor = float("nan") if self._number % 3 == 2 else -10.0
        answer.parameters = self._common.ndarrays_to_parameters([factor * c for c in change])
        return answer


def try_out(
    labels: Path | None, dealt: Dealt, rules: Rules, privacy: Privacy | None
) -> dict[str, Any]:
    """What the rounds bring on files that nobody learned from.

    Args:
        labels: The folder of labels; those that ship with codebuddy by default.
        dealt: Who has which.
        rules: How rounds go.
        privacy: Of every client.

    Raises:
        TrainingError: There are no labels.
        UsageError: Too few clients have any, or some are to send junk under masks.
    """
    if rules.is_secure and dealt.n_poisoned:
        raise UsageError(
            "a client that sends junk under masks is not simulated: it would be left out",
            hint="leave out --poison or --secure-aggregation",
        )
    _, examples = read_folder(labels or heads.default_labels_folder(), as_measured=True)
    scales = scales_of(examples)
    clients = deal(examples, dealt.dealing, dealt.n_clients, dealt.alpha, dealt.seed)
    participants = participants_of(clients, dealt, scales, privacy)
    learning = [each for each in participants if each.learned]
    if len(learning) < 2:
        raise UsageError("fewer than two clients have labels", hint="a larger --alpha, or more")
    held_out = data_of([hole for each in participants for hole in each.held_out], scales)
    curve: list[dict[str, float | None]] = []
    strategy = simulate(
        participants,
        rules,
        zeros(),
        on_round=lambda _number, weights: curve.append(aurocs(weights, held_out)),
        make_client=_maker(dealt.n_poisoned, client_kind(is_secure=rules.is_secure)),
    )
    pooled = data_of([hole for each in participants for hole in each.learned], scales)
    alone = [aurocs(_alone(each, rules, scales), held_out) for each in learning]
    return {
        "clients": len(clients),
        "labels": len(examples),
        "divergence": divergence(clients, dealt.dealing),
        "auroc": {
            "centralised": aurocs(centralised(pooled, rules.step), held_out),
            "federated": curve[-1],
            "alone": {
                name: statistics.fmean(_or_chance(each[name]) for each in alone)
                for name in curve[-1]
            },
        },
        "curve": curve,
        "rounds": [each.as_json() for each in strategy.rounds],
        "bytes_per_client_and_round": _bytes_each(strategy),
        "epsilon": _epsilon(participants, strategy, privacy),
    }


def participants_of(
    clients: Sequence[Sequence[Example]], dealt: Dealt, scales: Scales, privacy: Privacy | None
) -> list[Participant]:
    """The clients with their labels; what any of them holds out no other one learns from."""
    participants = [
        Participant(each, scales, privacy, seed=dealt.seed * 10_007 + number)
        for number, each in enumerate(clients)
    ]
    if dealt.dealing == "repository":
        return participants
    # A file's labels were dealt to several, each of which would split by its own.
    files = sorted({(hole.repository, hole.path) for each in clients for hole in each})
    random.Random(dealt.seed).shuffle(files)
    kept_back = set(files[::HELD_OUT])
    for each in participants:
        halves: tuple[list[Example], list[Example]] = ([], [])
        for hole in each.examples:
            halves[(hole.repository, hole.path) in kept_back].append(hole)
        each.learned, each.held_out = halves
    return participants


def _or_chance(area: float | None) -> float:
    """An AUROC; without both kinds of holes that of chance."""
    return 0.5 if area is None else area


def _maker(n_poisoned: int, usual: type[HeadClient]) -> Callable[[int, Participant], HeadClient]:
    return lambda number, participant: (
        PoisonedClient(number, participant)
        if number < n_poisoned
        else usual(participant, "simulated")
    )


def _alone(participant: Participant, rules: Rules, scales: Scales) -> Sequence[Array]:
    return centralised(data_of(participant.learned, scales), rules.step)


def _bytes_each(strategy: HeadStrategy) -> float:
    asked = sum(each.asked for each in strategy.rounds)
    total = sum(each.bytes_sent + each.bytes_received for each in strategy.rounds)
    return total / asked if asked else 0.0


def _epsilon(
    participants: Sequence[Participant], strategy: HeadStrategy, privacy: Privacy | None
) -> float | None:
    """The most that any client has spent; None without noise."""
    if privacy is None or privacy.noise <= 0:
        return None
    most = max(each.n_sent for each in participants)
    if privacy.place == "server":
        # Each round is a release of everybody's mean.
        most = len(strategy.rounds)
    return private.epsilon(((privacy.noise, most),), privacy.delta)
