"""A repository with its settings, and the policy that decides on retrieval there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.config import LoadedSettings, load_settings
from codebuddy.datatypes import Adapter, Generator
from codebuddy.errors import NotInRepositoryError
from codebuddy.service.request import SettingsSources
from codebuddy.settings import Settings
from codebuddy.terminal import note, safe_line
from codebuddy.vcs.location import repository_around
from codebuddy.vcs.repository import Repository, open_repository

if TYPE_CHECKING:
    from codebuddy.completion.head import Head
    from codebuddy.completion.latency import LatencyModel


@dataclass(frozen=True, slots=True)
class RepositoryContext:
    """The repository around a folder, if there is one, and the settings that hold there.

    `folder` counts only where there is none: paths of documents are relative to it then.
    """

    found: Repository | None
    settings: Settings
    folder: Path = Path(os.sep)

    @property
    def repository(self) -> Repository:
        """The repository, for what cannot be done without one.

        Raises:
            NotInRepositoryError: There is none.
        """
        if self.found is None:
            raise NotInRepositoryError(
                f"{self.folder} is not inside a git repository", hint="go to one, or run 'git init'"
            )
        return self.found

    @property
    def root(self) -> Path:
        """What paths of documents are relative to."""
        return self.folder if self.found is None else self.found.root


@dataclass(frozen=True, slots=True)
class RetrievalPolicy:
    """Retrieval policy: decision head (None selects the rule) and latency model."""

    head: Head | None
    latency: LatencyModel
    warnings: tuple[str, ...] = ()


def open_repository_context(flags: Mapping[str, Any] | None = None) -> RepositoryContext:
    """Find the repository and load its settings; ignored ones are printed on stderr.

    Raises:
        UsageError: The current folder is not in a repository.
        ConfigError: A setting is wrong.
    """
    repository = open_repository(Path.cwd())
    return _with_settings(repository, repository.root, flags)


def repository_context_of_folder(
    folder: Path, flags: Mapping[str, Any] | None = None
) -> RepositoryContext:
    """The same for an absolute folder, which need not be in a repository.

    Raises:
        ConfigError: A setting is wrong.
    """
    return _with_settings(repository_around(folder), folder, flags)


def _with_settings(
    repository: Repository | None, folder: Path, flags: Mapping[str, Any] | None
) -> RepositoryContext:
    loaded = load_settings(None if repository is None else repository.root, flags=flags)
    refused = None if repository is None else repository.refused_folder
    for warning in [*loaded.warnings, *([refused] if refused else [])]:
        note(f"warning: {safe_line(warning)}")
    return RepositoryContext(repository, loaded.settings, folder)


def settings_of(
    sources: SettingsSources, root: Path | None, flags: Mapping[str, Any]
) -> LoadedSettings:
    """The settings that a request's variables and files say for the repository at `root`.

    Raises:
        ConfigError: One is wrong.
    """
    return load_settings(
        root, environment=sources.environment, flags=flags, user_file=sources.user_file
    )


def open_policy(
    repository_context: RepositoryContext, generator: Generator, adapter: Adapter | None = None
) -> RetrievalPolicy:
    """The decision head of the repository, and the latency model of this machine and model.

    Outside of any repository it is the shipped head.
    """
    from codebuddy import heads, paths
    from codebuddy.completion.latency import LatencyModel

    completion = repository_context.settings.completion
    wanted = heads.trained_for(generator.name, completion, adapter)
    chosen = heads.choose_head(repository_context.found, wanted)
    return RetrievalPolicy(
        chosen.head, LatencyModel(paths.latency_file(), latency_key(generator)), chosen.warnings
    )


def latency_key(generator: Generator) -> str:
    """What latencies are kept by: the model and the configuration that runs it.

    Prompts are read without an adapter, so that it does not count.
    """
    return "|".join(str(each) for each in (generator.name, *sorted(generator.runtime.items())))
