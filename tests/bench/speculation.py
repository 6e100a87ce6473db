"""Whether a lookup made while the prompt is read saves time: `python -m tests.bench.speculation
REPOSITORY...`, Markdown on stdout.

As Repoformer's serving does where its decision is unclear: the prompt without a lookup is read
at once, and a thread looks up meanwhile. Holes are hidden from the lookup, and every prompt
begins with an empty cache. Beside it, in turns: the same prompt with the lookup before it, and
with none. The first place of a repository is cold and left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from codebuddy.assembly import open_generator
from codebuddy.completion.context import build_context
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.retrieval import retrieve
from codebuddy.config import load_settings
from codebuddy.datatypes import GenerationSettings, GenerationStats, Generator, Prompt
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.statistics import percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.terminal import StatusLine
from codebuddy.vcs.repository import Repository, open_repository

SEED = 7
TOP_K = 8


def main() -> None:
    """Print what each way takes over the prompt alone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--per-kind", type=int, default=3)
    arguments = parser.parse_args()
    settings = load_settings().settings
    generator = open_generator(settings, StatusLine())
    spent: dict[str, list[float]] = {"alone": [], "before": [], "meanwhile": [], "lookup": []}
    print(f"load {os.getloadavg()[0]:.1f}, {generator.name}", flush=True)
    for path in arguments.repositories:
        repository = open_repository(path)
        update_index(repository, settings)
        # An open index belongs to the thread that opened it.
        with ThreadPoolExecutor(1) as worker:
            index = worker.submit(RepositoryIndex.open, repository, settings).result()
            holes = worker.submit(
                cut_holes, repository, index, KINDS, arguments.per_kind, SEED
            ).result()
            for number, hole in enumerate(holes):
                is_even = number % 2 == 0
                found = measure(
                    hole, repository, index, generator, settings, worker, is_even=is_even
                )
                for name, ms in found.items():
                    spent[name] += [ms] if number else []
            worker.submit(index.close).result()
    print("\n".join(report(spent)))


def measure(
    hole: Hole,
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: Settings,
    worker: ThreadPoolExecutor,
    *,
    is_even: bool,
) -> dict[str, float]:
    """Milliseconds of a place's prompt in each way, and of the lookup by itself."""
    document = hole.as_document(repository)
    context = build_context(document, hole.position, hole.language)
    prompt = build_prompt(context, [], generator, settings.completion, repository.root.name)
    masked = worker.submit(mask, index, hole).result()

    def look_up() -> float:
        started = time.perf_counter()
        retrieve(context, masked, TOP_K)
        return (time.perf_counter() - started) * 1000

    def alone() -> None:
        read(prompt, generator)

    def before() -> None:
        lookups.append(worker.submit(look_up).result())
        read(prompt, generator)

    def meanwhile() -> None:
        asked = worker.submit(look_up)
        read(prompt, generator)
        lookups.append(asked.result())

    lookups: list[float] = []
    found = {}
    for way in (alone, before, meanwhile) if is_even else (meanwhile, before, alone):
        started = time.perf_counter()
        way()
        found[way.__name__] = (time.perf_counter() - started) * 1000
    # Asked again, an index knows some of it already.
    return {**found, "lookup": lookups[0]}


def read(prompt: Prompt, generator: Generator) -> None:
    """Evaluate a prompt from an empty cache, and write a single token."""
    cache: Any = generator
    cache.kv.clear()
    list(generator.generate(prompt.tokens, GenerationSettings(1), GenerationStats()))


def report(spent: dict[str, list[float]]) -> list[str]:
    """A row for each way; shares are medians over places."""
    names = {"alone": "no lookup", "before": "lookup, then prompt", "meanwhile": "both at once"}
    rows = []
    for key, name in names.items():
        shares = [ms / alone for ms, alone in zip(spent[key], spent["alone"], strict=True)]
        quartiles = statistics.quantiles(shares, n=4)
        rows.append(
            [
                name,
                f"{statistics.median(spent[key]):.0f}",
                f"{quartiles[1]:.3f}",
                f"[{quartiles[0]:.3f}, {quartiles[2]:.3f}]",
            ]
        )
    lookups = spent["lookup"]
    return [
        f"{len(lookups)} places; a lookup takes {percentile(lookups, 50):.1f} ms"
        f" (p95 {percentile(lookups, 95):.1f})",
        "",
        *table(["way", "median ms", "of no lookup", "quartiles"], rows),
    ]


if __name__ == "__main__":
    main()
