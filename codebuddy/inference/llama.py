"""A GGUF model in this process: token lists into text through llama.cpp.

It reuses what the KV cache holds, lets prompt lookup guess ahead where text repeats, and
stops at once when asked, inside prefill too. It knows nothing of prompts, files or
suggestions.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy import platforms
from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError
from codebuddy.inference import hardware, saved_state
from codebuddy.inference.adapter_switch import AdapterSwitch
from codebuddy.inference.chat import read_chat_template
from codebuddy.inference.gguf import read_header
from codebuddy.inference.kv_cache import KvCache, StoppedError
from codebuddy.inference.llama_library import gpu_devices, load_library, version
from codebuddy.inference.logits import TokenChoice, choose_greedily, describe_choice
from codebuddy.inference.reuse import Markers
from codebuddy.inference.run_options import (
    RunOptions,
    can_be_cut,
    open_context,
    open_model,
    untuned_options,
)
from codebuddy.inference.sampling import draw
from codebuddy.inference.speculation import PromptLookup
from codebuddy.inference.stamps import digest_of
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.settings import ModelSettings


class LlamaGenerator:
    """A GGUF model, loaded. Not safe for concurrent use: one call at a time."""

    has_probabilities = True
    can_read_ahead = True

    def __init__(
        self,
        path: Path,
        name: str,
        settings: ModelSettings,
        options: RunOptions | None = None,
    ) -> None:
        """Load the weights.

        Args:
            path: A GGUF file whose digest or header was checked before.
            name: What receipts call it.
            settings: Context length, threads and GPU layers.
            options: How to run it, if not as the settings and the rules for machines say.

        Raises:
            ModelError: It does not fit into memory, or llama.cpp refuses it.
        """
        self.name = name
        self.header = read_header(path)
        self.n_ctx = hardware.choose_context(settings.n_ctx, self.header)
        self._llama = load_library()
        self._devices = gpu_devices()
        self.options = options or untuned_options(settings, self.header, self._devices)
        # What tuning has to say of them.
        self.tuning: dict[str, object] = {}
        if not self.options.gpu_layers:
            shape = hardware.shape_of(self.header)
            needed = hardware.needed_bytes(shape, self.n_ctx, self.options.batch_tokens)
            hardware.check_memory(name, needed, hardware.available_bytes())
        self._cancellation = CancellationToken()
        self._was_interrupted = threading.Event()
        self._deadline_s = float("inf")
        # Ctrl-C inside a callback of native code would be lost.
        with platforms.interrupts_held(lambda: None) as interrupts:
            self._load(path)
        if interrupts.was_interrupted:
            self.close()
            raise KeyboardInterrupt
        self.fim = self.vocabulary.fim
        self._identity = saved_state.Identity(
            model=digest_of(path),
            runtime=version(),
            n_ctx=self.n_ctx,
            gpu_layers=self.options.gpu_layers,
            may_flash=self.options.may_flash,
        )

    def _load(self, path: Path) -> None:
        llama = self._llama
        self._model = open_model(llama, path, self.options)
        try:
            self._context = open_context(llama, self._model, self.options, self.n_ctx, self.name)
        except ModelError:
            llama.llama_model_free(self._model)
            raise
        has_slots = can_be_cut(llama, self._model)
        self.vocabulary = Vocabulary(llama, self._model, self.name)
        self.kv = KvCache(
            llama,
            self._context,
            n_cells=self.n_ctx,
            batch_tokens=self.options.batch_tokens,
            has_slots=has_slots,
            on_interrupt=self._was_interrupted.set,
            is_stopping=self._is_stopping,
        )
        self.adapters = AdapterSwitch(llama, self._model, self._context)
        # Slot and length of the prompt behind which an adapter acted.
        self._adapted: tuple[int, int] | None = None
        # Kept as an attribute: C holds the pointer for as long as the context lives.
        self._abort = llama.ggml_abort_callback(self._on_node)
        llama.llama_set_abort_callback(self._context, self._abort, None)

    def close(self) -> None:
        """Free model and context; the object cannot be used afterwards."""
        if self._context:
            self._leave_adapter()
            self.kv.close()
            self._llama.llama_free(self._context)
            self._llama.llama_model_free(self._model)
            self._context = self._model = None

    def save_state(
        self, path: Path, max_bytes: int = saved_state.MAX_BYTES, readers: Sequence[str] = ("",)
    ) -> int:
        """Write what the KV cache holds of the `readers` (saved_kv.py), the newest prompts first.

        Returns:
            The bytes written; 0 if there was nothing to keep, or no room for it.
        """
        self._leave_adapter()
        return saved_state.save(
            path, self._llama, self._context, self.kv, self._identity, max_bytes, readers
        )

    def load_state(self, path: Path) -> bool:
        """Take up what `save_state` wrote; False, and nothing done, if it is of other settings.

        A file that is damaged, of another model, runtime or context length, or that others
        may write, is refused.
        """
        return saved_state.load(path, self._llama, self._context, self.kv, self._identity)

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: backend, threads, GPU layers and devices, and what tuning found."""
        layers = self.options.gpu_layers
        return {
            "backend": "llama.cpp",
            "threads": self.options.threads,
            "gpu_layers": layers,
            "gpu": [device.name for device in self._devices] if layers else [],
            "n_ctx": self.n_ctx,
            "tuning": self.tuning,
        }

    @property
    def bos(self) -> int | None:
        """The beginning-of-sequence token, where the vocabulary asks for one."""
        return self.vocabulary.bos

    @property
    def digest(self) -> str:
        """Identifies the weights: their SHA-256 where it was checked, else the file."""
        return self._identity.model

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens written in `text` are taken as plain text."""
        return self.vocabulary.tokenize(text)

    def count_missing(self, tokens: Sequence[int]) -> int:
        """How many tokens of a prompt would be evaluated for one who types."""
        return self.kv.count_missing(list(tokens), self._markers())

    def tokenize_chat(self, system: str, user: str) -> list[int]:
        """A conversation in the model's own template; ModelError where there is none of use."""
        template = read_chat_template(self._llama, self._model, self.name)
        return template.tokenize(self.vocabulary, system, user)

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """Yield text pieces until the model ends, a limit, or the caller stops.

        With `max_tokens` 0 the prompt is evaluated and no more. Cancelling stops llama.cpp at
        the next graph node. The settings' adapter acts from the token on that asks for the
        middle, or from the prompt's last one where a model has none; what is before it stays the
        base's, so that requests with and without one share it, and the cache keeps nothing that
        an adapter changed.

        Raises:
            SupersededError: The call was cancelled.
            ModelError: The adapter cannot be loaded.
            GenerationError: The prompt does not fit, or llama.cpp failed. The end of
                `budget_ms` is no error, but the `finish_reason`.
        """
        room = self.n_ctx - len(tokens)
        if not tokens or room < 1:
            raise GenerationError(
                f"a prompt of {len(tokens)} tokens does not fit into {self.n_ctx}",
                hint="set completion.prefix_tokens lower or model.n_ctx higher",
            )
        self._begin(settings, cancellation)
        started = time.perf_counter()
        limit = min(settings.max_tokens, room)
        adapter = settings.adapter
        middle = None if adapter is None else self._middle_of(tokens)
        adapted = None
        try:
            if settings.reads_ahead:
                self.kv.read_ahead(list(tokens), stats)
                stats.prefill_ms = (time.perf_counter() - started) * 1000
                return
            if adapter is not None and middle is not None:
                self.adapters.load(adapter)
            markers = self._markers() if settings.is_typing else None
            self.kv.evaluate_prompt(list(tokens), limit, markers, stats, middle)
            if adapter is not None and middle is not None:
                adapted = self._adapted = (self.kv.current, middle)
                self.adapters.turn_on(adapter)
                self.kv.evaluate_rest(list(tokens), stats)
            stats.prefill_ms = (time.perf_counter() - started) * 1000
            if limit:
                yield from self._pieces(tokens, settings, limit, stats)
        except StoppedError:
            self._cancellation.check()
            stats.finish_reason = "budget"
            stats.prefill_ms = stats.prefill_ms or (time.perf_counter() - started) * 1000
        finally:
            # An abandoned call that is closed late must not end what runs now.
            if adapted is not None and self._adapted is adapted:
                self._leave_adapter()
            self._deadline_s = float("inf")
            self._cancellation = CancellationToken()

    def score(self, tokens: Sequence[int], text: Sequence[int]) -> list[float]:
        """Natural log-probability of each token of `text` behind the prompt, for one batch at most.

        By the base alone. Raises GenerationError where it does not fit.
        """
        self._begin(GenerationSettings(max_tokens=0), None)
        self.kv.evaluate_prompt(list(tokens), len(text), None, GenerationStats(), None)
        start, rest = len(self.kv.held), list(text[: self.options.batch_tokens])
        found = [describe_choice(self._logits(-1), rest[0]).logprob]
        if len(rest) > 1:
            self.kv.extend(rest[:-1], has_all_logits=True)
            found += [describe_choice(self._logits(i), t).logprob for i, t in enumerate(rest[1:])]
            self.kv.cut(start)
        return found

    def _begin(self, settings: GenerationSettings, cancellation: CancellationToken | None) -> None:
        """Set what holds for one call.

        Raises:
            SupersededError: It is cancelled already.
        """
        self._was_interrupted.clear()
        self._cancellation = cancellation or CancellationToken()
        self._cancellation.check()
        self._leave_adapter()
        budget_s = settings.budget_ms / 1000 if settings.budget_ms > 0 else float("inf")
        self._deadline_s = time.perf_counter() + budget_s
        threads = self.options.threads
        if settings.is_typing:
            threads = hardware.threads_while_typing(threads)
        self._llama.llama_set_n_threads(self._context, threads, threads)

    def _markers(self) -> Markers | None:
        """Between which tokens text may be moved; None where the vocabulary has none."""
        prefix, suffix = self.fim.prefix, self.fim.suffix
        return None if prefix is None or suffix is None else Markers(prefix, suffix)

    def _middle_of(self, tokens: Sequence[int]) -> int | None:
        """Where the prompt asks for the middle, from where on an adapter acts; None if nowhere."""
        middle = self.fim.middle
        if middle is None:
            # Such a model only continues texts.
            return len(tokens) - 1
        return tokens.index(middle) if middle in tokens else None

    def _leave_adapter(self) -> None:
        """Let the base act alone, and forget what was evaluated while an adapter acted."""
        self.adapters.turn_off()
        if self._adapted is not None:
            slot, length = self._adapted
            self._adapted = None
            self.kv.cut(length, slot)

    def _pieces(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        limit: int,
        stats: GenerationStats,
    ) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        started = time.perf_counter()
        choices = (
            draw(self._llama, self._context, self.kv, self._logits, settings)
            if settings.temperature > 0
            else self._greedy(tokens, settings, limit, stats)
        )
        stats.finish_reason = "length"
        try:
            for choice in choices:
                if stats.first_token_entropy is None:
                    stats.first_token_entropy = choice.entropy
                if self.vocabulary.is_end(choice.token):
                    stats.finish_reason = "stop"
                    return
                stats.generated_tokens += 1
                stats.token_logprobs.append(choice.logprob)
                stats.generate_ms = (time.perf_counter() - started) * 1000
                if piece := decoder.decode(self.vocabulary.piece(choice.token)):
                    yield piece
                if stats.generated_tokens >= limit:
                    return
        finally:
            stats.generate_ms = (time.perf_counter() - started) * 1000

    def _greedy(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        limit: int,
        stats: GenerationStats,
    ) -> Iterator[TokenChoice]:
        """The likeliest token after each; drafts are checked several tokens at a time.

        A draft's token is taken only where it is what the model itself would have chosen,
        so that the text is the same as without drafts.
        """
        choice = choose_greedily(self._logits(-1), has_entropy=True)
        yield choice
        lookup = PromptLookup(tokens) if settings.has_drafts and self.kv.has_slots else None
        while True:
            draft = []
            if lookup is not None:
                lookup.extend(choice.token, choice.logprob)
                room = min(limit - stats.generated_tokens - 1, self.options.batch_tokens - 1)
                draft = lookup.draft(room)
            if not draft:
                self.kv.extend([choice.token])
                choice = choose_greedily(self._logits(-1))
                yield choice
                continue
            assert lookup is not None
            accepted = self._check(choice.token, draft)
            stats.drafted_tokens += len(draft)
            stats.accepted_tokens += len(accepted) - 1
            lookup.learn(len(draft), len(accepted) - 1)
            for choice in accepted[:-1]:
                lookup.extend(choice.token, choice.logprob)
                yield choice
            choice = accepted[-1]
            yield choice

    def _check(self, token: int, draft: list[int]) -> list[TokenChoice]:
        """The model's own choices after `token`, as far as the draft foresaw them, and one more.

        The cache ends before the last of them, as after a single step.
        """
        start = len(self.kv.held)
        self.kv.extend([token, *draft], has_all_logits=True)
        choices = []
        for index, guess in enumerate([*draft, -1]):
            choices.append(choose_greedily(self._logits(index)))
            if choices[-1].token != guess:
                break
        self.kv.cut(start + len(choices))
        return choices

    def _logits(self, row: int) -> Any:
        """Logits of a row of the last batch: a view that the next evaluation overwrites."""
        import numpy

        pointer = self._llama.llama_get_logits_ith(self._context, row)
        return numpy.ctypeslib.as_array(pointer, shape=(self.vocabulary.size,))

    def _is_stopping(self) -> bool:
        is_unwanted = self._was_interrupted.is_set() or self._cancellation.is_cancelled
        return is_unwanted or time.perf_counter() > self._deadline_s

    def _on_node(self, _data: object) -> bool:
        """llama.cpp asks before each graph node whether to stop."""
        return self._is_stopping()
