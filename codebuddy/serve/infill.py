"""llama-server's `/infill`, as llama.vim and llama.vscode speak it: request in, answer out.

The fields were read from their sources (llama.vim a1c8e6e, llama.vscode 3938fb3). It knows
nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import UsageError
from codebuddy.serve.fields import INFILL_FIELDS, check_fields, texts_of

MAX_STOPS = 16
MAX_STOP_LENGTH = 256


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A completion request for raw text, of either HTTP protocol.

    `extras` are pieces of files that the editor had open, as names and texts, the oldest first;
    `budget_ms` limits the generation. `filename` is a file of the repository, `model_name` what
    a client calls it that may know it by another path.
    """

    prefix: str
    suffix: str
    filename: str = ""
    extras: tuple[tuple[str, str], ...] = ()
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    budget_ms: int | None = None
    is_stream: bool = False
    alternatives: int = 0
    model_name: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to complete: how editors warm a server's cache."""
        return self.max_tokens == 0 or not (self.prefix or self.suffix)


def parse_infill(body: Mapping[str, Any]) -> tuple[RawRequest, tuple[str, ...] | None]:
    """The request, and the fields that its answer is cut to (`None` for all).

    Raises:
        UsageError: A field is unknown, of another type or out of its bounds.
    """
    fields = check_fields(body, INFILL_FIELDS)
    prompt = fields.get("prompt", "")
    if not isinstance(prompt, str):
        raise UsageError("prompt must be a text")
    n_predict = fields.get("n_predict", -1)
    wanted = fields.get("response_fields")
    request = RawRequest(
        prefix=fields.get("input_prefix", "") + prompt,
        suffix=fields.get("input_suffix", ""),
        filename=fields.get("filename", ""),
        extras=_extras(fields.get("input_extra", [])),
        max_tokens=None if n_predict < 0 else n_predict,
        stops=texts_of(fields.get("stop", []), "stop", MAX_STOPS, MAX_STOP_LENGTH),
        budget_ms=fields.get("t_max_predict_ms") or None,
        is_stream=fields.get("stream", False),
    )
    return request, None if wanted is None else tuple(wanted)


def _extras(pieces: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Names and texts. llama-server wants both; editors may leave out the name."""
    found = []
    for piece in pieces:
        name, text = piece.get("filename") or "", piece.get("text") or ""
        if not isinstance(name, str) or not isinstance(text, str):
            raise UsageError("filename and text of input_extra must be texts")
        found.append((name, text))
    return tuple(found)


def infill_response(content: str, receipt: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The final answer with the fields of llama-server, and the receipt as `codebuddy`."""
    tokens = receipt.get("tokens", {})
    times = receipt.get("timings_ms", {})
    generated, evaluated = tokens.get("generated", 0), tokens.get("evaluated", 0)
    is_limited = receipt.get("finish_reason") == "length"
    return {
        "index": 0,
        "content": content,
        "id_slot": 0,
        "stop": True,
        "model": model,
        "tokens_predicted": generated,
        "tokens_evaluated": tokens.get("prompt", 0),
        "has_new_line": "\n" in content,
        "truncated": False,
        "stop_type": "limit" if is_limited else "eos",
        "stopping_word": "",
        "tokens_cached": tokens.get("reused", 0),
        "timings": {
            **_rate("prompt", evaluated, times.get("prefill", 0.0)),
            **_rate("predicted", generated, times.get("generate", 0.0)),
            "cache_n": tokens.get("reused", 0),
        },
        "codebuddy": dict(receipt),
    }


def infill_piece(content: str) -> dict[str, Any]:
    """A part of a streamed answer."""
    return {"index": 0, "content": content, "stop": False, "id_slot": 0}


def cut_to_fields(answer: Mapping[str, Any], wanted: Sequence[str] | None) -> dict[str, Any]:
    """The wanted fields of an answer, as llama-server does: `timings/prompt_n` is one flat key.

    Names that lead nowhere are left out.
    """
    if wanted is None:
        return dict(answer)
    found = {}
    for path in wanted:
        value: Any = answer
        for part in path.split("/"):
            value = value.get(part, _NOTHING) if isinstance(value, Mapping) else _NOTHING
        if value is not _NOTHING:
            found[path] = value
    return found


_NOTHING = object()


def _rate(name: str, tokens: int, spent_ms: float) -> dict[str, float]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": spent_ms,
        f"{name}_per_token_ms": spent_ms / tokens if tokens else 0.0,
        f"{name}_per_second": tokens / spent_ms * 1000 if spent_ms else 0.0,
    }
