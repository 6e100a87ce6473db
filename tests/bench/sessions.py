"""What each way of deciding costs who works in a warm editor: quality, seconds, lookups.

    python -m tests.bench.sessions REPOSITORY...           Markdown on stdout
    options: --files N and --holes N of each (default 3 and 4), --straight, --seed N

A session is one file: the cursor goes from hole to hole, from the top down, as somebody who writes
there. At each it rests at the line's beginning, which prepares its prompt as editors do when they
are idle and is not counted (with `--straight` it does not rest), and then a suggestion is asked for
where the hole begins. Model, KV cache, prompt memory and pace stay warm through a session; every
policy goes through every session, in turns, with an empty cache at its beginning. Holes are hidden
from lookups as in the labels.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.completion.prompt_history import PromptHistory
from codebuddy.config import load_settings
from codebuddy.datatypes import Position, RetrieveMode, Suggestion
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import edit_similarity
from codebuddy.evaluation.runner import settings_for
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import number, table
from codebuddy.heads import load_shipped_head
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.models import open_generator
from codebuddy.terminal import StatusLine
from codebuddy.vcs.repository import Repository, open_repository

# The mode, and whether the head is there to be asked.
POLICIES: dict[str, tuple[RetrieveMode, bool]] = {
    "never": ("never", False),
    "always": ("always", False),
    "the rule of names": ("auto", False),
    "auto": ("auto", True),
}
_CUT_OF_A_KIND = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """What one place cost and gave: milliseconds to the first and to the final text."""

    first_ms: float
    final_ms: float
    edit_similarity: float
    is_looked_up: bool
    evaluated: int


def main() -> None:
    """Run every policy over every session and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--files", type=int, default=3)
    parser.add_argument("--holes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--straight", action="store_true")
    arguments = parser.parse_args()
    settings = load_settings().settings
    generator = open_generator(settings, StatusLine())
    head = load_shipped_head()
    asked: dict[str, list[Asked]] = defaultdict(list)
    print(f"load {os.getloadavg()[0]:.1f}, head: {head.name}", flush=True)
    for path in arguments.repositories:
        repository = open_repository(path)
        update_index(repository, settings)
        with RepositoryIndex.open(repository, settings) as index:
            base = PipelineResources(generator, index, settings.completion, path.name)
            holes = cut_holes(repository, index, KINDS, _CUT_OF_A_KIND, arguments.seed)
            for session in sessions(holes, arguments.files, arguments.holes):
                for name, (mode, has_head) in POLICIES.items():
                    shop = dataclasses.replace(base, head=head if has_head else None)
                    found = play(
                        session, mode, shop, index, repository, rests=not arguments.straight
                    )
                    asked[name] += found
                print(
                    f"\n{path.name}: {session[0].path}, {len(session)} places; so far", flush=True
                )
                print("\n".join(["", *report(asked)]), flush=True)


def sessions(holes: Sequence[Hole], n_files: int, n_holes: int) -> Iterator[list[Hole]]:
    """The files with the most holes, `n_holes` of each that lie apart, from the top down."""
    of_file: dict[str, list[Hole]] = defaultdict(list)
    for hole in sorted(holes, key=lambda hole: hole.start_byte):
        if not of_file[hole.path] or of_file[hole.path][-1].end_line < hole.position.line:
            of_file[hole.path].append(hole)
    fullest = sorted(of_file.values(), key=lambda each: (-len(each), each[0].path))
    for each in fullest[:n_files]:
        step = max(1, len(each) // n_holes)
        yield each[::step][:n_holes]


def play(
    session: Sequence[Hole],
    mode: RetrieveMode,
    resources: PipelineResources,
    index: RepositoryIndex,
    repository: Repository,
    *,
    rests: bool,
) -> list[Asked]:
    """One policy through one session."""
    generator: Any = resources.generator
    generator.kv.clear()
    memory, pace = PromptHistory(), LatencyModel()
    # As measured on the machine of the labels; it learns from here.
    pace.ms_per_token = 4.0
    asked = []
    for hole in session:
        shop = dataclasses.replace(
            resources,
            index=mask(index, hole),
            prompt_history=memory,
            latency=pace,
            settings=settings_for(hole, resources.settings),
        )
        if rests:
            _ask(hole, mode, _without_a_text(shop), repository, is_resting=True)
        found = _ask(hole, mode, shop, repository)
        decision, timings = found.receipt.decision, found.receipt.timings_ms
        asked.append(
            Asked(
                first_ms=decision.first_ms or timings["total"],
                final_ms=timings["total"],
                edit_similarity=edit_similarity(found.text, hole.text),
                is_looked_up=decision.retrieve,
                evaluated=found.receipt.stats.evaluated_tokens,
            )
        )
    return asked


def report(asked: dict[str, list[Asked]]) -> list[str]:
    """A row for each policy."""
    rows = []
    always = asked["always"]
    for name, each in asked.items():
        low_high = mean_interval(
            [a.edit_similarity - b.edit_similarity for a, b in zip(each, always, strict=True)],
            seed=0,
        )
        rows.append(
            [
                name,
                number(statistics.mean(a.edit_similarity for a in each), 1, 1),
                "-" if low_high is None else f"[{low_high[0]:.1f}, {low_high[1]:.1f}]",
                number(statistics.mean(a.is_looked_up for a in each), 100, 0),
                *_seconds([a.first_ms for a in each], [a.first_ms for a in always]),
                *_seconds([a.final_ms for a in each], [a.final_ms for a in always]),
                f"{statistics.mean(a.evaluated for a in each):.0f}",
            ]
        )
    headings = ["policy", "edit sim", "less always", "lookups %", "first text s", "of always"]
    return [
        f"{len(always)} places",
        "",
        *table([*headings, "final text s", "of always", "tokens evaluated"], rows),
    ]


def _seconds(spent: Sequence[float], always: Sequence[float]) -> tuple[str, str]:
    mean = statistics.mean(spent)
    return f"{mean / 1000:.2f}", f"{mean / statistics.mean(always):.2f}"


def _ask(
    hole: Hole,
    mode: RetrieveMode,
    resources: PipelineResources,
    repository: Repository,
    *,
    is_resting: bool = False,
) -> Suggestion:
    """Ask as the editor in the terminal does; if resting, before what the line begins with."""
    document, place = hole.as_document(repository), hole.position
    if is_resting:
        lines = document.text.split("\n")
        line = lines[place.line - 1]
        begun = line[: place.column - 1]
        column = len(begun) - len(begun.lstrip()) + 1
        lines[place.line - 1] = line[: column - 1] + line[place.column - 1 :]
        document = dataclasses.replace(document, text="\n".join(lines))
        place = Position(place.line, column)
    request = PipelineRequest(
        document, place, hole.language, mode, is_typing=True, accepts_revision=True
    )
    return complete(request, resources)


def _without_a_text(resources: PipelineResources) -> PipelineResources:
    settings = dataclasses.replace(resources.settings, max_tokens=0)
    return dataclasses.replace(resources, settings=settings)


if __name__ == "__main__":
    main()
