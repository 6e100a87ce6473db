"""Why a search found nothing: no files, a filter that fits none of them, or words alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codebuddy.index.query_filters import QueryFilters
from codebuddy.terminal import counted, listed

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex


def why_empty(index: RepositoryIndex, filters: QueryFilters) -> str:
    """A sentence for a person; empty where nothing but the words is to blame.

    Args:
        index: That was searched.
        filters: Of the query.
    """
    if not index.count_files():
        return _why_no_files(index)
    if filters.is_empty:
        return ""
    files = [(os.fsdecode(each.path), each.language) for each in index.files()]
    if not any(filters.takes_language(language) for _, language in files):
        return f"no indexed file is {_either(filters.names_of('lang'))}"
    if not any(filters.takes_path(path) for path, _ in files):
        return f"no path of an indexed file holds {_either(filters.names_of('path'))}"
    if not any(filters.takes_file(*each) for each in files):
        return (
            f"no indexed file is {_either(filters.names_of('lang'))} and has"
            f" {_either(filters.names_of('path'))} in its path"
        )
    if not index.search(filters.text, 1):
        return ""
    of_words = ["-w"] if filters.words else []
    prefixes = [each for each in ("lang", "path", "kind") if filters.names_of(each)]
    given = [f"{each}:{','.join(filters.names_of(each))}" for each in prefixes]
    return f"nothing found with {listed([*given, *of_words])}; without there are results"


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _why_no_files(index: RepositoryIndex) -> str:
    skipped = index.skipped_by_reason()
    if not skipped:
        return (
            "nothing is indexed: git lists no files here that .codebuddyignore does not leave out"
        )
    reasons = ", ".join(f"{reason} {count}" for reason, count in skipped.items())
    return f"nothing is indexed: {counted(sum(skipped.values()), 'file')} left out ({reasons})"
