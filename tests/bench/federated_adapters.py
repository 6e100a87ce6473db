"""What an adapter that repositories train together explains of code that nobody learned from.

    .venv/extras/bin/python -m tests.bench.federated_adapters [--minutes 1] [--rounds 2]

Installed packages are the repositories: three clients, and one that none of them knows. By the
product's own training, server and mean (`codebuddy federate adapter`), with the small model: each
client alone, all rounds together, and all code in one place for as long as the clients took
together. Judged by the loss of middles in files that took no part, in nats a token (what `train
adapter` stops by); what is written is not judged. Time is processor time of one thread, so that a
busy machine gives the same adapters. Intervals are 95%, by bootstrap over middles.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from codebuddy.evaluation.statistics import mean_interval
from codebuddy.federation.adapter_part import AdapterClient, AdapterPart, opened, write_weights
from codebuddy.federation.adapter_server import strategy_for
from codebuddy.federation.simulation import run_in_process
from codebuddy.federation.strategy import Rules
from codebuddy.inference.own_adapters import Base
from codebuddy.service.context import repository_context_of_folder
from codebuddy.terminal import StatusLine
from codebuddy.training.adapter import fit
from codebuddy.training.own import fitting
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.run import OwnTraining
from tests.support.index import run_git

CLIENTS, UNSEEN = ("starlette", "uvicorn", "anyio"), "mcp"
# Groups of samples of the repository that nobody learns from.
_MOST_JUDGED = 16


class ProcessorClock:
    """Processor time in place of a clock that pauses."""

    def __call__(self) -> float:
        """Seconds."""
        return time.process_time()

    def wait(self) -> None:
        """Never pauses."""


class Learner(AdapterClient):
    """Judges no aggregate, and keeps what it sent in each round."""

    def __init__(self, part: AdapterPart) -> None:
        super().__init__(part)
        self.sent: list[Any] = []

    def _sent(self, weights: Any, n_examples: int) -> Any:
        self.sent.append(weights)
        return super()._sent(weights, n_examples)

    def _take(self, weights: Any) -> None:
        pass


def make_repository(name: str, work: Path) -> Path:
    """An installed package, committed."""
    root = work / name
    if not (root / ".git").exists():
        places = [Path(each) for each in sys.path if each.endswith("site-packages")]
        found = next(place / name for place in places if (place / name).is_dir())
        shutil.copytree(found, root / name, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
        run_git(root, "init", "-q")
        run_git(root, "add", ".")
        run_git(root, "commit", "-qm", "As installed")
    return root


def by_processor(part: AdapterPart) -> None:
    """Let the trainings of a part take processor time."""
    usual = part.training

    def training() -> OwnTraining:
        made = usual()
        clock: Any = ProcessorClock()
        made._clock = clock
        made._deadline = clock() + 60 * made._options.minutes
        return made

    part.training = training


def losses(base: Base, file: Path | None, groups: Sequence[Any], samples: Samples) -> list[float]:
    """The loss of each middle, in nats a token."""
    wish = fitting.Wish(base.file, Path(), 0.0, fitting.RANK, 1e-3, 0, start=file, threads=1)
    config = fit.AdapterConfig(fitting.NAME, fitting.RANK, tuple(fitting.base_model.LINEAR), 1e-3)
    model = fitting.model_with(wish, config)
    return fitting._losses(model, groups, samples)


def centralised(base: Base, parts: Sequence[AdapterPart], seconds: float, work: Path) -> Path:
    """One training on what all clients learn from, looking at what all of them watch."""
    first = parts[0].samples
    merged = {
        name: [group for part in parts for group in part.samples.groups[name]]
        for name in first.groups
    }
    rate = fitting.rate_for(fitting.parameters_of(base.header))
    work.mkdir(exist_ok=True)
    for state in work.glob("*.state"):
        state.unlink()
    wish = fitting.Wish(base.file, work, seconds, fitting.RANK, rate, 0, threads=1)
    clock: Any = ProcessorClock()
    samples = Samples(merged, first.endings, first.facts)
    trained = fitting.train(wish, samples, clock, lambda _: None)
    print(f"in one place: {trained.steps} steps, {trained.seconds:.0f} s, {trained.loss}")
    return trained.file


def main() -> None:
    """Train all of it, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="Of a client and round.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="smollm2-135m")
    default = Path.home() / ".cache/codebuddy/bench-federated-adapters"
    parser.add_argument("--work", type=Path, default=default)
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "CODEBUDDY_TRAIN_GIVE_WAY": "false"}
    work: Path = arguments.work
    roots = [make_repository(name, work) for name in (*CLIENTS, UNSEEN)]
    rules = Rules(n_rounds=arguments.rounds, min_clients=len(CLIENTS))
    after: list[list[Any]] = []
    strategy, base = strategy_for(arguments.model, rules)
    strategy._on_round = lambda _, weights: after.append(list(weights))
    with ExitStack() as stack:
        flags = {"model.name": arguments.model}
        every = [
            stack.enter_context(
                opened(
                    repository_context_of_folder(root, flags),
                    arguments.minutes,
                    0,
                    StatusLine(),
                    keeps=False,
                )
            )
            for root in roots
        ]
        parts, unseen = every[:-1], every[-1].samples
        for part in parts:
            by_processor(part)
            print(part.repository_context.root.name, part.samples.facts["groups"], flush=True)
        clients = [Learner(each) for each in parts]
        run_in_process(strategy, clients)
        print([each.as_json() for each in strategy.rounds], strategy.lost, flush=True)

        def written(weights: Any, name: str) -> Path:
            file = work / f"{name}.gguf"
            write_weights(file, weights, strategy.parts, base)
            return file

        seconds = 60 * arguments.minutes * 0.75 * len(parts)
        arms: dict[str, list[Path | None]] = {
            "base": [None] * len(every),
            # On the unseen one: the first client's.
            "alone": [written(each.sent[0], f"alone-{n}") for n, each in enumerate(clients)],
        }
        arms["alone"].append(arms["alone"][0])
        for number, weights in enumerate(after, 1):
            arms[f"federated, {number} rounds"] = [written(weights, f"all-{number}")] * len(every)
        arms["in one place"] = [centralised(base, parts, seconds, work / "central")] * len(every)
        judged = [each.samples.groups["judged"] for each in parts]
        judged.append([*unseen.groups["judged"], *unseen.groups["learned"]][:_MOST_JUDGED])
        show(base, arms, judged, parts[0].samples)


def show(
    base: Base, arms: dict[str, list[Path | None]], judged: Sequence[Any], samples: Samples
) -> None:
    """The table: nats a token on held-out files of the clients, and of the unseen repository."""
    print("| | held-out files of the clients | less than base | unseen | less than base |")
    print("|---|--:|--:|--:|--:|")
    first: list[list[float]] = []
    for name, files in arms.items():
        found = [
            losses(base, file, groups, samples) for file, groups in zip(files, judged, strict=True)
        ]
        sides = [[each for own in found[:-1] for each in own], found[-1]]
        first = first or sides
        cells = []
        for own, other in zip(sides, first, strict=True):
            won = [b - a for a, b in zip(own, other, strict=True)]
            low, high = mean_interval(won, 0) or (0.0, 0.0)
            cells += [
                f"{statistics.fmean(own):.3f}",
                f"{statistics.fmean(won):.3f} [{low:.3f}, {high:.3f}]",
            ]
        print(f"| {name} | {' | '.join(cells)} | ({len(sides[0])} and {len(sides[1])} middles)")


if __name__ == "__main__":
    main()
