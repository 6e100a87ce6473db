"""What lookups win on public repositories: arms side by side, task by task, with intervals.

    python -m tests.bench.lookups measure --minutes 60       further tasks, repository by repository
    python -m tests.bench.lookups report                     the tables of all rows, as Markdown
    python -m tests.bench.lookups measure --against base --model smollm2-135m \\
        --rows tests/bench/adapters.jsonl                    what an adapter wins, with and without

The tasks are those of `codebuddy eval --arms never,always --arm windows` (or `base`: without the
model's adapter) in repositories of `tests/bench/quality_corpora.toml` with use "bench". What is
kept in the file of `--rows` (`lookups.jsonl` beside this program) is numbers and places, no code,
so that runs of several days add up: each with a seed of its own measures other tasks. A row says
at which commit of codebuddy it was made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from codebuddy.evaluation.results import TaskResult, results_of
from codebuddy.evaluation.statistics import mean, mean_interval
from codebuddy.evaluation.store import load_run
from codebuddy.evaluation.tables import table
from codebuddy.vcs.repository import open_repository
from tests.bench.quality_corpora import default_cache, load_corpora, make_repository

ROOT = Path(__file__).parents[2]
ROWS = Path(__file__).with_suffix(".jsonl")
ARMS = ("base_never", "never", "windows", "base_always", "always")
_TURN_MINUTES = 4.0

Row = dict[str, Any]


def main() -> None:
    """Measure, or print the tables of what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--tasks", type=int, default=20, help="of each kind and repository")
    parser.add_argument("--kinds", nargs="*", default=["line", "call"])
    parser.add_argument("--arms", default="never,always", help="beside these")
    parser.add_argument("--against", default="windows", choices=["windows", "base"])
    parser.add_argument("--adapter", default="auto", help="a GGUF file in place of the shipped one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--commit", default="", help="of report: rows of this commit alone")
    arguments = parser.parse_args()
    if arguments.what == "measure":
        measure(arguments)
    rows = [
        row
        for row in read_rows(arguments.rows)
        if row["model"] == arguments.model and row["commit"].startswith(arguments.commit)
    ]
    print("\n".join(report(rows)))


def measure(arguments: argparse.Namespace) -> None:
    """Evaluate in turns of some minutes, so that an hour shows something of each repository."""
    corpora = [corpus for corpus in load_corpora() if corpus.use == "bench"]
    folders = {corpus.name: make_repository(corpus, default_cache()) for corpus in corpora}
    commit = commit_of()
    deadline = time.monotonic() + arguments.minutes * 60
    unfinished = dict(folders)
    while unfinished:
        for name, folder in list(unfinished.items()):
            left_min = (deadline - time.monotonic()) / 60
            if left_min <= 0:
                return
            evaluated = _evaluated(folder, arguments, min(_TURN_MINUTES, left_min))
            results = results_of(load_run(open_repository(folder), evaluated["run"]))
            add_rows(arguments.rows, [_row(each, name, commit, arguments) for each in results])
            if evaluated["tasks"] >= evaluated["planned"]:
                del unfinished[name]


