"""A participant as Flower calls it: four answers, each of numbers alone.

Flower's classes are not inherited from, since they are imported late; its client is whatever has
these methods. An error in one of them is answered as such: Flower would end the process otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from codebuddy.errors import TrainingError
from codebuddy.federation.flower import flower
from codebuddy.federation.participant import Participant
from codebuddy.federation.weights import Array, StepConfig

# What clients and server must agree in; raise it when weights, features or messages change.
PROTOCOL = "codebuddy-head-1"
_MAX_STEPS = 1_000

# An aggregate came; nothing is answered to it.
OnAggregate = Callable[[Sequence[Array]], None]


class Client:
    """What Flower asks of every participant, and is answered alike by all."""

    def __init__(self) -> None:
        self._common = flower("flwr.common")
        # Why the last update was not sent or the last aggregate not judged, if so.
        self.problem = ""

    def to_client(self) -> Client:
        """As Flower asks for it."""
        return self

    def get_context(self) -> Any:
        """Flower's state of a client; not used."""
        return getattr(self, "_context", None)

    def set_context(self, context: Any) -> None:
        """See `get_context`."""
        self._context = context

    def get_properties(self, _ins: Any) -> Any:
        """What the server must know to ask it.

        Raises:
            NotImplementedError: Always; each participant has its own.
        """
        raise NotImplementedError

    def get_parameters(self, _ins: Any) -> Any:
        """None: the server begins with weights of its own."""
        return self._common.GetParametersRes(status=self._ok(), parameters=self._parameters([]))

    def fit(self, _ins: Any) -> Any:
        """The answer to the weights that came.

        Raises:
            NotImplementedError: Always; each participant has its own.
        """
        raise NotImplementedError

    def evaluate(self, ins: Any) -> Any:
        """Take an aggregate to judge; the answer is the same whatever comes of it."""
        try:
            self._take(self._received(ins.parameters))
        except Exception as error:  # noqa: BLE001 - Flower would end the process
            self._failed("an aggregate was not judged", error)
        return self._common.EvaluateRes(status=self._ok(), loss=0.0, num_examples=1, metrics={})

    def _take(self, weights: Sequence[Array]) -> None:
        """Judge an aggregate."""

    def _sent(self, weights: Sequence[Array], n_examples: int) -> Any:
        """An answer that counts."""
        return self._common.FitRes(
            status=self._ok(),
            parameters=self._parameters(weights),
            num_examples=n_examples,
            metrics={},
        )

    def _not_sent(self, error: Exception) -> Any:
        """An answer without an update; the reason stays here."""
        self._failed("no update was sent", error)
        common = self._common
        return common.FitRes(
            status=common.Status(common.Code.FIT_NOT_IMPLEMENTED, "no update"),
            parameters=self._parameters([]),
            num_examples=0,
            metrics={},
        )

    def _failed(self, what: str, error: Exception) -> None:
        """Keep why, and where for whoever looks for a fault."""
        self.problem = f"{what}: {str(error) or type(error).__name__}"
        logging.getLogger(__name__).debug("%s", what, exc_info=error)

    def _properties(self, protocol: str, trained_for: str, n_examples: int) -> Any:
        properties = {"protocol": protocol, "trained_for": trained_for, "n_examples": n_examples}
        return self._common.GetPropertiesRes(status=self._ok(), properties=properties)

    def _received(self, parameters: Any) -> list[Array]:
        """The numbers that the server sent.

        Raises:
            TrainingError: They are none.
        """
        try:
            return list(self._common.parameters_to_ndarrays(parameters))
        except Exception as error:
            # Whatever damaged bytes come to: EOFError, BadZipFile, ValueError.
            raise TrainingError("what the server sent are no numbers") from error

    def _parameters(self, weights: Sequence[Array]) -> Any:
        return self._common.ndarrays_to_parameters(list(weights))

    def _ok(self) -> Any:
        return self._common.Status(self._common.Code.OK, "")


class HeadClient(Client):
    """Answers the server for one participant.

    Args:
        participant: Whose labels.
        trained_for: What the labels hold for: one model and one set of budgets.
        on_aggregate: Called with each aggregate that is sent to be judged.
        on_update: Called before an update is sent, with its number.
    """

    def __init__(
        self,
        participant: Participant,
        trained_for: str,
        on_aggregate: OnAggregate | None = None,
        on_update: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._participant = participant
        self._trained_for = trained_for
        self._on_aggregate = on_aggregate
        self._on_update = on_update

    def get_properties(self, _ins: Any) -> Any:
        """Which head it is for, and how many labels it has; with privacy only that it has some."""
        participant = self._participant
        n_examples = len(participant.learned) if participant.may_send else 0
        if participant.privacy is not None:
            n_examples = min(1, n_examples)
        return self._properties(PROTOCOL, self._trained_for, n_examples)

    def fit(self, ins: Any) -> Any:
        """The update for the weights that came."""
        try:
            config = _config(ins.config)
            sent = self._received(ins.parameters)
            update = self._participant.update(sent, config)
            if self._on_update is not None:
                self._on_update(self._participant.n_sent)
            answer = self._sent(update.change, update.n_examples)
        except Exception as error:  # noqa: BLE001 - as above
            return self._not_sent(error)
        self.problem = ""
        return answer

    def _take(self, weights: Sequence[Array]) -> None:
        if self._on_aggregate is not None:
            self._on_aggregate(weights)


def _config(content: Any) -> StepConfig:
    """How to take the step; what the server says is bounded.

    Raises:
        ValueError: A number makes no sense.
    """
    config = StepConfig(
        int(content["n_steps"]), float(content["penalty"]), float(content["proximal"])
    )
    if not (
        1 <= config.n_steps <= _MAX_STEPS
        and 0 <= config.penalty <= 100
        and 0 <= config.proximal <= 1_000
    ):
        raise ValueError("the server asks for a step that makes no sense")
    return config
