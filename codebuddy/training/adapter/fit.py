"""Training of activated adapters: several settings at once over one reading of each prompt.

An adapter acts from the middle token on (activated LoRA, arXiv 2504.12397), so that the keys
and values of the prompt are the base's. Prompts are therefore read once without gradients, and
each adapter is trained on the middles behind the same cache. It needs torch, transformers, peft.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codebuddy.inference import hardware
from codebuddy.training.adapter import run_state
from codebuddy.training.adapter.packing import (
    PackedRow,
    SampleGroup,
    pack_middles,
    pack_prompts,
)
from codebuddy.training.adapter.sample_file import Endings

# The rate rises for so many steps, and falls in so much of the end of a run.
_WARM_UP_STEPS = 20
_FALLING_SHARE = 0.25
_LEAST_RATE_SHARE = 0.02
# Steps after which a run is written to its file.
_STEPS_KEPT = 5
# Of readings, so that later passes need not read: some ninety groups of a small model.
_MOST_KEPT_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """One adapter to train: `parts` are linear layers by their names in transformers.

    `scaling` is alpha / rank, `rate` the highest learning rate.
    """

    name: str
    rank: int
    parts: tuple[str, ...]
    rate: float
    scaling: float = 2.0


def add_adapters(base: Any, configs: Sequence[AdapterConfig]) -> Any:
    """The base with all adapters of `configs`, none of them merged."""
    from peft import LoraConfig, get_peft_model

    model = None
    for config in configs:
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=round(config.rank * config.scaling),
            target_modules=list(config.parts),
            task_type="CAUSAL_LM",
        )
        if model is None:
            model = get_peft_model(base, lora, adapter_name=config.name)
        else:
            model.add_adapter(config.name, lora)
    assert model is not None
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return model


@dataclass(frozen=True, slots=True)
class Reading:
    """Keys and values of a group's prompts, layer by layer, as the base has them."""

    prompts: PackedRow
    layers: tuple[tuple[Any, Any], ...]


def read_prompts(model: Any, group: SampleGroup, device: str) -> Reading:
    """Read the prompts of a group with the adapters off."""
    import torch
    from transformers import DynamicCache

    prompts = pack_prompts(group)
    read: Any = DynamicCache()
    with torch.no_grad(), _adapter_off(model):
        _run(model, prompts, device, read)
    return Reading(prompts, tuple((each.keys, each.values) for each in read.layers))


def _run(model: Any, row: PackedRow, device: Any, cache: Any) -> Any:
    """What the layers say of a row, behind the keys and values of `cache`, to which its own go."""
    layers = model.get_base_model().model
    # Older versions of transformers have another name for it, which 5.40 no longer knows.
    known = inspect.signature(layers.forward).parameters
    name = "cache" if "cache" in known else "past_key_values"
    return layers(**_inputs(row, device), **{name: cache}, use_cache=True)


@contextmanager
def _adapter_off(model: Any) -> Iterator[None]:
    """The base alone. Peft would train the whole adapter afterwards; what was frozen stays so."""
    frozen = [each for each in model.parameters() if not each.requires_grad]
    with model.disable_adapter():
        yield
    for each in frozen:
        each.requires_grad_(requires_grad=False)


