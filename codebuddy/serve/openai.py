"""OpenAI's `/v1/completions` and `/v1/models`: request in, answer out. It knows nothing of HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from codebuddy.errors import UsageError
from codebuddy.serve.fields import OPENAI_FIELDS, check_fields, texts_of
from codebuddy.serve.infill import MAX_STOP_LENGTH, MAX_STOPS, RawRequest


def parse_completion(body: Mapping[str, Any]) -> RawRequest:
    """The request.

    Raises:
        UsageError: A field is unknown, of another type or out of its bounds.
    """
    fields = check_fields(body, OPENAI_FIELDS)
    if "prompt" not in fields:
        raise UsageError("prompt is missing")
    prompts = texts_of(fields["prompt"], "prompt", 1, 8 << 20)
    if not prompts:
        raise UsageError("prompt is empty")
    if fields.get("echo"):
        raise UsageError("echo is not supported")
    return RawRequest(
        prefix=prompts[0],
        suffix=fields.get("suffix", ""),
        filename=fields.get("filename", ""),
        max_tokens=fields.get("max_tokens"),
        stops=texts_of(fields.get("stop", []), "stop", MAX_STOPS, MAX_STOP_LENGTH),
        is_stream=fields.get("stream", False),
        alternatives=fields.get("n", 1) - 1,
    )


class CompletionAnswers:
    """The answers to one request: they share an id and a time."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def piece(self, text: str) -> dict[str, Any]:
        """A part of a streamed answer."""
        return self._head | {"choices": [_choice(0, text, None)]}

    def last_piece(self, text: str, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """The last part of a streamed answer."""
        return self._head | {
            "choices": [_choice(0, text, _finish_reason(receipt))],
            "usage": _usage(receipt),
        }

    def whole(self, texts: Sequence[str], receipt: Mapping[str, Any]) -> dict[str, Any]:
        """An answer in one piece, and the receipt as `codebuddy`."""
        reason = _finish_reason(receipt)
        return self._head | {
            "choices": [_choice(index, text, reason) for index, text in enumerate(texts)],
            "usage": _usage(receipt),
            "codebuddy": dict(receipt),
        }


def models_answer(model: str) -> dict[str, Any]:
    """The list of the one model that answers."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": "codebuddy"}
    return {"object": "list", "data": [entry]}


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(receipt: Mapping[str, Any]) -> str:
    return "length" if receipt.get("finish_reason") == "length" else "stop"


def _usage(receipt: Mapping[str, Any]) -> dict[str, Any] | None:
    """What it cost; None of a text that was cut while it grew, whose tokens nobody counted."""
    tokens = receipt.get("tokens")
    if tokens is None:
        return None
    prompt, generated = tokens.get("prompt", 0), tokens.get("generated", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": tokens.get("reused", 0)},
    }
