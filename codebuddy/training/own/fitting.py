"""One adapter trained on a repository's samples: it stops early, pauses, and goes on.

Needs torch, transformers, peft and gguf, which only `codebuddy[train]` brings all of.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codebuddy.errors import ModelError, TrainingError
from codebuddy.inference.gguf import GgufHeader
from codebuddy.training.adapter import base_model, fit, run_state
from codebuddy.training.adapter.export import adapter_weights, take_up_weights, write_adapter
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.own.private import Private, train_privately

NEEDED = ("torch", "transformers", "peft", "gguf")
NAME = "own"
RANK = 8
PASSES = 3.0
_WARM_UP_STEPS = 5
# Of a private training's time, what code of elsewhere may take.
_ELSEWHERE_SHARE = 0.3
# The base in bfloat16, while single weights are unpacked from it.
_BYTES_PER_PARAMETER = 6
# For the default model; smaller ones take larger steps.
_RATE, _HIGHEST_RATE, _RATE_PARAMETERS = 3e-4, 1e-3, 1.5e9
# Looks at the files that say when to stop, and how many of them may be in vain.
_LOOKS, _PATIENCE = 6, 2
_BETTER_SHARE = 0.998
_DEVICE = "cpu"


def missing_packages() -> list[str]:
    """The packages of the extra that are not installed."""

    def is_there(name: str) -> bool:
        with suppress(ImportError, ValueError):
            return find_spec(name) is not None
        return False

    return [name for name in NEEDED if not is_there(name)]


def needed_bytes(header: GgufHeader) -> int:
    """Memory that training takes at most."""
    return _BYTES_PER_PARAMETER * parameters_of(header) + base_model.WORKING_BYTES


def parameters_of(header: GgufHeader) -> int:
    """How many numbers the model consists of."""
    return sum(math.prod(tensor.dimensions) for tensor in header.tensors)


def rate_for(parameters: int) -> float:
    """The highest learning rate for a model of that size."""
    return min(_HIGHEST_RATE, max(_RATE, _RATE * math.sqrt(_RATE_PARAMETERS / parameters)))


def alpha_of(rank: int) -> float:
    """The alpha that adapters of that rank are trained with here."""
    return rank * fit.AdapterConfig(NAME, rank, (), 0.0).scaling


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be trained: `start` is an adapter to go on from, `seconds` may be taken.

    `threads` work; 0 means as many as torch would take. `privacy` trains privately.
    """

    base: Path
    folder: Path
    seconds: float
    rank: int
    rate: float
    seed: int
    start: Path | None = None
    threads: int = 0
    privacy: Private | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: `losses` are those of the samples held out, the oldest first.

    None of a private training, which looks at no such sample.
    """

    step: int
    seconds_left: float
    loss: float
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter in `file`, with what its training says.

    `loss` holds nats a token before and after, on the files held out and elsewhere; `gain` the
    difference for each middle held out; `privacy` what a private training spent.
    """

    file: Path
    alpha: float
    steps: int
    seconds: float
    is_early: bool
    loss: Mapping[str, Mapping[str, float]]
    gain: tuple[float, ...]
    curve: tuple[float, ...]
    privacy: Mapping[str, Any] | None = None


