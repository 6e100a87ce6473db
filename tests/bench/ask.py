"""Whether the lines that `codebuddy ask` names hold the answer.

    python -m tests.bench.ask REPOSITORY... [--questions N] [--seed N] [--model NAME|PATH]
    python -m tests.bench.ask REPOSITORY... --refusals

Questions of search_questions.txt, drawn over the repositories of those names; the function that
answers each is known. *shown*: lines of it were among the sources. *cited*: the answer names a line
within it. *first*: the first line that the answer names is one. *precision*: of the lines that are
named, those within it. *unknown*: questions that no repository answers, and what is said of them. A
line for each question comes on stderr as it is done, so that a run that is cut short is of use.

`--refusals` asks no model: of all questions that the repositories answer, and of those of
unknown_questions.txt, how many are refused before one would be asked, by halves of the questions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from codebuddy.datatypes import Definition
from codebuddy.evaluation.statistics import mean_interval, percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.request import AskRequest, AskSource, SearchRequest
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.search_tasks import questions

_UNKNOWN_FILE = Path(__file__).with_name("unknown_questions.txt")
# None of the repositories has anything of it.
_UNKNOWN = tuple(
    line for line in _UNKNOWN_FILE.read_text("utf-8").splitlines() if line and line[0] != "#"
)
_ASKED_OF_MODEL = 6
_SOURCES = 6
_MAX_PER_FILE = 3


def main() -> None:
    """Ask, judge, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--unknown", type=int, default=_ASKED_OF_MODEL)
    parser.add_argument("--refusals", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", default=None)
    arguments = parser.parse_args()
    if arguments.refusals:
        print(f"command: python -m tests.bench.ask {' '.join(sys.argv[1:])}\n")
        print("\n".join(refusals(arguments.repositories)))
        return
    tasks: list[tuple[Path, str, list[Definition]]] = []
    for root in arguments.repositories:
        repository = open_repository(root.resolve())
        update_index(repository, Settings())
        with RepositoryIndex.open(repository, Settings()) as index:
            tasks += [(root.resolve(), *each) for each in questions(index, root.name)]
    drawn = random.Random(arguments.seed)
    tasks = drawn.sample(tasks, min(arguments.questions, len(tasks)))
    for number, question in enumerate(_UNKNOWN[: arguments.unknown]):
        root = arguments.repositories[number % len(arguments.repositories)].resolve()
        # Spread, so that a run that is cut short has some of them.
        tasks.insert(min(len(tasks), 6 * (number + 1)), (root, question, []))
    client = InProcessClient(arguments.model)
    rows: list[dict[str, Any]] = []
    for root, question, right in tasks:
        rows.append(_judged(client, root, question, right))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(f"command: python -m tests.bench.ask {' '.join(sys.argv[1:])}\n")
    print("\n".join(summary(rows, arguments.seed)))


def refusals(roots: list[Path]) -> list[str]:
    """How many questions are refused, known and unknown ones, by halves."""
    counts: Counter[tuple[str, int, bool]] = Counter()
    for root in roots:
        repository = open_repository(root.resolve())
        update_index(repository, Settings())
        with RepositoryIndex.open(repository, Settings()) as index:
            asked = [("answered", question) for question, _ in questions(index, root.name)]
            for kind, question in (*asked, *(("unknown", each) for each in _UNKNOWN)):
                half = hashlib.sha256(question.encode()).digest()[0] % 2
                is_refused = index.absent_words(question, []).is_decisive
                counts[kind, half, is_refused] += 1
                if is_refused and kind == "answered":
                    print(f"refused: {root.name}: {question}", file=sys.stderr)
    rows = []
    for kind in ("answered", "unknown"):
        for half in (0, 1):
            refused, asked_of_model = counts[kind, half, True], counts[kind, half, False]
            rows.append([f"{kind}, half {half}", str(refused), str(refused + asked_of_model)])
    return table(["questions", "refused", "of"], rows)


def _judged(
    client: InProcessClient, root: Path, question: str, right: list[Definition]
) -> dict[str, Any]:
    """What was answered, and whether the places are right."""
    search = SearchRequest(str(root), question, _SOURCES, max_per_file=_MAX_PER_FILE)
    hits = client.search(search)["results"]
    started, spent = time.perf_counter(), time.process_time()
    sources = tuple(
        AskSource(h["path"], h["start_line"], h["line"], h["kind"], h["symbol"], h["text"])
        for h in hits
    )
    answered = client.ask(AskRequest(str(root), question, sources))
    places = [
        (place["path"], place["line"])
        for claim in answered["claims"]
        for place in claim["citations"]
    ]
    places = list(dict.fromkeys(places))
    shown = any(
        each.path == source["path"]
        and each.line <= source["end_line"]
        and source["start_line"] <= each.end_line
        for each in right
        for source in answered["sources"]
    )
    held = [
        any(each.path == path and each.line <= line <= each.end_line for each in right)
        for path, line in places
    ]
    return {
        "repository": root.name,
        "question": question,
        "is_known": bool(right),
        "right": [f"{each.path}:{each.line} {each.qualified}" for each in right],
        "answer": answered["answer"],
        "shown": shown,
        "found": answered["found"],
        "cited": any(held),
        "first": held[:1] == [True],
        "precision": sum(held) / len(held) if held else None,
        "removed": len(answered["removed"]),
        "no_source": sum(not claim["citations"] for claim in answered["claims"]),
        "claims": len(answered["claims"]),
        "prompt_tokens": answered["tokens"]["prompt"],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - spent,
    }


def summary(rows: list[dict[str, Any]], seed: int) -> list[str]:
    """The shares with their 95% intervals."""
    known = [row for row in rows if row["is_known"]]
    shown = [row for row in known if row["shown"]]
    places = [row for row in known if row["precision"] is not None]
    unknown = [row for row in rows if not row["is_known"]]

    def share(of: list[dict[str, Any]], values: list[float]) -> list[str]:
        low, high = mean_interval(values, seed) or (0.0, 0.0)
        mean = sum(values) / len(values) if values else 0.0
        return [f"{mean:.2f} [{low:.2f}, {high:.2f}]", str(len(of))]

    lines = [
        ["shown", *share(known, [float(row["shown"]) for row in known])],
        ["cited", *share(known, [float(row["cited"]) for row in known])],
        ["cited, where it was shown", *share(shown, [float(row["cited"]) for row in shown])],
        ["first", *share(known, [float(row["first"]) for row in known])],
        ["precision", *share(places, [float(row["precision"]) for row in places])],
        ["said to be not found", *share(known, [float(not row["found"]) for row in known])],
        ["unknown: not found", *share(unknown, [float(not row["found"]) for row in unknown])],
    ]
    claims = sum(row["claims"] for row in rows)
    counts = (
        f"claims {claims}, without a source {sum(row['no_source'] for row in rows)}, places taken"
        f" out {sum(row['removed'] for row in rows)}; prompt tokens, median"
        f" {percentile([row['prompt_tokens'] for row in rows], 50):.0f}; processor seconds, median"
        f" {percentile([row['cpu_seconds'] for row in rows], 50):.0f}"
    )
    return [*table(["questions", "share", "of"], lines), "", counts]


if __name__ == "__main__":
    main()
