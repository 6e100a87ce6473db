"""The tables of docs/robustness.md are those that the code makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.robustness.page import languages_table, transformations_table

PAGE = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", [transformations_table, languages_table])
def test_a_table_is_the_codes(table):
    """`python -m tests.robustness.page` prints both."""
    assert table() in PAGE
