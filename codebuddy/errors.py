"""Every error that a user can meet, as one tree.

Each carries one sentence that names the thing and, in `hint`, the remedy. Front doors
print both without a traceback and exit with `exit_code`.

    CodebuddyError            1
    |- UsageError             2   the call itself is wrong (position, argument)
    |  `- NotInRepositoryError 2  a folder is in no git repository
    |- ConfigError            1   a settings file, variable or flag has a bad value
    |- RepositoryError        1   git refuses or the repository is damaged
    |- DocumentError          1   a file to complete cannot be read or written
    |- IndexingError          1   the index cannot be read, written or locked
    |- ModelError             1   a model is missing, damaged or does not fit
    |  |- DownloadError       1   no source delivered the bytes that the catalog names
    |  `- ServerRefusedError  1   a model server answered with another status than 200
    |- GenerationError        1   the runtime failed while generating
    |  `- TimeLimitError      1   the request's time was over before the model could answer
    `- EngineError            1   the engine cannot be started or does not answer
       |- EngineBusyError     1   its queue is full
       `- SupersededError     1   the request was cancelled, or a newer one took its place

Anything else that escapes is a bug: exit code 3, with a log path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class CodebuddyError(Exception):
    """A known failure.

    Args:
        message: One sentence that names the thing that failed.
        hint: What the user can do about it; empty if there is nothing.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # What else was to be said when it failed.
        self.warnings: tuple[str, ...] = ()


@contextmanager
def warned(*warnings: Sequence[str]) -> Iterator[None]:
    """Let an error carry the warnings that were collected before it."""
    try:
        yield
    except CodebuddyError as error:
        error.warnings = (*(each for part in warnings for each in part), *error.warnings)
        raise


class UsageError(CodebuddyError):
    """The command was called with something that cannot work."""

    exit_code = 2


class NotInRepositoryError(UsageError):
    """A folder is in no git repository, and what is asked needs one."""


class ConfigError(CodebuddyError):
    """A setting has an unknown name or a bad value; the message names file and key."""


class RepositoryError(CodebuddyError):
    """git refuses to read the repository, or the repository is damaged."""


class DocumentError(CodebuddyError):
    """A document cannot be read or written as text."""


class IndexingError(CodebuddyError):
    """The index cannot be read, written or locked."""


class ModelError(CodebuddyError):
    """A model is missing, damaged, unknown or does not fit this machine."""


class DownloadError(ModelError):
    """No source delivered the bytes that the catalog names."""


class ServerRefusedError(ModelError):
    """A model server answered a request with a refusal; `status` is its HTTP status."""

    status = 0


class GenerationError(CodebuddyError):
    """The model runtime failed while it loaded or generated."""


class TimeLimitError(GenerationError):
    """The time that a request was given was over before the model could answer."""


class HeadError(CodebuddyError):
    """A retrieval-decision head is damaged, of another version or for other features."""


class TrainingError(CodebuddyError):
    """There is too little to train on, or training was not able to finish."""


class EngineError(CodebuddyError):
    """The warm engine cannot be started, died or does not answer."""


class EngineBusyError(EngineError):
    """The engine's queue is full."""


class SupersededError(EngineError):
    """The request was cancelled, or a newer one of the same client took its place."""
