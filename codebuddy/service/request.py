"""What front doors ask for: completions and searches as values. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.errors import UsageError
from codebuddy.source_text import MARK

# A document may have 32 MiB (`completion.document`).
MAX_TEXT_BYTES = 32 << 20
MAX_TUNING_S = 600
PRIORITIES = ("typing", "ask", "background")


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A completion request.

    Args:
        file: Absolute path.
        line: 1-based.
        column: 1-based, in code points; None for the end of the line.
        text: The buffer's unsaved text, or its bytes as a file would hold them; None reads
            the disk.
        retrieve: `auto`, `always` or `never`; None leaves it to the settings, as with all
            that follow.
        max_lines: Lines at most.
        max_tokens: Tokens generated at most.
        model: A name of the catalog, or a path.
        alternatives: Other suggestions to sample.
        budget_ms: Milliseconds after which the best so far is answered.
        client: Whose request; a newer `typing` request supersedes the client's older ones.
        priority: `typing` answers with the index as it is; `ask` waits for its update;
            `background` yields to both.
        folder: Whose repository; empty for the file's own folder.
        name: What errors call the file; empty for `file`.
        should_update: Whether the index is brought up to date.
        request: A name of the client's for this call, by which it can be cancelled.
        extras: Pieces of other files that the editor had at hand, as paths and texts, the most
            useful first.
        prefer: `speed`, `balanced` or `quality`.
        takes_back: Whether the client can replace a suggestion that it already shows.
        adapter: `auto`, `none` or the path of a GGUF file.
        may_be_typing: Whether calls that follow each other with a few characters typed count as
            keystrokes (`service.keystrokes`), for a client that has no name of its own.
        language: Language of the text, where the file's name does not say: that of a notebook's
            cells.
    """

    file: str
    line: int
    column: int | None = None
    text: str | bytes | None = None
    retrieve: str | None = None
    max_lines: int | None = None
    max_tokens: int | None = None
    model: str | None = None
    alternatives: int = 0
    budget_ms: int | None = None
    client: str = ""
    priority: str = "ask"
    folder: str = ""
    name: str = ""
    should_update: bool = True
    request: str = ""
    extras: tuple[tuple[str, str], ...] = ()
    prefer: str | None = None
    takes_back: bool = False
    language: str = ""
    adapter: str | None = None
    may_be_typing: bool = False

    def __post_init__(self) -> None:
        """Take away a byte order mark that an editor counts as a character of its text."""
        if isinstance(self.text, str) and self.text.startswith(MARK):
            object.__setattr__(self, "text", self.text.removeprefix(MARK))
            if self.line == 1 and self.column is not None and self.column > 1:
                object.__setattr__(self, "column", self.column - 1)

    def flags(self) -> dict[str, Any]:
        """The settings that the call sets, by their dotted names."""
        named = {
            "completion.retrieve": self.retrieve,
            "completion.prefer": self.prefer,
            "completion.max_lines": self.max_lines,
            "completion.max_tokens": self.max_tokens,
            "model.name": self.model,
            "model.adapter": self.adapter,
        }
        return {name: value for name, value in named.items() if value is not None}

    def unsaved(self) -> bytes | None:
        """The buffer's text as bytes."""
        if isinstance(self.text, str):
            # A lone surrogate, which an editor can send, is no text; it reads as `?`.
            return self.text.encode("utf-8", "replace")
        return self.text


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search that is wanted.

    Args:
        folder: Absolute: the repository around it is searched, or around `near`.
        query: Words, names or code, with filters in it (`index.query_filters`).
        top_k: How many results at most.
        channel: As for `RepositoryIndex.search`.
        near: The file that the query comes from, relative to `folder` or absolute.
        max_per_file: Results of one file at most; 0 for any number.
        should_update: Whether the index is brought up to date first.
        embedder: In place of the one of the settings, for this search; None leaves it.
        whole_words: Whether each word must stand in a result as it is written.
        is_best: Whether a question waits for the second tier (`index.second_tier`).
        fleet: The list of repositories to search in place of one (`fleet.listing`); its
            absolute path, or empty.
        wants_missing: Whether the query's words that stand nowhere are named.
    """

    folder: str
    query: str
    top_k: int = 10
    channel: str = "hybrid"
    near: str = ""
    max_per_file: int = 0
    should_update: bool = True
    embedder: str | None = None
    whole_words: bool = False
    is_best: bool = False
    fleet: str = ""
    wants_missing: bool = False


# Of a question; more is a paste for `search`.
MAX_QUESTION_CHARACTERS = 4_000
MAX_SOURCES = 26


@dataclass(frozen=True, slots=True)
class AskSource:
    """A chunk that a search found: `text` begins at `start_line`, and `line` matched (1-based)."""

    path: str
    start_line: int
    line: int
    kind: str
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question for the model, with all that it may answer from.

    Args:
        folder: Absolute: the settings of the repository around it hold.
        question: As asked.
        sources: The best first, at least one.
        max_tokens: Of the answer, at most.
        model: A name of the catalog, or a path; None leaves it to the settings.
        client: Whose request.
        missing: Words of the question that stand in none of the sources.
    """

    folder: str
    question: str
    sources: tuple[AskSource, ...]
    max_tokens: int = 160
    model: str | None = None
    client: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TuningCall:
    """What is to be measured: a model, the settings' one if none is named, and for how long.

    With `force` also on a busy machine, and anew where it was done already.
    """

    model: str | None = None
    force: bool = False
    seconds: float = 60.0
    is_background: bool = False

    @classmethod
    def from_message(cls, head: Mapping[str, Any]) -> TuningCall:
        """The call of a message.

        Raises:
            UsageError: Something in it is wrong.
        """
        model, seconds = head.get("model"), head.get("seconds", 60)
        if model is not None and not isinstance(model, str):
            raise UsageError("model must be a text")
        if type(seconds) not in (int, float) or not 1 <= seconds <= MAX_TUNING_S:
            raise UsageError(f"seconds must be between 1 and {MAX_TUNING_S}")
        flags = {name: head.get(name) is True for name in ("force", "is_background")}
        return cls(model=model, seconds=float(seconds), **flags)


@dataclass(frozen=True, slots=True)
class SettingsSources:
    """Where a request's settings come from: variables and the user's file of its sender."""

    environment: Mapping[str, str]
    user_file: Path

    @classmethod
    def of_this_process(cls) -> SettingsSources:
        """The variables and the file of this process."""
        import os

        from codebuddy import paths
        from codebuddy.config import own_variables

        return cls(own_variables(os.environ), paths.user_config_file())

    def to_message(self) -> dict[str, Any]:
        """The sources as a message names them."""
        return {"environment": dict(self.environment), "user_file": str(self.user_file)}

    @classmethod
    def from_message(cls, value: object) -> SettingsSources:
        """The sources that a message names.

        Raises:
            UsageError: They cannot be read.
        """
        found = value if isinstance(value, dict) else {}
        environment, user_file = found.get("environment"), found.get("user_file")
        if not isinstance(environment, dict) or not isinstance(user_file, str):
            raise UsageError("a request says where its settings come from")
        variables = {str(name): str(value) for name, value in environment.items()}
        return cls(variables, Path(user_file))
