"""Does search still find what is asked for with a slip of the keyboard? NDCG@10 before and after.

The questions are those of `docstrings`: the first lines of functions' documentation, in code
without any. It needs no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from codebuddy.evaluation.docstrings import bare_copy, rank_functions
from codebuddy.evaluation.retrieval import ndcg
from codebuddy.evaluation.statistics import Interval, mean_interval
from codebuddy.evaluation.tables import interval_in_words, number, table
from codebuddy.robustness.queries import with_slip

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.settings import Settings
    from codebuddy.vcs.repository import Repository


class ChannelRobustness(TypedDict):
    """NDCG@10 of a channel for the questions as they are and with a slip, and the difference."""

    ndcg_at_10: float
    robust_ndcg_at_10: float
    loss: float
    interval: Interval


class SearchRobustness(TypedDict):
    """The key `search` of `eval --robustness --retrieval-only --json`."""

    queries: int
    channels: dict[str, ChannelRobustness]


def search_robustness(
    repository: Repository, index: RepositoryIndex, settings: Settings, count: int, seed: int
) -> SearchRobustness:
    """Up to `count` questions, each asked as it is and with one slip."""
    with bare_copy(repository, index, settings, seed) as (functions, bare):
        plain = rank_functions(functions, bare, count)
        slipped = rank_functions(functions, bare, count, lambda query: with_slip(query, seed))
    channels: dict[str, ChannelRobustness] = {}
    for name in plain[0] if plain else ():
        before = [ndcg(each[name]) for each in plain]
        after = [ndcg(each[name]) for each in slipped]
        lost = [a - b for a, b in zip(before, after, strict=True)]
        channels[name] = {
            "ndcg_at_10": sum(before) / len(before),
            "robust_ndcg_at_10": sum(after) / len(after),
            "loss": sum(lost) / len(lost),
            "interval": mean_interval(lost, seed),
        }
    return {"queries": len(plain), "channels": channels}


def search_table(found: SearchRobustness) -> list[str]:
    """A row for each channel."""
    rows = []
    for name, each in found["channels"].items():
        rows.append(
            [
                name,
                number(each["ndcg_at_10"], 1.0, 3),
                number(each["robust_ndcg_at_10"], 1.0, 3),
                number(each["loss"], 1.0, 3) + interval_in_words(each["interval"], 1.0, 3),
            ]
        )
    queries = "1 query" if found["queries"] == 1 else f"{found['queries']} queries"
    return [
        f"one slip in a question: {queries}",
        *table(["channel", "NDCG@10", "with a slip", "loss"], rows),
    ]
