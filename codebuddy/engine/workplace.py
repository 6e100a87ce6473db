"""What a worker keeps open between requests: repositories, their indexes, the model.

A request brings where its settings come from (`protocol`), so that two terminals with other
variables, or another model, share one engine. Nothing kept is believed without a look at
the files behind it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy import heads, paths
from codebuddy.assembly import Judge, Surroundings, open_judge
from codebuddy.cancellation import CancellationToken
from codebuddy.completion.prompt_memory import PromptMemory
from codebuddy.config import LoadedSettings, load_settings
from codebuddy.datatypes import Generator
from codebuddy.errors import CodebuddyError, IndexingError, UsageError
from codebuddy.index.schema import DATABASE_NAME
from codebuddy.settings import ModelSettings, Settings
from codebuddy.vcs.location import existing_folder, repository_around
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.inference.llama import LlamaGenerator

# Open repositories and indexes; a person works in a few, and each holds a database open.
_MAX_OPEN = 16

_Identity = tuple[int, ...]


class Workplace:
    """Open things of one worker.

    `surroundings`, `lease_index` and `forget_index` may be called from several threads, all
    else by one at a time.
    """

    def __init__(self) -> None:
        # Guards repositories and indexes; never held while a file or git is waited for.
        self._lock = threading.Lock()
        self._repositories: OrderedDict[Path, tuple[_Identity, Repository]] = OrderedDict()
        # Opened for an embedder: that of a query must be that of the vectors.
        self._indexes: OrderedDict[tuple[Path, str], RepositoryIndex] = OrderedDict()
        self._memories: OrderedDict[Path, PromptMemory] = OrderedDict()
        self._judges: OrderedDict[Path, tuple[tuple[object, ...], Judge]] = OrderedDict()
        self._generator: Generator | None = None
        self._state_file: Path | None = None
        self._loaded: tuple[ModelSettings, Path | None, _Identity] | None = None

    def surroundings(
        self, folder: str, settings: Mapping[str, Any], flags: Mapping[str, Any]
    ) -> tuple[Surroundings, tuple[str, ...]]:
        """The repository around `folder`, if any, its settings, and what was ignored of them.

        Args:
            folder: Absolute; one that does not exist stands for its nearest parent.
            settings: Where the client's settings come from: `environment` and `user_file`.
            flags: Dotted names to values.

        Raises:
            UsageError: It is in a bare repository.
            ConfigError: A setting is wrong.
        """
        existing = existing_folder(Path(folder))
        repository = self._repository(existing)
        root = None if repository is None else repository.root
        loaded = settings_of(settings, root, flags)
        real = Path(os.path.realpath(existing))
        return Surroundings(repository, loaded.settings, real), loaded.warnings

    def index(self, surroundings: Surroundings) -> RepositoryIndex:
        """The repository's index, opened once; for callers that work one after the other.

        Raises:
            IndexingError: There is none that can be used.
        """
        with self.lease_index(surroundings) as index:
            return index

    @contextlib.contextmanager
    def lease_index(self, surroundings: Surroundings) -> Iterator[RepositoryIndex]:
        """The repository's index, opened once, and open inside the context whatever happens.

        Safe from several threads: an index that others push out, or that failed for them, is
        closed when the last of them is done with it.

        Raises:
            IndexingError: There is none that can be used.
        """
        with contextlib.ExitStack() as stack:
            index = self._kept_index(surroundings, stack)
            if index is None:
                from codebuddy.index.seeding import open_or_seed

                # Not under the lock: a large index takes a second, and others go on meanwhile.
                opened = open_or_seed(surroundings.repository, surroundings.settings)
                index = self._keep_index(surroundings, opened, stack)
            yield index

    def _kept_index(
        self, surroundings: Surroundings, stack: contextlib.ExitStack
    ) -> RepositoryIndex | None:
        with self._lock:
            kept = self._indexes.get(index_key(surroundings))
            if kept is not None:
                self._indexes.move_to_end(index_key(surroundings))
                stack.enter_context(kept.lease())
            return kept

    def _keep_index(
        self, surroundings: Surroundings, opened: RepositoryIndex, stack: contextlib.ExitStack
    ) -> RepositoryIndex:
        key = index_key(surroundings)
        dropped: list[RepositoryIndex] = []
        with self._lock:
            if key in self._indexes:
                # Another thread was quicker.
                dropped.append(opened)
            else:
                self._indexes[key] = opened
                if len(self._indexes) > _MAX_OPEN:
                    dropped.append(self._indexes.popitem(last=False)[1])
            index = self._indexes[key]
            stack.enter_context(index.lease())
        for each in dropped:
            with contextlib.suppress(IndexingError):
                each.close()
        return index

    def forget_index(self, surroundings: Surroundings) -> None:
        """Let go of an index that failed, so that the next request opens it anew."""
        with self._lock:
            kept = self._indexes.pop(index_key(surroundings), None)
        if kept is not None:
            with contextlib.suppress(IndexingError):
                kept.close()

    def memory(self, surroundings: Surroundings) -> PromptMemory:
        """What the last prompts of the repository's files held."""
        root = surroundings.root
        kept = self._memories.pop(root, None) or PromptMemory()
        if len(self._memories) >= _MAX_OPEN:
            self._memories.popitem(last=False)
        self._memories[root] = kept
        return kept

    def judge(self, surroundings: Surroundings, generator: Generator) -> Judge:
        """What decides on lookups there; read anew when a head's file or the model changes."""
        found = surroundings.found
        # Outside of any repository one judge serves all folders.
        folder = Path() if found is None else found.index_folder
        marks = (
            generator.name,
            surroundings.settings.completion,
            () if found is None else _identity(heads.personal_head_file(found)),
            _identity(heads.default_head_file()),
        )
        kept = self._judges.pop(folder, None)
        if kept is None or kept[0] != marks:
            kept = (marks, open_judge(surroundings, generator))
            if len(self._judges) >= _MAX_OPEN:
                self._judges.popitem(last=False)
        self._judges[folder] = kept
        return kept[1]

    def generator(
        self,
        settings: Settings,
        budget_ms: float = 0.0,
        cancellation: CancellationToken | None = None,
    ) -> tuple[Generator, bool]:
        """The model that the settings name, and whether it was loaded just now.

        Another model, other threads or a file that was replaced mean loading anew. A model
        server has `budget_ms` to say what it is, where that is not 0.

        Raises:
            SupersededError: `cancellation` is cancelled while a model server is asked.
            ModelError: It is missing, damaged or does not fit.
        """
        if self._generator is not None and self._loaded is not None:
            of, path, identity = self._loaded
            if of == settings.model and identity == _identity(path):
                return self._generator, False
        return self._load(settings, budget_ms, cancellation), True

    def files_behind(self, surroundings: Surroundings, *, has_index: bool) -> list[str]:
        """The files that a suggestion there is made from, beside its text and the settings.

        Args:
            surroundings: Where; the model is the one that is loaded.
            has_index: Whether the index may be asked.
        """
        repository = surroundings.found
        files = []
        if has_index and repository is not None:
            # Not its seal, which an update renews that changes nothing.
            files = [
                repository.index_folder / DATABASE_NAME,
                heads.personal_head_file(repository),
                heads.default_head_file(),
            ]
        if self._loaded is not None and self._loaded[1] is not None:
            files.append(self._loaded[1])
        return [str(file) for file in files]

    def forget_remote(self) -> None:
        """Let go of a model server that failed: the next request asks anew what it is."""
        if self._loaded is not None and self._loaded[0].url:
            self.close_generator()

    def _load(
        self, settings: Settings, budget_ms: float, cancellation: CancellationToken | None
    ) -> Generator:
        from codebuddy.inference.installed import find_model
        from codebuddy.inference.remote import connect, is_remote

        if is_remote(settings.model):
            self.close_generator()
            found = connect(settings.model, budget_ms, cancellation)
            self._generator, self._loaded = found, (settings.model, None, ())
            return self._generator
        model = find_model(settings.model.name, settings, say=lambda _: None)
        self.close_generator()
        identity = _identity(model.path)
        generator: Generator
        if model.path is None:
            from codebuddy.inference.echo import EchoGenerator

            generator = EchoGenerator()
        else:
            from codebuddy.inference.llama import LlamaGenerator

            generator = LlamaGenerator(model.path, model.name, settings.model)
            if settings.engine.keep_state:
                name = hashlib.sha256(os.fsencode(model.path)).hexdigest()[:16]
                self._state_file = paths.engine_state_folder() / f"{name}.kv"
                _resume(generator, self._state_file)
        self._generator, self._loaded = generator, (settings.model, model.path, identity)
        return generator

    def close_generator(self) -> None:
        """Free the model, and keep on disk what it has read."""
        generator, self._generator = self._generator, None
        for _, judge in self._judges.values():
            judge.pace.save()
        self._judges.clear()
        file, self._state_file = self._state_file, None
        self._loaded = None
        if file is not None:
            # A full disk costs the next engine a prompt's evaluation, and nothing else.
            with contextlib.suppress(OSError, CodebuddyError):
                paths.ensure_folder(file.parent)
                generator.save_state(file)  # type: ignore[union-attr]
        close = getattr(generator, "close", None)
        if close is not None:
            close()

    def _repository(self, folder: Path) -> Repository | None:
        with self._lock:
            kept = self._repositories.get(folder)
        if kept is not None and kept[0] == _marks(folder, kept[1].root):
            with self._lock:
                if folder in self._repositories:
                    self._repositories.move_to_end(folder)
            return kept[1]
        repository = repository_around(folder)
        if repository is None:
            return None
        marks = _marks(folder, repository.root)
        with self._lock:
            self._repositories[folder] = (marks, repository)
            self._repositories.move_to_end(folder)
            if len(self._repositories) > _MAX_OPEN:
                self._repositories.popitem(last=False)
        return repository


