"""Whether drawing clients by their number of labels takes fewer rounds than drawing them evenly.

    .venv/extras/bin/python -m tests.bench.federated_activity [--seeds 30] [--alpha 0.1]

The shipped labels of nine repositories are dealt to fifty clients by quantity, so unequally that a
few have most of them; the tenth repository judges, each in turn. A seed deals anew, and all ways of
drawing are compared on the same dealings. Rounds are those after which the AUROC stays at 95% of
what all labels in one place gain over chance; intervals are 95%, by bootstrap over seeds. Prints
the tables of docs/federated.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from codebuddy import heads
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.federation.measure import centralised
from codebuddy.federation.participant import Participant
from codebuddy.federation.partitions import deal
from codebuddy.federation.simulation import simulate
from codebuddy.federation.strategy import HeadStrategy, Rules
from codebuddy.federation.weights import STAGES, Array, StepConfig, data_of, zeros
from codebuddy.training.head.examples import Example, read_folder
from tests.bench.federated import KEPT, WINDOWS, Fold, folds, judged, rounds_to, windows

Curve = list[dict[str, float]]

_SHARE = 0.95


def arms(base: Rules) -> dict[str, Rules]:
    """Ways of drawing, the plainest first; the others are compared with it."""
    return {
        "evenly, weighted": replace(base, selection="uniform"),
        "by activity, plain mean": replace(base, selection="activity", is_weighted=False),
        "by activity, weighted": replace(base, selection="activity"),
    }


def rounds_of(
    fold: Fold, rules: Rules, *, arrives: bool, is_by_flower: bool = False
) -> list[list[Array]]:
    """The weights after each round: the product's draws, steps and means.

    Without Flower's server and messages, which take most of the time here; `is_by_flower`
    has them, to compare with.
    """
    people = []
    for labels in fold.clients:
        each = Participant(labels, fold.scales, seed=0)
        # Nothing is held out of clients here: a whole repository is.
        each.learned, each.held_out = list(labels), []
        people.append(each)
    if is_by_flower:
        found: list[list[Array]] = []
        simulate(people, rules, zeros(), on_round=lambda _, weights: found.append(weights))
        return found
    streams = [windows(each.learned, WINDOWS, rules.seed + n) for n, each in enumerate(people)]
    strategy = HeadStrategy(rules, zeros(), "")
    found = []
    for number in range(1, rules.n_rounds + 1):
        for each, stream in zip(people, streams, strict=True):
            if arrives:
                recent = stream[max(0, number - KEPT) : number]
                each.learned = [hole for window in recent for hole in window]
        # Places stand for clients, which have no order of their own.
        counts = {n: len(each.learned) for n, each in enumerate(people) if each.learned}
        taken = []
        for place in strategy._chosen(counts, number) if counts else []:
            update = people[place].update(strategy.weights, rules.step)
            taken.append((list(update.change), update.n_examples if rules.is_weighted else 1))
        if taken:
            strategy.weights = strategy._next(taken, number)
        found.append(strategy.weights)
    return found


def curve_of(dealt: Sequence[Fold], rules: Rules, *, arrives: bool) -> Curve:
    """The AUROC after each round, over all folds."""
    by_fold = [
        # Other draws in each fold.
        rounds_of(each, replace(rules, seed=rules.seed + 1_000 * number), arrives=arrives)
        for number, each in enumerate(dealt)
    ]
    return [judged(dealt, each) for each in zip(*by_fold, strict=True)]


def check(examples: Sequence[Example]) -> None:
    """That rounds here are those of Flower's server, to the last number.

    Raises:
        AssertionError: They are not.
    """
    fold = folds(examples, lambda rest: deal(rest, "quantity", 20, 0.5, 0))[0]
    for rules in arms(Rules(n_rounds=3, per_round=4, min_clients=1)).values():
        ours = rounds_of(fold, rules, arrives=False)
        theirs = rounds_of(fold, rules, arrives=False, is_by_flower=True)
        for one, other in zip(ours, theirs, strict=True):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))


def unequal(clients: Sequence[Sequence[Example]]) -> tuple[int, float]:
    """How many clients have labels, and what share of all labels the five largest have."""
    counts = sorted((len(each) for each in clients if each), reverse=True)
    return len(counts), sum(counts[:5]) / sum(counts)


def measure(
    examples: Sequence[Example], arguments: argparse.Namespace, *, arrives: bool
) -> dict[str, list[Curve]]:
    """By way of drawing, a curve for each seed; says how unequal the dealings are."""
    base = Rules(n_rounds=arguments.rounds, per_round=arguments.per_round, min_clients=1)
    found: dict[str, list[Curve]] = {name: [] for name in arms(base)}
    shapes = []
    for seed in range(arguments.seeds):
        dealing = partial(
            deal, dealing="quantity", n_clients=arguments.clients, alpha=arguments.alpha, seed=seed
        )
        dealt = folds(examples, dealing)
        shapes += [unequal(each.clients) for each in dealt]
        for name, rules in arms(base).items():
            found[name].append(curve_of(dealt, replace(rules, seed=seed), arrives=arrives))
    print(
        f"\n{'continual' if arrives else 'static'}: {arguments.seeds} seeds,"
        f" {statistics.fmean(n for n, _ in shapes):.1f} clients with labels,"
        f" of which the five largest have {statistics.fmean(s for _, s in shapes):.0%}",
        flush=True,
    )
    return found


def show(found: dict[str, list[Curve]], goal: dict[str, float], n_rounds: int) -> None:
    """A table for each stage; `never` counts as one round more than there are."""
    for stage in STAGES:
        wanted = 0.5 + _SHARE * (goal[stage.name] - 0.5)
        print(f"\n{stage.name}, all labels in one place {goal[stage.name]:.3f}, goal {wanted:.3f}")
        print("| drawn | AUROC, mean of rounds | last round | rounds | reached | fewer rounds |")
        print("|---|--:|--:|--:|--:|--:|")
        first: list[float] = []
        for name, curves in found.items():
            values = [[each[stage.name] for each in curve] for curve in curves]
            reached = [rounds_to(each, wanted) for each in values]
            rounds = [float(n_rounds + 1 if each is None else each) for each in reached]
            first = first or rounds
            saved = [one - other for one, other in zip(first, rounds, strict=True)]
            print(
                f"| {name} | {said([statistics.fmean(each) for each in values], 3)}"
                f" | {said([each[-1] for each in values], 3)} | {said(rounds, 1)}"
                f" | {sum(each is not None for each in reached)} of {len(reached)}"
                f" | {said(saved, 1)} |",
                flush=True,
            )


def said(values: Sequence[float], digits: int) -> str:
    """The mean and its interval."""
    low, high = mean_interval(values, 0) or (values[0], values[0])
    return f"{statistics.fmean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--per-round", type=int, default=5)
    parser.add_argument("--alpha", type=float, default=0.1)
    arguments = parser.parse_args()
    _, examples = read_folder(heads.default_labels_folder(), as_measured=True)
    check(examples)
    whole = folds(examples, lambda rest: [rest])
    pooled = [centralised(data_of(each.clients[0], each.scales), StepConfig()) for each in whole]
    goal = judged(whole, pooled)
    for arrives in (False, True):
        show(measure(examples, arguments, arrives=arrives), goal, arguments.rounds)


if __name__ == "__main__":
    main()
