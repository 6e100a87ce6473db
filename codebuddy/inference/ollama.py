"""A model behind Ollama, which takes text: prompts are spelled out for the model's family.

Ollama has no tokenizer to ask. Pieces of text of a few characters stand for tokens here, so
that budgets hold roughly and prompts are built as for any other model; before they are sent,
they become text again, with the family's own marks. A family that is not known gets prefix
and suffix as two fields, and Ollama's template for the model joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import FimTokens, GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError
from codebuddy.inference.fim_families import FimSpelling, spelling_of
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.remote_pieces import number_of, stream_pieces, text_of

_PREFIX, _SUFFIX, _MIDDLE, _REPOSITORY, _SEPARATOR = range(5)
_FIRST_PIECE = 16
# About what a token of code holds: a short word, a run of blanks, or one other character.
_PIECE = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,2}|[ \t]{1,8}|\s|.", re.DOTALL)
_MAX_PIECES = 1 << 18


class OllamaGenerator:
    """A model that Ollama has. One call at a time."""

    bos = None
    has_probabilities = False

    def __init__(self, server: ModelServer, model: str, n_ctx: int) -> None:
        """Take the server, the model's name there, and the context to ask for."""
        self._server = server
        self._model = model
        self.name = model
        self.n_ctx = n_ctx
        self._spelling = spelling_of(model)
        has_repository = self._spelling is not None and bool(self._spelling.repository)
        has_separator = self._spelling is not None and bool(self._spelling.separator)
        self.fim = FimTokens(
            _PREFIX,
            _SUFFIX,
            _MIDDLE,
            _REPOSITORY if has_repository else None,
            _SEPARATOR if has_separator else None,
        )
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: the server, whose threads and layers are its own matter."""
        return {"backend": "ollama", "url": self._server.url, "n_ctx": self.n_ctx}

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def tokenize(self, text: str) -> list[int]:
        """One id for each piece of text; marks of the model spelled in `text` are broken up."""
        return [self._id(piece) for piece in _PIECE.findall(self._harmless(text))]

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """Yield text pieces as Ollama streams them.

        Raises:
            SupersededError: The call was cancelled.
            GenerationError: The server failed.
        """
        options = {
            # To Ollama 0 means without end; one token is the least that evaluates a prompt.
            "num_predict": settings.max_tokens or 1,
            "temperature": settings.temperature,
            "seed": settings.seed,
            "num_ctx": self.n_ctx,
        }
        body = {"model": self._model, "stream": True, "options": options, **self._spell(tokens)}
        stats.prompt_tokens = len(tokens)
        stream = self._server.stream("/api/generate", body, settings.budget_ms, cancellation)
        yield from stream_pieces(self._server, stream, settings, stats, _take)

    def _spell(self, tokens: Sequence[int]) -> dict[str, Any]:
        """The prompt as Ollama's fields."""
        if self._spelling is not None:
            marks = _marks(self._spelling)
            text = "".join(marks[t] if t < _FIRST_PIECE else self._text(t) for t in tokens)
            return {"prompt": text, "raw": True}
        parts: dict[int, list[str]] = {_PREFIX: [], _SUFFIX: []}
        current = _PREFIX
        for token in tokens:
            if token < _FIRST_PIECE:
                current = _SUFFIX if token == _SUFFIX else current
            else:
                parts[current].append(self._text(token))
        fields = {"prompt": "".join(parts[_PREFIX]), "suffix": "".join(parts[_SUFFIX])}
        # An empty suffix counts as none, and the model would be asked to chat.
        return fields if fields["suffix"] else {"prompt": fields["prompt"], "raw": True}

    def _harmless(self, text: str) -> str:
        for mark in self._spelling.marks if self._spelling else ():
            bare = mark.strip()
            if bare in text:
                text = text.replace(bare, f"{bare[0]} {bare[1:]}")
        return text

    def _id(self, piece: str) -> int:
        found = self._ids.get(piece)
        if found is None:
            if len(self._texts) >= _MAX_PIECES:
                raise GenerationError(
                    "the document holds too many different characters", hint="use llama-server"
                )
            found = self._ids[piece] = _FIRST_PIECE + len(self._texts)
            self._texts.append(piece)
        return found

    def _text(self, token: int) -> str:
        return self._texts[token - _FIRST_PIECE]


def find_ollama_model(server: ModelServer, wanted: str) -> str:
    """The name by which Ollama has `wanted`: itself, with a tag, or spelled as Ollama does.

    Raises:
        ModelError: It has none of that name; the hint lists what it has.
    """
    answer = server.ask("/api/tags")
    models = answer.get("models") if isinstance(answer, dict) else None
    names = [str(m["name"]) for m in models or () if isinstance(m, dict) and "name" in m]
    for name in names:
        if wanted in (name, name.removesuffix(":latest"), name.replace(":", "-")):
            return name
    raise ModelError(
        f"Ollama at {server.url} has no model {wanted}",
        hint=f"set model.name to one of: {', '.join(names) or 'none installed'}",
    )


def _marks(spelling: FimSpelling) -> dict[int, str]:
    return {
        _PREFIX: spelling.prefix,
        _SUFFIX: spelling.suffix,
        _MIDDLE: spelling.middle,
        _REPOSITORY: spelling.repository,
        _SEPARATOR: spelling.separator,
    }


def _take(event: dict[str, Any], stats: GenerationStats) -> tuple[str, bool]:
    """The event's text, and whether it is the last one."""
    if "error" in event:
        raise GenerationError(f"Ollama failed: {event['error']!s:.200}", hint="see Ollama's log")
    is_last = bool(event.get("done"))
    if is_last:
        _take_final(event, stats)
    else:
        stats.generated_tokens += 1
    return text_of(event.get("response")), is_last


def _take_final(event: dict[str, Any], stats: GenerationStats) -> None:
    """Ollama's own counts; it leaves out what its cache spared."""
    evaluated = int(number_of(event.get("prompt_eval_count")))
    stats.finish_reason = "length" if event.get("done_reason") == "length" else "stop"
    stats.prompt_tokens = max(evaluated, stats.prompt_tokens)
    stats.evaluated_tokens = evaluated
    stats.reused_tokens = max(0, stats.prompt_tokens - stats.evaluated_tokens)
    stats.generated_tokens = int(number_of(event.get("eval_count"))) or stats.generated_tokens
    stats.generate_ms = number_of(event.get("eval_duration")) / 1e6
