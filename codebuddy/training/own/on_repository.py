"""Training a repository's own adapter, with all that it needs opened: index and model.

`codebuddy train adapter` and `codebuddy fleet train adapter` both call it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.terminal import StatusLine
from codebuddy.training.own.fitting import Progress, missing_packages
from codebuddy.training.own.run import Options, Outcome, Surroundings, check_memory, run

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.inference.own_adapters import Base
    from codebuddy.service.context import RepositoryContext

T = TypeVar("T")
_INSTALL = "pip install 'codebuddy[train]'"


def require_packages() -> None:
    """Say how to install what training needs, where it is not there.

    Raises:
        CodebuddyError: A package is missing.
    """
    if missing := missing_packages():
        verb = "is" if len(missing) == 1 else "are"
        raise CodebuddyError(
            f"training an adapter needs packages, and {', '.join(missing)} {verb} not installed",
            hint=_INSTALL,
        )


def train_on_repository(
    repository_context: RepositoryContext,
    options: Options,
    status: StatusLine,
    show: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    why_to_wait: Callable[[], str] = lambda: "",
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Train an adapter and keep it if it is better, going on where an earlier run stopped.

    Args:
        repository_context: Repository and settings.
        options: How long, and from what.
        status: Says what is waited for.
        show: Told in words how far it is.
        on_progress: Told each step.
        why_to_wait: Says why this is no time to train.
        tell: Says what is to stay on the screen.

    Raises:
        CodebuddyError: As `run`, or the model cannot be opened or adapted.
    """
    around, base = surroundings_of(repository_context, status, show, on_progress, why_to_wait, tell)
    with status:
        return run(around, base, options)


def surroundings_of(
    repository_context: RepositoryContext,
    status: StatusLine,
    show: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    why_to_wait: Callable[[], str] = lambda: "",
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Surroundings, Base]:
    """What a training in the repository needs, and the weights that its settings name.

    Raises:
        CodebuddyError: The model cannot be adapted, or there is too little memory.
    """
    from codebuddy.inference.installed import find_model
    from codebuddy.inference.machine import lower_priority
    from codebuddy.inference.own_adapters import base_of
    from codebuddy.inference.remote import is_remote
    from codebuddy.service.models import open_generator
    from codebuddy.service.refresh import with_index

    settings = repository_context.settings
    if is_remote(settings.model):
        raise UsageError(
            "a model server's weights cannot be adapted", hint="unset model.url for the training"
        )
    base = base_of(find_model(settings.model.name, settings))
    check_memory(base)
    if settings.train.give_way:
        lower_priority()

    def ask_index(ask: Callable[[RepositoryIndex], T]) -> T:
        return with_index(repository_context, ask, should_update=True)

    found = Surroundings(
        repository=repository_context.repository,
        settings=settings,
        with_index=ask_index,
        open_generator=lambda: open_generator(settings, status),
        show=show,
        on_progress=on_progress,
        why_to_wait=why_to_wait,
        tell=tell,
    )
    return found, base
