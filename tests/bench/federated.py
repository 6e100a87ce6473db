"""What a federation of the decision head brings, with the labels that are here.

    .venv/extras/bin/python -m tests.bench.federated

Each of the ten repositories is held out in turn: the other nine are the clients, and the weights
that come of the rounds judge the tenth, of which nobody learned anything, its scales neither. The
AUROC is over pairs of holes of one repository, weighted by their number. Beside it stand all labels
in one place, and each client alone. Prints the tables of docs/federated.md.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from codebuddy import heads
from codebuddy.federation.measure import centralised
from codebuddy.federation.participant import Participant
from codebuddy.federation.partitions import Dealing, deal, divergence
from codebuddy.federation.privacy import Place, Privacy, epsilon
from codebuddy.federation.simulation import simulate
from codebuddy.federation.strategy import Rules
from codebuddy.federation.weights import (
    STAGES,
    Array,
    Data,
    Scales,
    StepConfig,
    data_of,
    scales_of,
    scores_of,
    zeros,
)
from codebuddy.training.head.examples import Example, read_folder, repositories
from codebuddy.training.head.metrics import within

_ROUNDS = 30
WINDOWS = 30
_DEALINGS: tuple[Dealing, ...] = ("label", "language", "quantity")
_DEALT_ROUNDS = 10
# Windows of labels that a client keeps.
KEPT = 6


@dataclass(frozen=True)
class Fold:
    """One repository held out."""

    name: str
    held_out: list[Example]
    clients: list[list[Example]]
    scales: Scales

    @functools.cached_property
    def data(self) -> Data:
        """What is held out, as matrices."""
        return data_of(self.held_out, self.scales)


Weights = Sequence[Array]


def folds(
    examples: Sequence[Example], split: Callable[[list[Example]], list[list[Example]]]
) -> list[Fold]:
    """Each repository once."""
    found = []
    for name in repositories(examples):
        rest = [each for each in examples if each.repository != name]
        own = [each for each in examples if each.repository == name]
        found.append(Fold(name, own, split(rest), scales_of(rest)))
    return found


def judged(all_folds: Sequence[Fold], weights: Sequence[Weights]) -> dict[str, float]:
    """By stage, the AUROC within repositories."""
    found = {}
    matrices = [fold.data for fold in all_folds]
    for number, stage in enumerate(STAGES):
        scores, helped, names = [], [], []
        for fold, data, own in zip(all_folds, matrices, weights, strict=True):
            scores += scores_of(own[number], data.inputs[number]).tolist()
            helped += [bool(each) for each in data.helped[number]]
            names += [fold.name] * len(data.helped[number])
        value = within(np.array(scores), np.array(helped), np.array(names))
        assert value is not None
        found[stage.name] = value
    return found


def federated(
    all_folds: Sequence[Fold],
    rules: Rules,
    privacy: Privacy | None = None,
    *,
    arrives: bool = False,
) -> tuple[list[dict[str, float]], float]:
    """The AUROC after each round, and bytes a client and round."""
    by_round: list[list[Weights]] = [[] for _ in range(rules.n_rounds)]
    sizes = []
    for number, fold in enumerate(all_folds):
        people = []
        for client, labels in enumerate(fold.clients):
            drawn = 1_000 * number + 100_000 * rules.seed + client
            each = Participant(labels, fold.scales, privacy, seed=drawn)
            # Nothing is held out of clients here: a whole repository is.
            each.learned, each.held_out = list(labels), []
            people.append(each)
        streams = [windows(each.learned, WINDOWS, rules.seed + n) for n, each in enumerate(people)]

        def come_and_go(round_number: int, people: Any = people, streams: Any = streams) -> None:
            for each, stream in zip(people, streams, strict=True):
                recent = stream[max(0, round_number - KEPT) : round_number]
                each.learned = [hole for window in recent for hole in window]

        def after_round(
            round_number: int, weights: list[Array], come_and_go: Any = come_and_go
        ) -> None:
            by_round[round_number - 1].append([each.copy() for each in weights])
            if arrives:
                come_and_go(round_number + 1)

        if arrives:
            come_and_go(1)
        strategy = simulate(
            people,
            # Other draws and other noise in each fold.
            replace(rules, seed=rules.seed + 1_000 * number, noise_seed=rules.seed + number),
            zeros(),
            on_round=after_round,
        )
        asked = sum(each.asked for each in strategy.rounds)
        total = sum(each.bytes_sent + each.bytes_received for each in strategy.rounds)
        sizes.append(total / max(1, asked))
    return [judged(all_folds, each) for each in by_round], statistics.fmean(sizes)


def windows(examples: Sequence[Example], n_windows: int, seed: int) -> list[list[Example]]:
    """Examples as they would arrive, file by file, in unequal shares.

    The labels have no dates: files come in an order that the seed draws, and how many come in each
    window is drawn, too.
    """
    random = np.random.default_rng(seed)
    files = sorted({each.path for each in examples})
    order = {files[place]: rank for rank, place in enumerate(random.permutation(len(files)))}
    arranged = sorted(examples, key=lambda each: (order[each.path], each.start))
    shares = random.dirichlet(np.full(n_windows, 1.0))
    cuts = np.round(np.cumsum(shares)[:-1] * len(arranged)).astype(int)
    found, begin = [], 0
    for end in [*cuts.tolist(), len(arranged)]:
        found.append(arranged[begin:end])
        begin = end
    return found


def rounds_to(curve: Sequence[float], goal: float) -> int | None:
    """The first round (from 1) from which on the curve stays at `goal` or above."""
    reached = None
    for number, value in enumerate(curve, 1):
        if value < goal:
            reached = None
        elif reached is None:
            reached = number
    return reached


def row(name: str, curve: list[dict[str, float]], goal: dict[str, float], extra: str = "") -> str:
    """A line of the table; rounds to 95% of what all labels in one place gain over chance."""
    last = curve[-1]
    needed = []
    for stage in STAGES:
        wanted = 0.5 + 0.95 * (goal[stage.name] - 0.5)
        reached = rounds_to([each[stage.name] for each in curve], wanted)
        needed.append("never" if reached is None else str(reached))
    return (
        f"| {name} | {last['syntax']:.3f} | {last['confidence']:.3f} |"
        f" {needed[0]} | {needed[1]} | {extra} |"
    )


def mean_of(curves: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Seeds averaged, round by round."""
    return [
        {stage.name: statistics.fmean(each[stage.name] for each in of_round) for stage in STAGES}
        for of_round in zip(*curves, strict=True)
    ]


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", choices=["all", "drawn", "noise", "dealt"], default="all")
    arguments = parser.parse_args()
    _, examples = read_folder(heads.default_labels_folder(), as_measured=True)
    natural = folds(examples, lambda rest: deal(rest, "repository", 0, 1.0, 0))
    pooled = [data_of([h for c in f.clients for h in c], f.scales) for f in natural]
    goal = judged(natural, [centralised(each, StepConfig()) for each in pooled])
    alone = []
    for client in range(len(natural[0].clients)):
        alone.append(
            judged(
                natural,
                [centralised(data_of(f.clients[client], f.scales), StepConfig()) for f in natural],
            )
        )
    print("| | syntax | confidence | rounds, syntax | rounds, confidence | |")
    print("|---|--:|--:|--:|--:|---|")
    print(f"| all labels in one place | {goal['syntax']:.3f} | {goal['confidence']:.3f} | | | |")
    values = {s.name: statistics.fmean(each[s.name] for each in alone) for s in STAGES}
    print(
        f"| each alone, the mean | {values['syntax']:.3f} | {values['confidence']:.3f} | | | |",
        flush=True,
    )
    base = Rules(n_rounds=arguments.rounds, min_clients=1, noise_seed=0)

    def seeds(rules: Rules, privacy: Privacy | None = None, **options: Any) -> tuple[Any, float]:
        found = [
            federated(natural, replace(rules, seed=seed, noise_seed=seed), privacy, **options)
            for seed in range(arguments.seeds)
        ]
        return mean_of([each[0] for each in found]), found[0][1]

    curve, size = federated(natural, base)
    print(row("FedAvg, all nine", curve, goal, f"{size:.0f} bytes a client and round"), flush=True)
    curve, _ = federated(natural, replace(base, step=StepConfig(proximal=0.1)))
    print(row("FedProx, mu 0.1", curve, goal), flush=True)
    for aggregate in ("median", "trimmed"):
        curve, _ = federated(natural, replace(base, aggregate=aggregate))
        print(row(f"FedAvg, {aggregate}", curve, goal), flush=True)
    if arguments.part in ("all", "drawn"):
        drawn = {
            "three drawn evenly, weighted": replace(base, selection="uniform", per_round=3),
            "three by activity, plain mean": replace(
                base, selection="activity", per_round=3, is_weighted=False
            ),
            "three by activity, weighted (biased)": replace(
                base, selection="activity", per_round=3
            ),
        }
        for name, rules in drawn.items():
            print(row(name, seeds(rules)[0], goal), flush=True)
        for name, rules in {"all nine": base, **drawn}.items():
            print(row(f"continual: {name}", seeds(rules, arrives=True)[0], goal), flush=True)
    if arguments.part in ("all", "noise"):
        trials: list[tuple[Place, float, float]] = [
            ("server", 0.5, 0.3),
            ("server", 1.0, 0.3),
            ("server", 4.0, 0.3),
            ("client", 1.0, 0.3),
            ("client", 4.0, 0.3),
        ]
        for place, noise, clip in trials:
            privacy = Privacy(clip, noise, place)
            rules = replace(base, privacy=privacy, norm_bound=clip)
            spent = epsilon(((noise, arguments.rounds),), privacy.delta)
            curve = seeds(rules, privacy)[0]
            print(
                row(
                    f"noise {noise:g} at the {place}, clip {clip:g}",
                    curve,
                    goal,
                    f"epsilon {spent:.1f}",
                ),
                flush=True,
            )
    if arguments.part not in ("all", "dealt"):
        return
    print("\n| dealt by | alpha | divergence, bits | syntax | confidence |")
    print("|---|--:|--:|--:|--:|")
    for dealing in _DEALINGS:
        for alpha in (0.1, 1.0):
            dealt = folds(
                examples, partial(deal, dealing=dealing, n_clients=50, alpha=alpha, seed=0)
            )
            unlike = statistics.fmean(divergence(each.clients, dealing) for each in dealt)
            last = federated(dealt, replace(base, n_rounds=_DEALT_ROUNDS))[0][-1]
            print(
                f"| {dealing} | {alpha:g} | {unlike:.3f}"
                f" | {last['syntax']:.3f} | {last['confidence']:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
