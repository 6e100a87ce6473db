"""How right the hook's rules are, on commits of real repositories, and how long a commit waits.

    python -m tests.bench.hook replay --repository DIR... [--commits N] [--choose WHICH]
                                      [--minutes M] [--out FILE]
    python -m tests.bench.hook report FILE... [--verbose]
    python -m tests.bench.hook timing --repository DIR [--rounds N] [--choose typical|largest]
                                      [--model NAME]

`replay` goes through a repository's history, oldest first, with the index of the state before
each commit, and reviews two kinds of change:

- whole: the commit as it was made. Its project accepted it, so what a rule says of it counts
  as right only if the following commits change what it points at.
- partial: of a commit that changed several files, one file's change alone, the others as they
  were: callers and imports have really been forgotten, and the rest of the commit
  is the history that puts them right. A finding is right if the rest of the commit changes
  one of the lines that it points at (for CB103: if the rest adds what is imported, so that the
  whole commit has no such finding).

Recall is counted on partial changes only: of the names that the one file no longer has while
the rest of the commit changes lines that import or qualify them (CB102), and of the functions
with calls that no longer fit and that the rest of the commit changes (CB101), the share with a
finding.
Results are appended as lines of JSON; a run that is started again goes on where it stopped.

`timing` is told in `hook_timing.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from codebuddy.hook import session
from codebuddy.hook.catalog import RULES, LintRule
from tests.bench.hook_replay import Replay, one_commit


def replay(
    source: Path, n_commits: int, out: Path, rules: list[LintRule], choice: str, ends: float
) -> None:
    """Append what the rules say of each commit to `out`, until `ends` on the monotonic clock."""
    done = {row["commit"] for row in _rows([out])} if out.exists() else set()
    with tempfile.TemporaryDirectory(prefix="bench-hook-") as folder, out.open("a") as stream:
        history = Replay(source, Path(folder), rules)
        for commit, later in history.commits(n_commits, choice):
            if time.monotonic() > ends:
                return
            row = None if commit in done else one_commit(history, commit, later)
            if row is not None:
                row = {"repository": name_of(source), "choice": choice, **row}
                stream.write(json.dumps(row) + "\n")
                stream.flush()


def name_of(source: Path) -> str:
    """What a repository is called: its folder, or the one above a bare copy's."""
    source = source.resolve()
    return source.parent.name if source.name in ("repo", ".git") else source.name


def _rows(files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        for line in file.read_text().splitlines():
            yield json.loads(line)


def report(files: list[Path], *, is_verbose: bool) -> None:
    """Precision and recall of each rule over the replayed commits."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    repositories: Counter[str] = Counter()
    n_parts = 0
    failed = set()
    for row in _rows(files):
        where = f"{row['repository']} {row['commit'][:10]}"
        repositories[row["repository"]] += 1
        n_parts += len(row["partial"])
        failed |= {tuple(each) for each in row["failed"]}
        for each in row["whole"]:
            counts[each["rule"]]["whole right" if each["right"] else "whole wrong"] += 1
            if is_verbose:
                print(where, "whole", each)
        for part in row["partial"]:
            _count_part(part, row["whole"], counts, where if is_verbose else "")
    print(f"{repositories.total()} commits, {n_parts} partial changes: {dict(repositories)}")
    print("| rule | partial: right / said | whole: put right later / said | recall |")
    print("|---|--:|--:|--:|")
    for rule in RULES:
        c = counts[rule.id]
        part = f"{c['part right']} / {c['part right'] + c['part wrong']}"
        whole = f"{c['whole right']} / {c['whole right'] + c['whole wrong']}"
        recall = f"{c['found']} / {c['expected']}" if c["expected"] else "-"
        print(f"| {rule.id} {rule.name} | {part} | {whole} | {recall} |")
    for each in sorted(failed):
        print("failed:", each)


def _count_part(
    part: dict[str, Any], whole: list[dict[str, Any]], counts: dict[str, Counter[str]], where: str
) -> None:
    """Add one partial change of a commit.

    `where` is printed with what was wrong or missed, if not empty.
    """
    for each in part["judged"]:
        counts[each["rule"]]["part right" if each["right"] else "part wrong"] += 1
        if where and not each["right"]:
            print(where, "part", part["path"], each)
    # A file that is gone is told once, not for each of its names.
    is_told = any(part["path"] in each["message"] for each in (*part["judged"], *whole))
    for name in part["expected"]:
        is_found = is_told or name in part["found"]
        counts[name[:5]]["expected"] += 1
        counts[name[:5]]["found"] += is_found
        if where and not is_found:
            print(where, "missed", part["path"], name)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    here = Path(__file__).parents[2]
    one = verbs.add_parser("replay")
    one.add_argument("--repository", type=Path, nargs="+", default=[here])
    one.add_argument("--commits", type=int, default=100)
    one.add_argument("--choose", choices=["all", "defining", "following"], default="all")
    one.add_argument("--minutes", type=float, default=float("inf"))
    one.add_argument("--out", type=Path, default=Path("bench-hook.jsonl"))
    timed = verbs.add_parser("timing")
    timed.add_argument("--repository", type=Path, default=here)
    timed.add_argument("--rounds", type=int, default=10)
    timed.add_argument("--choose", choices=["typical", "largest"], default="typical")
    timed.add_argument("--model", default="")
    told = verbs.add_parser("report")
    told.add_argument("files", nargs="+", type=Path)
    told.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if arguments.verb == "report":
        report(arguments.files, is_verbose=arguments.verbose)
    elif arguments.verb == "timing":
        from tests.bench.hook_timing import timing

        timing(arguments.repository, arguments.rounds, arguments.choose, arguments.model)
    else:
        # All rules but the model's, those that are off too.
        rules = [replace(rule, is_on=True) for rule in session.without_model(RULES)]
        ends = time.monotonic() + 60 * arguments.minutes
        for source in arguments.repository:
            replay(source, arguments.commits, arguments.out, rules, arguments.choose, ends)


if __name__ == "__main__":
    main()
