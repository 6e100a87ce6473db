"""Responses from the engine: their form is checked once, where bytes become values."""

from __future__ import annotations

import pytest

from codebuddy.service.response import (
    CompletionResponse,
    ModelDescription,
    ResponseFormError,
    SearchResponse,
    checked,
)
from tests.support.responses import completion_response

SEARCH = {
    "query": "x",
    "channel": "hybrid",
    "embedder": "none",
    "results": [
        {
            "path": "a.py", "line": 1, "start_line": 1, "end_line": 2, "kind": "function",
            "symbol": "f", "score": 1, "channel": "lexical", "channels": {"lexical": 0.5},
            "explain": {"ranks": {"lexical": 1}, "factors": {}}, "text": "def f(): ...",
        }
    ],
    "repository": "/r",
    "timings_ms": {"total": 1.5},
}  # fmt: skip


def test_what_has_all_keys_passes_as_it_is():
    """Optional keys may be there or not, and unknown ones are let through."""
    whole = completion_response("return 1", warnings=["late"], engine={
        "request_id": 1, "is_cached": False, "queue_ms": 0, "total_ms": 1.5,
    })  # fmt: skip
    for value in (completion_response("return 1"), whole, {**whole, "new": 1}):
        assert checked(value, CompletionResponse) is value
    assert checked(SEARCH, SearchResponse) is SEARCH
    assert checked({"model": "echo", "runtime": {"threads": 0}}, ModelDescription)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": None}, "text is of type NoneType"),
        ({"line": True}, "line is of type bool"),
        ({"confidence": "high"}, "confidence is of type str"),
        ({"chunks": {}}, "chunks is no list"),
        ({"chunks": [{"path": "a.py"}]}, r"chunks\[0\] has no start_line"),
        ({"alternatives": [1]}, r"alternatives\[0\] is of type int"),
        ({"timings_ms": {"total": "1"}}, r"timings_ms\['total'\] is of type str"),
        ({"decision": []}, "decision is no object"),
        ({"engine": None}, "engine is no object"),
    ],
)
def test_another_form_is_refused_by_the_name_of_the_key(changes, words):
    """The first key that is missing or of another type is named."""
    with pytest.raises(ResponseFormError, match=words):
        checked({**completion_response("x"), **changes}, CompletionResponse)


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_what_is_no_response_is_refused(value):
    """Anything can stand in JSON."""
    with pytest.raises(ResponseFormError):
        checked(value, CompletionResponse)
