"""The only place where settings become working objects: repository, index, model.

Front doors call it and then the pipeline; no other module builds what it works with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codebuddy.config import Settings, load_settings
from codebuddy.datatypes import Generator
from codebuddy.errors import IndexingError
from codebuddy.terminal import StatusLine, is_terminal, note, safe_line
from codebuddy.vcs.repository import Repository, open_repository

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex

T = TypeVar("T")

# A person waits for an answer: after this long behind another indexer, the old index does.
_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The repository around the current folder and the settings that hold there."""

    repository: Repository
    settings: Settings


def open_surroundings(flags: Mapping[str, Any] | None = None) -> Surroundings:
    """Find the repository and load its settings; what is ignored of them is told on stderr.

    Raises:
        UsageError: The current folder is not in a repository.
        ConfigError: A setting is wrong.
    """
    repository = open_repository(Path.cwd())
    loaded = load_settings(repository.root, flags=flags)
    for warning in loaded.warnings:
        note(f"warning: {safe_line(warning)}")
    return Surroundings(repository, loaded.settings)


def open_index(surroundings: Surroundings, *, should_update: bool = True) -> RepositoryIndex:
    """The repository's index, brought up to date with the files first if wanted.

    Raises:
        IndexingError: There is none that can be used. An update that fails is a warning, as
            long as the index from before can be used; an update builds a damaged one anew.
    """
    from codebuddy.index.search import RepositoryIndex

    if should_update:
        from codebuddy.index.build import update_index
        from codebuddy.index.progress import ProgressDisplay

        try:
            with ProgressDisplay() as display:
                update_index(
                    surroundings.repository,
                    surroundings.settings,
                    progress=display.show,
                    lock_timeout_s=_LOCK_TIMEOUT_S,
                )
        except IndexingError as error:
            note(f"warning: {safe_line(error.message)}; using the index as it is")
    return RepositoryIndex.open(surroundings.repository, surroundings.settings)


def with_index(
    surroundings: Surroundings, ask: Callable[[RepositoryIndex], T], *, should_update: bool
) -> T:
    """What `ask` answers from the index.

    One that turns out damaged is rebuilt and asked again, if it may be updated at all.

    Raises:
        IndexingError: There is no index that can be used.
    """
    from codebuddy.index.schema import DamagedIndexError

    try:
        with open_index(surroundings, should_update=should_update) as index:
            return ask(index)
    except DamagedIndexError as error:
        if not should_update:
            raise
        note(f"{safe_line(error.message)}; building it anew")
    with open_index(surroundings) as index:
        return ask(index)


def open_generator(settings: Settings, status: StatusLine) -> Generator:
    """Load the model that the settings name; a person is offered the download of a missing one.

    Raises:
        ModelError: It is missing, damaged or does not fit.
    """
    from codebuddy.inference.echo import EchoGenerator
    from codebuddy.inference.installed import ensure_model

    is_interactive = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    model = ensure_model(settings, settings.model.name, is_interactive=is_interactive)
    if model.path is None:
        return EchoGenerator()
    from codebuddy.inference.llama import LlamaGenerator

    status.show(f"loading {model.name}")
    with status:
        return LlamaGenerator(model.path, model.name, settings.model)
