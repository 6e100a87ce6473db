"""A training run in a file, so that it goes on where it stopped."""

from __future__ import annotations

import contextlib
import io
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
    weights = _weights(model)
    state = {name: each.state_dict() for name, each in optimizers.items()}
    _save({"run": run, "weights": weights, "optimizers": state, "progress": progress}, file)


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
    put_weights(model, kept["weights"])
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(kept["optimizers"][name])
    done, left_out, spent = kept["progress"]
    return done, left_out, spent


def write_weights(model: Any, file: Path, loss: float) -> None:
    """Keep the adapters' weights and the loss that they have, whole or not at all."""
    _save({"loss": loss, "weights": _weights(model)}, file)


def _save(content: Mapping[str, Any], file: Path) -> None:
    import torch

    # By way of memory: torch calls a full disk a bug of its own.
    held = io.BytesIO()
    torch.save(dict(content), held)
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(held.getbuffer())
    partial.replace(file)


def read_weights(file: Path) -> tuple[float, dict[str, Any]] | None:
    """The loss and the weights of `write_weights`; `None` where there are none."""
    import torch

    if not file.exists():
        return None
    kept = torch.load(file, weights_only=True)
    return float(kept["loss"]), kept["weights"]


def remove_damaged(*files: Path | None) -> None:
    """Delete files of states that cannot be read: the run begins anew then."""
    for file in files:
        if file is not None and file.exists() and not _is_sound(file):
            file.unlink()


def _is_sound(file: Path) -> bool:
    import pickle
    import zipfile

    import torch

    if zipfile.is_zipfile(file):
        with contextlib.suppress(
            RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError
        ):
            torch.load(file, weights_only=True)
            return True
    return False


def remove_other(file: Path, run: str) -> bool:
    """Delete a sound file of states that is of another run than `run`; whether it was."""
    import torch

    if not file.exists() or torch.load(file, weights_only=True).get("run") == run:
        return False
    file.unlink()
    return True


def put_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Give the adapters of the model these weights."""
    import torch

    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in weights.items():
            parameters[name].copy_(values)


def _weights(model: Any) -> dict[str, Any]:
    return {n: p.detach().cpu() for n, p in model.named_parameters() if "lora_" in n}
