"""The plain lookups that `eval` compares with: they find the window that a reader would open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codebuddy.completion.context import build_context
from codebuddy.datatypes import Document, Position
from codebuddy.evaluation.baselines import BASELINES, STRIDE_LINES, WINDOW_LINES, WindowRetriever
from codebuddy.evaluation.holes import cut_holes
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings
from tests.support.evaluation import indexed
from tests.support.index import make_repository


def provider(name: str) -> str:
    """A class whose shape its siblings share, behind some lines of its own."""
    filler = "".join(f"def {name}_{n}(value):\n    return value + {n}\n\n\n" for n in range(12))
    return (
        f"{filler}class {name.title()}Provider:\n"
        "    def fetch(self, session, identifier):\n"
        f'        url = self.base_url + "/{name}/" + identifier\n'
        "        response = session.get(url, timeout=self.timeout)\n"
        "        response.raise_for_status()\n"
        f"        return {name.title()}Record(**response.json())\n"
    )


ONE, TWO = provider("one"), provider("two")
FILES: dict[str, str | bytes] = {
    "one.py": ONE,
    "two.py": TWO,
    "other.py": "".join(f"x{n} = {n} * factor\n" for n in range(60)),
    "empty.py": "",
    "copy.py": ONE,
}


def place(text: str, line: str):
    """The context just behind `line` of one.py."""
    number = text[: text.index(line)].count("\n") + 2
    return build_context(Document("one.py", text, Path("one.py")), Position(number, 1), "python")


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_window_of_the_sibling_comes_first_and_reaches_past_the_likeness(tmp_path, baseline):
    """Neither the own file nor a copy of it is looked into."""
    with indexed(make_repository(tmp_path / "r", FILES)) as (repository, index):
        windows = WindowRetriever(repository, index)
        context = place(ONE, "response = session.get")
        found = windows.search(baseline, context, 10)
    assert found[0].chunk.path == "two.py"
    assert "return TwoRecord(**response.json())" in found[0].chunk.text
    assert {each.chunk.path for each in found} <= {"two.py", "other.py"}
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)


@pytest.mark.parametrize("baseline", BASELINES)
def test_files_are_read_before_the_first_lookup_is_timed(tmp_path, baseline):
    """What is read and counted once is no part of the first task's latency."""
    with indexed(make_repository(tmp_path / "r", FILES)) as (repository, index):
        windows = WindowRetriever(repository, index)
        context = place(ONE, "response = session.get")
        expected = WindowRetriever(repository, index).search(baseline, context, 10)
        windows.prepare(baseline)
    # The index is closed: a lookup that still read from it would fail.
    assert windows.search(baseline, context, 10) == expected
    assert expected


def test_windows_are_of_20_lines_10_apart_and_lie_where_they_say(tmp_path):
    """Each window's text is that of its lines; the last reaches the end of the file."""
    with indexed(make_repository(tmp_path / "r", FILES)) as (repository, index):
        windows = WindowRetriever(repository, index)
        context = place(ONE, "response = session.get")
        found = windows.search("jaccard", context, 1000)
    lines = TWO.split("\n")
    of_two = sorted((e.chunk.start_line, e.chunk) for e in found if e.chunk.path == "two.py")
    for first, chunk in of_two:
        assert (first - 1) % STRIDE_LINES == 0
        assert chunk.text == "\n".join(lines[first - 1 : first - 1 + WINDOW_LINES])
        assert chunk.end_line == min(first - 1 + WINDOW_LINES, len(lines))
    assert of_two[-1][1].end_line == len(lines)


@pytest.mark.parametrize("baseline", BASELINES)
def test_nothing_to_look_into_finds_nothing(tmp_path, baseline):
    """A repository of one file, and one whose other files hold no word."""
    for name, files in {"one": {}, "blank": {"a.txt": "---\n", "b.txt": ""}}.items():
        root = make_repository(tmp_path / name, {"one.py": ONE, **files})
        with indexed(root) as (repository, index):
            windows = WindowRetriever(repository, index)
            context = place(ONE, "response = session.get")
            assert windows.search(baseline, context, 5) == []


def test_a_baseline_packs_what_it_found_into_the_same_prompt(tmp_path):
    """Its chunks are windows, within the budget of chunks that the product has."""
    with indexed(make_repository(tmp_path / "r", FILES)) as (repository, index):
        settings = CompletionSettings(context_tokens=300)
        setup = make_setup(repository, index, EchoGenerator(), settings, BASELINES, 0)
        holes = [h for h in cut_holes(repository, index, ["line"], 40, 0) if h.path == "two.py"]
        arms = [arm for hole in holes for arm in run_task(hole, setup).arms.items()]
    assert any(result.chunks for _, result in arms)
    for _, result in arms:
        assert result.retrieve
        assert {chunk["path"] for chunk in result.chunks} <= {"one.py", "copy.py", "other.py"}
        assert sum(chunk["tokens"] for chunk in result.chunks) <= 300


@pytest.mark.process
def test_a_report_sets_baselines_beside_the_modes(tmp_path):
    """`--arm` adds them to `--arms`, with their differences from the product's modes."""
    from tests.commands.test_evaluation_commands import _eval

    root = make_repository(tmp_path / "r", FILES)
    added = ("--arm", "windows", "--arm", "jaccard")
    code, out, _ = _eval(
        root, "--model", "echo", "--tasks", "2", "--kind", "line", *added, "--json"
    )
    assert code == 0
    report = json.loads(out)
    assert list(report["arms"]) == ["never", "always", "auto", "windows", "jaccard"]
    assert {"always-windows", "auto-windows", "windows-never"} <= set(report["differences"])
