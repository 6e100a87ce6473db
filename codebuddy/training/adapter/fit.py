"""Training of activated adapters: several settings at once over one reading of each prompt.

An adapter acts from the middle token on (activated LoRA, arXiv 2504.12397), so that the keys
and values of the prompt are the base's. A prompt is therefore read once without gradients, and
each adapter is trained on the middle behind the same cache. It needs torch, transformers, peft.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codebuddy.training.adapter import run_state

MIDDLE_AT = -1
# Samples that are sorted by length at once, and how different lengths count as alike.
_STRETCH, _LIKE_TOKENS = 512, 64
# Steps after which a run is written to its file.
_STEPS_KEPT = 5


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
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, both padded behind: `prompt` `[n, p]` without its middle token, `middle` `[n, m]`.

    `middle` begins with the middle token; `targets` are what follows each, -100 where nothing is
    to be foretold. Padding lies behind, since a row that may look at nothing but padding has no
    finite answer on some GPUs.
    """

    prompt: Any
    prompt_mask: Any
    middle: Any
    targets: Any
    middle_mask: Any


def add_adapters(base: Any, configs: Sequence[AdapterConfig]) -> Any:
    """The base with all adapters of `configs`, none of them merged."""
    from peft import LoraConfig, get_peft_model

    model = None
    for config in configs:
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=round(config.rank * config.scaling),
            target_modules=list(config.parts),
            lora_dropout=config.dropout,
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


