"""The folder of a repository's adapters: its lock, and keeping what was trained with its card."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from codebuddy import platforms
from codebuddy.errors import TrainingError
from codebuddy.inference import own_adapters
from codebuddy.inference.adapter_card import IMPORTED, read_card
from codebuddy.inference.own_adapters import Base, StoredAdapter
from codebuddy.private_files import make_folder
from codebuddy.training.adapter.export import write_card
from codebuddy.training.own.fitting import RANK, Trained
from codebuddy.training.own.judging import Verdict
from codebuddy.vcs.repository import Repository
from codebuddy.vcs.worktrees import adapters_folder

# Files that a card names.
MAX_NAMED = 200


@contextlib.contextmanager
def alone(repository: Repository) -> Iterator[Path]:
    """Hold the lock of a repository's adapters; gives their folder, made where there was none.

    Raises:
        TrainingError: Another training holds it, or it cannot be had.
    """
    folder = adapters_folder(repository)
    assert folder is not None
    try:
        make_folder(folder, 2)
    except OSError as error:
        raise TrainingError(f"cannot make the folder {folder}: {error.strerror}") from error
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(platforms.exclusive_lock(folder / "training.lock", 0.0))
        except TimeoutError as error:
            raise TrainingError(
                "another training of this repository's adapter runs", hint="wait for its end"
            ) from error
        except OSError as error:
            raise TrainingError(f"cannot lock {folder}: {error.strerror}") from error
        # What fails under the lock is none of its failures.
        yield folder


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
    followed; what was imported stays.

    Args:
        folder: Of the repository's adapters; the caller holds its lock.
        base: What it changes.
        name: Of the adapter; a number goes behind it where an imported one is called so.
        trained: The adapter; its file is moved.
        verdict: What the comparison said.
        facts: What its card says of how it was made; of lists the first 200 entries.

    Returns:
        The name.
    """
    in_use = own_adapters.used(folder, base.digest)
    known = own_adapters.stored(folder)
    name = _free(name, {each.name for each in known if each.card.get(IMPORTED)})
    mine = {each.name for each in known if _is_mine(each, base)}
    for old in mine - {name, in_use}:
        own_adapters.remove(folder, old)
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
    own_adapters.trust(str(read_card(card)["sha256"]))
    if verdict.is_better:
        own_adapters.use(folder, base.digest, name)
        if in_use in mine - {name}:
            own_adapters.remove(folder, in_use)
    return name


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, 3 + len(taken)))
    return next(each for each in (name, *numbered) if each not in taken)


def _is_mine(stored: StoredAdapter, base: Base) -> bool:
    """Whether a training of this repository made it, for the same base."""
    is_trained = "groups" in stored.card.get("made_by", {}) and not stored.card.get(IMPORTED)
    return is_trained and base.digest in stored.bases
