"""What a completion, a search and a loaded model answer, by their stable keys.

`checked` makes sure of them once, where the engine's bytes become values; whoever holds a
response later reads its keys without looking at their types. Standard library only.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict, TypeVar

T = TypeVar("T")


# A feature's name and the points that it moved the decision: a list of two in JSON.
Feature = tuple[str, float]


class DecisionResponse(TypedDict):
    """Whether something was looked up, and why: the fields of `datatypes.Decision`."""

    retrieve: bool
    probability: float
    threshold: float
    reason: str
    mode: str
    expected_gain: float | None
    expected_ms: float | None
    features: Sequence[Feature]
    head: str
    stage: str
    first_ms: float | None
    kept: str


class ChunkResponse(TypedDict):
    """A chunk in the prompt; lines are 1-based, `tokens` what it took there."""

    path: str
    start_line: int
    end_line: int
    symbol: str
    score: float
    channel: str
    channels: dict[str, float]
    tokens: int


class TokenCounts(TypedDict):
    """Tokens of all generations together."""

    prompt: int
    evaluated: int
    reused: int
    generated: int


class AdapterResponse(TypedDict):
    """The adapter that acted; `in_head` says whether the decision head was fitted with it."""

    name: str
    sha256: str
    rank: int
    in_head: bool


class EngineTimes(TypedDict):
    """The engine's own account of a request; times are milliseconds from its arrival."""

    request_id: int
    is_cached: bool
    queue_ms: float
    total_ms: float


class CompletionResponse(TypedDict):
    """The keys of `complete --json`.

    `line` and `column` are 1-based; `timings_ms` holds milliseconds by step, and their `total`.
    `depends_on` names the files behind the suggestion for one who keeps it, and is no part of
    what a person is shown.
    """

    text: str
    file: str
    line: int
    column: int
    cell: NotRequired[int]
    model: str
    finish_reason: str
    confidence: float | None
    decision: DecisionResponse
    chunks: list[ChunkResponse]
    tokens: TokenCounts
    timings_ms: dict[str, float]
    filters: list[str]
    runtime: dict[str, object]
    adapter: NotRequired[AdapterResponse | None]
    alternatives: list[str]
    warnings: NotRequired[list[str]]
    startup_ms: NotRequired[float]
    engine: NotRequired[EngineTimes]
    applied: NotRequired[bool]
    depends_on: NotRequired[list[list[str]]]


class ExplainResponse(TypedDict):
    """Why a result ranks where it does."""

    ranks: dict[str, int]
    factors: dict[str, float]
    near: NotRequired[str]


class SearchHit(TypedDict):
    """A chunk that was found; `line` is that of the match, all lines are 1-based.

    Of a search over many, `repository` is the root that the path lies in, `name` what the list
    calls it.
    """

    path: str
    line: int
    start_line: int
    end_line: int
    kind: str
    symbol: str
    score: float
    channel: str
    channels: dict[str, float]
    explain: ExplainResponse
    why: NotRequired[str]
    similarity: NotRequired[float]
    repository: NotRequired[str]
    name: NotRequired[str]
    text: str


class SearchedRepositories(TypedDict):
    """Of a search over many: how many were searched of those listed, and by root why not."""

    searched: int
    listed: int
    left_out: dict[str, str]


class MissingWord(TypedDict):
    """A word of a question that stands in none of the results, or nowhere in the index at all."""

    word: str
    in_index: bool


class SearchResponse(TypedDict):
    """The keys of `search --json`, the best result first; times are milliseconds.

    `read_as` gives by word of the query the one that it was taken for a slip of.
    """

    query: str
    read_as: NotRequired[dict[str, str]]
    channel: str
    embedder: str
    reranker: NotRequired[str | None]
    missing: NotRequired[list[MissingWord]]
    is_about_missing: NotRequired[bool]
    is_far: NotRequired[bool]
    results: list[SearchHit]
    reason: NotRequired[str]
    repository: str
    repositories: NotRequired[SearchedRepositories]
    timings_ms: dict[str, float]
    warnings: NotRequired[list[str]]


class PlaceResponse(TypedDict):
    """A line of a file."""

    path: str
    line: int


