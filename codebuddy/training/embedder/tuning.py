"""Tuning the static model on questions, with the chunks as the index reads them.

Each step has three parts. *Pairs*: as in contrastive training. *Asked*: documented functions by
their documentation in other words; beside the right one, the transformer says how near the other
functions' documentation is to the question, also for titles that have no answer here. *Said*:
short texts among themselves, whose likeness the transformer knows (Tang et al., 2019, after
Hinton et al., 2015: matching softened similarities). Rows of tokens that a step does not meet stay
as they are. It knows nothing of files.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from codebuddy.index.chunk_bag import RUN, bag_of
from codebuddy.training.embedder.asking import question_of
from codebuddy.training.embedder.contrast import SHARES, Rows
from codebuddy.training.embedder.examples import Example

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
Tokens = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class TuningConfig:
    """How to tune; the defaults are what the shipped model was tuned with.

    Of each part, so many texts stand in a step: `pairs`, `asked` with `titles` beside them, and
    `said`. Texts of one repository stand together in runs of `run`. The transformer's part counts
    `taught`, the right function of a question `right`. The rows end `kept` of the way back to where
    they began: half way they answer questions as well, and lose nothing elsewhere (weights
    averaged, Wortsman et al., 2022).
    """

    steps: int = 500
    pairs: int = 512
    run: int = 64
    asked: int = 512
    titles: int = 256
    said: int = 768
    learning_rate: float = 0.02
    warmup: int = 50
    scale: float = 25.0
    taught: float = 1.0
    right: float = 0.5
    kept: float = 0.5
    shares: Mapping[str, float] = field(default_factory=lambda: {**SHARES, "title": 1.0})
    seed: int = 20260


@dataclass(frozen=True, slots=True)
class Teaching:
    """What is learned from: examples by repository, texts without an answer, and the teacher.

    `vectors_of` gives the transformer's unit vectors of short texts.
    """

    repositories: Sequence[Sequence[Example]]
    titles: Sequence[str]
    vectors_of: Callable[[Sequence[str]], Vectors]


class Tokenized:
    """Bags of runs as tokens and what each counts."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def of_bag(self, bag: Mapping[str, float]) -> Tokens:
        """The tokens of a chunk."""
        new = [run for run in bag if run not in self._known]
        if new:
            encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
            self._known.update((run, each.ids) for run, each in zip(new, encodings, strict=True))
        counts: dict[int, float] = {}
        for run, weight in bag.items():
            for token in self._known[run]:
                counts[token] = counts.get(token, 0.0) + weight
        return np.fromiter(counts, np.int64), np.fromiter(counts.values(), np.float32)

    def of_text(self, text: str) -> Tokens:
        """The tokens of a question, each as often as it stands there."""
        bag: dict[str, float] = {}
        for run in RUN.findall(text):
            bag[run] = bag.get(run, 0.0) + 1
        return self.of_bag(bag)


def tune(
    tokenizer: Any,
    rows: Rows,
    teaching: Teaching,
    config: TuningConfig,
    note: Callable[[str], None],
) -> Rows:
    """The rows after tuning.

    Args:
        tokenizer: A `tokenizers.Tokenizer` with as many tokens as `rows` has rows.
        rows: Where tuning begins.
        teaching: What is learned from.
        config: How to tune.
        note: Called with how far it is.
    """
    import torch

    torch.manual_seed(config.seed)
    table = _Table(torch.tensor(rows, dtype=torch.float32), config)
    tokenized = Tokenized(tokenizer)
    parts = (
        _pairs(teaching, tokenized, config),
        _asked(teaching, tokenized, config),
        _said(teaching, tokenized, config),
    )
    mean = 0.0
    for step in range(config.steps):
        loss = table.step(step, [next(part) for part in parts])
        mean += (loss - mean) * max(0.02, 1 / (step + 1))
        if (step + 1) % 50 == 0:
            note(f"step {step + 1} of {config.steps}, loss {mean:.3f}")
    return np.asarray(config.kept * rows + (1 - config.kept) * table.rows.numpy(), np.float32)


@dataclass(slots=True)
class _Batch:
    """Texts on the left and on the right, and the share of each right one for each left one.

    `wanted` is `[left, right]`, its rows sum to 1; `hard` counts what is right beyond doubt, on
    the diagonal, from both sides.
    """

    left: list[Tokens]
    right: list[Tokens]
    wanted: npt.NDArray[np.float32] | None
    soft: float
    hard: float


def _drawn(items: Sequence[Any], rng: random.Random) -> Iterator[Any]:
    """All items in random order, again and again."""
    order = list(range(len(items)))
    while True:
        rng.shuffle(order)
        yield from (items[each] for each in order)


def _runs(repositories: Sequence[Sequence[Any]], run: int, rng: random.Random) -> Iterator[Any]:
    """All repositories' items in runs of one repository, the runs in random order, for ever."""
    while True:
        runs = []
        for items in repositories:
            order = list(items)
            rng.shuffle(order)
            runs += [order[start : start + run] for start in range(0, len(order), run)]
        rng.shuffle(runs)
        yield from (each for one in runs for each in one)


def _document(example: Example, tokenized: Tokenized) -> Tokens:
    return tokenized.of_bag(bag_of(example.path, example.symbol, example.text))


