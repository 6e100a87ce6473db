"""Responses with all their keys, for tests that answer in the place of the engine."""

from __future__ import annotations

from typing import Any

from codebuddy.service.response import CompletionResponse


def completion_response(text: str = "", **changes: Any) -> CompletionResponse:
    """A completion without a lookup; `changes` replace keys or add some."""
    response: CompletionResponse = {
        "text": text,
        "file": "cart.py",
        "line": 1,
        "column": 1,
        "model": "echo",
        "finish_reason": "stop",
        "confidence": None,
        "decision": {
            "retrieve": False,
            "probability": 0.0,
            "threshold": 1.0,
            "reason": "a test says so",
            "mode": "auto",
            "expected_gain": None,
            "expected_ms": None,
            "features": [],
            "head": "",
            "stage": "",
            "first_ms": None,
            "kept": "",
        },
        "chunks": [],
        "tokens": {"prompt": 0, "evaluated": 0, "reused": 0, "generated": 0},
        "timings_ms": {"total": 0.0},
        "filters": [],
        "runtime": {},
        "alternatives": [],
    }
    return {**response, **changes}  # type: ignore[typeddict-item]


def decided(**changes: Any) -> CompletionResponse:
    """A completion whose decision has other values."""
    plain = completion_response()
    return completion_response(decision={**plain["decision"], **changes})
