"""DP-SGD for an adapter: a unit's gradient is clipped and added up, noise once a step.

The samples of a step are computed one after the other in plain training too, so that clipping
each costs a norm and a sum. What code of elsewhere teaches is learned first and costs nothing
(`fitting` does that). Then few numbers are trained, since noise grows with the root of how many
there are: B alone, A staying as it is (FFA-LoRA, arXiv 2403.12313), of what writes into the
stream of the last layers. It needs torch, transformers and peft.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.training.adapter import fit, run_state
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.adapter.sample_file import Endings
from codebuddy.training.own.choosing import authors_of
from codebuddy.training.privacy import Goal, Plan, draw, plan_for, seed, units_of
from codebuddy.vcs.repository import Repository

# How often each unit is drawn on average, and the norm of a unit's gradient: fixed beforehand,
# since whatever is chosen by a look at the code would have to be accounted for.
PASSES, CLIP, BATCH = 6.0, 0.1, 48
# About how many groups a unit has; not looked up, for that would tell of the code.
_GROUPS_OF = {"example": 1, "file": 4, "author": 40}
# Which numbers are trained: B of these parts, in so many of the last layers.
PARTS, LAYERS = ("o_proj", "down_proj"), 4
# Of the plain training's, the highest rate.
RATE_SHARE = 2.0
# So many steps the time is to be enough for: a step that it ends counts nothing.
_LEAST_STEPS = 8
_DEVICE = "cpu"


@dataclass(frozen=True, slots=True)
class Private:
    """A plan, and the samples by unit."""

    plan: Plan
    units: tuple[tuple[SampleGroup, ...], ...]


def private_for(
    goal: Goal, groups: Sequence[SampleGroup], repository: Repository, in_time: float = math.inf
) -> Private:
    """The groups in units, and the plan for so many of them.

    Args:
        goal: What was asked for.
        groups: What is learned from.
        repository: Whose history says who the authors are.
        in_time: For how many groups the time is enough, a group counted at each pass; it must not
            depend on the code.

    Raises:
        TrainingError: There are too few units, or the accountant is not installed.
    """
    authors = authors_of(repository) if goal.unit == "author" else {}
    units = units_of([(group.path, group) for group in groups], goal.unit, authors)
    units_in_time = in_time / _GROUPS_OF[goal.unit]
    passes = min(PASSES, units_in_time / max(1, len(units)))
    batch = min(BATCH, max(1.0, units_in_time / _LEAST_STEPS))
    return Private(plan_for(goal, len(units), passes, CLIP, batch, 0.0), tuple(map(tuple, units)))


def train_privately(
    model: Any,
    config: fit.AdapterConfig,
    private: Private,
    endings: Endings,
    state: Path,
    clock: Callable[[], float],
    seconds: float,
    on_step: Callable[[int, float, float], None],
    prompts: fit.PromptCache | None = None,
    tell: Callable[[str], None] = lambda _: None,
    wait: Callable[[], None] = lambda: None,
) -> int:
    """Train the one adapter of the model by the plan; fewer steps where the time is over.

    A step can take minutes: `wait`, and after the first step time, are looked at in between.

    Args:
        model: With the adapter of `config`.
        config: Its name and highest rate.
        private: Units and plan.
        endings: The tokens that end a middle.
        state: Kept after each step, and gone on from, with new noise; another plan's is deleted.
        clock: Says how many `seconds` are over, after which a step is neither begun nor ended.
        on_step: Told the step, the share that is done, and the mean loss of what was drawn.
        prompts: What was read already; a memory of its own where none is given.
        tell: Told in a line that steps of another plan are forgotten.
        wait: Called before each group; may hold the training up.

    Returns:
        Steps, each of which is to be accounted for.
    """
    import numpy as np
    import torch

    plan = private.plan
    weights, rate = trained_weights(model), RATE_SHARE * config.rate
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    run = repr((config, plan))
    if run_state.remove_other(state, run):
        tell("the unfinished training has another plan (as of other --minutes): it begins anew")
    prompts = prompts or fit.PromptCache(model, _DEVICE)
    done, _, before = run_state.resume(model, {config.name: optimizer}, state, run)
    noise = np.random.default_rng(seed())
    started = clock() - before

    def may_go_on() -> bool:
        wait()
        return step == 1 or clock() - started <= seconds

    for step in range(done + 1, plan.steps + 1):
        chosen = [private.units[at] for at in draw(len(private.units), plan.rate)]
        found = clipped_sum(model, weights, chosen, endings, plan.clip, prompts, may_go_on)
        if found is None:
            return step - 1
        (sums, loss), share = found, step / plan.steps
        _take_step(optimizer, weights, sums, plan, noise, share)
        run_state.keep(model, {config.name: optimizer}, state, run, (step, 0, clock() - started))
        on_step(step, share, loss)
    return plan.steps


def _take_step(
    optimizer: Any,
    weights: Sequence[Any],
    sums: Sequence[Any],
    plan: Plan,
    noise: Any,
    share: float,
) -> None:
    import torch

    for group in optimizer.param_groups:
        group["lr"] = optimizer.defaults["lr"] * min(1.0, 2 * (1 - share) + 0.02)
    for weight, total in zip(weights, sums, strict=True):
        drawn = torch.from_numpy(noise.normal(0.0, plan.noise * plan.clip, total.shape))
        # By the expected number, which is known: the drawn one is not to be told.
        weight.grad = (total + drawn.to(total.dtype)) / (plan.rate * plan.units)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def clipped_sum(
    model: Any,
    weights: Sequence[Any],
    units: Sequence[Sequence[SampleGroup]],
    endings: Endings,
    clip: float,
    prompts: fit.PromptCache,
    may_go_on: Callable[[], bool] = lambda: True,
) -> tuple[list[Any], float] | None:
    """The sum over units of their gradients, each of norm `clip` at most, and the mean loss.

    `may_go_on` is asked at the beginning and before each group; `None` where it says no.
    A unit's loss is the mean over its middles, so that no unit changes what another one adds. A
    gradient that is no number adds nothing.
    """
    import torch

    if not may_go_on():
        return None
    sums = [torch.zeros_like(weight) for weight in weights]
    losses = []
    for unit in units:
        middles = sum(len(group.branches) for group in unit)
        told = 0.0
        for group in unit:
            # A unit may be all that an author wrote.
            if not may_go_on():
                _forget_gradients(weights)
                return None
            reading = prompts.read(group)
            found = fit.middle_losses(model, group, reading, endings)
            loss = sum(each.mean() for each in found) / middles
            loss.backward()
            told += float(loss.detach())
        gradients = [weight.grad for weight in weights]
        norm = math.sqrt(sum(float(each.pow(2).sum()) for each in gradients if each is not None))
        if math.isfinite(norm):
            factor = min(1.0, clip / norm) if norm else 0.0
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    total.add_(gradient, alpha=factor)
        _forget_gradients(weights)
        losses.append(told)
    return sums, sum(losses) / len(losses) if losses else 0.0


def _forget_gradients(weights: Sequence[Any]) -> None:
    for weight in weights:
        weight.grad = None


def trained_weights(model: Any) -> list[Any]:
    """B of some parts of the last layers; nothing else gets a gradient from now on."""
    layers = model.config.num_hidden_layers
    last = range(max(0, layers - LAYERS), layers)
    wanted = {f".layers.{layer}." for layer in last}
    found = []
    for name, parameter in model.named_parameters():
        is_trained = (
            "lora_B" in name
            and any(layer in name for layer in wanted)
            and any(f".{part}." in name for part in PARTS)
        )
        parameter.requires_grad_(requires_grad=is_trained)
        if is_trained:
            found.append(parameter)
    return found
