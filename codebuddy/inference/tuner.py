"""The program that measures ways to run a model: a child, since one of them may end it.

It reads one line of JSON and writes some: `trying` before each option that loads weights anew,
`step` after each option, `result` at the end. It stores nothing. Who no longer wants it kills it.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from codebuddy import platforms
from codebuddy.errors import CodebuddyError
from codebuddy.inference import hardware, machine
from codebuddy.inference.gguf import GgufHeader, read_header
from codebuddy.inference.llama_library import gpu_devices, load_library
from codebuddy.inference.run_options import RunOptions, open_model, untuned_options
from codebuddy.inference.trial import Cost, Trial, compare_texts
from codebuddy.settings import ModelSettings

# Of a trial: a prompt of this size, made shorter where it would take longer.
_PROMPT_TOKENS, _FEWEST_TOKENS, _RUN_S = 512, 64, 1.2
_WRITTEN = 6
_PAIRS = 3
# An option is taken if it wins so much, and given up after one pair if it loses so much.
_WINS, _LOSES = 1.03, 0.92
# One pair is enough where there was time for no more: the last comparison looks again.
_WINS_AT_ONCE = 1.15
# Another number of threads changes what else the machine can do.
_THREADS_WIN = 1.05
# What was chosen must not be slower than this in the last comparison.
_NEVER_BELOW = 0.98
# Of the time, for the steps; the rest is for the last comparison and the texts.
_STEPS_SHARE = 0.5
# Of it, for the texts at the end.
_TEXTS_SHARE = 0.2
_MEMORY_RESERVE = 512 << 20
_TEXT_TOKENS = 12
_TEXTS = (
    "def mean(values: list[float]) -> float:\n    return sum(values) / ",
    "for (let index = 0; index < items.length; index++) {\n  total += items[",
    "func (c *Cache) Get(key string) (string, bool) {\n\tvalue, ok := c.",
)
_READ = "def add(first, second):\n    return first + second\n\n\nclass Point:\n    x: int = 0\n"

Say = Callable[[dict[str, Any]], None]


class Tuner:
    """Tries options one after the other, each against the best so far, in turns."""

    def __init__(self, task: dict[str, Any], say: Say) -> None:
        self._path = Path(task["path"])
        self._settings = ModelSettings(**task["settings"])
        self._has_crashed = bool(task["crashed"])
        # Where other programs have the machine, the clock tells of them.
        self._goes_by_clock = not task["is_busy"]
        self._say = say
        self._started = time.monotonic()
        self._seconds = float(task["seconds"])
        self._header: GgufHeader = read_header(self._path)
        self._llama = load_library()
        self._n_ctx = hardware.choose_context(1024, self._header)
        self._models: dict[tuple[bool, int], Any] = {}
        self.usual = untuned_options(self._settings, self._header, gpu_devices())
        self._tried: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """The parts of a `Tuning`."""
        usual = best = self._trial(self.usual)
        tokens = self._prompt(usual)
        for name, options in self._options():
            best = self._step(name, options(best.options), best, tokens)
        ratio, texts, note = 1.0, {"same": 0, "rounding": 0, "changed": 0}, ""
        if best is not usual:
            # One pair at least, though the steps took all the time: what won is worth that.
            by_clock, spent = self._compare(usual, best, tokens, self._seconds * (1 - _TEXTS_SHARE))
            ratio = statistics.median(by_clock if self._goes_by_clock else spent)
            texts = self._compare_texts(usual, best)
            if texts["changed"]:
                note = "left as it was: the faster way to run it writes other texts"
            elif ratio < _NEVER_BELOW:
                note = "left as it was: what seemed faster was not, in a second comparison"
            if note:
                best, ratio = usual, 1.0
        return {
            "options": best.options.to_json(),
            "is_finished": True,
            "crashed": self._has_crashed,
            "ratio": ratio,
            "seconds": round(time.monotonic() - self._started, 1),
            "texts": texts,
            "tried": self._tried,
            "note": note or ("" if self._goes_by_clock else "by processor time: others were busy"),
        }

    def _options(self) -> Iterator[tuple[str, Callable[[RunOptions], RunOptions]]]:
        """Names, and what they make of the best options so far."""
        change = dataclasses.replace
        if not self._has_crashed:
            yield "rearranged weights", lambda best: change(best, has_extra_buffers=True)
        if self.usual.gpu_layers and self._settings.gpu_layers < 0:
            yield "no layers on the GPU", lambda best: change(best, gpu_layers=0)
        if not self._settings.threads and self._goes_by_clock:
            for count in machine.thread_counts(self.usual.threads):
                yield f"{count} threads", lambda best, n=count: change(best, threads=n)  # type: ignore[misc]
        yield "no flash attention", lambda best: change(best, may_flash=False)
        yield (
            "larger batches",
            lambda best: change(best, batch_tokens=min(self._n_ctx, best.batch_tokens * 2)),
        )

    def _step(self, name: str, options: RunOptions, best: Trial, tokens: Sequence[int]) -> Trial:
        """The better one of the best so far and `options`."""
        if options == best.options:
            return best
        if options.batch_tokens != best.options.batch_tokens and len(tokens) < options.batch_tokens:
            return best
        told: dict[str, Any] = {"option": name, "ratio": None, "processor_ratio": None}
        told |= {"is_kept": False, "note": ""}
        is_new = self._weights_of(options) not in self._models
        if is_new and not self._fits():
            told["note"] = "not enough memory to load the model twice"
        elif self._left_s(_STEPS_SHARE) <= 0:
            told["note"] = "no time was left"
        else:
            if is_new:
                self._say({"type": "trying", "option": name})
            other = self._trial(options)
            ratios, spent = self._compare(best, other, tokens, self._seconds * _STEPS_SHARE)
            told["ratio"] = round(statistics.median(ratios), 3)
            told["processor_ratio"] = round(statistics.median(spent), 3)
            judged = told["ratio" if self._goes_by_clock else "processor_ratio"]
            is_sure = len(ratios) > 1 or judged >= _WINS_AT_ONCE
            told["is_kept"] = is_sure and self._wins(told, best.options, options)
            if told["is_kept"]:
                best, other = other, best
            if other.options != self.usual:
                self._drop(other, best)
        self._tried.append(told)
        self._say({"type": "step", **told})
        return best

    def _wins(self, told: dict[str, Any], best: RunOptions, options: RunOptions) -> bool:
        if not self._goes_by_clock:
            return bool(told["processor_ratio"] >= _WINS)
        if options.threads != best.threads:
            return bool(told["ratio"] >= _THREADS_WIN)
        return bool(told["ratio"] >= _WINS and told["processor_ratio"] >= 1)

    def _compare(
        self, one: Trial, other: Trial, tokens: Sequence[int], until_s: float
    ) -> tuple[list[float], list[float]]:
        """How many times as long `one` takes: by the clock and of the processor, for each pair."""
        ratios: list[float] = []
        spent: list[float] = []
        other.measure(tokens[:_FEWEST_TOKENS], 1)
        for _ in range(_PAIRS):
            began = time.monotonic()
            first, second = self._measured(one, tokens), self._measured(other, tokens)
            ratios.append(first.wall_s / second.wall_s)
            spent.append(first.processor_s / second.processor_s)
            took_s = time.monotonic() - began
            is_late = time.monotonic() - self._started + took_s > until_s
            judged = ratios if self._goes_by_clock else spent
            if is_late or max(judged) < _LOSES:
                break
        return ratios, spent

    def _measured(self, trial: Trial, tokens: Sequence[int]) -> Cost:
        return trial.measure(tokens, _WRITTEN)

    def _compare_texts(self, usual: Trial, other: Trial) -> dict[str, int]:
        counts = {"same": 0, "rounding": 0, "changed": 0}
        for text in _TEXTS:
            prompt = usual.vocabulary.tokenize(text)
            counts[
                compare_texts(
                    usual.greedy(prompt, _TEXT_TOKENS), other.greedy(prompt, _TEXT_TOKENS)
                )
            ] += 1
        return counts

    def _prompt(self, trial: Trial) -> list[int]:
        """Tokens that a run reads: as many as it can in the time that a run may take."""
        some = trial.vocabulary.tokenize(_READ)
        tokens = (some * (_PROMPT_TOKENS // len(some) + 1))[:_PROMPT_TOKENS]
        trial.measure(tokens[:_FEWEST_TOKENS], 1)
        began = time.monotonic()
        trial.measure(tokens[:_FEWEST_TOKENS], _WRITTEN)
        fitting = int(_FEWEST_TOKENS * _RUN_S / (time.monotonic() - began))
        count = min(_PROMPT_TOKENS, self._n_ctx - 64, max(_FEWEST_TOKENS, fitting))
        return tokens[: count // _FEWEST_TOKENS * _FEWEST_TOKENS]

    def _trial(self, options: RunOptions) -> Trial:
        key = self._weights_of(options)
        if key not in self._models:
            self._models[key] = open_model(self._llama, self._path, options)
        return Trial(self._llama, self._models[key], options, self._n_ctx, self._path.stem)

    def _drop(self, trial: Trial, best: Trial) -> None:
        """Free a trial, and weights that no other needs: two models at most are held."""
        trial.close()
        key = self._weights_of(trial.options)
        needed = {self._weights_of(self.usual), self._weights_of(best.options)}
        if key not in needed and key in self._models:
            self._llama.llama_model_free(self._models.pop(key))

    def _weights_of(self, options: RunOptions) -> tuple[bool, int]:
        return options.has_extra_buffers, options.gpu_layers

    def _fits(self) -> bool:
        shape = hardware.shape_of(self._header)
        needed = hardware.needed_bytes(shape, self._n_ctx, self.usual.batch_tokens)
        return hardware.available_bytes() - needed > _MEMORY_RESERVE

    def _left_s(self, share: float) -> float:
        return self._seconds * share - (time.monotonic() - self._started)


def main() -> None:
    """Measure what the line on stdin asks for."""
    platforms.exit_with_parent()
    task = json.loads(sys.stdin.readline())
    if task["is_background"]:
        machine.lower_priority()

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        say({"type": "result", "tuning": Tuner(task, say).run()})
    except CodebuddyError as error:
        say({"type": "error", "message": error.message, "hint": error.hint})


if __name__ == "__main__":
    main()
