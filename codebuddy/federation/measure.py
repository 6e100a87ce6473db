"""What a simulation is judged by: AUROC on holes that no client learned from."""

from __future__ import annotations

from collections.abc import Sequence

from codebuddy.evaluation.statistics import auroc
from codebuddy.federation.weights import STAGES, Array, Data, StepConfig, scores_of, step, zeros

# Enough for the loss of all labels together to end up where it will.
_CENTRAL_STEPS = 1_500


def aurocs(weights: Sequence[Array], data: Data) -> dict[str, float | None]:
    """By stage, how well scores tell where a lookup helps; None without both kinds."""
    return {
        stage.name: auroc(
            scores_of(weights[number], data.inputs[number]).tolist(),
            [bool(each) for each in data.helped[number]],
        )
        for number, stage in enumerate(STAGES)
    }


def centralised(data: Data, config: StepConfig) -> list[Array]:
    """The weights that all labels in one place would give."""
    return step(zeros(), data, StepConfig(_CENTRAL_STEPS, config.penalty))