class PromptCache:
    """Readings of groups, as many as `max_bytes` hold: they are the base's, and stay as they are.

    Reading takes more than half of a step, and each pass over the groups would read them again.
    """

    def __init__(self, model: Any, device: str, max_bytes: int | None = None) -> None:
        self._model = model
        self._device = device
        available = min(_MOST_KEPT_BYTES, hardware.available_bytes() // 4)
        self._room = available if max_bytes is None else max_bytes
        # With the group, so that no other one gets its id.
        self._kept: dict[int, tuple[SampleGroup, Reading]] = {}

    def read(self, group: SampleGroup) -> Reading:
        """The reading of a group's prompts, from memory where it is there."""
        kept = self._kept.get(id(group))
        if kept is not None:
            return kept[1]
        found = read_prompts(self._model, group, self._device)
        size = sum(keys.nbytes + values.nbytes for keys, values in found.layers)
        if size <= self._room:
            self._room -= size
            self._kept[id(group)] = group, found
        return found


@dataclass(frozen=True, slots=True)
class MiddleLoss:
    """What a middle costs, in nats: its tokens `[n]`, and the end behind them `[]`.

    `is_greedy` says whether the most probable tokens are the middle and its end: what greedy
    writing would give; `hits` `[n]` whether each token is the most probable one there.
    """

    text: Any
    end: Any
    is_greedy: bool
    hits: Any

    def mean(self) -> Any:
        """The mean over tokens, the ending one included."""
        return (self.text.sum() + self.end) / (len(self.text) + 1)


def middle_losses(
    model: Any, group: SampleGroup, reading: Reading, endings: Endings, *, has_adapter: bool = True
) -> list[MiddleLoss]:
    """The loss of each middle behind `reading`, with the active adapter or none.

    Any token that may end a middle is right at its end: their probabilities are added.
    """
    import torch

    middles = pack_middles(group, reading.prompts)
    hidden = states_behind(model, reading, middles, has_adapter=has_adapter)
    told = model.get_base_model().lm_head(hidden).float().log_softmax(-1)
    device, losses = hidden.device, []
    for branch, (start, end) in zip(group.branches, middles.spans, strict=True):
        wanted = torch.tensor(list(branch.middle), dtype=torch.long, device=device)
        ways = torch.tensor(endings.tokens_for(branch.ending), dtype=torch.long, device=device)
        text = -told[start : end - 1].gather(1, wanted[:, None])[:, 0]
        best = told[start:end].argmax(1)
        hits = best[:-1] == wanted
        is_greedy = bool(hits.all()) and bool((ways == best[-1]).any())
        losses.append(MiddleLoss(text, -told[end - 1][ways].logsumexp(0), is_greedy, hits))
    return losses


def states_behind(model: Any, reading: Reading, row: PackedRow, *, has_adapter: bool = True) -> Any:
    """The last hidden states `[n, width]` of a row whose mask sees the prompts of `reading`."""
    from transformers import DynamicCache

    past = DynamicCache()
    for number, (keys, values) in enumerate(reading.layers):
        past.update(keys, values, number)
    device = reading.layers[0][0].device
    with nullcontext() if has_adapter else _adapter_off(model):
        found = _run(model, row, device, past)
    return found.last_hidden_state[0]


def _inputs(row: PackedRow, device: Any) -> dict[str, Any]:
    import torch

    return {
        "input_ids": torch.from_numpy(row.tokens)[None].to(device),
        "position_ids": torch.from_numpy(row.positions)[None].to(device),
        "attention_mask": torch.from_numpy(row.mask)[None, None].to(device),
    }


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long to train, and with what a step.

    `steps`, where it is not 0, is the number of steps, for runs that are to be repeatable; else
    `seconds` are over at some time, or `passes` over the groups, where that is not 0. `state` is a
    file that the run is kept in and resumed from. `clock` gives seconds.
    """

    seed: int
    groups_per_step: int = 2
    seconds: float = 0.0
    steps: int = 0
    state: Path | None = None
    passes: float = field(default=0.0, repr=False)
    warm_up_steps: int = field(default=_WARM_UP_STEPS, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


def train(
    model: Any,
    configs: Sequence[AdapterConfig],
    groups: Sequence[SampleGroup],
    endings: Endings,
    plan: TrainingPlan,
    device: str,
    on_step: Callable[[int, float, dict[str, float]], bool | None],
    prompts: PromptCache | None = None,
) -> tuple[int, int]:
    """Train every adapter on the groups, once through and again, until the plan is fulfilled.

    The rate rises at first, stays, and falls to nearly nothing in the last quarter. Loss is the
    mean over tokens of a middle, then over the middles of a step. Where `on_step` answers True,
    that was the last step.

    Returns:
        Steps done, and steps left out since their gradient was no finite number.

    Raises:
        ValueError: There are no groups, or `state` is of another run.
        FloatingPointError: More than one step of fifty was left out.
    """
    if not groups:
        raise ValueError("there are no samples to train on")
    optimizers = _optimizers(model, configs)
    run = _description(configs, groups, plan)
    done, left_out, spent_before = run_state.resume(model, optimizers, plan.state, run)
    prompts = prompts or PromptCache(model, device)
    started, step = plan.clock() - spent_before, 0
    for chosen in _endless_steps(groups, plan):
        spent = plan.clock() - started
        share = _share_done(plan, step, spent, len(groups))
        if share >= 1:
            break
        step += 1
        if step <= done:
            continue
        losses = _gradients(model, configs, chosen, endings, prompts)
        factor = _rate_share(step, share, plan.warm_up_steps)
        finite = [
            _take_step(optimizers[config.name], config.rate * factor, losses[config.name])
            for config in configs
        ]
        left_out += not all(finite)
        if left_out > 1 + step // 50:
            raise FloatingPointError(f"{left_out} of {step} steps have no finite gradient")
        if on_step(step, share, losses):
            break
        if plan.state is not None and step % _STEPS_KEPT == 0:
            run_state.keep(model, optimizers, plan.state, run, (step, left_out, spent))
    return step, left_out


def _share_done(plan: TrainingPlan, step: int, spent: float, n_groups: int) -> float:
    if plan.steps:
        return step / plan.steps
    passed = step * plan.groups_per_step / n_groups / plan.passes if plan.passes else 0.0
    return max(passed, spent / plan.seconds)


def _rate_share(step: int, share: float, warm_up_steps: int) -> float:
    falling = max(_LEAST_RATE_SHARE, (1 - share) / _FALLING_SHARE)
    return min(1.0, step / warm_up_steps, falling)


def _description(
    configs: Sequence[AdapterConfig], groups: Sequence[SampleGroup], plan: TrainingPlan
) -> str:
    """What makes a run another run: all but where its file is, and the time that it has."""
    size = len(groups), sum(len(each.trunk) + len(each.branches) for each in groups)
    return repr((configs, size, dataclasses.replace(plan, seconds=0.0, state=None)))


def _endless_steps(
    groups: Sequence[SampleGroup], plan: TrainingPlan
) -> Iterator[list[SampleGroup]]:
    for epoch in itertools.count():
        order = list(groups)
        random.Random(plan.seed + epoch).shuffle(order)
        for at in range(0, len(order), plan.groups_per_step):
            yield order[at : at + plan.groups_per_step]


def _optimizers(model: Any, configs: Sequence[AdapterConfig]) -> dict[str, Any]:
    import torch

    return {
        config.name: torch.optim.AdamW(
            [p for n, p in model.named_parameters() if f".{config.name}." in n],
            lr=config.rate,
            betas=(0.9, 0.98),
            weight_decay=0.0,
        )
        for config in configs
    }


def _gradients(
    model: Any,
    configs: Sequence[AdapterConfig],
    groups: Sequence[SampleGroup],
    endings: Endings,
    prompts: PromptCache,
) -> dict[str, float]:
    """Add up the gradients of a step; the mean loss of each adapter, in nats a token."""
    middles = sum(len(each.branches) for each in groups)
    told = dict.fromkeys((config.name for config in configs), 0.0)
    for group in groups:
        reading = prompts.read(group)
        for config in configs:
            model.set_adapter(config.name)
            found = middle_losses(model, group, reading, endings)
            loss = sum(each.mean() for each in found) / middles
            loss.backward()
            told[config.name] += float(loss.detach())
    return told


def _take_step(optimizer: Any, rate: float, loss: float) -> bool:
    """Take a step, unless it would make every weight, and all that follows, no number."""
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    norm = torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    is_finite = math.isfinite(float(norm)) and math.isfinite(loss)
    if is_finite:
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return is_finite


@dataclass(frozen=True, slots=True)
class Judged:
    """What one middle cost with an adapter or none, in nats: its text, and its end."""

    kind: str
    language: str
    text: float
    end: float
    is_greedy: bool


def judge(
    model: Any, names: Sequence[str], groups: Sequence[SampleGroup], endings: Endings, device: str
) -> dict[str, list[Judged]]:
    """Every middle of the groups by adapter, in one order; an empty name is the base alone."""
    import torch

    told: dict[str, list[Judged]] = {name: [] for name in names}
    with torch.no_grad():
        for group in groups:
            reading = read_prompts(model, group, device)
            for name in names:
                if name:
                    model.set_adapter(name)
                found = middle_losses(model, group, reading, endings, has_adapter=bool(name))
                told[name] += [
                    Judged(
                        branch.kind,
                        group.language,
                        float(loss.text.sum()),
                        float(loss.end),
                        loss.is_greedy,
                    )
                    for branch, loss in zip(group.branches, found, strict=True)
                ]
    return told
