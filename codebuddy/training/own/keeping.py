"""Putting a trained adapter beside its card, and into use where it is better."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codebuddy.errors import ModelError
from codebuddy.inference import own_adapters
from codebuddy.inference.adapter_card import read_card
from codebuddy.inference.own_adapters import Base
from codebuddy.training.adapter.export import write_card
from codebuddy.training.own.fitting import RANK, Trained
from codebuddy.training.own.judging import Verdict

# Files that a card names.
MAX_NAMED = 200


def keep_adapter(
    folder: Path,
    base: Base,
    name: str,
    trained: Trained,
    verdict: Verdict,
    facts: Mapping[str, Any],
) -> str:
    """Keep an adapter in the repository's folder; use it if it is better.

    Earlier ones that were trained here for the same base go, but the one in use until it is
    followed.

    Args:
        folder: Of the repository's adapters; the caller holds its lock.
        base: What it changes.
        name: Of the adapter.
        trained: The adapter; its file is moved.
        verdict: What the comparison said.
        facts: What its card says of how it was made; of lists the first 200 entries.

    Returns:
        The name.
    """
    in_use = own_adapters.used(folder, base.digest)
    for old in own_adapters.stored(folder):
        is_mine = base.digest in old.bases and "groups" in old.card.get("made_by", {})
        if is_mine and old.name not in (name, in_use):
            own_adapters.remove(folder, old.name)
    file = folder / f"{name}.gguf"
    made_by = {
        **{
            key: value[:MAX_NAMED] if isinstance(value, list) else value
            for key, value in facts.items()
        },
        "model": base.name,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        **({} if trained.privacy is None else {"privacy": dict(trained.privacy)}),
    }
    figures = {
        "kept": verdict.is_better,
        "loss": {part: dict(each) for part, each in trained.loss.items()},
        "held_out_curve": list(trained.curve),
        **verdict.as_json(),
    }
    trained.file.replace(file)
    card = write_card(file, [base.digest], RANK, trained.alpha, made_by, figures)
    card.chmod(0o600)
    own_adapters.trust(str(read_card(card)["sha256"]))
    if verdict.is_better:
        own_adapters.use(folder, base.digest, name)
        if in_use not in ("", name, "none", "shipped"):
            with contextlib.suppress(ModelError):
                own_adapters.remove(folder, in_use)
    return name
