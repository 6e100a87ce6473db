"""What there is to read ahead: the files that are open, and what something named in them.

A file is open where a person types; it is read once for each stretch of lines that the cursor
comes to, and again when a search or a hook names a place in it. It decides nothing of models.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from codebuddy.engine.job import Job

_MAX_OPEN = 4
# Larger texts are not kept; a lookup in them would take its time, too.
_MAX_BYTES = 1 << 20
# Within so many lines the places around the cursor stay the same.
_STRETCH_LINES = 24
_MAX_NAMED = 8
_MAX_NAMED_FILES = 64


class PlacesAhead:
    """Open files with their last requests, and named lines of any file."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Job] = OrderedDict()
        self._read: dict[str, tuple[str, int]] = {}
        self._named: OrderedDict[str, list[int]] = OrderedDict()

    def opened(self, job: Job) -> None:
        """Take note that somebody types, or rests, in the file of `job`."""
        call = job.call
        # The hook, which wants no update of the index either, looks at what is committed.
        if call is None or not call.should_update or call.text is None:
            return
        if len(job.body) > _MAX_BYTES:
            return
        self._open[call.file] = job
        self._open.move_to_end(call.file)
        if len(self._open) > _MAX_OPEN:
            self._read.pop(self._open.popitem(last=False)[0], None)

    def is_due(self, file: str) -> bool:
        """Whether the cursor came to another stretch of an open file."""
        last = self._open.get(file)
        return last is not None and self._read.get(file) != _stretch(last)

    def done(self, job: Job) -> None:
        """`job`, one of `job()`, was carried out to its end."""
        if job.call is not None and job.call.file in self._open:
            self._read[job.call.file] = _stretch(job)

    def note(self, root: str, places: Iterable[tuple[str, int]]) -> list[str]:
        """Keep named places, the best first; which of their files are open."""
        lines: dict[str, list[int]] = {}
        for path, line in places:
            lines.setdefault(str(Path(root) / path), []).append(line)
        for file, named in lines.items():
            self._named[file] = named[:_MAX_NAMED]
            self._named.move_to_end(file)
            if len(self._named) > _MAX_NAMED_FILES:
                self._named.popitem(last=False)
        return [file for file in lines if file in self._open]

    def job(self, file: str) -> Job | None:
        """Reading on in an open file, from where the cursor was last; None where it is not open."""
        last = self._open.get(file)
        if last is None or last.call is None:
            return None
        head = {name: last.head.get(name) for name in ("call", "settings")}
        head["named"] = self._named.get(file, [])
        return Job("ahead", head, last.body, last.client, "background", last.call)


def _stretch(job: Job) -> tuple[str, int]:
    assert job.call is not None
    return job.call.client, job.call.line // _STRETCH_LINES
