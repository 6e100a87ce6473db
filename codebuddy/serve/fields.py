"""The body of a request: JSON whose used fields are each of their type and within their bounds.

Most of what llama-server and OpenAI take is accepted and left unused: this program decides how
it generates, and nothing of a request is forwarded to a model runtime. What would be missed if
it were left unused is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codebuddy.errors import UsageError

MAX_BODY_BYTES = 8 << 20
_MAX_LIST_LENGTH = 256

Kind = Literal["int", "number", "bool", "text", "texts", "objects", "any", "refused"]


@dataclass(frozen=True, slots=True)
class Field:
    """What a field may be: `low` and `high` bound numbers, and the length of texts."""

    kind: Kind
    low: float = 0
    high: float = MAX_BODY_BYTES


_TEXT = Field("text")
_SWITCH = Field("bool")
_SHARE = Field("number", 0, 1)
_TOKENS = Field("int", -1, 8192)
_MILLISECONDS = Field("int", 0, 3_600_000)
_SEED = Field("int", -1, 2**32 - 1)
_PENALTY = Field("number", -2, 2)

# What both interfaces take.
_SHARED = {
    "model": Field("text", high=512),
    # Ours: the file that the text is of, so that its language is known and its own text is
    # not looked up.
    "filename": Field("text", high=4096),
    "prompt": Field("any"),
    "stop": Field("any"),
    "stream": _SWITCH,
    "temperature": Field("number", 0, 100),
    "top_p": _SHARE,
    "seed": _SEED,
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "logit_bias": Field("any"),
}

INFILL_FIELDS = _SHARED | {
    "input_prefix": _TEXT,
    "input_suffix": _TEXT,
    "input_extra": Field("objects"),
    "n_predict": _TOKENS,
    "n_cmpl": Field("int", 1, 64),
    "n_indent": Field("int", 0, 100_000),
    "n_keep": Field("int", -1, 2**31 - 1),
    "n_discard": Field("int", 0, 2**31 - 1),
    "n_cache_reuse": Field("int", 0, 2**31 - 1),
    "n_probs": Field("int", 0, 1000),
    "min_keep": Field("int", 0, 1000),
    "id_slot": Field("int", -1, 1024),
    "cache_prompt": _SWITCH,
    "samplers": Field("any"),
    "response_fields": Field("texts"),
    "t_max_prompt_ms": _MILLISECONDS,
    "t_max_predict_ms": _MILLISECONDS,
    "top_k": Field("int", 0, 2**31 - 1),
    "min_p": _SHARE,
    "typical_p": _SHARE,
    "top_n_sigma": Field("number", -1, 100),
    "xtc_probability": _SHARE,
    "xtc_threshold": _SHARE,
    "dynatemp_range": Field("number", 0, 100),
    "dynatemp_exponent": Field("number", 0, 100),
    "repeat_penalty": Field("number", 0, 100),
    "repeat_last_n": Field("int", -1, 2**31 - 1),
    "dry_multiplier": Field("number", 0, 100),
    "dry_base": Field("number", 0, 100),
    "dry_allowed_length": Field("int", 0, 2**31 - 1),
    "dry_penalty_last_n": Field("int", -1, 2**31 - 1),
    "dry_sequence_breakers": Field("texts"),
    "mirostat": Field("int", 0, 2),
    "mirostat_tau": Field("number", 0, 100),
    "mirostat_eta": Field("number", 0, 100),
    "ignore_eos": _SWITCH,
    "return_tokens": _SWITCH,
    "return_progress": _SWITCH,
    "timings_per_token": _SWITCH,
    "post_sampling_probs": _SWITCH,
    "lora": Field("any"),
    "grammar": Field("refused"),
    "json_schema": Field("refused"),
    "image_data": Field("refused"),
}

_ANY_COUNT = Field("int", -(2**63), 2**63)
# What OpenAI's interface uses of a request. All other fields are left unused, whatever they
# hold: clients of a dozen servers send the fields of all of them.
OPENAI_FIELDS = {
    "prompt": Field("any"),
    "suffix": _TEXT,
    "filename": Field("text", high=4096),
    "stop": Field("any"),
    "stream": _SWITCH,
    "stream_options": Field("any"),
    "n": Field("int", 1, 2**31 - 1),
    "best_of": Field("int", 1, 2**31 - 1),
    "echo": _SWITCH,
    # One thing under the names of several servers, the first one that is set counts.
    "max_tokens": _ANY_COUNT,
    "max_completion_tokens": _ANY_COUNT,
    "max_new_tokens": _ANY_COUNT,
    "n_predict": _ANY_COUNT,
    "num_predict": _ANY_COUNT,
    # Fields that must not be ignored silently: the client relies on them.
    "logprobs": Field("refused"),
    "grammar": Field("refused"),
    "json_schema": Field("refused"),
    "response_format": Field("refused"),
    "guided_json": Field("refused"),
    "guided_regex": Field("refused"),
    "guided_choice": Field("refused"),
    "guided_grammar": Field("refused"),
    "structured_outputs": Field("refused"),
    "image_data": Field("refused"),
    "tools": Field("refused"),
}
MAX_TOKENS_NAMES = tuple(name for name, field in OPENAI_FIELDS.items() if field is _ANY_COUNT)


def parse_body(content: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        UsageError: It is none, holds NaN or Infinity, or is nested too deep.
    """
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError("the body is nested too deep") from None
    except ValueError as error:
        # json's own words name a place, never the text.
        raise UsageError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the body must be a JSON object")
    return value


