"""Training a repository's own head, with all that it needs opened: index and model.

`codebuddy train head` and `codebuddy fleet train head` both call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codebuddy.terminal import StatusLine, note, safe_line
from codebuddy.training.head.labels import Labelling, OnProgress
from codebuddy.training.head.personal import Training, train_personal

if TYPE_CHECKING:
    from codebuddy.datatypes import Adapter
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext
    from codebuddy.training.privacy import Goal
    from codebuddy.vcs.repository import Repository


def train_on_repository(
    repository_context: RepositoryContext,
    per_kind: int,
    minutes: float,
    seed: int,
    status: StatusLine,
    on_progress: OnProgress | None = None,
    goal: Goal | None = None,
) -> Training:
    """Label holes, going on where the labels end, and adapt the shipped head to them.

    Args:
        repository_context: Repository and settings.
        per_kind: Holes of each kind.
        minutes: No hole is begun after so long.
        seed: Of all choices.
        status: Says what is waited for.
        on_progress: Called after each hole.
        goal: Of a private training.

    Raises:
        CodebuddyError: As `train_personal`, or the model cannot be opened.
    """
    from codebuddy.service.models import open_model
    from codebuddy.service.refresh import with_index

    generator, chosen = open_model(
        repository_context.settings, status, repository_context.repository
    )
    for warning in chosen.warnings:
        note(f"warning: {safe_line(warning)}")
    settings, repository = repository_context.settings.completion, repository_context.repository
    unseen = unseen_files(chosen.adapter, repository)

    def train(index: RepositoryIndex) -> Training:
        name = repository.root.name
        labelling = Labelling(
            repository, index, generator, settings, name, seed, chosen.adapter, unseen
        )
        return train_personal(labelling, per_kind, minutes, on_progress, goal)

    return with_index(repository_context, train, should_update=True)


def unseen_files(adapter: Adapter | None, repository: Repository) -> frozenset[str] | None:
    """The files that the repository's own adapter did not learn from; `None` for any other one.

    What it writes in the others says nothing of code to come. Where its card does not name them,
    that is noted, and all files count.
    """
    from codebuddy.errors import ModelError
    from codebuddy.inference import own_adapters
    from codebuddy.vcs.worktrees import adapters_folder

    folder = adapters_folder(repository)
    if adapter is None or folder is None or adapter.path.parent != folder:
        return None
    try:
        made_by = own_adapters.find(folder, adapter.name).card.get("made_by", {})
    except ModelError:
        made_by = {}
    lists = [made_by.get(part) for part in ("watched", "judged")]
    found = frozenset(str(path) for each in lists if isinstance(each, list) for path in each)
    if not found:
        note(
            f"warning: {safe_line(adapter.name)} learned from this repository's files, and does not"
            " say from which: lookups may seem to help less than they do"
        )
    return found or None
