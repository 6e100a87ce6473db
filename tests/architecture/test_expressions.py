"""No regular expression costs more than its text is long: a repository chooses the texts.

One that is quadratic takes minutes for a megabyte, and nothing else runs in the process
meanwhile: not the deadline, and none of the rules that would have spoken.
"""

from __future__ import annotations

import functools
import re
from types import SimpleNamespace

import pytest

from codebuddy.completion import expression
from codebuddy.hook import credentials, state
from codebuddy.index import encoder
from codebuddy.syntax import modes
from codebuddy.syntax.lexicon import LEXICONS
from tests.support.expression_costs import (
    PACKAGE,
    Expression,
    Unknown,
    expressions,
    too_expensive,
)


def _recorded(module, function, call):
    """The expressions that a call makes at run time for a function of `re`."""
    found = []

    def record(pattern, *arguments, **options):
        found.append(pattern)
        return getattr(re, function)(pattern, *arguments, **options)

    before = module.re
    module.re = SimpleNamespace(**{**vars(re), function: record})
    try:
        call()
    finally:
        module.re = before
    assert found
    return found


def _values():
    """What expressions that are made at run time are made of."""
    return {
        "answering/claims.py": {"name": "name"},
        "completion/expression.py": {
            "pattern": _recorded(
                expression, "finditer", lambda: expression.types_of("name", "name")
            )
        },
        "completion/closers.py": {
            "frame": SimpleNamespace(closer=r"\*/"),
            "opener": r"(?:^|\s)(?:/\*)",
        },
        "completion/members.py": {"owner": "name"},
        "completion/postprocess.py": {"context": SimpleNamespace(closing="</script>")},
        "config.py": {"key": "key", "section": "section"},
        "evaluation/masked_index.py": {"name": "name", "pattern": r"(?<!\w)name(?!\w)"},
        "hook/credentials.py": {"pattern": list(credentials._KEYED.values())},
        "hook/rules/callers.py": {"changed": SimpleNamespace(name="name"), "name": "name"},
        "hook/rules/deprecated.py": {"name": "name"},
        "hook/rules/renaming_patch.py": {
            "name": "name",
            "module": b"module",
            "word": re.compile(rb"(?<!\w)module(?!\w)"),
        },
        "hook/state.py": {
            "name": "name",
            "pattern": _recorded(
                state, "search", lambda: state.SourceFile("a.py", b"").defines("name")
            ),
        },
        "index/second_tier.py": {"CAMEL_BORDER": encoder.CAMEL_BORDER},
        "index/file_lines.py": {"name": "name"},
        "index/query_filters.py": {"before": r"(?<!\w)", "word": "name", "behind": r"(?!\w)"},
        # Patterns of a repository: each path is matched in bounded time (test_ignore_rules.py).
        "index/ignore_rules.py": {"expressions": [b"name"]},
        "robustness/names.py": {"name": "name", "old": "name"},
        "syntax/brackets.py": {
            "form": SimpleNamespace(opener=r"/\*"),
            "top": SimpleNamespace(word="do"),
            "mode": SimpleNamespace(lexicon=SimpleNamespace(heredoc=r"<<[-~]?(\w+)")),
        },
        "syntax/documentation.py": {"sign": b"//"},
        "syntax/embedded.py": {"name": "script"},
        "syntax/modes.py": {
            "pattern": [modes.base_mode(language).pattern.pattern for language in LEXICONS],
            "words": "do|if|end",
        },
        "syntax/occurrences.py": {"alternatives": b"name|other"},
        "tui/settings_file.py": {"key": "key", "section": "section"},
        "tui/text/motion.py": {"bracket": "(", "other": ")"},
    }


# These meet texts of ours: the shipped catalog, and packages that a developer chose to train on.
_OWN_TEXT = (
    "inference/catalog.py",
    "training/embedder/",
    "training/packages.py",
    "training/sources.py",
)

_FILES = [
    file.relative_to(PACKAGE).as_posix()
    for file in sorted(PACKAGE.rglob("*.py"))
    if re.search(r"^\s*import re$", file.read_text(encoding="utf-8"), re.MULTILINE)
]


@functools.cache
def _found():
    """Every expression of the package. It imports all of it: not while tests are collected."""
    return list(expressions(_values()))


def _places(kind):
    """Where expressions are that are known, or unknown."""
    return [each.place for each in _found() if isinstance(each, kind)]


def test_every_expression_is_measured():
    """One that is made at run time is named above with what it is made of."""
    assert _places(Unknown) == []
    assert {place.partition(":")[0] for place in _places(Expression)} <= set(_FILES)


@pytest.mark.slow
def test_expensive_expressions_are_recognised():
    """The measure tells linear from quadratic and exponential."""

    def is_expensive(pattern, method="finditer"):
        found = Expression("here", re.compile(pattern), frozenset({method}))
        return bool(too_expensive(found))

    assert is_expensive(r"(?m)^\s+x")
    assert is_expensive(r"\w*$", "search")
    assert is_expensive(r"(?:a+)+!", "fullmatch")
    assert is_expensive(r'x="(?:\\.|[^"])*"|"(?:\\.|[^"])*"')
    assert not is_expensive(r"(?m)^[^\S\n]++x")
    assert not is_expensive(r"\s*x", "match")
    assert not is_expensive(r"\w{1,40}$")


@pytest.mark.slow
@pytest.mark.parametrize("file", _FILES)
def test_the_cost_grows_as_the_text_does(file):
    """Four times the text costs about four times as much, whatever the text is."""
    if file.startswith(_OWN_TEXT):
        return
    of_file = [e for e in _found() if isinstance(e, Expression) and e.place.startswith(f"{file}:")]
    found = {each.place: too_expensive(each) for each in of_file}
    assert {place: text for place, text in found.items() if text} == {}
