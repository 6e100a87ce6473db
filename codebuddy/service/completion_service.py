"""The one place where a request becomes a pipeline run, for every front door.

It opens repository, index and model, decides what of them the pipeline gets, and says in the
response what went wrong beside the suggestion.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.ahead import VisitedPlaces
from codebuddy.errors import GenerationError, IndexingError, ModelError, warned
from codebuddy.service import dependencies
from codebuddy.service.context import RepositoryContext, settings_of
from codebuddy.service.fleet_search import FleetSearches
from codebuddy.service.keystrokes import Keystrokes
from codebuddy.service.models import ModelCache
from codebuddy.service.refresh import BackgroundRefresh, Refreshing, ask_refreshed_index
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import (
    AskRequest,
    CompletionRequest,
    SearchRequest,
    SettingsSources,
    TuningCall,
)
from codebuddy.service.request_run import RequestRun
from codebuddy.service.response import (
    AskResponse,
    CompletionResponse,
    ModelDescription,
    SearchResponse,
    TuningResponse,
)
from codebuddy.service.target import CompletionTarget, resolve_target
from codebuddy.vcs.location import folder_to_search, real_folder

if TYPE_CHECKING:
    from codebuddy.code_index import CodeIndex
    from codebuddy.completion.pipeline_run import GenerationObserver, PipelineResources
    from codebuddy.datatypes import Adapter, Generator, OnText, Suggestion
    from codebuddy.index.search import RepositoryIndex

# When an index is brought up to date: before it is asked, beside the requests, or by others.
IndexRefresh = Literal["before", "background", "external"]

# Latencies that were learnt are written to disk no more often than this, and at the end.
_SAVE_LATENCIES_EVERY_S = 60.0


class CompletionService:
    """Answers requests one at a time; not thread-safe: the caller owns the thread."""

    def __init__(
        self, models: ModelCache, repositories: RepositoryCache, index_refresh: IndexRefresh
    ) -> None:
        self._models = models
        self._repositories = repositories
        self._index_refresh = index_refresh
        self._background = BackgroundRefresh()
        self._keystrokes = Keystrokes()
        self._visited = VisitedPlaces()
        self._fleet = FleetSearches()

    def complete(
        self,
        request: CompletionRequest,
        sources: SettingsSources,
        cancellation: CancellationToken,
        *,
        arrived_s: float | None = None,
        on_text: OnText | None = None,
        observer: GenerationObserver | None = None,
    ) -> CompletionResponse:
        """The suggestion, with the keys of `codebuddy complete --json`.

        Args:
            request: Where and how.
            sources: Where its settings come from.
            cancellation: Ends the work at the next step, piece or graph node.
            arrived_s: When it arrived, on the clock of `time.perf_counter`, from which its
                budget counts; now by default.
            on_text: As for `completion.pipeline.complete`.
            observer: As for `completion.pipeline.complete`.

        Raises:
            SupersededError: It was cancelled.
            UsageError: The file or the position is not there.
            DocumentError: The file cannot be read, or is not text.
            ConfigError: A setting is wrong.
            ModelError: The model is missing, damaged or does not fit.
            GenerationError: The model failed.
        """
        arrived_s = time.perf_counter() if arrived_s is None else arrived_s
        run = RequestRun(request, cancellation, arrived_s, on_text, observer)
        return self._respond(run, *self._repository_context(request, sources))

    def prewarm(
        self, request: CompletionRequest, sources: SettingsSources, cancellation: CancellationToken
    ) -> CompletionResponse:
        """As `complete`, but the prompt is evaluated, and not a token generated."""
        run = RequestRun(request, cancellation, time.perf_counter(), None, None)
        repository_context, warnings = self._repository_context(request, sources)
        settings = repository_context.settings
        completion = dataclasses.replace(settings.completion, max_tokens=0)
        settings = dataclasses.replace(settings, completion=completion)
        repository_context = dataclasses.replace(repository_context, settings=settings)
        return self._respond(run, repository_context, warnings)

    def read_ahead(
        self,
        request: CompletionRequest,
        sources: SettingsSources,
        cancellation: CancellationToken,
        named: Sequence[int] = (),
    ) -> dict[str, Any]:
        """Evaluate the prompts of places where the cursor may go, where the cache has room.

        Args:
            request: Where the cursor is.
            sources: Where its settings come from.
            cancellation: Ends the work at the next graph node.
            named: Lines of the file that a search or a hook named.

        Returns:
            The lines of the `places`, and the `tokens` that were evaluated.

        Raises:
            CodebuddyError: As `complete`.
        """
        from codebuddy.completion.pipeline import complete
        from codebuddy.service.reading_ahead import targets_ahead

        repository_context, _ = self._repository_context(request, sources)
        here = resolve_target(repository_context, request)
        generator = self._models.reader(repository_context, cancellation)
        evaluated, targets = 0, []
        if getattr(generator, "can_read_ahead", False):
            visited = self._visited.before(str(here.document.absolute))
            targets = targets_ahead(here, request, named, visited, cancellation)
        policy = self._repositories.policy(repository_context, generator)
        for target in targets:
            resources = target.resources(generator, None, None, policy)
            asked = target.pipeline_request(request, 0.0, is_typing=False, reads_ahead=True)
            found = complete(asked, resources, cancellation=cancellation)
            evaluated += found.receipt.stats.evaluated_tokens
        return {
            "places": [target.position.line for target in targets],
            "tokens": {"evaluated": evaluated},
        }

    def prepare(self, request: CompletionRequest, sources: SettingsSources) -> None:
        """Load the request's model and begin to refresh its index, before there is a position.

        Raises:
            ModelError: The model is missing, damaged or does not fit.
            ConfigError: A setting is wrong.
        """
        repository_context, _ = self._repository_context(request, sources)
        self._models.generator(repository_context.settings, only_loads=True)
        if self._index_refresh == "background":
            self._background.start(repository_context)

    def search(self, request: SearchRequest, sources: SettingsSources) -> SearchResponse:
        """The best chunks of the repository, with the keys of `search --json`.

        Raises:
            NotInRepositoryError: The folder is in none.
            UsageError: The query is empty, or `near` lies outside of the repository.
            IndexingError: There is no index that can be used.
        """
        from codebuddy.index.search_response import paths_beneath, search_response

        if request.fleet:
            return self._fleet.search(request, sources)
        start = str(folder_to_search(Path(request.folder), request.near))
        flags = {} if request.embedder is None else {"index.embedder": request.embedder}
        repository_context, warnings = self._repositories.repository_context(start, sources, flags)
        root = repository_context.repository.root
        near, folder = paths_beneath(root, request)
        started = time.perf_counter()
        opened = started

        def ask(index: RepositoryIndex) -> dict[str, Any]:
            nonlocal opened
            opened = time.perf_counter()
            return search_response(index, request, near, repository_context.settings, folder)

        more: list[str] = []
        with warned(warnings, more):
            if request.should_update:
                is_shown = self._index_refresh == "before"
                found = ask_refreshed_index(
                    self._repositories, repository_context, ask, more, is_shown=is_shown
                )
            else:
                found = ask(self._repositories.index(repository_context))
        ended = time.perf_counter()
        steps_s = {"update": opened - started, "search": ended - opened, "total": ended - started}
        timings_ms = {step: seconds * 1000 for step, seconds in steps_s.items()}
        where = {"repository": str(root), "timings_ms": timings_ms}
        said = [*warnings, *more, *found.get("warnings", [])]
        return cast("SearchResponse", {**found, **where, "warnings": said})

    def ask(
        self,
        request: AskRequest,
        sources: SettingsSources,
        cancellation: CancellationToken,
        on_text: OnText | None = None,
    ) -> AskResponse:
        """The model's answer from the request's sources; no index is asked.

        Raises:
            ModelError: The model is missing, damaged or does not fit, or cannot converse.
            ConfigError: A setting is wrong.
            CodebuddyError: As `answering.answer.answer`.
        """
        from codebuddy.answering.answer import answer

        flags = {} if request.model is None else {"model.name": request.model}
        repository_context, warnings = self._repositories.repository_context(
            request.folder, sources, flags
        )
        try:
            generator = self._models.reader(repository_context, cancellation)
            self._models.switch_adapters_off(repository_context, cancellation)
            response = answer(request, generator, cancellation, on_text)
        except (GenerationError, ModelError):
            self._models.forget_server()
            raise
        response["warnings"] = list(warnings)
        return response

    def load_model(
        self, name: str | None, sources: SettingsSources, cancellation: CancellationToken
    ) -> ModelDescription:
        """Load the model of that name, or the one that the settings name, unless it is loaded.

        Raises:
            ModelError: It is missing, damaged or does not fit.
            ConfigError: A setting is wrong.
        """
        settings = settings_of(sources, None, {"model.name": name}).settings
        self._models.take_up_tuning(settings)
        generator = self._models.generator(settings, cancellation=cancellation, only_loads=True)
        chosen = self._models.adapter(settings, cancellation=cancellation).adapter
        name = None if chosen is None else chosen.name
        return {"model": generator.name, "runtime": generator.runtime, "adapter": name}

    def tune(
        self,
        call: TuningCall,
        sources: SettingsSources,
        cancellation: CancellationToken,
        say: Callable[[dict[str, Any]], None],
    ) -> TuningResponse:
        """Measure how the model runs best; the next `load_model` takes it up.

        Raises:
            SupersededError: It was cancelled.
            EngineError: This is no time for it: full load, or battery.
            ModelError: There is no model to measure.
            GenerationError: Measuring failed.
        """
        settings = settings_of(sources, None, {"model.name": call.model}).settings
        return self._models.tune(settings, call, cancellation, say)

    def close(self) -> None:
        """Free the model, and write what was learnt of latencies; a later request loads again."""
        self._repositories.save_latencies()
        self._models.close()
        self._fleet.close()

    def _repository_context(
        self, request: CompletionRequest, sources: SettingsSources
    ) -> tuple[RepositoryContext, tuple[str, ...]]:
        """Where the file lies, the settings that hold there, and what of them was ignored."""
        folder = request.folder or str(real_folder(request.file, request.name))
        return self._repositories.repository_context(folder, sources, request.flags())

    def _respond(
        self, run: RequestRun, repository_context: RepositoryContext, warnings: tuple[str, ...]
    ) -> CompletionResponse:
        target = resolve_target(repository_context, run.request)
        self._visited.note(str(target.document.absolute), target.position.line)
        run.cancellation.check()
        try:
            generator = self._models.reader(
                repository_context, run.cancellation, run.remaining_ms()
            )
            # Before the index is asked: what changes from here on makes it out of date.
            depends_on = self._dependencies(target)
            chosen = self._models.choose(repository_context, run.cancellation, run.remaining_ms())
            suggestion, more = self._suggest(run, target, generator, chosen.adapter)
        except (GenerationError, ModelError):
            self._models.forget_server()
            raise
        self._repositories.save_latencies(every_s=_SAVE_LATENCIES_EVERY_S)
        from codebuddy.completion.receipt import completion_response

        response = completion_response(suggestion)
        response["warnings"] = [*warnings, *chosen.warnings, *more]
        if run.request.priority != "ask":
            # For one who keeps it; who asks is told the same with and without the engine.
            response["depends_on"] = depends_on
        return response

    def _dependencies(self, target: CompletionTarget) -> list[list[str]]:
        has_index = target.may_retrieve
        files = self._repositories.files_behind(target.repository_context, has_index=has_index)
        repository_context = target.repository_context
        files += self._models.files(repository_context.settings, repository_context.found)
        return dependencies.stamped(files)

    def _suggest(
        self,
        run: RequestRun,
        target: CompletionTarget,
        generator: Generator,
        adapter: Adapter | None,
    ) -> tuple[Suggestion, list[str]]:
        """The suggestion, and what went wrong with the index and the policy."""
        policy = self._repositories.policy(target.repository_context, generator, adapter)
        history = self._repositories.history(target.repository_context)
        # One who asks gets what a process of its own would say; one who types, soon.
        is_typing, may_be_typing = run.request.priority != "ask", run.request.may_be_typing
        is_keystroke = may_be_typing and target.is_keystroke(self._keystrokes)

        def ask(index: CodeIndex | None) -> Suggestion:
            used = history if is_typing or is_keystroke else None
            resources = target.resources(generator, index, used, policy, adapter)
            suggestion = self._run(run, target, resources, is_keystroke=is_keystroke)
            if may_be_typing and used is None:
                chunks, line = suggestion.receipt.chunks, target.position.line
                history.record(target.document.path, chunks, line)
            return suggestion

        if not target.may_retrieve:
            return ask(None), [*policy.warnings]
        repository_context, should_update = target.repository_context, run.request.should_update
        refreshing = self._begin_refresh(run, repository_context)
        warnings: list[str] = []
        try:
            if self._index_refresh == "before" and should_update and not run.has_budget:
                suggestion = ask_refreshed_index(
                    self._repositories, repository_context, ask, warnings, is_shown=True
                )
            else:
                suggestion = ask(self._repositories.index(repository_context))
        except IndexingError as error:
            self._repositories.forget_index(repository_context)
            suggestion = ask(None)
            if not refreshing.is_first_build:
                remedy = f" ({error.hint})" if error.hint else ""
                warnings.append(f"{error.message}; completing without lookups{remedy}")
        return suggestion, [*refreshing.warnings, *warnings, *policy.warnings]

    def _begin_refresh(self, run: RequestRun, repository_context: RepositoryContext) -> Refreshing:
        """Refresh the index beside the request, where that is this service's part.

        One that is brought up to date before it is asked is waited for within the budget.
        """
        if not run.request.should_update or self._index_refresh == "external":
            return Refreshing()
        if self._index_refresh == "background":
            return self._background.start(repository_context)
        if run.has_budget:
            return self._background.wait(repository_context, run.refresh_s())
        return Refreshing()

    def _run(
        self,
        run: RequestRun,
        target: CompletionTarget,
        resources: PipelineResources,
        *,
        is_keystroke: bool,
    ) -> Suggestion:
        from codebuddy.completion.pipeline import complete

        asked = target.pipeline_request(
            run.request,
            run.remaining_ms(),
            is_typing=run.request.priority != "ask",
            is_keystroke=is_keystroke,
        )
        return complete(asked, resources, run.on_text, run.cancellation, run.observer)
