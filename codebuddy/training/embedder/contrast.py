"""Contrastive training of a static embedding with sentence-transformers.

A pair's two texts are drawn together, all other texts of the batch pushed away (multiple
negatives ranking). Batches are put together from runs of one repository's pairs, because
telling apart the functions of one repository is what the model is for. Beside it, tokens are
spread over the sphere, as ContraCLM (Jain et al., 2023) does within a sequence. It knows
nothing of where pairs come from.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from codebuddy.training.embedder.pairs import Pair

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments

# How much of each kind of pairs an epoch draws: questions in words are what is hard.
SHARES = {"doc": 1.0, "comment": 1.0, "name": 0.5, "call": 0.5, "test": 0.5, "neighbour": 0.1}

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How to train; the defaults are what the shipped model was trained with.

    `run_pairs` is how many pairs of one repository stand together in a batch; `spread_weight`
    weighs the spreading of tokens, `spread_tokens` how many are spread in a step.
    Longer texts are cut at `max_characters`.
    """

    epochs: int = 2
    batch_pairs: int = 1024
    run_pairs: int = 64
    learning_rate: float = 0.05
    scale: float = 25.0
    spread_weight: float = 0.1
    spread_tokens: int = 1024
    max_characters: int = 1500
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    seed: int = 20260


def arranged(
    repositories: Sequence[Sequence[Pair]], config: TrainingConfig, epoch: int
) -> list[Pair]:
    """An epoch's pairs in runs of `run_pairs` of one repository, the runs in random order."""
    rng = random.Random(f"{config.seed}-{epoch}")
    runs: list[list[Pair]] = []
    for pairs in repositories:
        shuffled = [
            Pair(
                each.kind,
                each.query[: config.max_characters],
                each.positive[: config.max_characters],
            )
            for each in pairs
            if rng.random() < config.shares[each.kind]
        ]
        rng.shuffle(shuffled)
        runs += [
            shuffled[start : start + config.run_pairs]
            for start in range(0, len(shuffled), config.run_pairs)
        ]
    rng.shuffle(runs)
    return [pair for run in runs for pair in run]


def train(
    tokenizer: Any,
    rows: Rows,
    repositories: Sequence[Sequence[Pair]],
    folder: Path,
    config: TrainingConfig,
) -> Rows:
    """The rows after training.

    Args:
        tokenizer: A `tokenizers.Tokenizer` with as many tokens as `rows` has rows.
        rows: Where training begins.
        repositories: The pairs of each repository.
        folder: For checkpoints; a run that was stopped goes on from the last one.
        config: How to train.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from torch.utils.data import BatchSampler, SequentialSampler

    class InOrder(SentenceTransformerTrainer):
        """Takes the pairs as they were arranged; epochs are already in the arrangement."""

        def get_batch_sampler(
            self, dataset: Any, batch_size: int, *arguments: Any, **options: Any
        ) -> BatchSampler:
            return BatchSampler(SequentialSampler(dataset), batch_size, drop_last=True)

    model = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=rows.copy())], device="cpu"
    )
    pairs = [
        pair for epoch in range(config.epochs) for pair in arranged(repositories, config, epoch)
    ]
    trainer = InOrder(
        model=model,
        args=_arguments(folder, config),
        train_dataset=Dataset.from_dict(
            {"query": [each.query for each in pairs], "positive": [each.positive for each in pairs]}
        ),
        loss=_loss(model, config),
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    static: Any = model[0]
    return np.asarray(static.embedding.weight.detach().numpy(), np.float32)


def _arguments(folder: Path, config: TrainingConfig) -> SentenceTransformerTrainingArguments:
    from sentence_transformers import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=config.batch_pairs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=50,
        weight_decay=0.0,
        max_grad_norm=0.0,
        seed=config.seed,
        use_cpu=True,
        logging_steps=20,
        save_steps=200,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
    )


def _loss(model: SentenceTransformer, config: TrainingConfig) -> torch.nn.Module:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    class SpreadRankingLoss(MultipleNegativesRankingLoss):
        """Ranking, plus how much the batch's tokens crowd together (Wang and Isola, 2020)."""

        def forward(self, sentence_features: Any, labels: torch.Tensor) -> torch.Tensor:
            features = list(sentence_features)
            tokens = torch.unique(torch.cat([each["input_ids"] for each in features]))
            loss: torch.Tensor = super().forward(features, labels)
            if not config.spread_weight:
                return loss
            drawn = tokens[torch.randperm(len(tokens))[: config.spread_tokens]]
            static: Any = model[0]
            unit = torch.nn.functional.normalize(static.embedding.weight[drawn], dim=1)
            crowding: torch.Tensor = torch.exp(4 * (unit @ unit.T) - 4).mean().log()
            return loss + config.spread_weight * crowding

    return SpreadRankingLoss(model, scale=config.scale, directions=("query_to_doc", "doc_to_query"))