def check_fields(
    body: Mapping[str, Any], fields: Mapping[str, Field], *, may_be_unknown: bool = False
) -> dict[str, Any]:
    """The fields that are set, checked; null counts as not set, and so does false for a text.

    Raises:
        UsageError: One is unknown, of another type or out of its bounds; it is named.
    """
    checked = {}
    for name, value in body.items():
        if name not in fields:
            if may_be_unknown:
                continue
            raise UsageError(f"unknown field {name!r:.80}")
        if value is False and fields[name].kind in ("text", "any", "refused"):
            continue
        if value is not None:
            _check(name, value, fields[name])
            checked[name] = value
    return checked


def texts_of(value: object, name: str, max_count: int, max_length: int) -> tuple[str, ...]:
    """A text or a list of texts as a tuple of texts.

    Raises:
        UsageError: It is something else, or too much of it.
    """
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UsageError(f"{name} must be a text or a list of texts")
    if len(found) > max_count or any(len(each) > max_length for each in found):
        texts = "one text" if max_count == 1 else f"{max_count} texts"
        raise UsageError(f"{name} may hold {texts} of {max_length} characters at most")
    return tuple(found)


def _check(name: str, value: Any, field: Field) -> None:
    kinds: dict[Kind, tuple[tuple[type, ...], str]] = {
        "int": ((int,), "a whole number"),
        "number": ((int, float), "a number"),
        "bool": ((bool,), "true or false"),
        "text": ((str,), "a text"),
        "texts": ((list,), "a list of texts"),
        "objects": ((list,), "a list of objects"),
    }
    if field.kind == "refused":
        raise UsageError(f"{name} is not supported")
    if field.kind == "any":
        return
    types, words = kinds[field.kind]
    # bool is an int in Python only.
    if type(value) not in types:
        raise UsageError(f"{name} must be {words}")
    if field.kind in ("int", "number") and not field.low <= value <= field.high:
        raise UsageError(f"{name} must be between {field.low:g} and {field.high:g}")
    if field.kind == "text" and len(value) > field.high:
        raise UsageError(f"{name} is longer than {field.high:g} characters")
    if field.kind in ("texts", "objects"):
        wanted = str if field.kind == "texts" else dict
        if len(value) > _MAX_LIST_LENGTH or not all(isinstance(each, wanted) for each in value):
            raise UsageError(f"{name} must be {words}, {_MAX_LIST_LENGTH} at most")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