def train(
    wish: Wish,
    samples: Samples,
    clock: PausableClock,
    show: Callable[[Progress], None],
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train, stop where the held-out loss says so, and write the adapter into the folder.

    `show` is told each step, `say` what is to stay on the screen.

    Raises:
        TrainingError: The base cannot be trained, or its losses are no numbers.
        ModelError: The adapter to start from does not fit.
    """
    from codebuddy.inference.vocabulary import open_vocabulary

    config = fit.AdapterConfig(NAME, wish.rank, tuple(base_model.LINEAR), wish.rate)
    model = model_with(wish, config)
    shape = model.config
    heads = shape.num_attention_heads, shape.num_key_value_heads
    try:
        before = _told(model, samples)
    except FloatingPointError as error:
        raise TrainingError(f"{wish.base} gives no numbers: {error}") from error
    stopping = _Stopping(model, samples, wish, clock, show, say)
    started = clock()
    try:
        fit_it = _fit_plainly if wish.privacy is None else _fit_privately
        steps, is_early = fit_it(model, config, samples, wish, stopping)
        after = _told(model, samples)
    except FloatingPointError as error:
        raise TrainingError(
            f"the training came to no numbers: {error}", hint="begin anew with --fresh"
        ) from error
    file = wish.folder / "trained.gguf"
    alpha = alpha_of(config.rank)
    weights, middle = adapter_weights(model, NAME), open_vocabulary(wish.base).fim.middle
    write_adapter(file, weights, shape.model_type, alpha, heads, middle=middle)
    file.chmod(0o600)
    loss, gain = _compared(before, after)
    spent = clock() - started
    privacy = None if wish.privacy is None else wish.privacy.plan.as_json(steps)
    curve = tuple(stopping.losses)
    return Trained(file, alpha, steps, spent, is_early, loss, gain, curve, privacy)


def _compared(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]]
) -> tuple[dict[str, dict[str, float]], tuple[float, ...]]:
    """Loss by part, before and after, and what each middle held out won."""
    loss = {
        part: {"before": _mean(before[part]), "after": _mean(after[part])}
        for part in before
        if before[part]
    }
    return loss, tuple(a - b for a, b in zip(before["held_out"], after["held_out"], strict=True))


def explained(wish: Wish, samples: Samples) -> Trained:
    """What the adapter `wish.start` explains of the samples that judge; nothing is trained.

    Raises:
        TrainingError: The base cannot be used, or losses are no numbers.
        ModelError: The adapter does not fit.
    """
    assert wish.start is not None
    config = fit.AdapterConfig(NAME, wish.rank, tuple(base_model.LINEAR), wish.rate)
    try:
        # A new adapter changes nothing yet.
        model = model_with(replace(wish, start=None), config)
        before = _told(model, samples)
        _take_up(model, wish.start)
        after = _told(model, samples)
    except FloatingPointError as error:
        raise TrainingError(f"{wish.start} gives no numbers: {error}") from error
    alpha = alpha_of(config.rank)
    loss, gain = _compared(before, after)
    return Trained(wish.start, alpha, 0, 0.0, is_early=False, loss=loss, gain=gain, curve=())


def _fit_plainly(
    model: Any, config: fit.AdapterConfig, samples: Samples, wish: Wish, stopping: _Stopping
) -> tuple[int, bool]:
    """Steps taken until the held-out loss or the time ends it, and whether it was the loss."""
    plan = fit.TrainingPlan(
        seed=wish.seed,
        seconds=wish.seconds,
        state=wish.folder / "training.state",
        passes=PASSES,
        warm_up_steps=_WARM_UP_STEPS,
        clock=stopping.clock,
    )
    run_state.remove_damaged(plan.state, stopping.file)
    learned = [*samples.groups["learned"], *samples.groups["replayed"]]
    steps, _ = fit.train(model, [config], learned, samples.endings, plan, _DEVICE, stopping.on_step)
    # The last look, which is always taken, ends nothing.
    is_early = stopping.is_over
    stopping.take_best()
    return steps, is_early


def _fit_privately(
    model: Any, config: fit.AdapterConfig, samples: Samples, wish: Wish, stopping: _Stopping
) -> tuple[int, bool]:
    """Steps taken; no held-out loss decides anything, since that would tell of those files.

    Code of elsewhere is learned from first, plainly: it is nobody's here.
    """
    assert wish.privacy is not None
    state = wish.folder / "training.state"
    run_state.remove_damaged(state)
    _learn_elsewhere(model, config, samples, wish, stopping)
    steps = train_privately(
        model,
        config,
        wish.privacy,
        samples.endings,
        state,
        stopping.clock,
        (1 - _ELSEWHERE_SHARE) * wish.seconds,
        lambda step, share, loss: stopping.tell(
            step, _ELSEWHERE_SHARE + (1 - _ELSEWHERE_SHARE) * share, loss
        ),
        tell=stopping.say,
        wait=stopping.clock.wait,
    )
    return steps, False


def _learn_elsewhere(
    model: Any, config: fit.AdapterConfig, samples: Samples, wish: Wish, stopping: _Stopping
) -> None:
    """Learn from the replayed groups alone; what came of it is kept for a call that goes on."""
    kept, state = wish.folder / "elsewhere.weights", wish.folder / "elsewhere.state"
    run_state.remove_damaged(kept, state)
    if (known := run_state.read_weights(kept)) is not None:
        run_state.put_weights(model, known[1])
    elif samples.groups["replayed"]:
        plan = fit.TrainingPlan(
            seed=wish.seed,
            seconds=_ELSEWHERE_SHARE * wish.seconds,
            state=state,
            passes=PASSES,
            warm_up_steps=_WARM_UP_STEPS,
            clock=stopping.clock,
        )

        def tell(step: int, share: float, losses: Mapping[str, float]) -> None:
            stopping.tell(step, _ELSEWHERE_SHARE * share, losses[NAME])

        groups = samples.groups["replayed"]
        fit.train(model, [config], groups, samples.endings, plan, _DEVICE, tell)
        run_state.write_weights(model, kept, 0.0)


def model_with(wish: Wish, config: fit.AdapterConfig) -> Any:
    """The base with the adapter `NAME`, which knows what the one to start from does.

    Raises:
        TrainingError: The base cannot be trained.
        ModelError: The adapter to start from does not fit.
    """
    import torch

    _silence()
    if wish.threads:
        torch.set_num_threads(wish.threads)
    torch.manual_seed(wish.seed)
    try:
        model = fit.add_adapters(base_model.load_base(wish.base, _DEVICE), [config])
    except ValueError as error:
        raise TrainingError(str(error), hint="name a qwen2 or llama model") from error
    if wish.start is not None:
        _take_up(model, wish.start)
    return model


def _take_up(model: Any, file: Path) -> None:
    heads = model.config.num_attention_heads, model.config.num_key_value_heads
    try:
        take_up_weights(model, NAME, file, heads)
    except ValueError as error:
        raise ModelError(str(error), hint="begin anew with --fresh") from error


def _silence() -> None:
    """Keep what libraries say to their developers off the user's terminal."""
    import warnings

    from transformers.utils import logging

    say_errors: Any = logging.set_verbosity_error
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch|transformers|peft")
    say_errors()


def _told(model: Any, samples: Samples) -> dict[str, list[float]]:
    """The loss of each middle that judges, in nats a token: held out, and elsewhere."""
    parts = {"held_out": samples.groups["judged"], "elsewhere": samples.groups["elsewhere"]}
    return {part: _losses(model, groups, samples) for part, groups in parts.items()}


def _losses(model: Any, groups: Sequence[SampleGroup], samples: Samples) -> list[float]:
    rows = fit.judge(model, [NAME], groups, samples.endings, _DEVICE)[NAME]
    lengths = [len(branch.middle) + 1 for group in groups for branch in group.branches]
    found = [(row.text + row.end) / n for row, n in zip(rows, lengths, strict=True)]
    if not all(map(math.isfinite, found)):
        raise FloatingPointError("a loss of samples held out is infinite or none")
    return found


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 4)


