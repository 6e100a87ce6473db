"""Code that is run gives the same after each change of syntax, names and format."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from codebuddy.robustness.catalog import BY_NAME, TRANSFORMATIONS, transformed
from codebuddy.robustness.place import Place
from tests.robustness.samples import JAVASCRIPT, JAVASCRIPT_TESTS, PYTHON, PYTHON_TESTS
from tests.robustness.support import places

KEEPS_MEANING = [each.name for each in TRANSFORMATIONS if each.family != "comments"]
SEEDS = (0, 1, 2)


def results_of_python(source: str, names: Mapping[str, str]) -> list[object]:
    """What the functions give; our own text, so that it is run here."""
    namespace: dict[str, object] = {}
    exec(compile(source, "<sample>", "exec"), namespace)
    found: list[object] = []
    for name, arguments, _ in PYTHON_TESTS:
        function = namespace[names.get(name, name)]
        found.append(function(*arguments))  # type: ignore[operator]
    counter = namespace["Counter"]()  # type: ignore[operator]
    see = getattr(counter, names.get("see", "see"))
    found.append([see(each) for each in "abaca"])
    found.append(getattr(counter, names.get("most_common", "most_common"))())
    return found


EXPECTED = [*(expected for _, _, expected in PYTHON_TESTS), [1, 1, 2, 1, 3], ["a", "c", "b"]]


def test_the_samples_are_right():
    """As they are."""
    assert results_of_python(PYTHON, {}) == EXPECTED


@pytest.mark.parametrize("name", KEEPS_MEANING)
def test_python_gives_the_same(name):
    """After each change at each place, for several seeds."""
    n_applied = 0
    for place in places(PYTHON, "python", 60):
        for seed in SEEDS if BY_NAME[name].is_random else (0,):
            outcome = transformed(BY_NAME[name], place, seed)
            if outcome.place is None:
                continue
            n_applied += 1
            source = outcome.place.source.decode()
            assert results_of_python(source, outcome.names) == EXPECTED, source
    assert n_applied > 0 or name == "WhileToFor"


@pytest.mark.process
@pytest.mark.skipif(shutil.which("node") is None, reason="JavaScript is run with node")
def test_javascript_gives_the_same():
    """All versions at all places in one start of node."""
    programs = []
    expected = [expected for _, _, expected in JAVASCRIPT_TESTS]
    for place in places(JAVASCRIPT, "javascript", 40):
        for name in KEEPS_MEANING:
            outcome = transformed(BY_NAME[name], place, 0)
            if outcome.place is not None:
                programs.append((name, program_of(outcome.place, outcome.names)))
    assert len({name for name, _ in programs}) > 12
    lines = [f"out.push((() => {{\n{text}\n}})());" for _, text in programs]
    script = "const out = [];\n" + "\n".join(lines) + "\nconsole.log(JSON.stringify(out));"
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:2000]
    for (name, text), found in zip(programs, json.loads(done.stdout), strict=True):
        assert found == expected, f"{name}\n{text}"


def program_of(place: Place, names: Mapping[str, str]) -> str:
    """A changed source that returns what its functions give."""
    calls = [
        f"{names.get(name, name)}(...{json.dumps(arguments)})"
        for name, arguments, _ in JAVASCRIPT_TESTS
    ]
    return f"{place.source.decode()}\nreturn [{', '.join(calls)}];"
