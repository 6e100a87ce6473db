"""What of a new prompt the KV cache holds already: pure planning over token lists.

Two kinds of reuse. What is common from the beginning on is exact. Runs of tokens that only
moved can be shifted: the suffix, after something was typed before it, and the text of a file
around a place that the cursor went to, which stood elsewhere in the prompt of another place.
Their keys and values were computed behind other text of the same file, so that they are an
approximation, as llama.cpp's own `--cache-reuse` is one. The markers are never shifted, nor the
last tokens before the cursor: they say where the prefix ends, and stale ones make the model begin
the line again (docs/log.md). It knows nothing of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Shorter runs are evaluated faster than moved: moving costs one pass over the keys.
MIN_RUN = 24
# More runs than these are not worth their bookkeeping; each needs a sequence to wait in.
MAX_RUNS = 4
# Tokens before the cursor that are evaluated behind what stands before them.
FRESH_TOKENS = 32
# Runs are found by their first tokens, so that one pass over the lists is enough.
_SEED = 8
# Places at which the same few tokens are looked at: of blank lines there are many.
_MAX_PLACES = 8
# Stands where a slot holds nothing before a run: evaluation was stopped there, or it was moved.
MISSING = -1


@dataclass(frozen=True, slots=True)
class TokenRun:
    """Tokens that slot `source` holds at `held_start` and that are wanted at `wanted_start`."""

    source: int
    held_start: int
    wanted_start: int
    length: int

    @property
    def held_end(self) -> int:
        """Where it ends in its source."""
        return self.held_start + self.length

    @property
    def wanted_end(self) -> int:
        """Where it ends in the prompt."""
        return self.wanted_start + self.length


@dataclass(frozen=True, slots=True)
class Markers:
    """The tokens before a prompt's prefix and before its suffix."""

    prefix: int
    suffix: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """Where to evaluate a prompt, and what of it is there already.

    `slot` is the one to work in; the first `common` tokens come from slot `source`, which is
    the same unless a copy spares what that slot holds beyond them. `runs` are moved there, in
    the order in which they are wanted.
    """

    slot: int
    source: int
    common: int
    runs: tuple[TokenRun, ...] = ()


