"""Which part of a prompt the KV cache holds already: plans over token lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.inference.reuse import (
    FRESH_TOKENS,
    MAX_RUNS,
    MIN_RUN,
    MISSING,
    Markers,
    Reuse,
    TokenRun,
    common_length,
    find_runs,
    plan_reuse,
)

PREFIX, MARK, MIDDLE = 899, 900, 901
MARKERS = Markers(PREFIX, MARK)
SUFFIX = list(range(500, 600))
HEAD = [950, 951, 952, PREFIX]
# A file: 600 tokens, of which each prompt shows a part.
FILE = list(range(1000, 1600))


def prompt(prefix: list[int], suffix: list[int] = SUFFIX) -> list[int]:
    """A prompt in prefix, suffix, middle order."""
    return [*prefix, MARK, *suffix, MIDDLE]


HELD = prompt(list(range(100)))


def test_an_empty_cache_offers_nothing():
    """The first prompt is evaluated in the first slot."""
    assert plan_reuse([[], [], []], [0, 0, 0], HELD) == Reuse(0, 0, 0)


def test_what_is_common_stays_and_the_last_token_is_evaluated():
    """The same prompt again leaves one token, for its logits."""
    assert plan_reuse([HELD], [1], HELD) == Reuse(0, 0, len(HELD) - 1)


def test_an_unchanged_suffix_is_shifted_behind_what_was_typed():
    """Three typed tokens move the suffix by three, but not its marker."""
    wanted = prompt([*range(100), 1, 2, 3])
    run = TokenRun(0, 101, 104, 100)
    assert plan_reuse([HELD], [1], wanted, MARKERS) == Reuse(0, 0, 100, (run,))


def test_a_suffix_that_lost_its_beginning_is_found():
    """After moving down, the rest of the suffix stands nearer to the marker."""
    wanted = prompt([*range(100), *SUFFIX[:20]], SUFFIX[20:])
    assert plan_reuse([HELD], [1], wanted, MARKERS).runs == (TokenRun(0, 121, 121, 80),)


def test_nothing_is_shifted_unless_allowed():
    """Nothing moves without leave."""
    assert plan_reuse([HELD], [1], prompt([*range(100), 1])).runs == ()


def test_short_runs_are_evaluated_instead():
    """A suffix shorter than what moving costs is not moved."""
    short = SUFFIX[: MIN_RUN - 2]
    held, wanted = prompt([1, 2, 3], short), prompt([1, 2, 3, 4], short)
    assert plan_reuse([held], [1], wanted, MARKERS).runs == ()


def at(place: int, *, begin: int, end: int) -> list[int]:
    """The prompt at a place of the file, with the text from `begin` to `end`."""
    return [*HEAD, *FILE[begin:place], MARK, *FILE[place:end], MIDDLE]


def test_another_place_of_the_file_takes_what_was_read_of_it():
    """Its window begins elsewhere; what both show is moved, but for the tokens at the cursor."""
    first, wanted = at(300, begin=40, end=440), at(280, begin=20, end=460)
    plan = plan_reuse([first, [], []], [1, 0, 0], wanted, MARKERS)
    assert (plan.common, plan.source) == (len(HEAD), 0)
    before, behind = plan.runs
    assert (before.held_start, before.wanted_start) == (len(HEAD), len(HEAD) + 20)
    assert before.wanted_end == wanted.index(MARK) - FRESH_TOKENS
    assert behind.wanted_start == wanted.index(MARK) + 1 + 20
    assert behind.wanted_end == len(wanted) - 21


def test_what_was_behind_the_cursor_does_not_come_before_it():
    """Text keeps its part: the model reads what follows a cursor with other eyes."""
    first, wanted = at(100, begin=0, end=300), at(280, begin=101, end=299)
    runs = plan_reuse([first, [], []], [1, 0, 0], wanted, MARKERS).runs
    assert all(run.wanted_start > wanted.index(MARK) for run in runs)


def test_runs_come_from_several_slots():
    """One place that lies between two others takes from both."""
    slots = [at(200, begin=0, end=250), at(500, begin=300, end=550), []]
    wanted = at(380, begin=150, end=480)
    plan = plan_reuse(slots, [1, 2, 0], wanted, MARKERS)
    assert {run.source for run in plan.runs} == {0, 1}
    assert plan.slot == 2, "what is left of both stays"


def test_text_behind_another_head_is_left_alone():
    """Behind other chunks, or of another file, the same text was read with other eyes."""
    other = [960, *at(300, begin=0, end=400)[1:]]
    wanted = at(350, begin=40, end=420)
    assert plan_reuse([other, [], []], [1, 0, 0], wanted, MARKERS).runs == ()


def test_what_stays_or_is_taken_already_is_not_moved():
    """A text that stands twice in the prompt, and once in the cache, is moved once."""
    held = [*HEAD, *FILE[:100], MARK, *FILE[100:120], MIDDLE]
    wanted = [*HEAD, *FILE[:100], *FILE[:100], *FILE[300:340], MARK, 7, MIDDLE]
    assert plan_reuse([held], [1], wanted, MARKERS).runs == ()
    wanted = [*HEAD, 7, *FILE[:100], 8, *FILE[:100], *FILE[300:340], MARK, 7, MIDDLE]
    assert [run.wanted_start for run in plan_reuse([held], [1], wanted, MARKERS).runs] == [5]


def test_another_file_takes_an_empty_slot_with_the_common_head():
    """What one slot holds is not thrown away for a prompt that shares only its head."""
    wanted = [*range(20), *range(700, 800)]
    assert plan_reuse([HELD, [], []], [1, 0, 0], wanted) == Reuse(1, 0, 20)


def test_without_an_empty_slot_the_one_unused_longest_goes():
    """The least recently used slot gives way, never the one that shares most."""
    slots = [HELD, prompt([7] * 50), prompt([8] * 50)]
    plan = plan_reuse(slots, [5, 9, 6], [*range(20), *range(700, 800)])
    assert plan == Reuse(2, 0, 20)


def test_going_back_to_a_file_finds_its_slot():
    """The slot with the longest common beginning is chosen, whenever it was used."""
    wanted = [*HELD[:90], 3, 4]
    plan = plan_reuse([HELD, prompt([7] * 50)], [1, 9], wanted)
    assert (plan.source, plan.common) == (0, 90)


pieces = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), min_size=1, max_size=8)


def pieced(parts: list[tuple[int, int]], suffix: list[tuple[int, int]]) -> list[int]:
    """A prompt of pieces of the file, each followed by a token of its own."""

    def text(chosen: list[tuple[int, int]]) -> list[int]:
        return [t for number, own in chosen for t in [*FILE[number * 40 :][:40], own]]

    return [*HEAD, *text(parts), MARK, *text(suffix), MIDDLE]


@given(helds=st.lists(st.tuples(pieces, pieces), min_size=1, max_size=3), wanted=pieces, end=pieces)
def test_runs_are_where_they_say(helds, wanted, end):
    """Whatever was read: a run is the same in both, in order, once, and no marker."""
    slots = [pieced(*held) for held in helds]
    slots[0][40:60] = [MISSING] * len(slots[0][40:60])
    prompt = pieced(wanted, end)
    for best, held in enumerate(slots):
        common = min(common_length(held, prompt), len(prompt) - 1)
        runs = find_runs(slots, prompt, best, common, MARKERS)
        assert len(runs) <= MAX_RUNS
        at = common
        used: set[tuple[int, int]] = set()
        for run in runs:
            source = slots[run.source]
            text = prompt[run.wanted_start : run.wanted_end]
            assert source[run.held_start : run.held_end] == text
            assert run.length >= MIN_RUN
            assert not {PREFIX, MARK, MIDDLE, MISSING} & set(text)
            assert at <= run.wanted_start
            assert run.wanted_end < len(prompt)
            cells = {(run.source, place) for place in range(run.held_start, run.held_end)}
            assert not cells & used
            used |= cells
            at = run.wanted_end
        stays = {(best, place) for place in range(common)}
        assert not stays & used


@pytest.mark.parametrize(("one", "other", "length"), [([], [1], 0), ([1, 2], [1, 2, 3], 2)])
def test_common_length(one, other, length):
    """Lists of any length are compared from the beginning."""
    assert common_length(one, other) == length
