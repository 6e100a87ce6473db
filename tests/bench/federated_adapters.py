"""What an adapter that repositories train together explains of code that nobody learned from.

    .venv/extras/bin/python -m tests.bench.federated_adapters [--minutes 0.6] [--rounds 1]

Three made-up repositories of one house, each of which does things in one of the house's three
ways, are the clients (`--packages`: three installed packages); a fourth does things in all three
and learns nothing. By the product's own training, server and mean (`codebuddy federate adapter`),
with the small model: each client alone, all together, and all code in one place for as long as the
clients took together. Judged by the loss of middles in files that took no part, in nats a token
(what `train adapter` stops by); what is written is not judged. Time is processor time of one
thread, so that a busy machine gives the same adapters. Intervals are 95%, by bootstrap over
middles.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from codebuddy.evaluation.statistics import mean_interval
from codebuddy.federation.adapter_part import AdapterClient, AdapterPart, opened, write_weights
from codebuddy.federation.adapter_server import strategy_for
from codebuddy.federation.simulation import run_in_process
from codebuddy.federation.strategy import Rules
from codebuddy.inference.own_adapters import Base
from codebuddy.service.context import repository_context_of_folder
from codebuddy.terminal import StatusLine
from codebuddy.training.adapter import fit
from codebuddy.training.adapter.base_model import LINEAR
from codebuddy.training.own import fitting
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.run import OwnTraining
from tests.support import index

PACKAGES = ("starlette", "uvicorn", "anyio", "mcp")
_NOUNS = (
    "invoice voucher parcel refund deposit quote ticket".split(),
    "cabin berth cargo ferry harbor pilot vessel".split(),
    "seed field tractor harvest silo orchard meadow".split(),
    "lecture seminar thesis campus tutor grade essay".split(),
)
_HEAD = '"""{title}s of the house."""\n\nfrom house.{way} import {names}\n\n\n'
_WAYS = {
    "ledger": (
        "book_entry, current_clerk",
        '''\
def {verb}_{noun}(account, amount_cents, note=""):
    """{title} one {noun} for an account."""
    with book_entry(account, kind="{noun}", clerk=current_clerk()) as entry:
        entry.debit_cents(amount_cents, reason="{verb}:{noun}")
        entry.attach_note(note or "{verb} without a note")
    return entry.sealed_copy()


''',
    ),
    "flow": (
        "Stage, hand_over, park_until",
        '''\
def {verb}_{noun}(batch, horizon_hours=36):
    """{title} each {noun} of a batch."""
    stage = Stage.of(batch).labelled("{noun}-{verb}")
    for piece in stage.pieces_in_turn():
        park_until(piece, hours=horizon_hours, why="{verb}:{noun}")
        hand_over(piece, to=stage.next_desk("{noun}"))
    return stage.tally_sheet()


''',
    ),
    "watch": (
        "sentinel, raise_flag, quiet_hours",
        '''\
def {verb}_{noun}(site, limit_permille=125):
    """{title} a {noun} where a site asks for it."""
    watcher = sentinel(site).tuned_to("{noun}", limit_permille)
    if watcher.exceeds_for(quiet_hours(site), topic="{verb}"):
        raise_flag(site, "{noun}.{verb}", level=watcher.level_now())
    return watcher.last_reading(default=None)


''',
    ),
}
_VERBS = ("open", "settle", "cancel", "renew", "assign")
# Groups of samples of the repository that nobody learns from.
_MOST_JUDGED = 12
_CUTTING_MINUTES = 5.0
# Nothing is trained by it.
_RATE = 1e-3


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


def make_houses(work: Path) -> list[Path]:
    """Three repositories with a way each, and one with all three."""
    ways = list(_WAYS)
    return [
        make_house(work / f"house-{number}", _NOUNS[number], ways[number : number + 1] or ways)
        for number in range(len(_NOUNS))
    ]


def make_house(root: Path, nouns: Sequence[str], ways: Sequence[str]) -> Path:
    """A module for each noun, the ways in turn; committed."""
    files: dict[str, str | bytes] = {"house/__init__.py": ""}
    for number, noun in enumerate(nouns):
        way = ways[number % len(ways)]
        names, body = _WAYS[way]
        bodies = [body.format(verb=v, noun=noun, title=v.capitalize()) for v in _VERBS]
        head = _HEAD.format(title=noun.capitalize(), way=way, names=names)
        files[f"house/{noun}s.py"] = head + "".join(bodies)
    if not (root / ".git").exists():
        index.make_repository(root, files)
        index.run_git(root, "add", ".")
        index.run_git(root, "commit", "-qm", "Start the house")
    return root


def make_packages(work: Path) -> list[Path]:
    """Installed packages, committed; the last is for nobody."""
    places = [Path(each) for each in sys.path if each.endswith("site-packages")]
    roots = []
    for name in PACKAGES:
        root = work / name
        if not (root / ".git").exists():
            found = next(place / name for place in places if (place / name).is_dir())
            left_out = shutil.ignore_patterns("*.pyc", "__pycache__")
            shutil.copytree(found, root / name, ignore=left_out)
            index.run_git(root, "init", "-q")
            index.run_git(root, "add", ".")
            index.run_git(root, "commit", "-qm", "As installed")
        roots.append(root)
    return roots


def by_processor(part: AdapterPart, minutes: float) -> None:
    """Let the trainings of a part take so many minutes of the processor."""
    usual = part.training

    def training() -> OwnTraining:
        made = usual()
        clock: Any = ProcessorClock()
        made._clock = clock
        made._options = replace(made._options, minutes=minutes)
        made._deadline = clock() + 60 * minutes
        return made

    part.training = training


def losses(
    base: Base, file: Path | None, judged: Sequence[Sequence[Any]], samples: Samples
) -> list[list[float]]:
    """By list of groups, the loss of each middle, in nats a token."""
    wish = fitting.Wish(base.file, Path(), 0.0, fitting.RANK, _RATE, 0, start=file, threads=1)
    config = fit.AdapterConfig(fitting.NAME, fitting.RANK, tuple(LINEAR), _RATE)
    model = fitting.model_with(wish, config)
    return [fitting._losses(model, groups, samples) for groups in judged]


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
    parser.add_argument("--minutes", type=float, default=0.6, help="Of a client and round.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--packages", action="store_true", help="Real code in place of houses.")
    parser.add_argument("--model", default="smollm2-135m")
    default = Path.home() / ".cache/codebuddy/bench-federated-adapters"
    parser.add_argument("--work", type=Path, default=default)
    arguments = parser.parse_args()
    os.environ |= {"CODEBUDDY_INDEX_EMBEDDER": "none", "CODEBUDDY_TRAIN_GIVE_WAY": "false"}
    torch.set_num_threads(1)
    work: Path = arguments.work
    roots = make_packages(work) if arguments.packages else make_houses(work)
    rules = Rules(n_rounds=arguments.rounds, min_clients=len(roots) - 1)
    after: list[list[Any]] = []
    strategy, base = strategy_for(arguments.model, rules)
    strategy._on_round = lambda _, weights: after.append(list(weights))
    with ExitStack() as stack:
        flags = {"model.name": arguments.model}
        every = [
            stack.enter_context(
                opened(
                    repository_context_of_folder(root, flags),
                    # Cutting samples is no part of the time.
                    _CUTTING_MINUTES,
                    0,
                    StatusLine(),
                    keeps=False,
                )
            )
            for root in roots
        ]
        parts, unseen = every[:-1], every[-1].samples
        for part in parts:
            by_processor(part, arguments.minutes)
            print(part.repository_context.root.name, part.samples.facts["groups"], flush=True)
        clients = [Learner(each) for each in parts]
        run_in_process(strategy, clients)
        print([each.as_json() for each in strategy.rounds], strategy.lost, flush=True)

        def written(weights: Any, name: str) -> Path:
            file = work / f"{name}.gguf"
            write_weights(file, weights, strategy.parts, base)
            return file

        seconds = 60 * arguments.minutes * 0.75 * len(parts)
        judged = [each.samples.groups["judged"] for each in parts]
        judged.append([*unseen.groups["judged"], *unseen.groups["learned"]][:_MOST_JUDGED])
        samples, n_clients = parts[0].samples, len(parts)
        rows = {"base": losses(base, None, judged, samples)}
        alone = [
            losses(base, written(each.sent[0], f"alone-{n}"), [judged[n], judged[-1]], samples)
            for n, each in enumerate(clients)
        ]
        # On what nobody knows the mean of all three.
        unknown = [statistics.fmean(each) for each in zip(*(own[1] for own in alone), strict=True)]
        rows["each alone"] = [*(own[0] for own in alone), unknown]
        for number, weights in enumerate(after, 1):
            file = written(weights, f"all-{number}")
            rows[f"together, {number} of {arguments.rounds} rounds"] = losses(
                base, file, judged, samples
            )
        file = centralised(base, parts, seconds, work / "central")
        rows["in one place"] = losses(base, file, judged, samples)
    show(rows, n_clients)


def show(rows: dict[str, list[list[float]]], n_clients: int) -> None:
    """The table: nats a token on held-out files of the clients, and of the unseen repository."""
    print("| | clients, held out | less than alone | unseen | less than alone |")
    print("|---|--:|--:|--:|--:|")
    sides = {
        name: [[each for own in found[:n_clients] for each in own], found[n_clients]]
        for name, found in rows.items()
    }
    for name, values in sides.items():
        cells = []
        for own, alone in zip(values, sides["each alone"], strict=True):
            won = [b - a for a, b in zip(own, alone, strict=True)]
            low, high = mean_interval(won, 0) or (0.0, 0.0)
            cells += [
                f"{statistics.fmean(own):.3f}",
                f"{statistics.fmean(won):.3f} [{low:.3f}, {high:.3f}]",
            ]
        print(f"| {name} | {' | '.join(cells)} | ({len(values[0])} and {len(values[1])} middles)")


if __name__ == "__main__":
    main()
