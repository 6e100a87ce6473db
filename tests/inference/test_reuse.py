"""Which part of a prompt the KV cache holds already: plans over token lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.inference.reuse import (
    MIN_RUN,
    Reuse,
    TokenRun,
    common_length,
    find_run,
    plan_reuse,
)

MARK, MIDDLE = 900, 901
SUFFIX = list(range(500, 600))


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
    assert plan_reuse([HELD], [1], wanted, MARK) == Reuse(0, 0, 100, TokenRun(101, 104, 100))


def test_a_suffix_that_lost_its_beginning_is_found():
    """After moving down, the rest of the suffix stands nearer to the marker."""
    wanted = prompt([*range(100), *SUFFIX[:20]], SUFFIX[20:])
    assert plan_reuse([HELD], [1], wanted, MARK).run == TokenRun(121, 121, 80)


def test_nothing_is_shifted_unless_allowed_or_behind_the_marker():
    """Text before the suffix marker never moves, and nothing does without leave."""
    wanted = prompt([*range(100), 1])
    assert plan_reuse([HELD], [1], wanted).run is None
    moved_prefix = prompt([1, *range(100)], list(range(700, 760)))
    assert plan_reuse([HELD], [1], moved_prefix, MARK).run is None


def test_short_runs_are_evaluated_instead():
    """A suffix shorter than what moving costs is not moved."""
    short = SUFFIX[: MIN_RUN - 2]
    held, wanted = prompt([1, 2, 3], short), prompt([1, 2, 3, 4], short)
    assert plan_reuse([held], [1], wanted, MARK).run is None


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


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=60)


@given(held=tokens, wanted=tokens, common=st.integers(0, 10))
def test_a_run_is_where_it_says(held, wanted, common):
    """Whatever the lists: a run is the same in both, behind the marker, and ends before the end."""
    held = [*held, MARK, *SUFFIX[:40]]
    wanted = [*wanted, MARK, *SUFFIX[:40], 5]
    common = min(common, common_length(held, wanted))
    run = find_run(held, wanted, common, MARK)
    assert run is not None
    assert (
        held[run.held_start :][: run.length]
        == wanted[run.wanted_start : run.wanted_start + run.length]
    )
    assert run.length >= MIN_RUN
    assert run.wanted_start + run.length < len(wanted)
    assert min(run.held_start, run.wanted_start) >= common


@pytest.mark.parametrize(("one", "other", "length"), [([], [1], 0), ([1, 2], [1, 2, 3], 2)])
def test_common_length(one, other, length):
    """Lists of any length are compared from the beginning."""
    assert common_length(one, other) == length