def common_length(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for index, (one, other) in enumerate(zip(held, wanted, strict=False)):
        if one != other:
            return index
    return min(len(held), len(wanted))


def plan_reuse(
    slots: Sequence[Sequence[int]],
    last_used: Sequence[int],
    wanted: Sequence[int],
    markers: Markers | None = None,
    protected: frozenset[int] = frozenset(),
) -> Reuse:
    """Choose a slot for `wanted`, and what to keep there.

    Args:
        slots: The tokens that each slot holds.
        last_used: For each slot a number that grows with its last use.
        wanted: The prompt; its last token is evaluated in any case, for its logits.
        markers: Where text that may be moved begins; None if nothing may.
        protected: Slots that are to stay as they are where there is another one.

    Returns:
        The slot with the most common tokens. If keeping them would throw away more than half
        of what that slot holds, an empty slot or else the one unused for longest is taken
        instead, with the common part copied; an empty one also where text before the cursor moves.
    """
    commons = [min(common_length(held, wanted), len(wanted) - 1) for held in slots]
    best = max(range(len(slots)), key=lambda slot: (commons[slot], last_used[slot]))
    common = commons[best]
    runs: tuple[TokenRun, ...] = ()
    if markers is not None and common:
        runs = find_runs(slots, wanted, best, common, markers)
    kept = common + sum(run.length for run in runs if run.source == best)
    is_mostly_lost = kept * 2 < len(slots[best]) - list(slots[best]).count(MISSING)
    others = [slot for slot in range(len(slots)) if slot != best and slot not in protected]
    # What runs leave behind is text of the file, too, which another place may show.
    has_moved = (
        markers is not None
        and bool(runs)
        and runs[0].wanted_start < list(wanted).index(markers.suffix)
    )
    is_kept = has_moved and any(not slots[slot] for slot in others)
    if others and (is_mostly_lost or is_kept or best in protected):
        target = min(others, key=lambda slot: (len(slots[slot]) > 0, last_used[slot]))
        return Reuse(target, best, common, runs)
    return Reuse(best, best, common, runs)


def find_runs(
    slots: Sequence[Sequence[int]],
    wanted: Sequence[int],
    best: int,
    common: int,
    markers: Markers,
) -> tuple[TokenRun, ...]:
    """The longest runs of the file's text that the slots hold, from `common` on.

    Only slots whose prompts begin with the same head count (chunks and the file's name): text
    that was evaluated behind other chunks would lose what they say. What was before the cursor
    stays before it, and what was behind it, behind. While typing nothing but the suffix is
    missing, and `best` alone is looked at.
    """
    head = _index(wanted, markers.prefix) + 1
    suffix = _index(wanted, markers.suffix)
    if suffix < 0:
        return ()
    regions = [(max(suffix + 1, common), len(wanted) - 1)]
    sources = [best]
    if common < suffix - FRESH_TOKENS:
        regions.insert(0, (max(common, head), suffix - FRESH_TOKENS))
        sources += [
            slot
            for slot, held in enumerate(slots)
            if slot != best and common_length(held, wanted[:head]) == head
        ]
    taken = _Taken(slots, wanted, best, common, head)
    found = []
    for start, end in regions:
        held = {slot: _region(slots[slot], markers, is_behind=start > suffix) for slot in sources}
        places = _places(slots, held, taken)
        found += list(_runs_between(slots, wanted, start, end, places, taken))
    found.sort(key=lambda run: -run.length)
    return tuple(sorted(found[:MAX_RUNS], key=lambda run: run.wanted_start))


class _Taken:
    """Which held tokens are not to be moved: those that stay, and those of other runs."""

    def __init__(
        self,
        slots: Sequence[Sequence[int]],
        wanted: Sequence[int],
        best: int,
        common: int,
        head: int,
    ) -> None:
        self._slots = slots
        stays = wanted[:common]
        # What a slot shares with the part that stays may lie in the same cells.
        self.start = [max(head, common_length(held, stays)) for held in slots]
        self.start[best] = max(head, common)
        self._ranges: list[tuple[int, int, int]] = []

    def room(self, slot: int, start: int, length: int) -> int:
        """How many of `length` tokens from `start` on are free."""
        for other, low, high in self._ranges:
            if other == slot and low < start + length and start < high:
                length = max(0, low - start)
        return length

    def add(self, run: TokenRun) -> None:
        """Take a run, in each slot that may share its cells."""
        source = self._slots[run.source]
        for slot, held in enumerate(self._slots):
            end = run.held_end if slot == run.source else common_length(held, source)
            self._ranges.append((slot, run.held_start, min(end, run.held_end)))


_Places = dict[tuple[int, ...], list[tuple[int, int]]]


def _region(held: Sequence[int], markers: Markers, *, is_behind: bool) -> tuple[int, int]:
    """Where a slot holds what is before its cursor, or behind it.

    What is missing may have been the marker: then it is known of the first and the last part.
    """
    suffix = _index(held, markers.suffix)
    if is_behind:
        last = len(held) - 1 - _index(list(reversed(held)), MISSING) if MISSING in held else -1
        return (suffix if suffix >= 0 else last) + 1, len(held)
    return 0, suffix if suffix >= 0 else _index([*held, MISSING], MISSING)


def _places(
    slots: Sequence[Sequence[int]], regions: Mapping[int, tuple[int, int]], taken: _Taken
) -> _Places:
    """Where the slots hold which few tokens, within each one's region."""
    places: _Places = {}
    for slot, (low, high) in regions.items():
        held = slots[slot]
        for index in range(max(low, taken.start[slot]), high - _SEED + 1):
            found = places.setdefault(tuple(held[index : index + _SEED]), [])
            if len(found) < _MAX_PLACES:
                found.append((slot, index))
    return places


def _runs_between(
    slots: Sequence[Sequence[int]],
    wanted: Sequence[int],
    start: int,
    end: int,
    places: _Places,
    taken: _Taken,
) -> Iterator[TokenRun]:
    """Runs of the wanted tokens from `start` to `end`, from left to right."""
    index = start
    while index <= end - MIN_RUN:
        best: TokenRun | None = None
        for slot, place in places.get(tuple(wanted[index : index + _SEED]), ()):
            length = common_length(slots[slot][place : place + end - index], wanted[index:end])
            length = taken.room(slot, place, length)
            if length >= MIN_RUN and (best is None or length > best.length):
                best = TokenRun(slot, place, index, length)
        if best is None:
            index += 1
            continue
        taken.add(best)
        yield best
        index = best.wanted_end


def _index(tokens: Sequence[int], token: int) -> int:
    """Where `token` stands first; -1 where it does not."""
    return tokens.index(token) if token in tokens else -1
