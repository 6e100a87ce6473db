"""What a server of adapters begins with and ends with: the shapes of a model's, and a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy.errors import TrainingError
from codebuddy.federation.adapter_part import trained_for_text, write_weights
from codebuddy.federation.adapter_strategy import AdapterStrategy
from codebuddy.federation.adapter_weights import parts_of
from codebuddy.federation.strategy import Rules
from codebuddy.training.adapter.export import write_card
from codebuddy.training.own.fitting import RANK

if TYPE_CHECKING:
    from codebuddy.inference.own_adapters import Base


def strategy_for(model: str | None, rules: Rules) -> tuple[AdapterStrategy, Base]:
    """Rounds over adapters of a model, by its name; None for that of the settings.

    Raises:
        CodebuddyError: The model is not here.
    """
    from codebuddy.config import load_settings
    from codebuddy.inference.installed import find_model
    from codebuddy.inference.own_adapters import base_of
    from codebuddy.paths import whole_model_name

    flags = {} if model is None else {"model.name": whole_model_name(model)}
    settings = load_settings(None, flags=flags).settings
    base = base_of(find_model(settings.model.name, settings))
    parts = parts_of(base.header, RANK)
    return AdapterStrategy(rules, parts, trained_for_text(base)), base


def save_aggregate(file: Path, strategy: AdapterStrategy, base: Base) -> bool:
    """Write the final matrices as an adapter with its card; whether there are any.

    Raises:
        TrainingError: It cannot be written.
    """
    if not strategy.weights:
        return False
    made_by = {"federated": len(strategy.rounds), "model": base.name}
    try:
        alpha = write_weights(file, strategy.weights, strategy.parts, base)
        write_card(file, [base.digest], RANK, alpha, made_by, {})
    except OSError as error:
        raise TrainingError(f"{file} cannot be written: {error.strerror}") from error
    return True
