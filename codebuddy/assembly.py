"""The only place where settings become working objects: repository, index, model.

Front doors call it and then the pipeline; no other module builds what it works with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codebuddy.config import load_settings
from codebuddy.datatypes import Document, Generator, Position
from codebuddy.errors import IndexingError
from codebuddy.settings import Settings
from codebuddy.terminal import StatusLine, is_terminal, note, safe_line
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
    """The repository around the current folder and the settings that hold there."""

    repository: Repository
    settings: Settings


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
        language = language_for(self.document.path, head)
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

        settings, root = self.surroundings.settings, self.surroundings.repository.root
        head, pace = (judge.head, judge.pace) if judge is not None else (None, None)
        return Workshop(generator, index, settings.completion, root.name, memory, head, pace)


def find_place(
    surroundings: Surroundings,
    file: str,
    line: int,
    column: int | None = None,
    unsaved: bytes | None = None,
    shown: str = "",
) -> Place:
    """Check all that can be wrong with a place before anything slow is opened.

    Args:
        surroundings: The repository that the file must lie in.
        file: Its path, relative to the current folder or absolute.
        line: 1-based.
        column: 1-based, or `None` for the end of the line.
        unsaved: The buffer's text in place of the file's.
        shown: What errors call the file; `file` by default.

    Raises:
        UsageError: The file or the place in it is not there.
        DocumentError: It cannot be read, or is not text.
    """
    from codebuddy.completion.document import load_document
    from codebuddy.positions import resolve

    document = load_document(file, surroundings.repository.root, unsaved, shown)
    position, _ = resolve(document.text, line, column, document.path)
    return Place(surroundings, document, position)


def open_surroundings(flags: Mapping[str, Any] | None = None) -> Surroundings:
    """Find the repository and load its settings; what is ignored of them is told on stderr.

    Raises:
        UsageError: The current folder is not in a repository.
        ConfigError: A setting is wrong.
    """
    repository = open_repository(Path.cwd())
    loaded = load_settings(repository.root, flags=flags)
    refused = repository.refused_folder
    for warning in [*loaded.warnings, *([refused] if refused else [])]:
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


def open_judge(surroundings: Surroundings, generator: Generator) -> Judge:
    """The decision head of the repository, and the pace of this machine with this model."""
    from codebuddy import heads, paths
    from codebuddy.completion.pace import Pace

    wanted = heads.trained_for(generator.name, surroundings.settings.completion)
    chosen = heads.choose_head(surroundings.repository, wanted)
    runtime = generator.runtime
    key = "|".join(str(each) for each in (generator.name, *sorted(runtime.items())))
    return Judge(chosen.head, Pace(paths.pace_file(), key), chosen.warnings)


def open_generator(settings: Settings, status: StatusLine) -> Generator:
    """Load the model that the settings name; a person is offered the download of a missing one.

    Raises:
        ModelError: It is missing, damaged or does not fit.
    """
    from codebuddy.inference.echo import EchoGenerator
    from codebuddy.inference.installed import ensure_model
    from codebuddy.inference.remote import connect, is_remote

    if is_remote(settings.model):
        return connect(settings.model)
    is_interactive = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    model = ensure_model(settings, settings.model.name, is_interactive=is_interactive)
    if model.path is None:
        return EchoGenerator()
    from codebuddy.inference.llama import LlamaGenerator

    status.show(f"loading {model.name}")
    with status:
        return LlamaGenerator(model.path, model.name, settings.model)