@dataclass(slots=True)
class _Stopping:
    """Looks at held-out samples now and then, keeps the best weights, and ends the training."""

    model: Any
    samples: Samples
    wish: Wish
    clock: PausableClock
    show: Callable[[Progress], None]
    say: Callable[[str], None]
    losses: list[float] = field(default_factory=list)
    is_over: bool = False
    _next_share: float = 0.0
    _best: float = float("inf")
    _vain: int = 0

    def on_step(self, step: int, share: float, losses: Mapping[str, float]) -> bool:
        """Whether that was the last step."""
        if step == 1 or share >= self._next_share:
            self._next_share = share + 1 / _LOOKS
            self._look()
        left = self.wish.seconds * (1 - share)
        self.show(Progress(step, left, losses[NAME], tuple(self.losses)))
        if not self.is_over:
            self.clock.wait()
        return self.is_over

    def tell(self, step: int, share: float, loss: float) -> None:
        """Show how far a training is that nothing here ends."""
        self.show(Progress(step, self.wish.seconds * (1 - share), loss, ()))
        self.clock.wait()

    def take_best(self) -> None:
        """Give the model the best weights that were seen, its present ones among them."""
        self._look()
        kept = run_state.read_weights(self.file)
        if kept is not None:
            run_state.put_weights(self.model, kept[1])

    @property
    def file(self) -> Path:
        """Where the best weights are kept."""
        return self.wish.folder / "best.state"

    def _look(self) -> None:
        if self._best == float("inf") and (kept := run_state.read_weights(self.file)):
            self._best = kept[0]
        loss = statistics.fmean(_losses(self.model, self.samples.groups["watched"], self.samples))
        self.losses.append(round(loss, 4))
        if loss < _BETTER_SHARE * self._best or not self.file.exists():
            self._best, self._vain = loss, 0
            run_state.write_weights(self.model, self.file, loss)
        else:
            self._vain += 1
            self.is_over = self._vain >= _PATIENCE
