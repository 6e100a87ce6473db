"""The server's side of a federation of adapters: whose matrices are believed, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codebuddy.errors import UsageError
from codebuddy.federation.adapter_part import PROTOCOL
from codebuddy.federation.adapter_weights import Array, Parts, averaged, norm, scaled
from codebuddy.federation.strategy import HeadStrategy, Rules


class AdapterStrategy(HeadStrategy):
    """As for a head, with the mean of products B A; clients begin the first round anew.

    A mean with numbers that no training gives is not taken; the weights stay those of before.
    `lost` is, by round, the share of the mean's square that the rank could not hold.

    Args:
        rules: How; `aggregate` must be the mean, and there is no noise.
        parts: What adapters of the base change.
        trained_for: As clients say it.
        on_round: Called after each round with its number and the weights.

    Raises:
        UsageError: Rules that hold for heads alone.
    """

    protocol = PROTOCOL
    most_examples = 4_000

    def __init__(self, rules: Rules, parts: Parts, trained_for: str, on_round: Any = None) -> None:
        if rules.aggregate != "mean" or rules.privacy is not None:
            raise UsageError(
                "medians and noise are for heads: an adapter's matrices have no mean by number",
                hint="--norm-bound bounds what one client can do",
            )
        super().__init__(rules, [], trained_for, on_round)
        self.parts = parts
        self.lost: dict[int, float] = {}

    def _config(self) -> dict[str, Any]:
        # How long a client trains is its own affair.
        return {}

    def _believed(self, answer: Any) -> list[Array] | None:
        try:
            weights = self._common.parameters_to_ndarrays(answer.parameters)
        except Exception:  # noqa: BLE001
            return None
        return weights if self.parts.are_of(weights) and answer.num_examples >= 1 else None

    def _bounded(self, change: Sequence[Array]) -> tuple[list[Array], bool]:
        length = norm(change)
        if length <= self.rules.norm_bound:
            return list(change), False
        return scaled(change, self.rules.norm_bound / length), True

    def _next(self, taken: list[tuple[list[Array], int]], server_round: int) -> list[Array]:
        with np.errstate(over="ignore"):
            weights, lost = averaged(taken, self.parts.rank)
        if not self.parts.are_of(weights):
            return self.weights
        self.lost[server_round] = lost
        return weights
