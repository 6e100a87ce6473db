"""What a model with an adapter, and without, says of texts: the scores that attacks work with.

Secrets of a kind are scored as a tree of tokens in one pass, so that all 10,000 numbers of four
digits cost 1,111 tokens. Needs torch, transformers and peft.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codebuddy.training.adapter.fit import (
    MiddleLoss,
    PromptCache,
    Reading,
    middle_losses,
    read_prompts,
    states_behind,
)
from codebuddy.training.adapter.packing import Branch, PackedRow, SampleGroup
from codebuddy.training.adapter.sample_file import Endings

# Nodes of a tree in one pass, and rows of its states that are turned into probabilities at once.
_MOST_NODES, _ROWS = 1500, 128
# Texts that each middle is compared with; each costs a pass over the middles.
_NEIGHBOURS, _CHANGED_SHARE = 2, 0.15
_DEVICE = "cpu"


@dataclass(frozen=True, slots=True)
class MiddleScores:
    """A middle: nats a token with the adapter and by the base, and what both write greedily.

    `neighbours` is the mean loss, with the adapter, of texts that differ in some tokens. `runs` are
    the longest runs of tokens that are the likeliest ones, given what stood before them: with the
    adapter, and by the base.
    """

    kind: str
    loss: float
    base: float
    neighbours: float
    hits: tuple[bool, ...]
    base_hits: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class SecretScores:
    """A secret: its log probability, those of others of its kind, and whether greedy writes it."""

    own: float
    others: tuple[float, ...]
    is_greedy: bool


def score_middles(
    model: Any,
    group: SampleGroup,
    endings: Endings,
    seed: int,
    prompts: PromptCache | None = None,
    base: Sequence[MiddleLoss] | None = None,
) -> list[MiddleScores]:
    """Every middle of a group; `prompts` and `base` where these are known already."""
    import torch

    with torch.no_grad():
        reading = _read(model, group, prompts)
        adapted = middle_losses(model, group, reading, endings)
        if base is None:
            base = middle_losses(model, group, reading, endings, has_adapter=False)
        rng = random.Random(f"neighbours:{seed}:{group.path}")
        near = [
            middle_losses(model, _neighbour(group, rng), reading, endings)
            for _ in range(_NEIGHBOURS)
        ]
    return [
        MiddleScores(
            branch.kind,
            float(own.mean()),
            float(plain.mean()),
            statistics.fmean(float(each[number].mean()) for each in near),
            tuple(map(bool, own.hits.tolist())),
            tuple(map(bool, plain.hits.tolist())),
        )
        for number, (branch, own, plain) in enumerate(
            zip(group.branches, adapted, base, strict=True)
        )
    ]


def score_secret(
    model: Any,
    group: SampleGroup,
    others: Sequence[Sequence[int]],
    *,
    has_adapter: bool,
    prompts: PromptCache | None = None,
) -> SecretScores:
    """The secret that is the middle of the group's one branch, among others of its kind."""
    import torch

    [branch] = group.branches
    with torch.no_grad():
        reading = _read(model, group, prompts)
        told = [
            score
            for part in _parts([tuple(branch.middle), *map(tuple, others)])
            for score in _scored(model, branch, reading, part, has_adapter=has_adapter)
        ]
    own, *rest = told
    return SecretScores(own[0], tuple(score for score, _ in rest), own[1])


def _read(model: Any, group: SampleGroup, prompts: PromptCache | None) -> Reading:
    return read_prompts(model, group, _DEVICE) if prompts is None else prompts.read(group)


def _neighbour(group: SampleGroup, rng: random.Random) -> SampleGroup:
    """The group with some tokens of each middle exchanged for others of the group's middles.

    As the neighbourhood attack does (Mattern et al., arXiv 2305.18462), which lets a masked model
    propose words; tokens of the same stretch of code stand in for that.
    """
    pool = [token for branch in group.branches for token in branch.middle]

    def changed(branch: Branch) -> Branch:
        middle = list(branch.middle)
        count = max(1, round(_CHANGED_SHARE * len(middle))) if middle else 0
        for at in rng.sample(range(len(middle)), min(count, len(middle))):
            middle[at] = rng.choice(pool)
        return dataclasses.replace(branch, middle=middle)

    return dataclasses.replace(group, branches=tuple(map(changed, group.branches)))


def _parts(texts: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """The texts in lots whose tree fits one pass; texts that begin alike are not sorted apart."""
    part: list[tuple[int, ...]] = []
    nodes: set[tuple[int, ...]] = set()
    for text in texts:
        nodes.update(text[:end] for end in range(len(text)))
        part.append(text)
        if len(nodes) >= _MOST_NODES:
            yield part
            part, nodes = [], set()
    if part:
        yield part


def _scored(
    model: Any,
    branch: Branch,
    reading: Reading,
    texts: Sequence[tuple[int, ...]],
    *,
    has_adapter: bool,
) -> list[tuple[float, bool]]:
    """Log probability of each text behind the prompt, and whether greedy writing gives it."""
    nodes: dict[tuple[int, ...], int] = {(): 0}
    for text in texts:
        for end in range(1, len(text)):
            nodes.setdefault(text[:end], len(nodes))
    wanted = sorted({(nodes[text[:at]], text[at]) for text in texts for at in range(len(text))})
    states = states_behind(model, reading, _tree(branch, reading, nodes), has_adapter=has_adapter)
    told = _probabilities(model, states, wanted)
    found = []
    for text in texts:
        steps = [told[nodes[text[:at]], text[at]] for at in range(len(text))]
        found.append((sum(p for p, _ in steps), all(best for _, best in steps)))
    return found


def _probabilities(
    model: Any, states: Any, wanted: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[float, bool]]:
    """By (node, token): the log probability, and whether no other token has a higher one."""
    import torch

    head = model.get_base_model().lm_head
    by_node: dict[int, list[int]] = {}
    for node, token in wanted:
        by_node.setdefault(node, []).append(token)
    found: dict[tuple[int, int], tuple[float, bool]] = {}
    for start in range(0, len(states), _ROWS):
        told = head(states[start : start + _ROWS]).float().log_softmax(-1)
        best = told.argmax(1).tolist()
        for row, likeliest in enumerate(best):
            tokens = by_node.get(start + row, [])
            values = told[row][torch.tensor(tokens, dtype=torch.long)].tolist()
            for token, value in zip(tokens, values, strict=True):
                found[start + row, token] = value, token == likeliest
    return found


def _tree(branch: Branch, reading: Reading, nodes: dict[tuple[int, ...], int]) -> PackedRow:
    """The prompt's last token and every node behind it; each sees its own ancestors."""
    before, size = len(reading.prompts.tokens), len(nodes)
    [span] = reading.prompts.spans
    mask = np.zeros((size, before + size), np.bool_)
    mask[:, : branch.shared] = True
    mask[:, span[0] : span[1]] = True
    tokens = np.zeros(size, np.int64)
    positions = np.zeros(size, np.int64)
    for text, at in nodes.items():
        tokens[at] = text[-1] if text else branch.prompt[-1]
        positions[at] = branch.shared + len(branch.prompt) - 1 + len(text)
        if text:
            mask[at, before:] = mask[nodes[text[:-1]], before:]
        mask[at, before + at] = True
    return PackedRow(tokens, positions, mask, ())
