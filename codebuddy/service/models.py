"""Loading models: the one that a command needs, and the one that a long-lived process keeps."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codebuddy import paths
from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import Generator
from codebuddy.errors import CodebuddyError, ModelError
from codebuddy.saved_kv import UNKNOWN, forgotten_at, reader_id, readers_of
from codebuddy.service.dependencies import file_identity
from codebuddy.service.request import TuningCall
from codebuddy.service.response import TuningResponse
from codebuddy.settings import ModelSettings, Settings
from codebuddy.terminal import StatusLine, is_terminal
from codebuddy.vcs.repository import Repository
from codebuddy.vcs.worktrees import adapters_folder

if TYPE_CHECKING:
    from codebuddy.inference.adapter_choice import AdapterChooser, ChosenAdapter
    from codebuddy.inference.installed import InstalledModel
    from codebuddy.inference.llama import LlamaGenerator
    from codebuddy.inference.run_options import RunOptions
    from codebuddy.service.context import RepositoryContext


class ModelCache:
    """The one model that is loaded; not safe for concurrent use.

    Args:
        persists_kv_state: Whether a model of this process takes up what the last one had read,
            and keeps it on disk when it is freed.
        offers_download: Whether a person at the terminal is asked to download a missing model.
        on_loading: Told the name of a model of this machine before its weights are read.
        on_loaded: Told the generator and the milliseconds that it took, once it is there.
        while_loading: Makes a context for work that no cancellation ends: finding and reading
            weights or an adapter, keeping on disk what was read.
    """

    def __init__(
        self,
        *,
        persists_kv_state: bool = False,
        offers_download: bool = False,
        on_loading: Callable[[str], None] | None = None,
        on_loaded: Callable[[Generator, float], None] | None = None,
        while_loading: Callable[[], contextlib.AbstractContextManager[None]] | None = None,
    ) -> None:
        self._persists_kv_state = persists_kv_state
        self._offers_download = offers_download
        self._on_loading = on_loading or (lambda _: None)
        self._on_loaded = on_loaded or (lambda *_: None)
        self._while_loading = while_loading or contextlib.nullcontext
        self._generator: Generator | None = None
        self._state_file: Path | None = None
        # The repositories whose code the model has read, and when each one's files went away last.
        self._readers: dict[str, bytes] = {}
        self._loaded: tuple[ModelSettings, Path | None, tuple[int, ...]] | None = None
        self._adapters: AdapterChooser | None = None

    def files(self, settings: Settings, repository: Repository | None = None) -> list[Path]:
        """The files of the loaded weights and of what an adapter is chosen from for a repository.

        Of a model server those of the adapters alone; none for the built-in echo.
        """
        from codebuddy.inference.adapter_choice import files_behind

        if self._loaded is None:
            return []
        model, file, _ = self._loaded
        if file is None and not model.url:
            return []
        adapters = files_behind(settings.model.adapter, adapters_folder(repository))
        return adapters if file is None else [file, *adapters]

    def adapter(
        self,
        settings: Settings,
        repository: Repository | None = None,
        budget_ms: float = 0.0,
        cancellation: CancellationToken | None = None,
    ) -> ChosenAdapter:
        """The adapter for requests of a repository with the loaded model, read if it was not.

        A model server is asked anew, and has `budget_ms` for it, where that is not 0.

        Raises:
            SupersededError: `cancellation` is cancelled while a model server is asked.
            ModelError: The file that the settings name cannot be used.
        """
        from codebuddy.inference.adapter_card import AUTO, NONE, SHIPPED
        from codebuddy.inference.adapter_choice import ChosenAdapter

        if self._adapters is not None:
            with self._while_loading():
                return self._adapter_here(self._adapters, settings, repository)
        choose_there = getattr(self._generator, "choose_adapter", None)
        if choose_there is not None:
            own = adapters_folder(repository)
            found: ChosenAdapter = choose_there(
                settings.model.adapter, own, budget_ms, cancellation
            )
            return found
        is_server = self._loaded is not None and bool(self._loaded[0].url)
        what = "Ollama" if is_server else "the built-in echo"
        reason = f"{what} takes no adapter of codebuddy's"
        ignored = f"model.adapter is ignored: {reason}"
        is_named = settings.model.adapter not in (AUTO, SHIPPED, NONE)
        return ChosenAdapter(None, reason, (ignored,) if is_named else ())

    def _adapter_here(
        self, adapters: AdapterChooser, settings: Settings, repository: Repository | None
    ) -> ChosenAdapter:
        """As `adapter`, of a model that runs in this process."""
        from codebuddy.inference.adapter_card import AUTO, SHIPPED
        from codebuddy.inference.adapter_choice import without_shipped

        chosen = adapters.choose(settings.model.adapter, adapters_folder(repository))
        try:
            if chosen.adapter is not None:
                self._generator.adapters.load(chosen.adapter)  # type: ignore[union-attr]
        except ModelError as error:
            if settings.model.adapter not in (AUTO, SHIPPED):
                raise
            return without_shipped(error)
        return chosen

    def choose(
        self,
        repository_context: RepositoryContext,
        cancellation: CancellationToken,
        budget_ms: float,
    ) -> ChosenAdapter:
        """As `adapter`, for requests of a repository."""
        settings, found = repository_context.settings, repository_context.found
        return self.adapter(settings, found, budget_ms, cancellation)

    def switch_adapters_off(
        self, repository_context: RepositoryContext, cancellation: CancellationToken
    ) -> None:
        """Before a request without an adapter: let none of a repository act on a model server."""
        if hasattr(self._generator, "choose_adapter"):
            self.choose(repository_context, cancellation, 0.0)

    def generator(
        self,
        settings: Settings,
        budget_ms: float = 0.0,
        cancellation: CancellationToken | None = None,
        *,
        repository: Repository | None = None,
        only_loads: bool = False,
    ) -> Generator:
        """The model that the settings name, to read code of the repository unless it `only_loads`.

        Another model, other threads or a file that was replaced mean loading anew; a model
        server is asked each time which one it has. It has `budget_ms` for that, where that is
        not 0.

        Raises:
            SupersededError: `cancellation` is cancelled while a model server is asked.
            ModelError: The model is missing, damaged or does not fit.
        """
        if self._generator is not None and self._loaded is not None:
            of, path, identity = self._loaded
            is_same = of == _loading(settings) and identity == file_identity(path)
            if is_same and self._is_current(budget_ms, cancellation):
                if not only_loads:
                    self._note_reader(repository)
                return self._generator
        started = time.perf_counter()
        generator = self._load(settings, budget_ms, cancellation)
        self._on_loaded(generator, (time.perf_counter() - started) * 1000)
        if not only_loads:
            self._note_reader(repository)
        return generator

    def _is_current(self, budget_ms: float, cancellation: CancellationToken | None) -> bool:
        """Whether a model server, if it is one, still has the model that was found there."""
        is_current = getattr(self._generator, "is_current", None)
        return is_current is None or bool(is_current(budget_ms, cancellation))

    def reader(
        self,
        repository_context: RepositoryContext,
        cancellation: CancellationToken | None,
        budget_ms: float = 0.0,
    ) -> Generator:
        """As `generator`, to read code of a repository."""
        return self.generator(
            repository_context.settings,
            budget_ms,
            cancellation,
            repository=repository_context.found,
        )

    def _note_reader(self, repository: Repository | None) -> None:
        """Note whose code the model is about to read, if that may be kept on disk."""
        if self._state_file is None:
            return
        reader = UNKNOWN if repository is None else reader_id(repository.index_folder)
        if reader not in self._readers:
            self._readers[reader] = forgotten_at(reader)

    def take_up_tuning(self, settings: Settings) -> None:
        """Let go of the model if it is run otherwise than measuring has found best since."""
        if self._loaded is None or self._loaded[1] is None:
            return
        options, told = _tuned(self._loaded[1], settings)
        generator = cast("LlamaGenerator", self._generator)
        if options is not None and options != generator.options:
            self.close()
        else:
            generator.tuning = told

    def tune(
        self,
        settings: Settings,
        call: TuningCall,
        cancellation: CancellationToken,
        say: Callable[[dict[str, Any]], None],
    ) -> TuningResponse:
        """Measure how the model that the settings name runs best; the loaded one stays as it is.

        Raises:
            SupersededError: It was cancelled.
            EngineError: This is no time for it.
            ModelError: There is no model to measure, or it cannot be loaded.
            GenerationError: Measuring failed.
        """
        from codebuddy.inference import tuning_run
        from codebuddy.inference.remote import is_remote

        model = None if is_remote(settings.model) else self._find(settings)
        if model is None or model.path is None:
            raise ModelError(
                "there is nothing to measure: the model does not run in llama.cpp here",
                hint="unset model.url, or name a model of 'codebuddy models list'",
            )
        wish = tuning_run.Wish(
            model.path,
            model.name,
            settings.model,
            is_forced=call.force,
            is_background=call.is_background,
            seconds=call.seconds,
        )
        found, is_new = tuning_run.tune(wish, cancellation, say)
        told = {"model": model.name, "is_new": is_new, **found.to_json()}
        return cast("TuningResponse", told)

    def forget_server(self) -> None:
        """Let go of a model server that failed: the next request asks anew what it is."""
        if self._loaded is not None and self._loaded[0].url:
            self.close()

    def close(self) -> None:
        """Free the model, and keep on disk what it has read if that is wanted."""
        generator, self._generator = self._generator, None
        file, self._state_file = self._state_file, None
        self._loaded = self._adapters = None
        readers, self._readers = self._readers, {}
        if file is not None and all(forgotten_at(each) == at for each, at in readers.items()):
            # A full disk costs the next process a prompt's evaluation, and nothing else.
            with self._while_loading(), contextlib.suppress(OSError, CodebuddyError):
                paths.ensure_folder(file.parent)
                generator.save_state(file, readers=sorted(readers))  # type: ignore[union-attr]
        close = getattr(generator, "close", None)
        if close is not None:
            close()

    def _load(
        self, settings: Settings, budget_ms: float, cancellation: CancellationToken | None
    ) -> Generator:
        from codebuddy.inference.remote import connect, is_remote

        if is_remote(settings.model):
            self.close()
            found = connect(settings.model, budget_ms, cancellation)
            self._generator, self._loaded = found, (_loading(settings), None, ())
            return self._generator
        with self._while_loading():
            model = self._find(settings)
        self.close()
        identity = file_identity(model.path)
        if model.path is None:
            from codebuddy.inference.echo import EchoGenerator

            self._generator = EchoGenerator()
        else:
            self._on_loading(model.name)
            with self._while_loading():
                self._generator = self._load_here(model.path, model.name, settings)
        self._loaded = (_loading(settings), model.path, identity)
        return self._generator

    def _load_here(self, path: Path, name: str, settings: Settings) -> LlamaGenerator:
        """Read the weights, and take up what the last process left of the model."""
        from codebuddy.inference.adapter_choice import AdapterChooser
        from codebuddy.inference.llama import LlamaGenerator

        options, told = _tuned(path, settings)
        generator = LlamaGenerator(path, name, settings.model, options)
        generator.tuning = told
        self._adapters = AdapterChooser(generator.header, generator.digest)
        if self._persists_kv_state and settings.engine.keep_state:
            stem = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
            self._state_file = paths.engine_state_folder() / f"{stem}.kv"
            readers = readers_of(self._state_file) if self._state_file.exists() else ()
            self._readers = {each: forgotten_at(each) for each in readers}
            _resume(generator, self._state_file)
        return generator

    def _find(self, settings: Settings) -> InstalledModel:
        if not self._offers_download:
            from codebuddy.inference.installed import find_model

            return find_model(settings.model.name, settings, notify=lambda _: None)
        is_interactive = is_terminal(sys.stdin) and is_terminal(sys.stderr)
        from codebuddy.service.missing_model import ensure_model

        return ensure_model(settings, settings.model.name, is_interactive=is_interactive)


def open_generator(settings: Settings, status: StatusLine) -> Generator:
    """As `open_model`, without its adapter."""
    return open_model(settings, status)[0]


def open_model(
    settings: Settings, status: StatusLine, repository: Repository | None = None
) -> tuple[Generator, ChosenAdapter]:
    """Load the model that the settings name; a person is offered the download of a missing one.

    Returns:
        The model, and the adapter that the settings choose for it in the repository.

    Raises:
        ModelError: It is missing, damaged or does not fit, or the adapter that they name does not.
    """
    models = ModelCache(
        offers_download=True, on_loading=lambda name: status.show(f"loading {name}")
    )
    with status:
        return models.generator(settings), models.adapter(settings, repository)


def _loading(settings: Settings) -> ModelSettings:
    """What a model is loaded by: any adapter goes with it."""
    return replace(settings.model, adapter="")


def _tuned(file: Path, settings: Settings) -> tuple[RunOptions | None, dict[str, object]]:
    """Options that measuring found, None for the usual ones; and what to tell of them."""
    if settings.engine.tune == "off":
        return None, {"state": "off"}
    from codebuddy.inference.tuning_run import apply

    return apply(file, settings.model)


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
