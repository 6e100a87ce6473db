"""What of a new prompt the KV cache holds already: pure planning over token lists.

Two kinds of reuse. What is common from the beginning on is exact. A run of tokens that only
moved (the suffix, after something was typed before it) can be shifted: its keys and values
were computed behind a slightly different prefix, so that it is an approximation, as
llama.cpp's own `--cache-reuse` is one. The suffix marker itself is never shifted: its keys
and values say where the prefix ends, and a stale one makes the model begin the line again
(docs/log.md). It knows nothing of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Shorter runs are evaluated faster than moved: moving costs one pass over the keys.
MIN_RUN = 24
# Runs are found by their first tokens, so that one pass over both lists is enough.
_SEED = 8
# Stands where a slot holds nothing before a run: evaluation was stopped there.
MISSING = -1


@dataclass(frozen=True, slots=True)
class TokenRun:
    """Tokens that stand at `held_start` in the cache and are wanted at `wanted_start`."""

    held_start: int
    wanted_start: int
    length: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """Where to evaluate a prompt, and what of it is there already.

    `slot` is the one to work in; the first `common` tokens come from slot `source`, which is
    the same unless a copy spares what that slot holds beyond them.
    """

    slot: int
    source: int
    common: int
    run: TokenRun | None = None


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
    movable_after: int | None = None,
) -> Reuse:
    """Choose a slot for `wanted`, and what to keep there.

    Args:
        slots: The tokens that each slot holds.
        last_used: For each slot a number that grows with its last use.
        wanted: The prompt; its last token is evaluated in any case, for its logits.
        movable_after: The token from which on text may be shifted (the suffix marker);
            None if nothing may.

    Returns:
        The slot with the most common tokens. If keeping them would throw away more than half
        of what that slot holds, an empty slot or else the one unused for longest is taken
        instead, with the common part copied.
    """
    commons = [min(common_length(held, wanted), len(wanted) - 1) for held in slots]
    best = max(range(len(slots)), key=lambda slot: (commons[slot], last_used[slot]))
    common = commons[best]
    run = None
    if movable_after is not None and common:
        run = find_run(slots[best], wanted, common, movable_after)
    kept = common + (run.length if run else 0)
    if kept * 2 < len(slots[best]) and len(slots) > 1:
        others = [slot for slot in range(len(slots)) if slot != best]
        target = min(others, key=lambda slot: (len(slots[slot]) > 0, last_used[slot]))
        return Reuse(target, best, common)
    return Reuse(best, best, common, run)


def find_run(
    held: Sequence[int], wanted: Sequence[int], common: int, movable_after: int
) -> TokenRun | None:
    """The longest run behind the suffix marker that both lists have, from `common` on.

    It leaves at least the last wanted token to be evaluated. None if it is too short.
    """
    held_from = _behind(held, movable_after, common)
    wanted_from = _behind(wanted, movable_after, common)
    if held_from is None or wanted_from is None:
        return None
    places: dict[tuple[int, ...], int] = {}
    for index in range(held_from, len(held) - _SEED + 1):
        places.setdefault(tuple(held[index : index + _SEED]), index)
    best: TokenRun | None = None
    index, end = wanted_from, len(wanted) - 1
    while index <= end - MIN_RUN:
        place = places.get(tuple(wanted[index : index + _SEED]))
        if place is None:
            index += 1
            continue
        length = common_length(held[place:], wanted[index:end])
        if length >= MIN_RUN and (best is None or length > best.length):
            best = TokenRun(place, index, length)
        index += max(length, 1)
    return best


def _behind(tokens: Sequence[int], marker: int, common: int) -> int | None:
    """The first place behind the marker that is not common; None without a marker.

    What is missing may have been the marker: behind it only a run can stand.
    """
    if marker in tokens[:common]:
        return common
    for index in range(common, len(tokens)):
        if tokens[index] in (marker, MISSING):
            return index + 1
    return None