def _pairs(teaching: Teaching, tokenized: Tokenized, config: TuningConfig) -> Iterator[_Batch]:
    rng = random.Random(f"{config.seed}-pairs")
    kept = [
        [each for each in examples if rng.random() < config.shares.get(each.kind, 0.0)]
        for examples in teaching.repositories
    ]
    drawn = _runs(kept, config.run, rng)
    while True:
        batch = [next(drawn) for _ in range(config.pairs)]
        asked = [
            question_of(each.query, each.language, rng)
            if each.kind in ("doc", "title") and rng.random() < 0.4
            else each.query
            for each in batch
        ]
        yield _Batch(
            [tokenized.of_text(each) for each in asked],
            [_document(each, tokenized) for each in batch],
            None,
            0.0,
            1.0,
        )


def _asked(teaching: Teaching, tokenized: Tokenized, config: TuningConfig) -> Iterator[_Batch]:
    rng = random.Random(f"{config.seed}-asked")
    asked = [[e for e in each if e.kind in ("asked", "title")] for each in teaching.repositories]
    drawn = _runs(asked, config.run, rng)
    titles = _drawn(teaching.titles, rng)
    while True:
        batch = [next(drawn) for _ in range(config.asked)]
        others = [next(titles) for _ in range(config.titles)]
        said = teaching.vectors_of([each.query for each in batch])
        near = np.concatenate([said, teaching.vectors_of(others)]) @ said.T
        questions = [question_of(each.query, each.language, rng) for each in batch]
        yield _Batch(
            [tokenized.of_text(each) for each in (*questions, *others)],
            [_document(each, tokenized) for each in batch],
            _shares(near, config.scale),
            config.taught,
            config.right,
        )


def _said(teaching: Teaching, tokenized: Tokenized, config: TuningConfig) -> Iterator[_Batch]:
    rng = random.Random(f"{config.seed}-said")
    lines = [e for each in teaching.repositories for e in each if e.kind in ("asked", "title")]
    drawn, titles = _drawn(lines, rng), _drawn(teaching.titles, rng)
    while True:
        examples = [next(drawn) for _ in range(config.said)]
        others = [next(titles) for _ in range(config.said // 3)]
        texts = [*(each.query for each in examples), *others]
        order = list(range(len(texts)))
        rng.shuffle(order)
        left, right = order[: len(order) // 2], order[len(order) // 2 :]
        vectors = teaching.vectors_of(texts)
        put = [
            question_of(each.query, each.language, rng) if rng.random() < 0.5 else each.query
            for each in examples
        ] + others
        yield _Batch(
            [tokenized.of_text(put[each]) for each in left],
            [tokenized.of_text(put[each]) for each in right],
            _shares(vectors[left] @ vectors[right].T, config.scale),
            config.taught,
            0.0,
        )


def _shares(near: npt.NDArray[np.float32], scale: float) -> npt.NDArray[np.float32]:
    powers = np.exp(scale * (near - near.max(axis=1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


class _Table:
    """The rows with Adam's moments (Kingma and Ba, 2015), of which a step moves those it meets."""

    def __init__(self, rows: torch.Tensor, config: TuningConfig) -> None:
        self.rows = rows
        self._first = rows.new_zeros(rows.shape)
        self._second = rows.new_zeros(rows.shape)
        self._met = rows.new_zeros((len(rows), 1))
        self._config = config

    def step(self, number: int, batches: Sequence[_Batch]) -> float:
        """One step on the sum of all batches' losses; returns it."""
        import torch

        tokens = [each[0] for batch in batches for each in (*batch.left, *batch.right)]
        met, places = np.unique(np.concatenate(tokens), return_inverse=True)
        chosen = torch.from_numpy(met)
        rows = self.rows[chosen].requires_grad_()
        weights = [each[1] for batch in batches for each in (*batch.left, *batch.right)]
        starts = np.cumsum([0, *(len(each) for each in tokens)][:-1])
        vectors = torch.nn.functional.normalize(
            torch.nn.functional.embedding_bag(
                torch.from_numpy(places),
                rows,
                torch.from_numpy(starts),
                mode="sum",
                per_sample_weights=torch.from_numpy(np.concatenate(weights)),
            ),
            dim=1,
        )
        loss, begin = vectors.new_zeros(()), 0
        for batch in batches:
            middle, end = begin + len(batch.left), begin + len(batch.left) + len(batch.right)
            loss = loss + self._loss(vectors[begin:middle], vectors[middle:end], batch)
            begin = end
        loss.backward()  # type: ignore[no-untyped-call]
        self._move(chosen, rows.grad, number)
        return float(loss.detach())

    def _loss(self, left: torch.Tensor, right: torch.Tensor, batch: _Batch) -> torch.Tensor:
        import torch

        scores = self._config.scale * left @ right.T
        loss = scores.new_zeros(())
        if batch.soft and batch.wanted is not None:
            shares = torch.log_softmax(scores, dim=1)
            loss = loss - batch.soft * (torch.from_numpy(batch.wanted) * shares).sum(dim=1).mean()
        if batch.hard:
            paired = scores[: len(right)]
            own = torch.arange(len(right))
            entropy = torch.nn.functional.cross_entropy
            loss = loss + batch.hard / 2 * (entropy(paired, own) + entropy(paired.T, own))
        return loss

    def _move(self, chosen: torch.Tensor, slope: Any, number: int) -> None:
        config = self._config
        share = number / config.steps
        rate = config.learning_rate * min(1.0, (number + 1) / config.warmup)
        rate *= (1 + math.cos(math.pi * share)) / 2
        self._met[chosen] += 1
        first = self._first[chosen].mul_(0.9).add_(slope, alpha=0.1)
        second = self._second[chosen].mul_(0.999).addcmul_(slope, slope, value=0.001)
        self._first[chosen], self._second[chosen] = first, second
        times = self._met[chosen]
        first = first / (1 - 0.9**times)
        second = second / (1 - 0.999**times)
        self.rows[chosen] -= rate * first / (second.sqrt() + 1e-8)
