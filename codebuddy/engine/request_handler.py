"""Handles engine requests: suggestion cache, queue, prefetch.

A keystroke that matches a cached suggestion is answered without the worker. No sockets, no
native code.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from codebuddy.cancellation import EarlyCancellations
from codebuddy.completion.cache import CachedSuggestion, CacheKey, SuggestionCache
from codebuddy.engine.dispatcher import Dispatcher
from codebuddy.engine.index_client import IndexClient
from codebuddy.engine.job import Job, cache_key_of, position_after
from codebuddy.engine.places_ahead import PlacesAhead
from codebuddy.engine.protocol import call_to_message
from codebuddy.errors import CodebuddyError, EngineBusyError, SupersededError
from codebuddy.service import dependencies
from codebuddy.service.fingerprint import fingerprint_of
from codebuddy.service.request import CompletionRequest
from codebuddy.settings import EngineSettings

# A few hundred suggestions; the receipts beside them, which are not counted, take ten times that.
_CACHE_BYTES = 128 << 10


class RequestHandler:
    """Answers requests from the cache or passes them to the dispatcher."""

    def __init__(self, settings: EngineSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.dispatcher = Dispatcher(
            settings.queue_length, settings.hang_seconds, self._cache_result, self._serve_follower
        )
        self.index = IndexClient(settings.hang_seconds, self.counts)
        self.cache: SuggestionCache[dict[str, Any]] = SuggestionCache(_CACHE_BYTES)
        # Of the last completion; None where there is none.
        self.adapter: str | None = None
        self._max_waiting = settings.queue_length
        self._prefetches = settings.work_ahead
        self._reads_ahead = settings.read_ahead
        self._places = PlacesAhead()
        self._cancelled_early = EarlyCancellations()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is worked on."""
        return self.dispatcher.is_idle and self.index.is_idle

    def check_room(self) -> None:
        """Say busy before anything is done for a request that would only be refused later.

        Raises:
            EngineBusyError: The queue is full.
        """
        if self.dispatcher.n_waiting >= self._max_waiting:
            self.counts["busy"] += 1
            raise EngineBusyError(
                f"the engine is busy: {self._max_waiting} requests wait already",
                hint="try again in a moment, or see 'codebuddy engine status'",
            )

    def complete(
        self, call: CompletionRequest, head: Mapping[str, Any], arrived: float | None = None
    ) -> Job:
        """A job for `call`, answered already if the cache knows.

        Args:
            call: What is wanted.
            head: The request's `settings` and whether it `wants_text`.
            arrived: When it arrived, on the monotonic clock; now by default.

        Raises:
            EngineBusyError: The queue is full.
        """
        self.counts["requests"] += 1
        job = self._job("complete", call, head)
        job.arrived = arrived or job.arrived
        if self._cancelled_early.take(job.client, job.request):
            self.counts["cancelled"] += 1
            job.fail(SupersededError("the request was cancelled"))
            return job
        if job.cache_key is not None:
            cached = self.cache.get(job.cache_key)
            if cached is not None and dependencies.may_be_served(cached):
                self.counts["cache_hits"] += 1
                self._response_from_cache(job, cached)
                return job
        try:
            self.dispatcher.submit(job)
        except EngineBusyError:
            self.counts["busy"] += 1
            raise
        return job

    def cancel(self, client: str, request: str = "") -> int:
        """End a client's requests, or the one that it calls `request`; how many there were.

        A request that has not arrived yet, or still waits for its index, ends when it comes.
        """
        count = self.dispatcher.cancel_client(client, request)
        if not count:
            self._cancelled_early.add(client, request)
        self.counts["cancelled"] += count
        return count

    def prewarm(self, call: CompletionRequest, head: Mapping[str, Any]) -> None:
        """Have the prompt of a place evaluated when there is nothing else to do."""
        call = dataclasses.replace(call, priority="background")
        self.index.refresh_beside(call, head)
        with_place = self._job("prewarm", call, head)
        try:
            self.dispatcher.submit(with_place)
            self.counts["prewarmed"] += 1
        except EngineBusyError:
            self.counts["busy"] += 1

    async def close(self) -> None:
        """End the workers."""
        running = self.dispatcher.running
        if running is not None and running.op == "tune":
            self.dispatcher.cancel(running)
        await asyncio.gather(self.dispatcher.worker.close(), self.index.worker.close())

    def _job(self, op: str, call: CompletionRequest, head: Mapping[str, Any]) -> Job:
        call_head, body = call_to_message(call)
        message = {
            "call": call_head,
            "settings": head.get("settings"),
            "wants_text": head.get("wants_text", False),
            "wants_pieces": call.priority != "ask",
        }
        place = None
        if op == "complete" and call.priority != "ask" and not call.alternatives:
            # One who asks wants today's index; one who types wants what agrees with the screen.
            place = cache_key_of(call, fingerprint_of(call, head.get("settings")))
        return Job(op, message, body, call.client, call.priority, call, place)

    def _serve_follower(self, job: Job) -> None:
        """The job that `job` waited for is over: what it left, or the queue."""
        cached = self.cache.get(job.cache_key) if job.cache_key is not None else None
        if cached is not None and dependencies.may_be_served(cached):
            self.counts["joined"] += 1
            self._response_from_cache(job, cached)
            return
        try:
            self.dispatcher.submit(job)
        except CodebuddyError as error:
            job.fail(error)

    def _cache_result(self, job: Job, result: dict[str, Any]) -> None:
        """A job succeeded: count it, cache it, answer it, work ahead."""
        tokens = result.get("tokens")
        if isinstance(tokens, dict):
            for name in ("evaluated", "reused", "generated"):
                self.counts[f"tokens_{name}"] += int(tokens.get(name, 0))
        if job.op == "complete" and job.cache_key is not None and _is_complete(result):
            self.cache.put(job.cache_key, str(result["text"]), result)
        if job.op == "load":
            self.adapter = result.get("adapter")
        if job.op == "tune":
            # While nobody waits: what was found may mean loading the model again.
            wish = {name: job.head.get(name) for name in ("settings", "model")}
            again = Job("load", wish, priority="background")
            asyncio.get_running_loop().call_soon(self.dispatcher.submit, again)
        if job.op == "complete":
            acting = result.get("adapter")
            self.adapter = acting["name"] if acting else None
        if job.op in ("complete", "ask"):
            result = result | {"engine": self._about(job, is_cached=False)}
        job.succeed(result)
        if job.op == "complete" and job.priority == "typing" and self._prefetches:
            asyncio.get_running_loop().call_soon(self._prefetch, job, str(result["text"]))
        if job.op in ("complete", "prewarm") and self._reads_ahead:
            asyncio.get_running_loop().call_soon(self._read_ahead, job)
        if job.op == "ahead":
            self.counts["read_ahead"] += len(result["places"])
            self._places.done(job)

    def _response_from_cache(self, job: Job, cached: CachedSuggestion[dict[str, Any]]) -> None:
        assert job.call is not None
        assert job.cache_key is not None
        line, column = position_after(job.cache_key.prefix)
        total_ms = (time.monotonic() - job.arrived) * 1000
        result = cached.value | {
            "text": cached.text,
            "line": line,
            "column": column,
            "tokens": cached.value["tokens"] | {"evaluated": 0, "generated": 0},
            "timings_ms": dict.fromkeys(cached.value["timings_ms"], 0.0) | {"total": total_ms},
            "engine": self._about(job, is_cached=True),
        }
        job.succeed(result)
        if job.priority == "typing" and self._prefetches:
            asyncio.get_running_loop().call_soon(self._prefetch, job, cached.text)

    def _about(self, job: Job, *, is_cached: bool) -> dict[str, Any]:
        now = time.monotonic()
        began = job.started if job.started is not None else now
        return {
            "request_id": job.id,
            "is_cached": is_cached,
            "queue_ms": (began - job.arrived) * 1000,
            "total_ms": (now - job.arrived) * 1000,
        }

    def _prefetch(self, job: Job, text: str) -> None:
        """Suggest for the place behind `text`, as if it had been accepted, when idle."""
        if not text or job.cache_key is None or job.call is None or self.dispatcher.n_waiting:
            return
        prefix = job.cache_key.prefix + text
        place = CacheKey(prefix, job.cache_key.suffix, job.cache_key.fingerprint)
        known = self.cache.get(place)
        if known is not None and dependencies.may_be_served(known):
            return
        line, column = position_after(prefix)
        call = dataclasses.replace(
            job.call,
            text=prefix + place.suffix,
            line=line,
            column=column,
            priority="background",
            budget_ms=None,
            request="",
        )
        ahead = self._job("complete", call, {"settings": job.head.get("settings")})
        ahead.cache_key = place
        self.counts["ahead"] += 1
        self.dispatcher.submit(ahead)

    def named(self, found: Mapping[str, Any]) -> None:
        """A search named places: those of open files are read when nobody waits."""
        if not self._reads_ahead:
            return
        places = [(each["path"], each["line"]) for each in found["results"]]
        for file in self._places.note(found["repository"], places):
            self._submit_ahead(file)

    def _read_ahead(self, job: Job) -> None:
        """Read on in the file of `job` if nobody waits for anything."""
        assert job.call is not None
        if job.priority == "typing" or job.op == "prewarm":
            self._places.opened(job)
        if self._places.is_due(job.call.file):
            self._submit_ahead(job.call.file)

    def _submit_ahead(self, file: str) -> None:
        ahead = self._places.job(file)
        if ahead is not None and not self.dispatcher.n_waiting and self._reads_ahead:
            self.dispatcher.submit(ahead)


def _is_complete(result: Mapping[str, Any]) -> bool:
    """Whether a suggestion is all that there was to say, and not cut by a time budget."""
    return result.get("finish_reason") != "budget"
