"""What the analysis finds in a hand-written sample of every language, to the letter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from codebuddy.index.analysis import analyze
from codebuddy.syntax.grammar import grammar_for
from codebuddy.syntax.languages import languages
from codebuddy.syntax.rules import SPECS
from tests.support.syntax import SAMPLES, described, sample, uncovered

# Formats whose samples hold nothing that refers to a name.
WITHOUT_REFERENCES = {"html", "json", "markdown", "toml", "yaml"}


@pytest.mark.parametrize("language", languages())
def test_a_sample_holds_what_is_written_beside_it(language):
    """Definitions, references and imports of a language's sample are exactly the expected ones."""
    name, source = sample(language)
    analysis = analyze(name, source)
    expected = (SAMPLES / f"{language}.expected").read_text(encoding="utf-8")
    assert (analysis.language, analysis.fallback) == (language, "")
    assert described(analysis) == expected
    assert uncovered(source, analysis) == ""


def test_at_least_25_languages_have_definitions_and_references():
    """Symbol lookups work in 25 languages or more, by what their samples show."""
    complete = set()
    for language in languages():
        analysis = analyze(*sample(language))
        if analysis.definitions and analysis.references:
            complete.add(language)
    assert set(languages()) - complete == WITHOUT_REFERENCES
    assert len(complete) >= 25


@pytest.mark.parametrize("language", languages())
def test_the_rules_name_what_the_grammar_has(language):
    """Every node type and field in a language's rules exists in the installed grammar."""
    grammar, spec = grammar_for(language), SPECS[language]
    assert grammar is not None
    kinds = {
        grammar.language.node_kind_for_id(number)
        for number in range(grammar.language.node_kind_count)
        if grammar.language.node_kind_is_named(number)
    }
    named = {rule.node for rule in spec.rules}
    named |= {rule.continues for rule in spec.rules if rule.continues}
    named |= {kind for rule in spec.rules if rule.kinds for kind in rule.kinds[1]}
    named |= spec.identifiers | spec.comments | spec.strings | spec.blocks | spec.attached
    named |= spec.skipped_in_patterns
    fields = set()
    for rule in spec.rules:
        paths = [*rule.name, *rule.module, rule.needs.removeprefix("!"), rule.qualifier]
        paths += rule.body if rule.role == "define" and rule.body != ("body",) else ()
        paths += [part[0] for part in (rule.when, rule.kinds) if part]
        for step in [step for path in paths if path for step in path.split("/")]:
            if step[0] in "<^" and step != "<-":
                named.add(step.strip("<>^"))
            elif step not in (".", "*", "<-") and not step.startswith("'"):
                fields.add(step)
    assert named - kinds == set()
    assert {name for name in fields if not grammar.language.field_id_for_name(name)} == set()


@pytest.mark.process
def test_two_runs_find_the_same():
    """The analysis of a file depends on nothing but its name and bytes, whatever the hash seed."""
    program = (
        "from tests.support.syntax import sample\n"
        "from codebuddy.index.analysis import analyze\n"
        "for language in ('python', 'cpp', 'typescript', 'ruby'):\n"
        "    print(analyze(*sample(language)))\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(SAMPLES.parent.parent)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert b"FileAnalysis" in runs.pop()
