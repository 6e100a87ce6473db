"""`make bench-quality`: completion and retrieval on the public repositories, into the docs.

    python -m tests.bench.quality                    all, as long as it takes
    python -m tests.bench.quality --minutes 60       as far as an hour goes; the next call goes on
    python -m tests.bench.quality --retrieval-only   the part without a model, minutes

Each repository is evaluated by `codebuddy eval` in a process of its own, so that the figures
are those that anybody gets. What was measured is kept in the cache folder and not measured
again while codebuddy and the repositories stay the same. The tables go between the
markers in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codebuddy.evaluation.results import TaskResult, results_of
from codebuddy.evaluation.store import load_run, program_digest
from codebuddy.evaluation.summary import summarize
from codebuddy.evaluation.tables import completion_tables, mode_table, number, table
from codebuddy.vcs.repository import open_repository
from tests.bench.quality_corpora import Corpus, default_cache, load_corpora, make_repository

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
_RANKED = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")
_RETRIEVAL_PARTS = {
    "calls": "The defining chunk of cross-file calls",
    "calls_name_typed": "Of these, the callee's name stands before the cursor",
    "calls_name_hidden": "Of these, the callee's name is cut out too",
    "docstrings": "Functions by the first line of their documentation, which is cut out",
}


def main() -> None:
    """Measure what is asked for, then write the tables of all that has been measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--retrieval-only", action="store_true")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--tasks", type=int, default=30, help="of each kind and repository")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--corpora", nargs="*", default=[])
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--print", dest="is_printed", action="store_true", help="not into the docs")
    arguments = parser.parse_args()
    corpora = [
        corpus
        for corpus in load_corpora()
        if corpus.use == "bench" and (not arguments.corpora or corpus.name in arguments.corpora)
    ]
    folders = {corpus.name: make_repository(corpus, arguments.cache) for corpus in corpora}
    retrieval = {
        name: measure_retrieval(name, folder, arguments) for name, folder in folders.items()
    }
    write_part("retrieval", retrieval_lines(corpora, retrieval, arguments), arguments)
    if arguments.retrieval_only:
        return
    deadline = time.monotonic() + arguments.minutes * 60 if arguments.minutes else float("inf")
    runs: dict[str, list[TaskResult]] = {}
    for number_left, (name, folder) in zip(
        range(len(folders), 0, -1), folders.items(), strict=True
    ):
        left_min = (deadline - time.monotonic()) / 60
        if left_min <= 0:
            break
        # Each repository gets its share of the time, so that an hour shows something of all.
        runs[name] = measure_completion(name, folder, arguments, left_min / number_left)
        done = {each: results for each, results in runs.items() if results}
        write_part("completion", completion_lines(done, arguments), arguments)


