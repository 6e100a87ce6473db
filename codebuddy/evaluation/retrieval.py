"""Retrieval measured without a model: is what a cross-file call needs among the first results?

The query is the place of the hole; the right answers are the chunks that define the callee.
Each channel of the index is asked with the text around the cursor, and the completion's own
retrieval with its context. Results of the hole's own file do not count either way: the
prompt holds that file already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict, get_args

from codebuddy.completion.context import build_context
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import SearchResult
from codebuddy.errors import IndexingError
from codebuddy.evaluation.holes import Hole
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.progress import TaskProgress
from codebuddy.evaluation.statistics import mean_interval, percentile
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.vcs.repository import Repository

TOP_K = 10
# Asked for more, since results of the hole's own file are dropped afterwards.
_OVERFETCH = 5
_QUERY_LINES_BEFORE = 8
_QUERY_LINES_AFTER = 2
COMPLETION = "completion"


RankScore = Literal["recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10"]


class Percentiles(TypedDict):
    """Milliseconds."""

    p50: float
    p95: float


class ChannelFigures(TypedDict):
    """A channel's means over queries, from 0 to 1, with their 95% intervals."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mrr: float
    ndcg_at_10: float
    latency_ms: Percentiles
    intervals: dict[str, tuple[float, float] | None]


class RankingFigures(TypedDict):
    """How many queries there were, and the figures of each channel."""

    queries: int
    channels: dict[str, ChannelFigures]


class RetrievalReport(TypedDict):
    """The key `retrieval` of `eval --json`; `docstrings` are measured without a model only."""

    calls: RankingFigures
    calls_name_typed: RankingFigures
    calls_name_hidden: RankingFigures
    docstrings: NotRequired[RankingFigures]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the first right chunk stood (1 is the top), `None` if not among the ten."""

    rank: int | None
    ms: float


def channels_of(index: RepositoryIndex) -> list[str]:
    """The channels that this index can be asked through."""
    usable = []
    for channel in get_args(SearchChannel):
        try:
            index.search("a", 1, channel)
        except IndexingError:
            continue
        usable.append(channel)
    return usable


def rank_definitions(
    holes: Sequence[Hole], repository: Repository, index: RepositoryIndex
) -> list[dict[str, Ranking]]:
    """For each call hole, the rank of the defining chunk in each channel."""
    channels = channels_of(index)
    found = []
    with TaskProgress("searching", len(holes)) as progress:
        for hole in holes:
            found.append(_rank_one(hole, repository, index, channels))
            progress.advance()
    return found


def summarize_rankings(rankings: Sequence[Mapping[str, Ranking]], seed: int) -> RankingFigures:
    """Recall, MRR, NDCG and latency of each channel, with intervals over queries."""
    channels = list(rankings[0]) if rankings else []
    return {
        "queries": len(rankings),
        "channels": {
            channel: _channel([each[channel] for each in rankings], seed) for channel in channels
        },
    }


def definition_report(
    holes: Sequence[Hole], repository: Repository, index: RepositoryIndex, seed: int
) -> RetrievalReport:
    """`summarize_rankings` of call holes: all, and by whether the callee's name is typed."""
    calls = [hole for hole in holes if hole.definitions]
    rankings = rank_definitions(calls, repository, index)
    both = list(zip(calls, rankings, strict=True))
    return {
        "calls": summarize_rankings(rankings, seed),
        "calls_name_typed": summarize_rankings([r for h, r in both if h.is_callee_typed], seed),
        "calls_name_hidden": summarize_rankings(
            [r for h, r in both if not h.is_callee_typed], seed
        ),
    }


def first_rank(results: Sequence[SearchResult], is_right: Callable[[int], bool]) -> int | None:
    """The 1-based place of the first result whose chunk id is right, among the top ten."""
    for place, result in enumerate(results[:TOP_K], 1):
        if is_right(result.chunk.id):
            return place
    return None


def ndcg(ranking: Ranking) -> float:
    """NDCG@10 of a query with one right answer."""
    return 1 / math.log2(1 + ranking.rank) if ranking.rank else 0.0


def _rank_one(
    hole: Hole, repository: Repository, index: RepositoryIndex, channels: Sequence[str]
) -> dict[str, Ranking]:
    masked: Any = mask(index, hole)
    right = {each.chunk_id for each in hole.definitions}
    context = build_context(hole.as_document(repository), hole.position, hole.language)
    before = context.prefix.split("\n")[-_QUERY_LINES_BEFORE:]
    after = context.suffix.split("\n")[:_QUERY_LINES_AFTER]
    # The nearest line first, since channels that count names take the first ones.
    query = "\n".join([*reversed(before), *after])
    rankings: dict[str, Ranking] = {}
    asked: list[tuple[str, Callable[[], list[SearchResult]]]] = [
        *((c, lambda c=c: masked.search(query, TOP_K * _OVERFETCH, c)) for c in channels),
        (COMPLETION, lambda: retrieve(context, masked, TOP_K)),
    ]
    for name, ask in asked:
        started = time.perf_counter()
        results = ask() if query.strip() else []
        ms = (time.perf_counter() - started) * 1000
        elsewhere = [each for each in results if each.chunk.path != hole.path]
        rankings[name] = Ranking(first_rank(elsewhere, right.__contains__), ms)
    return rankings


def _channel(rankings: Sequence[Ranking], seed: int) -> ChannelFigures:
    def found_by(cut: int) -> list[float]:
        return [float(r.rank is not None and r.rank <= cut) for r in rankings]

    values: dict[RankScore, list[float]] = {
        "recall_at_1": found_by(1),
        "recall_at_5": found_by(5),
        "recall_at_10": found_by(10),
        "mrr": [1 / r.rank if r.rank else 0.0 for r in rankings],
        "ndcg_at_10": [ndcg(r) for r in rankings],
    }
    means = {name: sum(each) / len(each) for name, each in values.items()}
    times = [ranking.ms for ranking in rankings]
    return {
        "recall_at_1": means["recall_at_1"],
        "recall_at_5": means["recall_at_5"],
        "recall_at_10": means["recall_at_10"],
        "mrr": means["mrr"],
        "ndcg_at_10": means["ndcg_at_10"],
        "latency_ms": {"p50": percentile(times, 50), "p95": percentile(times, 95)},
        "intervals": {name: mean_interval(each, seed) for name, each in values.items()},
    }
