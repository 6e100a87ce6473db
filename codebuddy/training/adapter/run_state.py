"""A training run in a file, so that it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def keep(
    model: Any,
    optimizers: Mapping[str, Any],
    file: Path,
    run: str,
    progress: tuple[int, int, float],
) -> None:
    """Write the run that `run` describes, whole or not at all.

    Args:
        model: With its adapters.
        optimizers: By adapter.
        file: Where to.
        run: What it must be again to go on.
        progress: Steps done, batches left out and seconds spent.
    """
    import torch

    weights = {n: p.detach().cpu() for n, p in model.named_parameters() if "lora_" in n}
    state = {name: each.state_dict() for name, each in optimizers.items()}
    partial = file.with_name(file.name + ".partial")
    torch.save({"run": run, "weights": weights, "optimizers": state, "progress": progress}, partial)
    partial.replace(file)


def resume(
    model: Any, optimizers: Mapping[str, Any], file: Path | None, run: str
) -> tuple[int, int, float]:
    """The progress of the run in `file`, with its weights and optimizers taken up.

    Raises:
        ValueError: The file is of another run.
    """
    import torch

    if file is None or not file.exists():
        return 0, 0, 0.0
    kept = torch.load(file, weights_only=True)
    if kept.get("run") != run:
        raise ValueError(f"{file} is of a run with other samples or options: remove it to begin")
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in kept["weights"].items():
            parameters[name].copy_(values)
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(kept["optimizers"][name])
    done, left_out, spent = kept["progress"]
    return done, left_out, spent
