"""Hybrid search: the files that a query names, then all channels fused and weighed.

It puts the channels together and decides nothing about how each of them ranks. It reads
inside the caller's snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

from codebuddy.index.channels import Channels, Ranking
from codebuddy.index.file_role import FileRole, role_of, search_role
from codebuddy.index.path_channel import PATH, SCORE, by_path
from codebuddy.index.query import kind_of
from codebuddy.index.query_filters import Keep
from codebuddy.index.ranker import ChunkLocation, Ranked, RankingWeights, rank
from codebuddy.index.store import Store
from codebuddy.index.verbatim import verbatim_shares

# Something is always nearest; of 540 right answers 1 in 100 was less similar than this.
_MIN_SIMILARITY = 0.3
# What another form of a word counts beside the word, where a few words are all there is.
_FORMS_WEIGHT = 0.25
# A definition whose name is made of nearly all the words scores more than this in the symbol
# channel: of few words that ask something 1 in 100 did, of names 95.
_NAMED = 0.7
# A definition that a line names scores so much in the symbol channel.
_DEFINED = 0.3
# By which a result that is moved stands before or behind another one.
_STEP = 1e-3
# Of the lexical channel, looked at for words in the query's order.
_VERBATIM_POOL = 10


def hybrid(
    query: str,
    channels: Channels,
    store: Store,
    near: str,
    weights: RankingWeights,
    keep: Keep | None = None,
    folder: str = "",
) -> Iterator[Ranked]:
    """The chunks for a query, best first.

    Args:
        query: What is looked for.
        channels: That are asked.
        store: The index.
        near: The file that the query comes from, or empty.
        weights: What everything counts.
        keep: Which chunks may be among them.
        folder: Where a file that the query names is looked for first.
    """
    named: set[int] = set()
    for position, chunk_id in enumerate(by_path(query, channels.paths, store, folder), 1):
        if keep is not None and not keep(chunk_id):
            continue
        named.add(chunk_id)
        yield Ranked(chunk_id, SCORE, {PATH: SCORE}, {PATH: position}, {})
    for each in _fused(query, channels, store, near, weights, keep):
        if each.chunk_id not in named:
            yield each


def _fused(
    query: str,
    channels: Channels,
    store: Store,
    near: str,
    weights: RankingWeights,
    keep: Keep | None,
) -> Iterator[Ranked]:
    kind = kind_of(query)
    by_words = channels.search_lexical(query, _FORMS_WEIGHT if kind == "words" else 0.0, keep)
    by_symbol, reasons = channels.search_symbol(query, by_words, near, keep)
    # One word that stands nowhere as it is written.
    if kind == "name" and not by_words and not by_symbol:
        by_words = channels.search_lexical(query, _FORMS_WEIGHT, keep)
    is_named = by_symbol and by_symbol[0][1] >= _NAMED
    # `retry-after` is one word, and no question.
    if kind == "words" and len(query.split()) > 1 and not is_named:
        kind = "sentence"
    rankings: dict[str, Ranking] = {"lexical": by_words, "symbol": by_symbol}
    if weights.channels[kind].get("dense", 0.0) > 0:
        similar = channels.search_dense(query, keep=keep)
        rankings["dense"] = [each for each in similar if each[1] >= _MIN_SIMILARITY]
    own_role = search_role(near, role_of(near)) if near else "code"

    def location_of(chunk_id: int) -> ChunkLocation:
        stored = store.file_by_id(store.file_id_of(chunk_id))
        path = os.fsdecode(stored.path)
        return ChunkLocation(path, search_role(path, cast("FileRole", stored.role)))

    shares: Mapping[int, float] = {}
    is_pasted = kind == "code" and not near
    if is_pasted or weights.verbatim.get(kind, 0.0) > 0:
        best = [chunk_id for chunk_id, _ in by_words[:_VERBATIM_POOL]]
        shares = verbatim_shares(query, best, lambda each: store.chunks([each])[0].text)
    found = rank(query, kind, rankings, location_of, weights, own_role, shares)
    if is_pasted:
        found = _pasted(found, shares, dict(by_symbol))
    for each in found:
        yield replace(each, near=reasons.get(each.chunk_id, ""))


def _pasted(
    found: list[Ranked], shares: Mapping[int, float], by_symbol: Mapping[int, float]
) -> list[Ranked]:
    """The place where all of a pasted line stands: first, or behind a definition that it names.

    An editor says where a line stands, and looks for what it calls. Whoever pastes one without that
    may look for either.
    """
    whole = next((each for each in found if shares.get(each.chunk_id) == 1), None)
    if whole is None or whole is found[0]:
        return found
    first, *others = (each for each in found if each is not whole)
    is_defined = by_symbol.get(first.chunk_id, 0.0) >= _DEFINED
    score = first.score * (1 - _STEP if is_defined else 1 + _STEP)
    if score <= whole.score:
        return found
    moved = replace(
        whole, score=score, factors={**whole.factors, "verbatim": round(score / whole.score, 4)}
    )
    return [first, moved, *others] if is_defined else [moved, first, *others]
