"""What the syntax stage costs: `python -m tests.bench.decision REPOSITORY...`, Markdown on stdout.

Holes are cut into each repository, and each is asked for through the whole path with the shipped
head and the `echo` generator; the receipt says what the decision took. Nothing but the first
place of a repository is cold: that one is left out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.config import load_settings
from codebuddy.evaluation.holes import KINDS, cut_holes
from codebuddy.evaluation.statistics import percentile
from codebuddy.evaluation.tables import table
from codebuddy.heads import load_shipped_head
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.echo import EchoGenerator
from codebuddy.vcs.repository import open_repository

SEED = 3


def main() -> None:
    """Print a row for each repository, and one for all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--per-kind", type=int, default=30)
    arguments = parser.parse_args()
    spent = {path.name: decision_ms(path, arguments.per_kind) for path in arguments.repositories}
    spent["all"] = [ms for each in spent.values() for ms in each]
    print(f"load {os.getloadavg()[0]:.1f}, goal: p95 of 2 ms\n")
    rows = [
        [name, str(len(each)), *(f"{value:.2f}" for value in _figures(each))]
        for name, each in spent.items()
    ]
    print("\n".join(table(["repository", "places", "median ms", "p95", "longest"], rows)))


def decision_ms(path: Path, per_kind: int) -> list[float]:
    """Milliseconds of the syntax stage at each place of a repository."""
    settings = load_settings().settings
    repository = open_repository(path)
    update_index(repository, settings)
    head = load_shipped_head()
    with RepositoryIndex.open(repository, settings) as index:
        resources = PipelineResources(
            EchoGenerator(),
            index,
            settings.completion,
            path.name,
            head=head,
            latency=LatencyModel(),
        )
        spent = []
        for hole in cut_holes(repository, index, KINDS, per_kind, SEED):
            document = hole.as_document(repository)
            request = PipelineRequest(document, hole.position, hole.language, "auto")
            suggestion = complete(request, resources)
            assert suggestion.receipt.decision.head == head.name
            spent.append(suggestion.receipt.timings_ms["decision"])
    return spent[1:]


def _figures(spent: list[float]) -> tuple[float, float, float]:
    return percentile(spent, 50), percentile(spent, 95), max(spent)


if __name__ == "__main__":
    main()