def _evaluated(folder: Path, arguments: argparse.Namespace, minutes: float) -> dict[str, Any]:
    """The JSON of `codebuddy eval`, which goes on where it stopped."""
    command = [sys.executable, "-m", "codebuddy", "-C", str(folder), "eval", "--json"]
    command += ["--arms", arguments.arms, "--arm", arguments.against]
    command += ["--model", arguments.model, "--adapter", arguments.adapter]
    command += [part for kind in arguments.kinds for part in ("--kind", kind)]
    command += ["--tasks", str(arguments.tasks), "--seed", str(arguments.seed)]
    command += ["--minutes", f"{minutes:.3f}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _row(result: TaskResult, repository: str, commit: str, arguments: argparse.Namespace) -> Row:
    """The numbers of a task: scores, tokens and milliseconds by arm."""
    return {
        "commit": commit,
        "model": arguments.model,
        "seed": arguments.seed,
        "repository": repository,
        "id": result.id,
        "kind": result.kind,
        "language": result.language,
        "arms": {
            arm: {
                "edit_similarity": round(mode.scores["edit_similarity"] or 0.0, 2),
                "exact_match": mode.scores["exact_match"],
                "prompt": mode.tokens["prompt"],
                "generated": mode.tokens["generated"],
                "latency_ms": round(mode.latency_ms),
                "copied": mode.has_answer_in_chunks,
            }
            for arm, mode in result.arms.items()
        },
    }


def read_rows(file: Path) -> Iterator[Row]:
    """All rows of a file; none where there is no file."""
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def add_rows(file: Path, rows: Iterable[Row]) -> None:
    """Append the rows that are not there yet."""
    known = {_key(row) for row in read_rows(file)}
    with file.open("a", encoding="utf-8") as out:
        for row in rows:
            if _key(row) not in known:
                out.write(json.dumps(row, separators=(",", ":")) + "\n")


def _key(row: Row) -> tuple[str, ...]:
    arms = ",".join(sorted(row["arms"]))
    return (row["commit"], row["model"], row["repository"], row["id"], arms)


def report(rows: Sequence[Row]) -> list[str]:
    """Two tables for all rows and for each kind: the arms, and their differences task by task."""
    kinds = sorted({row["kind"] for row in rows})
    languages = sorted({row["language"] for row in rows})
    lines = []
    for name in ("all", *kinds, *languages):
        chosen = [row for row in rows if name in ("all", row["kind"], row["language"])]
        if len(chosen) < 2:
            continue
        repositories = len({row["repository"] for row in chosen})
        lines += [f"**{name}**: {len(chosen)} tasks in {repositories} repositories.", ""]
        lines += [*_arms_table(chosen), "", *_differences_table(chosen), ""]
    return lines


def _arms_table(rows: Sequence[Row]) -> list[str]:
    cells = []
    for arm in ARMS:
        each = [row["arms"][arm] for row in rows if arm in row["arms"]]
        if not each:
            continue
        cells.append(
            [
                arm,
                str(len(each)),
                f"{mean([one['edit_similarity'] for one in each]):.1f}",
                f"{mean([100 * one['exact_match'] for one in each]):.1f}%",
                f"{mean([one['prompt'] for one in each]):.0f}",
                f"{mean([100.0 * one['copied'] for one in each]):.0f}%",
            ]
        )
    headings = [
        "arm",
        "tasks",
        "edit similarity",
        "exact",
        "prompt tokens",
        "text stands in what was found",
    ]
    return table(headings, cells)


def _differences_table(rows: Sequence[Row]) -> list[str]:
    cells = []
    for second, first in combinations(ARMS, 2):
        pairs = [row for row in rows if {first, second} <= set(row["arms"])]
        if len(pairs) < 2:
            continue
        gains = [_gain(row, first, second, "edit_similarity", 1) for row in pairs]
        exact = [_gain(row, first, second, "exact_match", 100) for row in pairs]
        better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
        cells.append(
            [
                f"{first} less {second}",
                str(len(pairs)),
                _bounded(gains),
                _bounded(exact),
                f"{better}, {worse}",
            ]
        )
    return table(["difference", "tasks", "edit similarity", "exact", "better, worse"], cells)


def _gain(row: Row, first: str, second: str, score: str, factor: float) -> float:
    return float(factor * (row["arms"][first][score] - row["arms"][second][score]))


def _bounded(values: Sequence[float]) -> str:
    low, high = mean_interval(values, seed=0) or (float("nan"), float("nan"))
    return f"{mean(values):+.1f} [{low:.1f}, {high:.1f}]"


def commit_of() -> str:
    """The commit of codebuddy that is measured, abbreviated."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
