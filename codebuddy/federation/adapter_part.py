"""A repository's part in a federation of adapters: it trains, sends matrices, judges the mean.

The training is that of `codebuddy train adapter`: the same files, samples, steps and stopping, and
the same holes that judge. No code, text or path travels: matrices of low rank, and the number of
stretches of code behind them. What such matrices may tell of the code is not bounded here, as it
is for a head with noise.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codebuddy.errors import CodebuddyError, TrainingError
from codebuddy.federation.adapter_weights import Array, Parts, parts_of
from codebuddy.federation.client import Client
from codebuddy.inference.own_adapters import StoredAdapter
from codebuddy.terminal import StatusLine
from codebuddy.training.adapter.export import read_matrices, write_adapter
from codebuddy.training.own.fitting import RANK, alpha_of
from codebuddy.training.own.keeping import alone
from codebuddy.training.own.on_repository import surroundings_of
from codebuddy.training.own.run import Options, OwnTraining

if TYPE_CHECKING:
    from codebuddy.inference.own_adapters import Base
    from codebuddy.service.context import RepositoryContext
    from codebuddy.training.own.cutting import Samples
    from codebuddy.training.own.judging import Verdict

PROTOCOL = "codebuddy-adapter-1"
_WORK, _NAME = "federated", "-federated"


@dataclass(slots=True)
class AdapterPart:
    """A repository that takes part; `opened` makes one.

    `verdict` is what its held-out holes said of the last aggregate, `name` what that is called
    here, `problem` why there is no verdict.
    """

    repository_context: RepositoryContext
    base: Base
    training: Callable[[], OwnTraining]
    samples: Samples
    parts: Parts
    keeps: bool
    verdict: Verdict | None = field(init=False, default=None)
    name: str = field(init=False, default="")
    problem: str = field(init=False, default="")
    n_rounds: int = field(init=False, default=0)

    @property
    def trained_for(self) -> str:
        """What its matrices change: one file's weights, by one rank."""
        return trained_for_text(self.base)

    @property
    def n_examples(self) -> int:
        """Stretches of its code that it learns from."""
        return len(self.samples.groups["learned"])

    def learn(self, weights: Sequence[Array]) -> list[Array]:
        """The matrices after a training that begins with these; none begins anew.

        Raises:
            TrainingError: They are none of an adapter of this base, or the training fails.
        """
        training = self.training()
        start = None
        if weights:
            start = StoredAdapter("aggregate", self._written(weights), {"sha256": ""})
        # What an earlier round left would be gone on from.
        for state in training.work.glob("*.state"):
            state.unlink()
        trained = training.train(self.samples, start)
        gc.collect()
        self.n_rounds += 1
        found = read_matrices(trained.file)
        return [
            matrix.astype(np.float16)
            for name in self.parts.names
            for matrix in found.get(name, (np.zeros(0), np.zeros(0)))
        ]

    def take(self, weights: Sequence[Array]) -> None:
        """Judge an aggregate by the held-out holes, and use it if they say so."""
        try:
            training = self.training()
            explained = training.explained(self.samples, self._written(weights))
            gc.collect()
            verdict = training.compare(self.samples, explained)
            if self.keeps:
                self.name = training.keep(self.samples, explained, verdict, None, _NAME)
        except (CodebuddyError, OSError) as error:
            self.problem = getattr(error, "message", str(error))
            return
        self.verdict = verdict

    def as_json(self) -> dict[str, Any]:
        """What came of it."""
        verdict = self.verdict
        return {
            "repository": str(self.repository_context.root),
            "examples": self.n_examples,
            "rounds": self.n_rounds,
            "adapter": self.name or None,
            "is_better": verdict is not None and verdict.is_better,
            "compared": verdict and verdict.as_json(),
            "problem": self.problem,
        }

    def _written(self, weights: Sequence[Array]) -> Path:
        if not self.parts.are_of(weights):
            raise TrainingError("the server's matrices are no adapter of this repository's model")
        file = self.training().work / "aggregate.gguf"
        write_weights(file, weights, self.parts, self.base)
        return file


def trained_for_text(base: Base) -> str:
    """What an adapter's matrices change, as clients and server say it."""
    return f"{base.digest} rank {RANK}"


def write_weights(file: Path, weights: Sequence[Array], parts: Parts, base: Base) -> float:
    """Write matrices as they travel as an adapter's file; returns its alpha.

    Raises:
        OSError: It cannot be written.
    """
    pairs = zip(weights[::2], weights[1::2], strict=True)
    matrices, alpha = dict(zip(parts.names, pairs, strict=True)), alpha_of(RANK)
    write_adapter(file, matrices, base.header.architecture, alpha, is_permuted=True)
    return alpha


@contextmanager
def opened(
    repository_context: RepositoryContext,
    minutes: float,
    seed: int,
    status: StatusLine,
    show: Callable[[str], None] = lambda _: None,
    *,
    keeps: bool = True,
) -> Iterator[AdapterPart]:
    """A repository that takes part; its adapters are locked meanwhile.

    Args:
        repository_context: Repository and settings.
        minutes: Of each round.
        seed: Of all choices.
        status: Says what is waited for.
        show: Told in words how far it is.
        keeps: Whether an aggregate is kept beside the index, and used where it is better.

    Raises:
        CodebuddyError: There is too little code, or the model cannot be adapted.
    """
    around, base = surroundings_of(repository_context, status, show)
    with alone(around.repository) as folder:

        def training() -> OwnTraining:
            # A new one for each round, whose time begins with it.
            return OwnTraining(around, base, Options(minutes, seed), folder, _WORK)

        first = training()
        try:
            samples = first.samples(None)
            assert samples is not None
            parts = parts_of(base.header, RANK)
            yield AdapterPart(repository_context, base, training, samples, parts, keeps)
        finally:
            shutil.rmtree(first.work, ignore_errors=True)


class AdapterClient(Client):
    """Answers the server for a repository's part.

    Args:
        part: Which one.
        is_sent: Called before matrices are sent.
    """

    def __init__(self, part: AdapterPart, is_sent: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._part = part
        self._is_sent = is_sent

    def get_properties(self, _ins: Any) -> Any:
        """Which weights its matrices change, and how many stretches of code it has."""
        return self._properties(PROTOCOL, self._part.trained_for, self._part.n_examples)

    def fit(self, ins: Any) -> Any:
        """The matrices after one training."""
        try:
            weights = self._part.learn(self._received(ins.parameters))
            self._is_sent()
            answer = self._sent(weights, self._part.n_examples)
        except Exception as error:  # noqa: BLE001 - Flower would end the process
            return self._not_sent(error)
        self.problem = ""
        return answer

    def _take(self, weights: Sequence[Array]) -> None:
        self._part.take(weights)
