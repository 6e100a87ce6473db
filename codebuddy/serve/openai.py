"""OpenAI's `/v1/completions` and `/v1/models`: request in, answer out. It knows nothing of HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import UsageError
from codebuddy.serve.fields import MAX_TOKENS_NAMES, OPENAI_FIELDS, check_fields, texts_of
from codebuddy.serve.fim_prompt import FimPrompt, split_prompt
from codebuddy.serve.infill import MAX_STOP_LENGTH, RawRequest

# Templates of some clients end at every token of every model that they know.
_MAX_STOPS = 128
_MOST_CHOICES = 8
_MOST_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class CompletionParameters:
    """The request, and what of it is the form of its answer: how many choices were asked for,
    and whether a stream ends with an event of the cost alone.
    """

    raw: RawRequest
    choices: int
    has_usage_event: bool


def parse_completion(body: Mapping[str, Any]) -> CompletionParameters:
    """The request. Fields that are not known here are left unused.

    Raises:
        UsageError: A field that is used is of another type or out of its bounds, or the
            request is one for something else.
    """
    fields = check_fields(body, OPENAI_FIELDS, may_be_unknown=True)
    parts = _prompt(body, fields)
    if fields.get("echo"):
        raise UsageError("echo is not supported", hint="put the prompt before the answer's text")
    choices = fields.get("n", 1)
    if fields.get("best_of", choices) < choices:
        raise UsageError(f"best_of must be at least n, which is {choices}")
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise UsageError("stream_options must be an object")
    raw = RawRequest(
        prefix=parts.prefix,
        suffix=parts.suffix,
        filename=fields.get("filename", ""),
        extras=parts.extras,
        max_tokens=_max_tokens(fields),
        stops=texts_of(fields.get("stop", []), "stop", _MAX_STOPS, MAX_STOP_LENGTH),
        is_stream=fields.get("stream", False),
        alternatives=min(choices, _MOST_CHOICES) - 1,
        model_name=parts.filename,
    )
    return CompletionParameters(raw, choices, bool(options and options.get("include_usage")))


def _prompt(body: Mapping[str, Any], fields: Mapping[str, Any]) -> FimPrompt:
    """The prompt's parts; where a suffix is sent, the prompt is text and nothing else."""
    if "prompt" not in fields:
        is_chat = "messages" in body
        raise UsageError(
            "messages are for chat, which is not served" if is_chat else "prompt is missing",
            hint="send the text before the cursor as prompt, and what follows as suffix",
        )
    prompt = fields["prompt"]
    if isinstance(prompt, list):
        if not prompt:
            raise UsageError("prompt is empty")
        if not all(isinstance(each, str) for each in prompt):
            raise UsageError("prompt must be a text; token ids are not taken")
        if len(prompt) > 1:
            raise UsageError(
                f"prompt holds {len(prompt)} texts, and one is completed at a time",
                hint="send a request for each",
            )
        prompt = prompt[0]
    (text,) = texts_of(prompt, "prompt", 1, 8 << 20)
    suffix = fields.get("suffix")
    if suffix:
        return FimPrompt(text, suffix)
    try:
        return split_prompt(text) or FimPrompt(text)
    except UsageError:
        # An empty suffix says so too: what looks like tokens is the document's own text.
        if suffix is None:
            raise
        return FimPrompt(text)


def _max_tokens(fields: Mapping[str, Any]) -> int | None:
    """The limit, within what is possible; to some servers a negative one means none."""
    for name in MAX_TOKENS_NAMES:
        if name in fields:
            return None if fields[name] < 0 else min(fields[name], _MOST_TOKENS)
    return None


class CompletionResponses:
    """The answers to one request: they share an id and a time."""

    def __init__(self, model: str, parameters: CompletionParameters) -> None:
        self._parameters = parameters
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def piece(self, text: str) -> dict[str, Any]:
        """A part of a streamed answer."""
        return self._head | {"choices": [_choice(0, text, None)]}

    def last_pieces(
        self, text: str, others: Sequence[str], receipt: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The last parts of a streamed answer: its end, other choices, and the cost."""
        reason, cost = _finish_reason(receipt), {"usage": _usage(receipt)}
        pieces = [self._head | {"choices": [_choice(0, text, reason)]}]
        pieces += [
            self._head | {"choices": [_choice(index, other, reason)]}
            for index, other in enumerate(others, 1)
        ]
        pieces[-1] |= self._warnings(1 + len(others))
        if self._parameters.has_usage_event:
            pieces.append(self._head | {"choices": []})
        pieces[-1] |= cost
        return pieces

    def whole(self, texts: Sequence[str], receipt: Mapping[str, Any]) -> dict[str, Any]:
        """An answer in one piece, and the receipt as `codebuddy`."""
        reason = _finish_reason(receipt)
        return (
            self._head
            | {
                "choices": [_choice(index, text, reason) for index, text in enumerate(texts)],
                "usage": _usage(receipt),
                "codebuddy": dict(receipt),
            }
            | self._warnings(len(texts))
        )

    def _warnings(self, choices: int) -> dict[str, Any]:
        """What the client is to know beside the choices; nothing if all is as it asked."""
        wanted = self._parameters.choices
        if choices >= wanted:
            return {}
        return {"warnings": [f"{choices} of {wanted} choices: no more different ones were found"]}


def models_response(model: str) -> dict[str, Any]:
    """The list of the one model that answers."""
    return {"object": "list", "data": [model_entry(model)]}


def model_entry(model: str) -> dict[str, Any]:
    """What is said of a model."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "codebuddy"}


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(receipt: Mapping[str, Any]) -> str:
    return "length" if receipt.get("finish_reason") == "length" else "stop"


def _usage(receipt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Token usage; None for a text that was cut while streaming, whose tokens are not counted."""
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
