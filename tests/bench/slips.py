"""What a slip of the keyboard costs a search, with slips mended (`index.spelling`) and without.

    python -m tests.bench.slips REPOSITORY... [--tasks N] [--seed N] [--half tune|held-out|all]

Tasks are those of `tests.bench.search`, each asked as it is and with one slip
(`robustness.queries`). Channels are hybrid and dense. It counts as well how many slips are read as
what was meant, how many words without a slip are read as another one, and what reading takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from codebuddy.evaluation.retrieval import TOP_K, first_rank
from codebuddy.evaluation.statistics import mean_interval, percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.channels import Channels
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.index.spelling import Reading
from codebuddy.robustness.queries import with_slip
from codebuddy.settings import Settings
from tests.bench.search import _gain, _indexes, _mean
from tests.bench.search_tasks import Task

_ASKED = ("docstring", "question", "name", "form", "error", "path", "call", "fragment")
_CHANNELS: tuple[SearchChannel, ...] = ("hybrid", "dense")
# NDCG@10 of a task: as it is and with a slip, each as written and as read.
_Gains = tuple[float, float, float, float]


def main() -> None:
    """Ask every task four times, and print tables as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--half", choices=("tune", "held-out", "all"), default="held-out")
    arguments = parser.parse_args()
    gains: dict[tuple[str, SearchChannel], list[_Gains]] = defaultdict(list)
    readings: dict[str, list[tuple[str, str, Reading, Reading, float]]] = defaultdict(list)
    for root in arguments.repositories:
        for tasks, _, index in _indexes(root, {"": Settings()}, arguments.tasks, arguments.seed):
            chosen = [each for each in tasks if arguments.half in ("all", each.half)]
            for task in chosen:
                slipped = with_slip(task.query, arguments.seed)
                readings[task.kind].append((task.query, slipped, *_read(index, task, slipped)))
                for channel in _CHANNELS:
                    gains[task.kind, channel].append(_ask(index, task, slipped, channel))
            print(f"{root.name}: {len(chosen)} queries", file=sys.stderr, flush=True)
    print("\n".join(_gain_lines(gains, arguments.seed)))
    print("\n" + "\n".join(_reading_lines(readings)))


def _ask(index: RepositoryIndex, task: Task, slipped: str, channel: SearchChannel) -> _Gains:
    def gain(query: str) -> float:
        excluded = (lambda chunk: chunk.path == task.near) if task.near else None
        found = index.search(query, TOP_K, channel, near=task.near, exclude=excluded)
        return _gain(first_rank(found, task.right.__contains__))

    with _as_written():
        plain, broken = gain(task.query), gain(slipped)
    return plain, gain(task.query), broken, gain(slipped)


def _read(index: RepositoryIndex, task: Task, slipped: str) -> tuple[Reading, Reading, float]:
    """The readings of the query and of its slipped version, and the milliseconds of the latter."""
    plain = index.read(task.query)
    started = time.perf_counter()
    return plain, index.read(slipped), (time.perf_counter() - started) * 1000


@contextmanager
def _as_written() -> Iterator[None]:
    with mock.patch.object(Channels, "read", lambda _self, query: Reading(query)):
        yield


def _gain_lines(gains: dict[tuple[str, SearchChannel], list[_Gains]], seed: int) -> list[str]:
    rows = []
    for (kind, channel), found in sorted(
        gains.items(), key=lambda each: (_ASKED.index(each[0][0]), each[0][1])
    ):
        plain, read, broken, mended = (list(each) for each in zip(*found, strict=True))
        cells = [f"{kind}, {channel}", str(len(found)), f"{_mean(plain):.3f}"]
        for better, worse in ((read, plain), (plain, broken), (plain, mended), (mended, broken)):
            differences = [a - b for a, b in zip(better, worse, strict=True)]
            low, high = mean_interval(differences, seed) or (0.0, 0.0)
            cells.append(f"{_mean(differences):+.3f} [{low:+.3f}, {high:+.3f}]")
        rows.append(cells)
    heads = ["as it is", "read, less", "loss by a slip", "loss, read", "reading brings"]
    return table(["kind, channel", "queries", *heads], rows)


def _reading_lines(
    readings: dict[str, list[tuple[str, str, Reading, Reading, float]]],
) -> list[str]:
    rows = []
    for kind, found in readings.items():
        slipped = [each for each in found if each[0] != each[1]]
        right = sum(each[3].text.lower() == each[0].lower() for each in slipped)
        mended = sum(bool(each[3].read_as) for each in slipped)
        false = sum(bool(each[2].read_as) for each in found)
        times = [each[4] for each in slipped]
        rows.append(
            [
                kind,
                str(len(slipped)),
                str(mended),
                str(right),
                f"{false} of {len(found)}",
                f"{percentile(times, 50):.2f} / {percentile(times, 95):.2f}",
            ]
        )
        for query, _, plain, _, _ in found:
            for word, other in plain.read_as.items():
                print(f"{kind}: {word} -> {other} in {query[:70]!r}", file=sys.stderr)
    heads = ["slips", "mended", "as meant", "without a slip read otherwise", "ms p50 / p95"]
    return table(["kind", *heads], rows)


if __name__ == "__main__":
    main()
