"""Two clients in one decode beside taking turns: `python -m tests.bench.batching [--model NAME]`.

Two sequences of one context, as two editors at once would be: tokens written one by one for both
in one `llama_decode` or in two, and two prompts read in one batch or in two, in turns in one run.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

from codebuddy.config import load_settings
from codebuddy.evaluation.tables import table
from codebuddy.inference.installed import find_model

_CONTEXT, _BEFORE = 4096, 700


class Pair:
    """A context with two sequences in it."""

    def __init__(self, path: str, threads: int) -> None:
        import llama_cpp

        self.api: Any = llama_cpp
        llama_cpp.llama_backend_init()
        self._log = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.kv_unified = _CONTEXT, 2, True
        settings.n_batch = settings.n_ubatch = 512
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.batch = llama_cpp.llama_batch_init(512, 0, 2)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def decode(self, rows: Sequence[tuple[int, int]]) -> float:
        """Milliseconds for tokens at (sequence, position), any tokens of the vocabulary."""
        for at, (sequence, position) in enumerate(rows):
            self.batch.token[at] = (position * 7919 + sequence) % min(20_000, self._vocabulary)
            self.batch.pos[at] = position
            self.batch.n_seq_id[at] = 1
            self.batch.seq_id[at][0] = sequence
            self.batch.logits[at] = at == len(rows) - 1 or rows[at + 1][0] != sequence
        self.batch.n_tokens = len(rows)
        started = time.perf_counter()
        failed = self.api.llama_decode(self.context, self.batch)
        self.api.llama_get_logits_ith(self.context, len(rows) - 1)
        if failed:
            raise SystemExit(f"llama_decode: {failed}")
        return (time.perf_counter() - started) * 1000

    def forget(self) -> None:
        """Both sequences are empty again."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)

    def read(self, count: int) -> None:
        """Both sequences read so many tokens."""
        self.forget()
        for sequence in (0, 1):
            for start in range(0, count, 256):
                self.decode([(sequence, at) for at in range(start, min(count, start + 256))])


def main() -> None:
    """Print medians of both ways."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    settings = load_settings().settings
    threads = settings.model.threads or os.cpu_count() or 1
    pair = Pair(str(find_model(arguments.model, settings).path), threads)
    together, turns = writing(pair, arguments.runs)
    cells = [_row("a token for both, after 700 tokens each", together, turns)]
    for count in (32, 128):
        together, turns = reading(pair, max(5, arguments.runs // 3), count)
        cells.append(_row(f"{count} tokens read for each", together, turns))
    print(f"{arguments.model}, {threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("\n".join(table(["what", "together, ms", "in turns, ms", "together / turns"], cells)))


def writing(pair: Pair, runs: int) -> tuple[list[float], list[float]]:
    """One token for each sequence, in one decode and in two."""
    together, turns = [], []
    pair.read(_BEFORE)
    for run in range(runs):
        at = _BEFORE + 2 * run
        together.append(pair.decode([(0, at), (1, at)]))
        turns.append(pair.decode([(0, at + 1)]) + pair.decode([(1, at + 1)]))
    return together, turns


def reading(pair: Pair, runs: int, count: int) -> tuple[list[float], list[float]]:
    """`count` tokens for each sequence, in one decode and in two."""
    together, turns = [], []
    for _ in range(runs):
        pair.forget()
        both = [[(sequence, at) for at in range(count)] for sequence in (0, 1)]
        together.append(pair.decode(both[0] + both[1]))
        pair.forget()
        turns.append(sum(pair.decode(each) for each in both))
    return together, turns


def _row(name: str, together: list[float], turns: list[float]) -> list[str]:
    ratio = statistics.median(a / b for a, b in zip(together, turns, strict=True))
    medians = [f"{statistics.median(each):.0f}" for each in (together, turns)]
    return [name, *medians, f"{ratio:.2f}"]


if __name__ == "__main__":
    main()
