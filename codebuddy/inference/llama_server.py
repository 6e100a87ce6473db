"""A model behind an existing llama-server: tokens in, text out, its prompt cache used.

The server tokenizes, so that prompts are the same as in-process ones, and text that spells
special tokens stays text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import FimTokens, GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError, ServerRefusedError, TimeLimitError
from codebuddy.inference import server_adapters
from codebuddy.inference.adapter_choice import ChosenAdapter
from codebuddy.inference.chat import STAND_INS, cut_at_stand_ins
from codebuddy.inference.fim_families import every_spelling
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.remote_pieces import number_of, stream_pieces, text_of
from codebuddy.inference.server_adapters import ServerAdapter

# Tokenized texts that are kept: most of a prompt is the same from keystroke to keystroke.
_MAX_TOKENIZED = 2048
# What a server may take at most to say which adapters it has, and what says that it never will.
_LIST_MS = 2_000.0
_CANNOT_LIST = frozenset({404, 501})
# What it may take at most to say which model it has, before that is taken to be the same.
_PROPERTIES_MS = 2_000.0
_TELLING = ("model_alias", "model_path", "build_info", "bos_token", "eos_token", "chat_template")
_FINISH_REASONS = {"eos": "stop", "word": "stop", "limit": "length"}


class LlamaServerGenerator:
    """The model that a llama-server holds. One call at a time."""

    has_probabilities = False

    def __init__(self, server: ModelServer, properties: dict[str, Any]) -> None:
        """Take the server with the answer of its `/props`.

        Raises:
            ModelError: The server does not behave like a llama-server.
        """
        self._server = server
        self._model = _model_of(properties)
        self._tokenized: OrderedDict[str, list[int]] = OrderedDict()
        alias = properties.get("model_alias") or properties.get("model_path") or "model"
        self.name = str(alias).replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")
        told = properties.get("default_generation_settings")
        self.n_ctx = int(number_of(told.get("n_ctx") if isinstance(told, dict) else None))
        if not self.n_ctx:
            raise ModelError(
                f"{server.url} does not say how much context its model has",
                hint="use a newer llama-server",
            )
        self.fim = self._find_fim()
        # Whether the vocabulary wants one shows in what the server itself would prepend.
        started = self._ask_tokens("a", adds_special=True)
        plain = self._ask_tokens("a", adds_special=False)
        self.bos = started[0] if len(started) > len(plain) else None
        self._build = str(properties.get("build_info", ""))
        self._can_list = True
        self._there: list[ServerAdapter] = []
        # What requests say of the server's adapters: with one of ours by its digest, and without.
        self._lora_with: dict[str, list[Any]] = {}
        self._lora_without: list[Any] = []

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: the server, whose threads and layers are its own matter."""
        return {
            "backend": "llama-server",
            "url": self._server.url,
            "build": self._build,
            "n_ctx": self.n_ctx,
        }

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def is_current(
        self, budget_ms: float = 0.0, cancellation: CancellationToken | None = None
    ) -> bool:
        """Whether the server still holds the model whose tokens and markers are known here.

        It may have been started anew with another one. One that does not say in time has at
        most `budget_ms`, two seconds without, and counts as the same.

        Raises:
            SupersededError: `cancellation` is cancelled.
        """
        self._server.limit_time(min(budget_ms or _PROPERTIES_MS, _PROPERTIES_MS), cancellation)
        try:
            properties = self._server.ask("/props")
        except TimeLimitError:
            return True
        except ModelError:
            # Who connects anew is told what is wrong.
            return False
        finally:
            self._server.limit_time(0)
        return isinstance(properties, dict) and _model_of(properties) == self._model

    def limit_time(self, budget_ms: float, cancellation: CancellationToken | None = None) -> None:
        """Tokenizing ends `budget_ms` from now at the latest, and when the request is cancelled.

        0 takes the limit away.
        """
        self._server.limit_time(budget_ms, cancellation)

    def choose_adapter(
        self,
        setting: str,
        own: Path | None,
        budget_ms: float = 0.0,
        cancellation: CancellationToken | None = None,
    ) -> ChosenAdapter:
        """The adapter that `model.adapter` means among those that the server has.

        It is asked again each time: after a restart the same number may be another adapter's.
        Where it does not say, none acts of those that it had last.

        Args:
            setting: Its value.
            own: The folder of the repository's adapters; none outside of any.
            budget_ms: What the server may take to list them, two seconds at most; 0 means those.
            cancellation: Ends the waiting.

        Raises:
            SupersededError: `cancellation` is cancelled.
        """
        self._lora_with.clear()
        self._lora_without = [{"id": each.id, "scale": 0.0} for each in self._there]
        self._server.limit_time(min(budget_ms or _LIST_MS, _LIST_MS), cancellation)
        try:
            there = self._listed()
        except (ModelError, TimeLimitError) as error:
            # Where the server is gone, the request itself says so.
            return ChosenAdapter(None, error.message)
        finally:
            self._server.limit_time(0)
        self._there = there
        chosen, found = server_adapters.choose(setting, own, there, self.fim.middle)
        self._lora_without = server_adapters.scales(there, None, setting)
        if chosen.adapter is not None and found is not None:
            scales = server_adapters.scales(there, found.id, setting)
            self._lora_with[chosen.adapter.sha256] = scales
        return chosen

    def _listed(self) -> list[ServerAdapter]:
        """The adapters that the server lists; none once it has said that it lists none ever."""
        if not self._can_list:
            return []
        try:
            return server_adapters.listed(self._server.ask("/lora-adapters"))
        except ServerRefusedError as refused:
            if refused.status not in _CANNOT_LIST:
                raise
            self._can_list = False
            return []

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens written in `text` are taken as plain text."""
        if not text:
            return []
        held = self._tokenized.get(text)
        if held is None:
            held = self._tokenized[text] = self._ask_tokens(text)
            if len(self._tokenized) > _MAX_TOKENIZED:
                self._tokenized.popitem(last=False)
        else:
            self._tokenized.move_to_end(text)
        return list(held)

    def tokenize_chat(self, system: str, user: str) -> list[int]:
        """As `LlamaGenerator.tokenize_chat`, by the server's own template.

        Raises:
            ModelError: The model has none, or the server cannot apply it.
        """
        messages = [{"role": role, "content": content} for role, content in STAND_INS]
        applied = self._server.ask("/apply-template", {"messages": messages})
        text = applied.get("prompt") if isinstance(applied, dict) else None
        frame = cut_at_stand_ins(text if isinstance(text, str) else "", self.name)
        before, between, behind = (
            self._ask_tokens(part, is_special=True)
            for part in (frame.before, frame.between, frame.behind)
        )
        start = [] if self.bos is None or before[:1] == [self.bos] else [self.bos]
        texts = self.tokenize(system), self.tokenize(user)
        return [*start, *before, *texts[0], *between, *texts[1], *behind]

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """Yield text pieces as the server streams them.

        Raises:
            SupersededError: The call was cancelled.
            GenerationError: The prompt does not fit, or the server failed.
        """
        room = self.n_ctx - len(tokens)
        if not tokens or room < 1:
            raise GenerationError(
                f"a prompt of {len(tokens)} tokens does not fit into {self.n_ctx}",
                hint="set completion.prefix_tokens lower or the server's context higher",
            )
        body = {
            "prompt": list(tokens),
            "n_predict": min(settings.max_tokens, room),
            "temperature": settings.temperature,
            "seed": settings.seed,
            "cache_prompt": True,
            "stream": True,
            # The end of the stream, which has them too, is seldom waited for.
            "timings_per_token": True,
        }
        adapter = settings.adapter
        known = self._lora_without
        if adapter is not None:
            known = self._lora_with.get(adapter.sha256, known)
        body |= {"lora": known} if known else {}
        stats.prompt_tokens = len(tokens)
        stream = self._server.stream("/completion", body, settings.budget_ms, cancellation)
        yield from stream_pieces(self._server, stream, settings, stats, self._take)

    def _take(self, event: dict[str, Any], stats: GenerationStats) -> tuple[str, bool]:
        """The event's text, and whether it is the last one."""
        if "error" in event:
            raise _failure(self._server.url, event)
        is_last = bool(event.get("stop"))
        if is_last:
            stats.finish_reason = _FINISH_REASONS.get(str(event.get("stop_type")), "stop")
        else:
            stats.generated_tokens += 1
        _take_counts(event.get("timings"), stats)
        return text_of(event.get("content")), is_last

    def _find_fim(self) -> FimTokens:
        """The markers of the family of which this vocabulary has the most as single tokens."""
        best = FimTokens()
        for spelling in every_spelling():
            marks = (spelling.prefix, spelling.suffix, spelling.middle)
            prefix, suffix, middle = (self._special(mark.strip()) for mark in marks)
            found = FimTokens(
                prefix,
                suffix,
                middle,
                self._special(spelling.repository),
                self._special(spelling.separator),
            )
            if found.is_supported and _count(found) > _count(best):
                best = found
        return best

    def _special(self, mark: str) -> int | None:
        tokens = self._ask_tokens(mark, is_special=True) if mark else []
        return tokens[0] if len(tokens) == 1 else None

    def _ask_tokens(
        self, text: str, *, is_special: bool = False, adds_special: bool = False
    ) -> list[int]:
        body = {"content": text, "parse_special": is_special, "add_special": adds_special}
        answer = self._server.ask("/tokenize", body)
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise ModelError(
                f"{self._server.url} does not tokenize as llama-server does",
                hint="check model.url",
            )
        return tokens


def _model_of(properties: dict[str, Any]) -> tuple[object, ...]:
    """What of `/props` is another after the server was started with another model."""
    told = properties.get("default_generation_settings")
    n_ctx = told.get("n_ctx") if isinstance(told, dict) else None
    return (n_ctx, *(properties.get(name) for name in _TELLING))


def _count(fim: FimTokens) -> int:
    every = (fim.prefix, fim.suffix, fim.middle, fim.repository, fim.separator)
    return sum(token is not None for token in every)


def _take_counts(timings: Any, stats: GenerationStats) -> None:
    """The server's own counts, where it reports them."""
    if isinstance(timings, dict):
        stats.evaluated_tokens = int(number_of(timings.get("prompt_n")))
        stats.reused_tokens = max(0, stats.prompt_tokens - stats.evaluated_tokens)
        stats.generated_tokens = int(number_of(timings.get("predicted_n"), stats.generated_tokens))
        stats.generate_ms = number_of(timings.get("predicted_ms"))


def _failure(url: str, event: dict[str, Any]) -> GenerationError:
    told = event["error"]
    message = told.get("message") if isinstance(told, dict) else told
    return GenerationError(
        f"the model server {url} failed: {message!s:.200}",
        hint="look at the server's own log",
    )