class ClaimResponse(TypedDict):
    """A sentence of an answer with the lines that it names, all of which the model was shown."""

    text: str
    citations: list[PlaceResponse]


class AskSourceResponse(TypedDict):
    """Lines that the model was shown; `tokens` what they took in the prompt."""

    path: str
    start_line: int
    end_line: int
    line: int
    kind: str
    symbol: str
    text: str
    tokens: int
    cited: bool


class AskResponse(TypedDict):
    """The keys of `ask --json` that the model's part gives; times are milliseconds.

    `found` says that a claim names a source line; `removed` what the model named that was not
    among the sources.
    """

    answer: str
    found: bool
    claims: list[ClaimResponse]
    removed: list[str]
    sources: list[AskSourceResponse]
    model: str
    finish_reason: str
    tokens: TokenCounts
    timings_ms: dict[str, float]
    runtime: dict[str, object]
    warnings: NotRequired[list[str]]
    engine: NotRequired[EngineTimes]


class ModelDescription(TypedDict):
    """A loaded model: its name, what runs it, and the name of the adapter that it gets."""

    model: str
    runtime: dict[str, object]
    adapter: NotRequired[str | None]


class TuningResponse(TypedDict):
    """How a model runs best, and how that was found (`inference/tuning.py` explains the keys).

    `is_new`: it was measured now, and not some time before.
    """

    model: str
    is_new: bool
    options: dict[str, object]
    is_finished: bool
    crashed: bool
    ratio: float
    seconds: float
    texts: dict[str, int]
    tried: list[dict[str, object]]
    note: str


class ResponseFormError(ValueError):
    """A value has another form than its response; the message names the key."""


def checked(value: object, kind: type[T]) -> T:
    """`value`, which has all keys that `kind` requires, and values of the types it names.

    Further keys are let through.

    Args:
        value: Read from JSON.
        kind: One of the classes above, or another TypedDict of a module without postponed
            annotations (`from __future__ import annotations` leaves strings in place of types).

    Raises:
        ResponseFormError: It has another form.
    """
    _check(value, kind, "the answer")
    return typing.cast("T", value)


def _check(value: object, kind: object, name: str) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return
    if origin is NotRequired:
        _check(value, arguments[0], name)
    elif typing.is_typeddict(kind):
        _check_keys(_mapping(value, name), typing.cast("type", kind), name)
    elif origin is dict:
        for key, each in _mapping(value, name).items():
            _check(each, arguments[1], f"{name}[{key!r:.40}]")
    elif origin is tuple:
        _check_items(value, arguments, name)
    elif origin in (list, Sequence):
        if not isinstance(value, list):
            raise ResponseFormError(f"{name} is no list")
        for index, each in enumerate(value):
            _check(each, arguments[0], f"{name}[{index}]")
    elif not _is_plain(value, arguments if origin is types.UnionType else (kind,), name):
        raise ResponseFormError(f"{name} is of type {type(value).__name__}")


def _check_keys(value: Mapping[str, object], kind: type, name: str) -> None:
    for key, wanted in kind.__annotations__.items():
        if key in value:
            _check(value[key], wanted, f"{name}.{key}")
        elif key in kind.__required_keys__:  # type: ignore[attr-defined]
            raise ResponseFormError(f"{name} has no {key}")


def _check_items(value: object, kinds: tuple[object, ...], name: str) -> None:
    if not isinstance(value, list) or len(value) != len(kinds):
        raise ResponseFormError(f"{name} is no list of {len(kinds)}")
    for index, (each, kind) in enumerate(zip(value, kinds, strict=True)):
        _check(each, kind, f"{name}[{index}]")


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ResponseFormError(f"{name} is no object")
    return value


def _is_plain(value: object, kinds: tuple[object, ...], name: str) -> bool:
    """Whether the value is of one of the plain types; an object is checked by its own keys."""
    for kind in kinds:
        if kind is None or kind is types.NoneType:
            if value is None:
                return True
        elif typing.is_typeddict(kind):
            if value is not None:
                _check(value, kind, name)
                return True
        elif kind is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return True
        elif type(value) is kind:
            return True
    return False
