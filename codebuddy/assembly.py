"""The only place where settings become working objects: repository, index, model.

Front doors call it and then the pipeline; no other module builds what it works with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codebuddy.config import load_settings
from codebuddy.datatypes import Document, Generator, Position
from codebuddy.errors import IndexingError, NotInRepositoryError
from codebuddy.settings import Settings
from codebuddy.terminal import StatusLine, is_terminal, note, safe_line
from codebuddy.vcs.location import real_folder, repository_around
from codebuddy.vcs.repository import Repository, open_repository

if TYPE_CHECKING:
    from codebuddy.code_index import CodeIndex
    from codebuddy.completion.head import Head
    from codebuddy.completion.pace import Pace
    from codebuddy.completion.pipeline import Request, Workshop
    from codebuddy.completion.prompt_memory import PromptMemory
    from codebuddy.datatypes import RetrieveMode
    from codebuddy.index.search import RepositoryIndex

T = TypeVar("T")

# A person waits for an answer: after this long behind another indexer, the old index does.
_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
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
class Judge:
    """What decides on lookups: a head, or None for the rule, and this machine's pace."""

    head: Head | None
    pace: Pace
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suggestion is wanted, checked: the repository, the document and the cursor."""

    surroundings: Surroundings
    document: Document
    position: Position

    @property
    def mode(self) -> RetrieveMode:
        """Whether to look up."""
        return self.surroundings.settings.completion.retrieve  # type: ignore[return-value]

    @property
    def may_look_up(self) -> bool:
        """Whether an index is needed at all."""
        return self.mode != "never" and self.surroundings.found is not None

    def request(
        self,
        alternatives: int = 0,
        *,
        budget_ms: float = 0.0,
        is_typing: bool = False,
        extras: tuple[tuple[str, str], ...] = (),
        takes_back: bool = False,
    ) -> Request:
        """What the pipeline is asked; the arguments are those of its `Request`."""
        from codebuddy.completion.pipeline import Request
        from codebuddy.syntax import language_for

        head = self.document.text[:512].encode("utf-8", "replace")
        language = self.document.language or language_for(self.document.path, head)
        return Request(
            self.document,
            self.position,
            language,
            self.mode,
            alternatives,
            budget_ms,
            is_typing,
            extras,
            takes_back,
        )

    def workshop(
        self,
        generator: Generator,
        index: CodeIndex | None,
        memory: PromptMemory | None = None,
        judge: Judge | None = None,
    ) -> Workshop:
        """What the pipeline works with; without a `judge` a plain rule decides on lookups."""
        from codebuddy.completion.pipeline import Workshop

        completion, found = self.surroundings.settings.completion, self.surroundings.found
        head, pace = (judge.head, judge.pace) if judge is not None else (None, None)
        if found is None:
            why = "the file is in no git repository"
            return Workshop(generator, None, completion, "", memory, head, pace, why)
        return Workshop(generator, index, completion, found.root.name, memory, head, pace)


def find_place(
    surroundings: Surroundings,
    file: str,
    line: int,
    column: int | None = None,
    unsaved: bytes | None = None,
    shown: str = "",
    language: str = "",
) -> Place:
    """Check all that can be wrong with a place before anything slow is opened.

    Args:
        surroundings: The repository that the file must lie in, or the folder outside of any.
        file: Its path, relative to the current folder or absolute.
        line: 1-based.
        column: 1-based, or `None` for the end of the line.
        unsaved: The buffer's text in place of the file's.
        shown: What errors call the file; `file` by default.
        language: What the unsaved text is written in, where the path does not tell: a notebook's
            cells as an editor has them.

    Raises:
        UsageError: The file or the place in it is not there.
        DocumentError: It cannot be read, or is not text.
    """
    from codebuddy.completion.document import load_document
    from codebuddy.completion.notebook import cell_document, is_notebook
    from codebuddy.positions import resolve

    document = load_document(file, surroundings.root, unsaved, shown)
    if language:
        document = replace(document, language=language)
    elif is_notebook(document.path):
        is_on_disk = unsaved is None
        document, position = cell_document(document, line, column, must_be_notebook=is_on_disk)
        return Place(surroundings, document, position)
    position, _ = resolve(document.text, line, column, document.path)
    return Place(surroundings, document, position)


def open_surroundings(flags: Mapping[str, Any] | None = None) -> Surroundings:
    """Find the repository and load its settings; what is ignored of them is told on stderr.

    Raises:
        UsageError: The current folder is not in a repository.
        ConfigError: A setting is wrong.
    """
    repository = open_repository(Path.cwd())
    return _with_settings(repository, repository.root, flags)


def surroundings_of_file(file: str, flags: Mapping[str, Any] | None = None) -> Surroundings:
    """The same for the folder where `file` really lies, which need not be in a repository.

    Raises:
        UsageError: The path cannot be one, or belongs to git itself.
        ConfigError: A setting is wrong.
    """
    return surroundings_of_folder(real_folder(file), flags)


def surroundings_of_folder(folder: Path, flags: Mapping[str, Any] | None = None) -> Surroundings:
    """The same for an absolute folder, which need not be in a repository.

    Raises:
        ConfigError: A setting is wrong.
    """
    return _with_settings(repository_around(folder), folder, flags)


def _with_settings(
    repository: Repository | None, folder: Path, flags: Mapping[str, Any] | None
) -> Surroundings:
    loaded = load_settings(None if repository is None else repository.root, flags=flags)
    refused = None if repository is None else repository.refused_folder
    for warning in [*loaded.warnings, *([refused] if refused else [])]:
        note(f"warning: {safe_line(warning)}")
    return Surroundings(repository, loaded.settings, folder)


def open_index(surroundings: Surroundings, *, should_update: bool = True) -> RepositoryIndex:
    """The repository's index, brought up to date with the files first if wanted.

    Raises:
        IndexingError: There is none that can be used. An update that fails is a warning, as
            long as the index from before can be used; an update builds a damaged one anew.
    """
    from codebuddy.index.seeding import has_index, open_or_seed

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
            if not has_index(surroundings.repository):
                raise
            remedy = f" ({error.hint})" if error.hint else ""
            told = f"{error.message}; using the index as it is{remedy}"
            note(f"warning: {safe_line(told)}")
    return open_or_seed(surroundings.repository, surroundings.settings)


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


def open_judge(surroundings: Surroundings, generator: Generator) -> Judge:
    """The decision head of the repository, and the pace of this machine with this model.

    Outside of any repository it is the shipped head.
    """
    from codebuddy import heads, paths
    from codebuddy.completion.pace import Pace

    wanted = heads.trained_for(generator.name, surroundings.settings.completion)
    chosen = heads.choose_head(surroundings.found, wanted)
    runtime = generator.runtime
    key = "|".join(str(each) for each in (generator.name, *sorted(runtime.items())))
    return Judge(chosen.head, Pace(paths.pace_file(), key), chosen.warnings)


def open_generator(settings: Settings, status: StatusLine, budget_ms: float = 0.0) -> Generator:
    """Load the model that the settings name; a person is offered the download of a missing one.

    A model server has `budget_ms` to say what it is, where that is not 0.

    Raises:
        ModelError: It is missing, damaged or does not fit.
    """
    from codebuddy.inference.echo import EchoGenerator
    from codebuddy.inference.installed import ensure_model
    from codebuddy.inference.remote import connect, is_remote

    if is_remote(settings.model):
        return connect(settings.model, budget_ms)
    is_interactive = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    model = ensure_model(settings, settings.model.name, is_interactive=is_interactive)
    if model.path is None:
        return EchoGenerator()
    from codebuddy.inference.llama import LlamaGenerator

    status.show(f"loading {model.name}")
    with status:
        return LlamaGenerator(model.path, model.name, settings.model)
