"""The KV cache of a llama.cpp context as slots: one for each prompt that is worth keeping.

All slots share one pool of cells, so that files that begin alike (repository, chunks) hold
their common part once, and switching between two files throws nothing away. It evaluates
tokens and keeps track of what is held; what the tokens mean is not its business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from codebuddy import platforms
from codebuddy.datatypes import GenerationStats
from codebuddy.errors import GenerationError
from codebuddy.inference.reuse import (
    MAX_RUNS,
    MISSING,
    Markers,
    Reuse,
    TokenRun,
    common_length,
    plan_reuse,
)

# Prompts and what is left of them, kept side by side; in further sequences moved text waits.
MAX_SLOTS = 6
N_SEQUENCES = MAX_SLOTS + MAX_RUNS
_SCRATCH = MAX_SLOTS


# Tokens that may be new before a suffix until it is evaluated anew (docs/log.md).
_MAX_DRIFT = 128
# So much older than all that was asked for is what was read ahead: it gives way first.
_AHEAD = 1 << 40
# Of what another process held: where it was evaluated is not known.
_UNKNOWN_DRIFT = 1 << 30


class StoppedError(GenerationError):
    """Evaluation was stopped from outside: cancelled, or at the end of a time budget."""


class KvCache:
    """Slots over the memory of one context. Not safe for concurrent use."""

    def __init__(
        self,
        llama: Any,
        context: Any,
        *,
        n_cells: int,
        batch_tokens: int,
        has_slots: bool,
        on_interrupt: Callable[[], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        """Begin with an empty cache.

        Args:
            llama: The low-level module.
            context: A context made with `N_SEQUENCES` sequences in one pool, or with one.
            n_cells: Tokens that the pool holds.
            batch_tokens: Tokens evaluated by one call.
            has_slots: Whether the model's memory can be cut, copied and shifted.
            on_interrupt: Called when Ctrl-C comes during a native call.
            is_stopping: Whether a failed call was asked to stop.
        """
        self._llama = llama
        self._context = context
        self._memory = llama.llama_get_memory(context)
        self._n_cells = n_cells
        self._batch_tokens = batch_tokens
        self._on_interrupt = on_interrupt
        self._is_stopping = is_stopping
        self.has_slots = has_slots
        self.slots: list[list[int]] = [[] for _ in range(MAX_SLOTS if has_slots else 1)]
        self._last_used = [0] * len(self.slots)
        # How many of a slot's first tokens were evaluated behind exactly what stands before
        # them, and how far from where they were evaluated those are that were not.
        self._exact = [0] * len(self.slots)
        self._drift = [0] * len(self.slots)
        self._clock = 0
        self.current = 0
        self._batch = llama.llama_batch_init(batch_tokens, 0, 1)

    def close(self) -> None:
        """Free the batch; the context belongs to the caller."""
        self._llama.llama_batch_free(self._batch)

    @property
    def held(self) -> list[int]:
        """The tokens of the current slot; not to be changed."""
        return self.slots[self.current]

    def clear(self) -> None:
        """Forget everything."""
        for slot in range(len(self.slots)):
            self._cut_memory(slot, 0)

    def evaluate_prompt(
        self,
        tokens: list[int],
        reserve: int,
        markers: Markers | None,
        stats: GenerationStats,
        until: int | None = None,
    ) -> None:
        """Make some slot hold exactly `tokens`, with the logits of the last one at hand.

        Args:
            tokens: The prompt, not empty.
            reserve: Cells to keep free for what will be generated.
            markers: As for `plan_reuse`.
            stats: Takes the counts.
            until: Stop before that token, and take nothing from the cache from there on;
                `evaluate_rest` does what remains.

        Raises:
            StoppedError: Evaluation was stopped; what was evaluated stays, and what was to be
                moved, so that the next keystroke can move it again.
            GenerationError: llama.cpp failed.
        """
        end = len(tokens) if until is None else until
        # A plan leaves the last token to be evaluated.
        wanted = tokens[: end + 1]
        plan = self._plan(wanted, markers)
        self._clock += 1
        self._last_used[plan.slot] = self._last_used[plan.source] = self._clock
        stats.prompt_tokens = len(tokens)
        self._carry_out(plan, tokens, end, reserve + len(tokens) - len(wanted), markers, stats)

    def read_ahead(self, tokens: list[int], stats: GenerationStats) -> None:
        """Evaluate a prompt that nobody asked for yet, in room that nothing else takes.

        Args:
            tokens: The prompt, not empty.
            stats: Takes the counts; nothing is evaluated where there is no room, or no need.

        Raises:
            StoppedError: As for `evaluate_prompt`.
            GenerationError: llama.cpp failed.
        """
        asked = {slot for slot in self.by_last_use() if self._last_used[slot] > 0}
        exact = [held[:count] for held, count in zip(self.slots, self._exact, strict=True)]
        plan = plan_reuse(exact, self._last_used, tokens, protected=frozenset(asked))
        stats.prompt_tokens, stats.reused_tokens = len(tokens), plan.common
        taken = sum(_count(self.slots[slot]) for slot in asked) + len(tokens)
        if plan.slot in asked or taken > self._n_cells or plan.common >= len(tokens) - 1:
            return
        self._clock += 1
        self._last_used[plan.slot] = self._clock - _AHEAD
        self._carry_out(plan, tokens, len(tokens), 0, None, stats)

    def _carry_out(
        self,
        plan: Reuse,
        tokens: list[int],
        end: int,
        reserve: int,
        markers: Markers | None,
        stats: GenerationStats,
    ) -> None:
        """Take what the plan takes, and evaluate the rest of `tokens` up to `end`."""
        wanted = tokens[: end + 1]
        drift = self._drift_after(plan, wanted, markers)
        self._take(plan, wanted, reserve)
        stats.shifted_tokens = sum(run.length for run in plan.runs)
        stats.reused_tokens = len(self.held) + stats.shifted_tokens
        self._drift[plan.slot] = drift
        waiting = deque(enumerate(plan.runs, _SCRATCH))
        try:
            while waiting:
                self._extend_counted(tokens[len(self.held) : waiting[0][1].wanted_start], stats)
                self._attach(*waiting.popleft(), tokens)
        finally:
            for sequence, run in waiting:
                self._attach(sequence, run, tokens)
        self._extend_counted(tokens[len(self.held) : end], stats)

    def count_missing(self, tokens: list[int], markers: Markers | None) -> int:
        """How many tokens `evaluate_prompt` would evaluate; nothing is changed."""
        plan = self._plan(tokens, markers)
        return len(tokens) - plan.common - sum(run.length for run in plan.runs)

    def evaluate_rest(self, tokens: list[int], stats: GenerationStats) -> None:
        """Evaluate what `evaluate_prompt` left of `tokens`; errors as there."""
        self._extend_counted(tokens[len(self.held) :], stats)

    def extend(self, tokens: Sequence[int], *, has_all_logits: bool = False) -> None:
        """Evaluate `tokens` at the end of the current slot, `batch_tokens` at most.

        Logits are computed for the last token, or for all of them.

        Raises:
            StoppedError: Evaluation was stopped; the slot is as before.
            GenerationError: llama.cpp failed; the slot is as before.
            KeyboardInterrupt: Ctrl-C came meanwhile.
        """
        batch, start, last = self._batch, len(self.held), len(tokens) - 1
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = start + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = self.current
            batch.logits[index] = has_all_logits or index == last
        with platforms.interrupts_held(self._on_interrupt) as interrupts:
            outcome = self._llama.llama_decode(self._context, batch)
        if outcome == 0:
            self._grow(tokens)
        else:
            # What a failed call left in the cache is unknown: keep only what came before.
            self._cut_memory(self.current, start)
        if interrupts.was_interrupted:
            raise KeyboardInterrupt
        if outcome == 0:
            return
        if self._is_stopping():
            raise StoppedError("the evaluation was stopped")
        raise GenerationError(
            f"llama.cpp failed to evaluate {len(tokens)} tokens (code {outcome})",
            hint="codebuddy doctor",
        )

    def cut(self, length: int, slot: int | None = None) -> None:
        """Forget a slot's tokens from `length` on: the current one's, if no other is named."""
        slot = self.current if slot is None else slot
        if length < len(self.slots[slot]):
            self._cut_memory(slot, length)

    def exact_length(self, slot: int) -> int:
        """How many of the slot's first tokens were evaluated behind what stands before them."""
        return self._exact[slot]

    def whole_length(self, slot: int) -> int:
        """How many of the slot's first tokens are there without a hole."""
        held = self.slots[slot]
        return held.index(MISSING) if MISSING in held else len(held)

    def adopt(self, slot: int, tokens: Sequence[int], exact: int) -> None:
        """Take note that the memory of `slot` was filled from outside, `exact` tokens exactly."""
        self.slots[slot][:] = tokens
        self._exact[slot] = exact
        self._drift[slot] = 0 if exact == len(tokens) else _UNKNOWN_DRIFT
        self._clock += 1
        self._last_used[slot] = self._clock

    def by_last_use(self) -> list[int]:
        """The slots that hold anything, the last used first."""
        used = [slot for slot, held in enumerate(self.slots) if held]
        return sorted(used, key=lambda slot: -self._last_used[slot])

    def _plan(self, tokens: list[int], markers: Markers | None) -> Reuse:
        """Reuse with moving where that is allowed and fair, else of what is exact alone."""
        if markers is not None and self.has_slots:
            plan = plan_reuse(self.slots, self._last_used, tokens, markers)
            return self._without_stale(plan, tokens, markers)
        exact = [held[:count] for held, count in zip(self.slots, self._exact, strict=True)]
        return plan_reuse(exact, self._last_used, tokens)

    def _without_stale(self, plan: Reuse, tokens: list[int], markers: Markers) -> Reuse:
        """The plan without parts of the suffix that do not know much of what is before them."""
        suffix, end, runs = tokens.index(markers.suffix), plan.common, []
        for run in plan.runs:
            drift = self._drift_after(plan, tokens, markers)
            unseen = max(run.wanted_start - end, abs(drift))
            if run.wanted_start < suffix or unseen <= _MAX_DRIFT:
                runs.append(run)
                end = run.wanted_end
        return replace(plan, runs=tuple(runs))

    def _drift_after(self, plan: Reuse, tokens: list[int], markers: Markers | None) -> int:
        """How far from where it was evaluated typing has moved the suffix of the plan's slot."""
        drift = self._drift[plan.source]
        if not plan.runs:
            is_kept = markers is not None and markers.suffix in tokens[: plan.common]
            return drift if is_kept else 0
        run = plan.runs[-1]
        is_typed = len(plan.runs) == 1 and run.source == plan.source == plan.slot
        return drift + run.wanted_start - run.held_start if is_typed else drift

    def _grow(self, tokens: Sequence[int]) -> None:
        """Note tokens at the end of the current slot; exact if all before them is."""
        if self._exact[self.current] == len(self.held):
            self._exact[self.current] += len(tokens)
        self.held.extend(tokens)

    def _take(self, plan: Reuse, tokens: list[int], reserve: int) -> None:
        """Bring the plan's slot to the common part; the runs wait in sequences of their own."""
        llama, memory = self._llama, self._memory
        self.current = plan.slot
        for sequence, run in enumerate(plan.runs, _SCRATCH):
            self._detach(run, sequence)
        if plan.source != plan.slot:
            self._cut_memory(plan.slot, 0)
            if plan.common:
                llama.llama_memory_seq_cp(memory, plan.source, plan.slot, 0, plan.common)
                self.slots[plan.slot][:] = tokens[: plan.common]
                self._exact[plan.slot] = min(self._exact[plan.source], plan.common)
        else:
            # Memories that cannot be cut (recurrent ones) begin anew.
            self._cut_memory(plan.slot, plan.common)
        self._make_room(len(tokens) + reserve)

    def _detach(self, run: TokenRun, sequence: int) -> None:
        """Move the run's cells to `sequence`, to the positions where it is wanted."""
        llama, memory, source = self._llama, self._memory, list(self.slots[run.source])
        llama.llama_memory_seq_cp(memory, run.source, sequence, run.held_start, run.held_end)
        for slot, held in enumerate(self.slots):
            # Cells that another slot shares would move there too.
            end = run.held_end if slot == run.source else common_length(held, source)
            self._take_out(slot, run.held_start, min(end, run.held_end))
        moved = run.wanted_start - run.held_start
        if moved:
            llama.llama_memory_seq_add(memory, sequence, run.held_start, run.held_end, moved)

    def _take_out(self, slot: int, start: int, end: int) -> None:
        """Leave a hole in a slot; nothing where it is empty."""
        if start >= end:
            return
        self._llama.llama_memory_seq_rm(self._memory, slot, start, end)
        held = self.slots[slot]
        held[start:end] = [MISSING] * (end - start)
        while held and held[-1] == MISSING:
            held.pop()
        self._exact[slot] = min(self._exact[slot], start)

    def _attach(self, sequence: int, run: TokenRun, tokens: list[int]) -> None:
        """Put the run where it is wanted, also if what comes before it was not evaluated."""
        llama, memory = self._llama, self._memory
        llama.llama_memory_seq_cp(memory, sequence, self.current, run.wanted_start, run.wanted_end)
        llama.llama_memory_seq_rm(memory, sequence, -1, -1)
        self.held.extend([MISSING] * (run.wanted_start - len(self.held)))
        self.held.extend(tokens[run.wanted_start : run.wanted_end])

    def _make_room(self, needed: int) -> None:
        """Empty the slots unused for longest until `needed` cells fit beside the others."""
        for slot in reversed(self.by_last_use()):
            others = sum(_count(held) for s, held in enumerate(self.slots) if s != self.current)
            if others + needed <= self._n_cells:
                return
            if slot != self.current:
                self._cut_memory(slot, 0)

    def _extend_counted(self, tokens: list[int], stats: GenerationStats) -> None:
        for start in range(0, len(tokens), self._batch_tokens):
            batch = tokens[start : start + self._batch_tokens]
            self.extend(batch)
            stats.evaluated_tokens += len(batch)

    def _cut_memory(self, slot: int, length: int) -> None:
        if not self._llama.llama_memory_seq_rm(self._memory, slot, length, -1):
            self._llama.llama_memory_seq_rm(self._memory, slot, -1, -1)
            length = 0
        del self.slots[slot][length:]
        self._exact[slot] = min(self._exact[slot], length)
        if self._exact[slot] == length:
            self._drift[slot] = 0


def _count(held: list[int]) -> int:
    """The cells that a slot takes: its holes take none."""
    return len(held) - held.count(MISSING)
