"""Debounce: from rhythm and latency, within its bounds."""

from __future__ import annotations

import pytest

from codebuddy.completion.debounce import CEILING_MS, FLOOR_MS, debounce_ms


@pytest.mark.parametrize(
    ("intervals", "latency", "expected"),
    [
        ([], 0, FLOOR_MS),
        ([200] * 5, 0, 250),
        ([20] * 5, 0, FLOOR_MS),
        ([200] * 5, 800, 250),
        ([100] * 5, 1600, 400),
        ([100] * 5, 60_000, CEILING_MS),
        ([5000, 5000], 0, FLOOR_MS),
    ],
)
def test_the_wait_follows_rhythm_and_latency(intervals, latency, expected):
    """A little over the rhythm, at least a share of the latency, between floor and ceiling."""
    assert debounce_ms(intervals, latency) == expected


def test_the_newest_keystrokes_count():
    """An old slow rhythm is forgotten once sixteen faster keystrokes followed."""
    assert debounce_ms([900] * 40 + [80] * 16, 0) == 100
