"""Decision heads on disk: where they are kept, and which one may be used.

The shipped head serves every repository; one that was adapted to a repository lies in its
codebuddy folder beside the index, never in the work tree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.completion.confidence import NAMES as CONFIDENCE_NAMES
from codebuddy.completion.features import NAMES
from codebuddy.completion.head import RETRIEVAL_VERSION, Head, load_head
from codebuddy.datatypes import Adapter
from codebuddy.errors import HeadError
from codebuddy.private_files import write_file
from codebuddy.settings import CompletionSettings
from codebuddy.vcs.repository import Repository

HEAD_NAME = "head.json"
LABELS_NAME = "head-labels.jsonl"
# What a head must have been trained for to be used with a model and settings.
_MUST_AGREE = ("model", "prefix_tokens", "suffix_tokens", "context_tokens")
# Keys of `trained_for` in which the labels of one head agree.
TRAINED_FOR = (*_MUST_AGREE, "adapter", "retrieval_version")


@dataclass(frozen=True, slots=True)
class ChosenHead:
    """The head to use, `None` if there is none, and what was refused on the way."""

    head: Head | None
    warnings: tuple[str, ...] = ()


def trained_for(
    model: str, settings: CompletionSettings, adapter: Adapter | None = None
) -> dict[str, Any]:
    """The model, its adapter and the retrieval that labels, and a head of them, hold for."""
    return {
        "model": model,
        "adapter": None if adapter is None else adapter.sha256,
        "retrieval_version": RETRIEVAL_VERSION,
        "prefix_tokens": settings.prefix_tokens,
        "suffix_tokens": settings.suffix_tokens,
        "context_tokens": settings.context_tokens,
    }


def default_head_file() -> Path:
    """The head that is shipped."""
    return paths.shipped_models_folder() / "head" / HEAD_NAME


def default_labels_folder() -> Path:
    """The labels of public repositories, a file for each: what the shipped head learns from."""
    return paths.shipped_models_folder() / "head" / "labels"


def personal_head_file(repository: Repository) -> Path:
    """The head of this repository."""
    return repository.index_folder / HEAD_NAME


def personal_labels_file(repository: Repository) -> Path:
    """The labelled holes of this repository."""
    return repository.index_folder / LABELS_NAME


def choose_head(repository: Repository | None, wanted: Mapping[str, Any]) -> ChosenHead:
    """The repository's own head if it fits, else the shipped one.

    The shipped head serves any model: its gains are those of the model that it was trained
    with, which its name tells. A personal one was made for one model and its budgets; made
    without an adapter it serves the same model with one too, and the receipt says so.

    Args:
        repository: Whose head; without one, the shipped head is taken.
        wanted: Model and budgets, from `trained_for`.
    """
    warnings: list[str] = []
    own = None if repository is None else personal_head_file(repository)
    if own is not None and os.path.lexists(own):
        try:
            head = load_head_file(own)
            differing = [k for k in _MUST_AGREE if head.trained_for.get(k) != wanted.get(k)]
            if head.trained_for.get("adapter") not in (None, wanted.get("adapter")):
                differing.append("adapter")
            if not differing:
                return ChosenHead(head)
            key = differing[0]
            warnings.append(
                f"this repository's head was trained for {key} {head.trained_for.get(key)}, not"
                f" {wanted.get(key)}; the shipped one is used ('codebuddy train head' adapts it)"
            )
        except HeadError as error:
            warnings.append(f"{error.message}; the shipped one is used")
    if not default_head_file().exists():
        return ChosenHead(None, tuple(warnings))
    try:
        return ChosenHead(load_head_file(default_head_file(), follows_links=True), tuple(warnings))
    except HeadError as error:
        return ChosenHead(None, (*warnings, f"{error.message}; a plain rule decides"))


def load_shipped_head() -> Head:
    """The head that codebuddy comes with.

    Raises:
        HeadError: It is missing or damaged.
    """
    return load_head_file(default_head_file(), follows_links=True)


def save_head(file: Path, content: Mapping[str, Any]) -> None:
    """Write a head, whole or not at all."""
    text = json.dumps(content, separators=(",", ":")) + "\n"
    write_file(file, text.encode("ascii"), is_durable=True)


def load_head_file(file: Path, *, follows_links: bool = False) -> Head:
    """The head in `file`, for the features that this codebuddy computes.

    An installation may link to the files that come with it (`follows_links`), nobody else.

    Raises:
        HeadError: It is missing, damaged, or for other features.
    """
    return load_head(file, NAMES, CONFIDENCE_NAMES, follows_links=follows_links)
