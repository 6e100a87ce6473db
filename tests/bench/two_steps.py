"""A cold place in two steps, beside the whole prompt at once: what is shown when, and how good.

    python -m tests.bench.two_steps measure --minutes 20     further places, on a quiet machine
    python -m tests.bench.two_steps report                   the table of all rows, as Markdown

The places are the holes of `codebuddy eval` in repositories of `tests/bench/quality_corpora.toml`
with use "bench"; each begins with an empty KV cache and is asked for by a client that can replace
a text, as the TUI does while somebody types, with `completion.two_steps` on and off, in turns.
What a person sees first is the provisional text in two steps, and the first line of the growing
text otherwise. Rows are numbers and places, no code.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codebuddy.code_index import CodeIndex
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.datatypes import RetrieveMode
from codebuddy.evaluation.holes import Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import edit_similarity, exact_match
from codebuddy.evaluation.on_repository import OpenedModel, open_for_evaluation
from codebuddy.evaluation.runner import settings_for
from codebuddy.evaluation.statistics import mean, mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.context import RepositoryContext, repository_context_of_folder
from codebuddy.service.refresh import with_index
from tests.bench.lookups import Row, add_rows, commit_of, read_rows
from tests.bench.quality_corpora import default_cache, load_corpora, make_repository

ROWS = Path(__file__).with_suffix(".jsonl")
ARMS = ("whole", "steps")


def main() -> None:
    """Measure, or print the table of what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--tasks", type=int, default=3, help="of each kind and repository")
    parser.add_argument("--kinds", nargs="*", default=["line", "call"])
    parser.add_argument("--retrieve", default="auto", choices=["auto", "always", "never"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=Path, default=ROWS)
    arguments = parser.parse_args()
    if arguments.what == "measure":
        measure(arguments)
    chosen = ("model", "retrieve")
    rows = [
        row
        for row in read_rows(arguments.rows)
        if all(row[name] == getattr(arguments, name) for name in chosen)
    ]
    print("\n".join(report(rows)))


def measure(arguments: argparse.Namespace) -> None:
    """One place of each repository after the other, until the time is over."""
    deadline = time.monotonic() + arguments.minutes * 60
    corpora = [corpus for corpus in load_corpora() if corpus.use == "bench"]
    flags = {"model.name": arguments.model}
    opened: OpenedModel | None = None
    for number, corpus in enumerate(corpora):
        until = time.monotonic() + (deadline - time.monotonic()) / (len(corpora) - number)
        context = repository_context_of_folder(make_repository(corpus, default_cache()), flags)
        opened = opened or open_for_evaluation(context, ["auto"])
        with_index(context, _measure_in(context, opened, arguments, until), should_update=True)


def _measure_in(
    context: RepositoryContext, opened: OpenedModel, arguments: argparse.Namespace, until: float
) -> Callable[[RepositoryIndex], None]:
    def measure_with(index: RepositoryIndex) -> None:
        kinds, tasks, seed = arguments.kinds, arguments.tasks, arguments.seed
        commit = commit_of()
        for number, hole in enumerate(cut_holes(context.repository, index, kinds, tasks, seed)):
            if time.monotonic() > until:
                return
            masked = mask(index, hole)
            order = ARMS if number % 2 == 0 else ARMS[::-1]
            arms = {
                arm: measure_arm(hole, arm == "steps", masked, context, opened, arguments.retrieve)
                for arm in order
            }
            row = {
                "commit": commit,
                "model": arguments.model,
                "retrieve": arguments.retrieve,
                "seed": arguments.seed,
                "load": round(os.getloadavg()[0], 1),
                "repository": context.repository.root.name,
                "id": hole.id,
                "kind": hole.kind,
                "language": hole.language,
                "arms": arms,
            }
            add_rows(arguments.rows, [row])

    return measure_with


def measure_arm(
    hole: Hole,
    is_stepped: bool,
    masked: CodeIndex,
    context: RepositoryContext,
    opened: OpenedModel,
    retrieve: RetrieveMode,
) -> dict[str, float]:
    """Complete a hole from an empty cache: milliseconds, tokens and both texts' scores."""
    generator: Any = opened.generator
    generator.kv.clear()
    settings = settings_for(hole, context.settings.completion)
    resources = PipelineResources(
        generator=generator,
        index=masked,
        settings=replace(settings, two_steps=is_stepped),
        repository_name=context.repository.root.name,
        head=opened.policy.head,
        latency=LatencyModel(),
        adapter=opened.adapter,
    )
    request = PipelineRequest(
        hole.as_document(context.repository),
        hole.position,
        hole.language,
        retrieve,
        is_typing=True,
        accepts_revision=True,
    )
    shown: list[tuple[float, str]] = []
    started = time.perf_counter()
    suggestion = complete(
        request,
        resources,
        on_text=lambda text: shown.append((time.perf_counter() - started, text)),
    )
    final_s = time.perf_counter() - started
    first_s, first = first_shown(shown, suggestion.text, is_stepped=is_stepped)
    return {
        "first_ms": round(first_s * 1000) if first else round(final_s * 1000),
        "final_ms": round(final_s * 1000),
        "first_similarity": round(edit_similarity(first, hole.text), 2),
        "edit_similarity": round(edit_similarity(suggestion.text, hole.text), 2),
        "first_exact": float(exact_match(first, hole.text)),
        "exact_match": float(exact_match(suggestion.text, hole.text)),
        "stays": float(first == suggestion.text),
        "evaluated": suggestion.receipt.stats.evaluated_tokens,
        "generated": suggestion.receipt.stats.generated_tokens,
    }


def first_shown(
    shown: Sequence[tuple[float, str]], final: str, *, is_stepped: bool
) -> tuple[float, str]:
    """When the first whole text was there, in seconds, and which.

    In two steps it comes at once. Otherwise it grows, and is whole where what follows does not
    continue it, or at its end.
    """
    if is_stepped and len(shown) > 1:
        return shown[0]
    for (at_s, text), (_, following) in itertools.pairwise(shown):
        if text and (text == following or not following.startswith(text)):
            return at_s, text
    return next(((at_s, text) for at_s, text in shown if text == final), (0.0, ""))


def report(rows: Sequence[Row]) -> list[str]:
    """Medians of times, means of scores with the intervals of their differences."""
    if len(rows) < 2:
        return [f"{len(rows)} places: too few for a table."]
    cells = []
    for name, unit in (
        ("first_ms", "ms"),
        ("final_ms", "ms"),
        ("evaluated", "tokens"),
        ("generated", "tokens"),
    ):
        whole, steps = ([row["arms"][arm][name] for row in rows] for arm in ARMS)
        ratio = statistics.median(b / a for a, b in zip(whole, steps, strict=True) if a)
        middles = [f"{statistics.median(values):.0f}" for values in (whole, steps)]
        cells.append([f"{name}, median ({unit})", *middles, f"{ratio:.2f} x"])
    for name, factor in (
        ("first_similarity", 1),
        ("edit_similarity", 1),
        ("first_exact", 100),
        ("exact_match", 100),
        ("stays", 100),
    ):
        whole, steps = ([factor * row["arms"][arm][name] for row in rows] for arm in ARMS)
        gains = [b - a for a, b in zip(whole, steps, strict=True)]
        low, high = mean_interval(gains, seed=0) or (float("nan"), float("nan"))
        means = [f"{mean(values):.1f}" for values in (whole, steps)]
        cells.append([name, *means, f"{mean(gains):+.1f} [{low:.1f}, {high:.1f}]"])
    return [
        f"{len(rows)} places in {len({row['repository'] for row in rows})} repositories.",
        "",
        *table(["what", "whole prompt", "two steps", "difference"], cells),
    ]


if __name__ == "__main__":
    main()