def measure_retrieval(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of `codebuddy eval --retrieval-only`, from the cache if nothing has changed."""
    kept = arguments.cache / "results" / f"{name}-{arguments.queries}-{arguments.seed}.json"
    stamp = program_digest() + open_repository(folder).head_commit()
    if kept.is_file():
        known = json.loads(kept.read_text())
        if known["stamp"] == stamp:
            found: dict[str, Any] = known["report"]
            return found
    report = _evaluated(
        folder, "--retrieval-only", "--tasks", str(arguments.queries), "--seed", str(arguments.seed)
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"stamp": stamp, "report": report}))
    partial.replace(kept)
    return report


def measure_completion(
    name: str, folder: Path, arguments: argparse.Namespace, minutes: float
) -> list[TaskResult]:
    """The tasks of a repository that are done after at most `minutes`, those of before included."""
    limit = ("--minutes", f"{minutes:.3f}") if minutes != float("inf") else ()
    report = _evaluated(
        folder,
        *("--tasks", str(arguments.tasks), "--seed", str(arguments.seed)),
        *("--model", arguments.model, *limit),
    )
    print(f"{name}: {report['tasks']} of {report['planned']} tasks", file=sys.stderr, flush=True)
    return results_of(load_run(open_repository(folder), report["run"]))


def _evaluated(folder: Path, *options: str) -> dict[str, Any]:
    """The JSON of `codebuddy eval` in `folder`; Ctrl-C there ends this too."""
    command = [sys.executable, "-m", "codebuddy", "-C", str(folder), "eval", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def retrieval_lines(
    corpora: Sequence[Corpus], reports: dict[str, dict[str, Any]], arguments: argparse.Namespace
) -> list[str]:
    """Tables: what was measured on, then each part as means over repositories, then by each."""
    options = f"--retrieval-only --queries {arguments.queries}"
    lines = [*_stamp(arguments, options), "", *_corpora_table(corpora, reports), ""]
    for part, title in _RETRIEVAL_PARTS.items():
        parts = {
            name: report["retrieval"][part]
            for name, report in reports.items()
            if report["retrieval"].get(part, {}).get("queries")
        }
        if not parts:
            continue
        queries = sum(each["queries"] for each in parts.values())
        lines += [f"**{title}**: {queries} queries, means over {len(parts)} repositories.", ""]
        lines += [*_channel_means(parts), ""]
        lines += [*_by_repository(parts), ""]
    return lines


def _corpora_table(corpora: Sequence[Corpus], reports: dict[str, dict[str, Any]]) -> list[str]:
    rows = [
        [
            corpus.name,
            f"{corpus.package} {corpus.versions[-1]} ({corpus.registry})",
            " + ".join(corpus.languages),
            str(corpus.first_commit),
            str(reports[corpus.name]["commit"])[:10],
        ]
        for corpus in corpora
    ]
    return table(["repository", "package", "language", "first commit", "commit here"], rows)


def _channel_means(parts: dict[str, Any]) -> list[str]:
    channels = list(dict.fromkeys(name for each in parts.values() for name in each["channels"]))
    rows = []
    for channel in channels:
        found = [
            each["channels"][channel] for each in parts.values() if channel in each["channels"]
        ]
        means = [sum(each[name] for each in found) / len(found) for name in _RANKED]
        slowest = max(each["latency_ms"]["p95"] for each in found)
        rows.append([channel, *(number(mean, 1.0, 3) for mean in means), f"{slowest:.1f}"])
    return table(["channel", "R@1", "R@5", "R@10", "MRR", "NDCG@10", "worst p95 ms"], rows)


def _by_repository(parts: dict[str, Any]) -> list[str]:
    """NDCG@10 and recall@10 with its interval, a row for each repository and channel."""
    rows = []
    for name, each in parts.items():
        for channel, figures in each["channels"].items():
            low, high = figures["intervals"]["recall_at_10"] or (0.0, 1.0)
            recall = f"{figures['recall_at_10']:.2f} [{low:.2f}, {high:.2f}]"
            ndcg = number(figures["ndcg_at_10"], 1.0, 3)
            rows.append([f"{name}, {channel}", str(each["queries"]), recall, ndcg])
    return table(["repository, channel", "queries", "R@10", "NDCG@10"], rows)


def completion_lines(runs: dict[str, list[TaskResult]], arguments: argparse.Namespace) -> list[str]:
    """Tables: all repositories together, then each."""
    everything = [each for results in runs.values() for each in results]
    lines = [*_stamp(arguments, f"--tasks {arguments.tasks}"), "", f"Model {arguments.model}.", ""]
    lines += _spaced(completion_tables(summarize(everything, arguments.seed)))
    for name, results in runs.items():
        summary = summarize(results, arguments.seed)
        lines += ["", f"**{name}**: {len(results)} tasks", "", *_spaced(mode_table(summary))]
        index = summary["cqi"]["index"]
        if index is not None:
            lines += ["", f"customization quality index {index:.1f}"]
    return lines


def _spaced(lines: Sequence[str]) -> list[str]:
    """A blank line wherever a table begins or ends, as Markdown wants it."""
    spaced: list[str] = []
    for line in lines:
        if spaced and spaced[-1] and line and line.startswith("|") != spaced[-1].startswith("|"):
            spaced.append("")
        spaced.append(line)
    return spaced


def _stamp(arguments: argparse.Namespace, options: str) -> list[str]:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    changed = subprocess.run(
        ["git", "-C", str(ROOT), "status", "--porcelain", "--", "codebuddy", "models"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    state = f"commit {commit}" + (" with uncommitted changes" if changed else "")
    return [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {state},"
        f" `python -m tests.bench.quality {options} --seed {arguments.seed}`,"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end."
    ]


def write_part(part: str, lines: Sequence[str], arguments: argparse.Namespace) -> None:
    """Put the lines between the part's markers, or on stdout if that is wanted."""
    if arguments.is_printed:
        print("\n".join(lines), flush=True)
        return
    begin, end = f"<!-- quality {part}: begin -->", f"<!-- quality {part}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise SystemExit(f"{PAGE} has no markers for {part}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    content = "\n".join([begin, "", *lines, "", end]).replace("\n\n\n", "\n\n")
    PAGE.write_text(before + content + after, encoding="utf-8")


if __name__ == "__main__":
    main()