def batches(
    samples: Sequence[tuple[Any, Any]],
    tokens: int,
    rng: random.Random,
    device: str,
    middle_tokens: int = 0,
) -> Iterator[Batch]:
    """All samples once, in batches of like lengths.

    A batch has about `tokens` prompt tokens and, unless that is 0, `middle_tokens` tokens of
    middles, both with padding: what is kept for the gradient grows with the latter.
    """
    order = list(range(len(samples)))
    rng.shuffle(order)
    groups: list[list[int]] = []
    # Like lengths lie together only within a stretch, so that batches stay mixed.
    for at in range(0, len(order), _STRETCH):
        stretch = sorted(
            order[at : at + _STRETCH],
            key=lambda i: (len(samples[i][0]) // _LIKE_TOKENS, len(samples[i][1])),
        )
        group: list[int] = []
        for index in stretch:
            both = [*group, index]
            is_long = max(len(samples[i][0]) for i in both) * len(both) > tokens
            is_wide = max(len(samples[i][1]) for i in both) * len(both) > middle_tokens > 0
            if group and (is_long or is_wide):
                groups.append(group)
                both = [index]
            group = both
        groups.append(group)
    rng.shuffle(groups)
    for group in groups:
        yield collate([samples[i] for i in group], device)


def collate(samples: Sequence[tuple[Any, Any]], device: str) -> Batch:
    """Samples of (prompt ending with the middle token, middle) as padded tensors."""
    import torch

    prompts = [np.asarray(prompt[:MIDDLE_AT]) for prompt, _ in samples]
    inputs = [np.concatenate([p[MIDDLE_AT:], m[:-1]]) for p, m in samples]
    longest, widest = max(map(len, prompts)), max(map(len, inputs))
    prompt = np.zeros((len(samples), longest), np.int64)
    prompt_mask = np.zeros((len(samples), longest), np.int64)
    middle = np.zeros((len(samples), widest), np.int64)
    middle_mask = np.zeros((len(samples), widest), np.int64)
    targets = np.full((len(samples), widest), -100, np.int64)
    for row, (tokens, given, (_, wanted)) in enumerate(zip(prompts, inputs, samples, strict=True)):
        prompt[row, : len(tokens)] = tokens
        prompt_mask[row, : len(tokens)] = 1
        middle[row, : len(given)] = given
        middle_mask[row, : len(given)] = 1
        targets[row, : len(wanted)] = wanted
    arrays = (prompt, prompt_mask, middle, targets, middle_mask)
    return Batch(*(torch.from_numpy(each).to(device, non_blocking=True) for each in arrays))


def read_prompt(model: Any, batch: Batch) -> list[tuple[Any, Any]]:
    """Keys and values of the prompts, layer by layer, as the base has them."""
    import torch

    inner = model.get_base_model().model
    with torch.no_grad(), model.disable_adapter():
        out = inner(
            input_ids=batch.prompt,
            attention_mask=batch.prompt_mask,
            use_cache=True,
        )
    return [(layer.keys, layer.values) for layer in out.past_key_values.layers]


def middle_losses(
    model: Any, batch: Batch, cache: Sequence[tuple[Any, Any]], *, has_adapter: bool = True
) -> Any:
    """Mean token loss `[n]`, in nats, of each middle behind `cache`, with the active adapter."""
    import torch

    past = _as_cache(cache)
    lengths = batch.prompt_mask.sum(1, keepdim=True)
    steps = torch.arange(batch.middle.shape[1], device=batch.middle.device)
    whole = model.get_base_model()
    with nullcontext() if has_adapter else model.disable_adapter():
        hidden = whole.model(
            input_ids=batch.middle,
            attention_mask=torch.cat([batch.prompt_mask, batch.middle_mask], 1),
            position_ids=lengths + steps,
            past_key_values=past,
            use_cache=True,
        ).last_hidden_state
    known = batch.targets.ne(-100)
    # Only where something is to be foretold: a vocabulary is large.
    logits = whole.lm_head(hidden[known]).float()
    found = torch.nn.functional.cross_entropy(logits, batch.targets[known], reduction="none")
    rows = known.nonzero()[:, 0]
    total = torch.zeros(known.shape[0], device=found.device).index_add(0, rows, found)
    return total / known.sum(1)


def _as_cache(cache: Sequence[tuple[Any, Any]]) -> Any:
    from transformers import DynamicCache

    past = DynamicCache()
    for number, (keys, values) in enumerate(cache):
        past.update(keys, values, number)
    return past


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long to train, and with what a step.

    `steps`, where it is not 0, is the number of steps, for runs that are to be repeatable; else
    `seconds` are over at some time. `state` is a file that the run is kept in and resumed from.
    """

    batch_tokens: int
    seed: int
    seconds: float = 0.0
    steps: int = 0
    middle_tokens: int = 0
    state: Path | None = None


def train(
    model: Any,
    configs: Sequence[AdapterConfig],
    samples: Sequence[tuple[Any, Any]],
    plan: TrainingPlan,
    device: str,
    on_step: Callable[[int, float, dict[str, float]], None],
) -> tuple[int, int]:
    """Train every adapter on the samples, once through and again, until the plan is fulfilled.

    The rate rises for 3% of the run and falls as a cosine of it. Loss is the mean over tokens of
    a row, then over rows.

    Returns:
        Steps done, and batches left out since their loss was no finite number.

    Raises:
        ValueError: There are no samples, or `state` is of another run.
        FloatingPointError: More than one batch of fifty was left out.
    """
    if not samples:
        raise ValueError("there are no samples to train on")
    optimizers = _optimizers(model, configs)
    run = _description(configs, samples, plan)
    done, left_out, spent_before = run_state.resume(model, optimizers, plan.state, run)
    started, step = time.monotonic() - spent_before, 0
    for batch in _endless_batches(samples, plan, device):
        spent = time.monotonic() - started
        share = step / plan.steps if plan.steps else spent / plan.seconds
        if share >= 1:
            break
        step += 1
        if step <= done:
            continue
        factor = min(1.0, share / 0.03 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * share))
        cache = read_prompt(model, batch)
        losses = {}
        for config in configs:
            model.set_adapter(config.name)
            loss = _take_step(model, batch, cache, optimizers[config.name], config.rate * factor)
            if loss is not None:
                losses[config.name] = loss
        left_out += len(losses) < len(configs)
        if left_out > 1 + step // 50:
            raise FloatingPointError(f"{left_out} of {step} batches have no finite loss")
        on_step(step, share, losses)
        if plan.state is not None and step % _STEPS_KEPT == 0:
            run_state.keep(model, optimizers, plan.state, run, (step, left_out, spent))
    return step, left_out


def _description(
    configs: Sequence[AdapterConfig], samples: Sequence[tuple[Any, Any]], plan: TrainingPlan
) -> str:
    """What makes a run another run: all but where its file is, and the time that it has."""
    size = len(samples), sum(len(prompt) + len(middle) for prompt, middle in samples)
    return repr((configs, size, dataclasses.replace(plan, seconds=0.0, state=None)))


def _endless_batches(
    samples: Sequence[tuple[Any, Any]], plan: TrainingPlan, device: str
) -> Iterator[Batch]:
    for epoch in itertools.count():
        rng = random.Random(plan.seed + epoch)
        yield from batches(samples, plan.batch_tokens, rng, device, plan.middle_tokens)


def _optimizers(model: Any, configs: Sequence[AdapterConfig]) -> dict[str, Any]:
    import torch

    return {
        config.name: torch.optim.AdamW(
            [p for n, p in model.named_parameters() if f".{config.name}." in n],
            lr=config.rate,
            weight_decay=0.0,
        )
        for config in configs
    }


def _take_step(
    model: Any, batch: Batch, cache: Sequence[tuple[Any, Any]], optimizer: Any, rate: float
) -> Any:
    """Loss of the active adapter before its step; `None`, and no step, where it is not finite."""
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = middle_losses(model, batch, cache).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    # One such step would make every weight, and all that follows, no number.
    is_finite = math.isfinite(float(norm)) and math.isfinite(float(loss.detach()))
    if is_finite:
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach() if is_finite else None


def mean_loss(
    model: Any, name: str, samples: Sequence[tuple[Any, Any]], batch_tokens: int, device: str
) -> float:
    """Mean loss of the samples' middles, in nats a token, with the adapter `name` or none."""
    import torch

    if name:
        model.set_adapter(name)
    total = 0.0
    with torch.no_grad():
        for batch in batches(samples, batch_tokens, random.Random(0), device):
            cache = read_prompt(model, batch)
            total += float(middle_losses(model, batch, cache, has_adapter=bool(name)).sum())
    return total / max(1, len(samples))


def generate(
    model: Any,
    batch: Batch,
    cache: Sequence[tuple[Any, Any]],
    limit: int,
    ends: Sequence[int],
    lasts: Sequence[int] = (),
    *,
    has_adapter: bool,
) -> tuple[list[list[int]], list[list[float]], list[float]]:
    """Greedy middles of the prompts in `batch`, at most `limit` tokens each.

    A token of `ends` ends a row and is left out; one of `lasts` ends it and is kept, unless it
    is the first.

    Returns:
        Token ids, their natural log-probabilities, and the entropy in nats at the first token.
    """
    import torch

    past = _as_cache(cache)
    n = batch.prompt.shape[0]
    token = batch.middle[:, :1]
    mask, position = batch.prompt_mask, batch.prompt_mask.sum(1, keepdim=True)
    one = torch.ones((n, 1), dtype=mask.dtype, device=mask.device)
    is_done = torch.zeros(n, dtype=torch.bool, device=mask.device)
    stop = torch.tensor(list(ends), device=mask.device)
    last = torch.tensor(list(lasts), dtype=torch.long, device=mask.device)
    written, logprobs, entropy = [], [], None
    with torch.no_grad(), nullcontext() if has_adapter else model.disable_adapter():
        for _ in range(limit):
            mask = torch.cat([mask, one], 1)
            out = model.get_base_model()(
                input_ids=token,
                attention_mask=mask,
                position_ids=position,
                past_key_values=past,
                use_cache=True,
            )
            told = out.logits[:, -1].float().log_softmax(-1)
            if entropy is None:
                entropy = -(told.exp() * told).sum(-1)
            best, token = told.max(-1, keepdim=True)
            logprobs.append(best[:, 0])
            is_done = is_done | torch.isin(token[:, 0], stop)
            written.append(torch.where(is_done, -1, token[:, 0]))
            if len(written) > 1:
                is_done = is_done | torch.isin(token[:, 0], last)
            position = position + 1
            if len(written) % 8 == 0 and bool(is_done.all()):
                break
    assert entropy is not None
    rows = [[each for each in row if each >= 0] for row in torch.stack(written, 1).tolist()]
    told = torch.stack(logprobs, 1).tolist()
    return rows, [t[: len(row)] for t, row in zip(told, rows, strict=True)], entropy.tolist()
