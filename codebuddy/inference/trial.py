"""One way to run a model, tried: how long a completion's work takes, and which text it writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import GenerationError
from codebuddy.inference.run_options import RunOptions, open_context
from codebuddy.inference.vocabulary import Vocabulary

# What most completions are made of.
PROMPT_TOKENS, WRITTEN_TOKENS = 600, 16
# Nats between two tokens that rounding may exchange: one is 1.1 times as likely as the other.
ROUNDING = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for a completion of the usual size, by the clock and of the processor."""

    wall_s: float
    processor_s: float


class Trial:
    """A context over a model that is loaded already and stays with its owner."""

    def __init__(self, llama: Any, model: Any, options: RunOptions, n_ctx: int, name: str) -> None:
        self.options = options
        self._llama = llama
        self._context = open_context(llama, model, options, n_ctx, name)
        self._batch = llama.llama_batch_init(options.batch_tokens, 0, 1)
        self.vocabulary = Vocabulary(llama, model, name)

    def close(self) -> None:
        """Free the context."""
        self._llama.llama_batch_free(self._batch)
        self._llama.llama_free(self._context)

    def measure(self, tokens: Sequence[int], written: int) -> Cost:
        """Read `tokens`, write `written` more, and reckon what a whole completion would take."""
        self._clear()
        started, spent = time.perf_counter(), time.process_time()
        self._evaluate(tokens, 0)
        read, read_spent = time.perf_counter(), time.process_time()
        for index in range(written):
            self._evaluate([tokens[index]], len(tokens) + index)
        over, over_spent = time.perf_counter(), time.process_time()
        reading, writing = PROMPT_TOKENS / len(tokens), WRITTEN_TOKENS / written
        return Cost(
            (read - started) * reading + (over - read) * writing,
            (read_spent - spent) * reading + (over_spent - read_spent) * writing,
        )

    def greedy(self, prompt: Sequence[int], length: int) -> tuple[list[int], list[Any]]:
        """The likeliest tokens behind `prompt`, and the row of logits that each was taken from."""
        self._clear()
        self._evaluate(prompt, 0)
        tokens: list[int] = []
        rows = []
        for index in range(length):
            rows.append(self._row())
            tokens.append(int(rows[-1].argmax()))
            if self.vocabulary.is_end(tokens[-1]):
                break
            self._evaluate(tokens[-1:], len(prompt) + index)
        return tokens, rows

    def _clear(self) -> None:
        self._llama.llama_memory_seq_rm(self._llama.llama_get_memory(self._context), -1, -1, -1)

    def _evaluate(self, tokens: Sequence[int], start: int) -> None:
        size = self.options.batch_tokens
        for first in range(0, len(tokens), size):
            part = tokens[first : first + size]
            batch = self._batch
            batch.n_tokens = len(part)
            for index, token in enumerate(part):
                batch.token[index] = token
                batch.pos[index] = start + first + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = 0
                batch.logits[index] = index == len(part) - 1
            if self._llama.llama_decode(self._context, batch) != 0:
                raise GenerationError(f"llama.cpp failed to evaluate {len(part)} tokens")

    def _row(self) -> Any:
        import numpy

        pointer = self._llama.llama_get_logits_ith(self._context, -1)
        return numpy.ctypeslib.as_array(pointer, shape=(self.vocabulary.size,)).copy()


def compare_texts(usual: tuple[list[int], list[Any]], other: tuple[list[int], list[Any]]) -> str:
    """`same`; `rounding`, where the texts part at two tokens that are equally likely; `changed`."""
    import numpy

    tokens, rows = usual
    # Rows of different numbers of finite values cannot be compared.
    if not all(numpy.isfinite(row).all() for row in other[1]):
        return "changed"
    for index, (one, two) in enumerate(zip(tokens, other[0], strict=False)):
        if one != two:
            lead = float(rows[index][one]) - float(rows[index][two])
            return "rounding" if lead <= ROUNDING else "changed"
    return "same"