def settings_of(
    sources: Mapping[str, Any], root: Path | None, flags: Mapping[str, Any]
) -> LoadedSettings:
    """The settings that a client's variables and files say for the repository at `root`.

    Raises:
        ConfigError: One is wrong.
        UsageError: The sources cannot be read.
    """
    environment, user_file = sources.get("environment"), sources.get("user_file")
    if not isinstance(environment, dict) or not isinstance(user_file, str):
        raise UsageError("a request says where its settings come from")
    variables = {str(name): str(value) for name, value in environment.items()}
    return load_settings(root, environment=variables, flags=flags, user_file=Path(user_file))


def index_key(surroundings: Surroundings) -> tuple[Path, str]:
    """What an open index is for: the repository, and the embedder of its queries."""
    return surroundings.repository.index_folder, surroundings.settings.index.embedder


def _resume(generator: LlamaGenerator, file: Path) -> None:
    """Take up what the last worker left, once: bytes that crash a runtime crash it but once."""
    aside = file.with_suffix(".taken")
    try:
        file.replace(aside)
    except OSError:
        return
    generator.load_state(aside)
    with contextlib.suppress(OSError):
        aside.unlink()


def _marks(folder: Path, root: Path) -> _Identity:
    """Changes when a repository appears, goes or is replaced between `folder` and its root."""
    marks: list[int] = []
    for each in (folder, *folder.parents):
        marks += _identity(each / ".git")[:2] or (0, 0)
        if each == root:
            break
    return tuple(marks)


def _identity(file: Path | None) -> _Identity:
    """Device, inode, size and change time of a file; empty if it is not there."""
    if file is None:
        return ()
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
