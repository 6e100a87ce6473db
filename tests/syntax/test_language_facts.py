"""What codebuddy takes for granted of each language is what `language_facts.toml` says of it.

A row a language and a column a fact, none left out: who adds a language answers all of them, and
who moves a fact sees that no answer changes.
"""

from __future__ import annotations

import tomllib

import pytest

from codebuddy.index.file_role import subject_of_test
from codebuddy.index.modules import family_of
from codebuddy.syntax.languages import extensions, languages
from tests.support.language_facts import FILE, NAMES, as_toml, facts_of, resolved

FROZEN = tomllib.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", NAMES)
def test_the_facts_of_a_language_are_what_they_were(language):
    """Each fact is what the row of the language says."""
    facts = facts_of(language)
    assert facts == FROZEN["language"].get(language), as_toml(f"language.{language}", facts)


def test_every_language_has_a_row_and_no_other_has():
    """The rows are those of the languages, the documents that embed code and unknown text."""
    assert sorted(FROZEN["language"]) == sorted(NAMES)
    assert len({tuple(row) for row in FROZEN["language"].values()}) == 1


@pytest.mark.parametrize("suffix", sorted(FROZEN["imports"]))
def test_imports_lead_where_they_led(suffix):
    """What files of a suffix import is found by the conventions of their language."""
    found = {"leads": resolved(suffix)}
    assert found == FROZEN["imports"][suffix], as_toml(f"imports.{suffix}", found)


def test_every_family_of_imports_is_among_them():
    """A suffix of each family stands in the file."""
    every = {family_of(f"x.{suffix}") for name in languages() for suffix in extensions(name)}
    assert {family_of(f"x.{suffix}") for suffix in FROZEN["imports"]} == every


@pytest.mark.parametrize(("name", "subject"), FROZEN["test_subjects"].items())
def test_a_test_file_names_what_it_tests(name, subject):
    """The name of a test leads to its subject; other files have none."""
    assert subject_of_test(name) == subject
