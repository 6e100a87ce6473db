"""A raw prefix and suffix are matched with the file that they are a window of."""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codebuddy.index.search import RepositoryIndex
from codebuddy.serve.infill import RawRequest
from codebuddy.serve.matching import FileMatcher, Window
from codebuddy.serve.raw_completion import RawCompleter
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.context import RepositoryContext
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.refresh import open_index
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository


def function(number: int) -> str:
    return (
        f"def step_{number}(value, amount_{number}):\n"
        f'    """Step number {number} of the pipeline."""\n'
        f"    adjusted_{number} = value * amount_{number}\n"
        f"    return adjusted_{number}\n\n\n"
    )


@pytest.fixture
def steps(repository: Path) -> tuple[Path, str]:
    """A file of 40 functions in the repository, and its text."""
    text = "import math\n\n\n" + "".join(function(number) for number in range(40))
    (repository / "deep").mkdir()
    (repository / "deep" / "steps.py").write_text(text)
    return repository, text


def window_of(text: str, first: int, cursor: int, last: int) -> tuple[str, str]:
    """Prefix and suffix as llama.vim sends them, around the end of line `cursor`."""
    lines = text.split("\n")
    prefix = "\n".join(lines[first:cursor]) + "\n" + lines[cursor]
    return prefix, "\n" + "\n".join(lines[cursor + 1 : last]) + "\n"


def test_a_window_is_widened_to_its_file(steps):
    """A file that the editor mentioned is recognised, and what lies around the window joins it."""
    root, text = steps
    prefix, suffix = window_of(text, 60, 120, 150)
    window = FileMatcher(root).match(prefix, suffix, ["cart.py", "deep/steps.py"], None)
    assert window.path == "deep/steps.py"
    assert window.prefix + window.suffix == text
    assert window.prefix.endswith(prefix)


def test_a_window_is_found_through_the_index(steps):
    """Without any mention the words around the cursor lead to the file."""
    root, text = steps
    prefix, suffix = window_of(text, 30, 90, 110)
    with open_index(RepositoryContext(open_repository(root), Settings())) as index:
        window = FileMatcher(root).match(prefix, suffix, [], index)
    assert window.path == "deep/steps.py"
    assert window.prefix + window.suffix == text


def test_unsaved_lines_do_not_hide_the_file(steps):
    """A buffer with some lines that the disk does not have is still recognised."""
    root, text = steps
    prefix, suffix = window_of(text, 60, 120, 150)
    typed = "    first_new_line = compute(value)\n    second_new_line = other(value)\n    third = "
    prefix = prefix.rpartition("\n")[0] + "\n" + typed
    window = FileMatcher(root).match(prefix, suffix, ["deep/steps.py"], None)
    assert window.path == "deep/steps.py"
    assert window.prefix.startswith("import math\n")
    assert window.prefix.endswith(typed)


def test_a_foreign_text_matches_nothing(steps):
    """Lines that no file holds are completed as they are."""
    root, _ = steps
    prefix = "".join(f"    unheard_of_{n} = elsewhere({n})\n" for n in range(20))
    with open_index(RepositoryContext(open_repository(root), Settings())) as index:
        window = FileMatcher(root).match(prefix, "\n", ["deep/steps.py", "cart.py"], index)
    assert window == Window("", prefix, "\n")


@pytest.mark.parametrize(
    "name", ["../outside.py", "/etc/passwd", "link.py", ".git/config", "a\0b", "", "deep", "fifo"]
)
def test_no_name_leads_out_of_the_repository(steps, name, tmp_path):
    """Names that leave the repository, links and odd files are not read."""
    import os

    root, text = steps
    (tmp_path / "outside.py").write_text(text)
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    os.mkfifo(root / "fifo")
    prefix, suffix = window_of(text, 60, 120, 150)
    assert FileMatcher(root).match(prefix, suffix, [name], None).path == ""


def test_the_last_match_is_tried_first(steps):
    """What was found once needs neither a mention nor the index again."""
    root, text = steps
    matcher = FileMatcher(root)
    matcher.match(*window_of(text, 60, 120, 150), ["deep/steps.py"], None)
    assert matcher.match(*window_of(text, 10, 40, 80), [], None).path == "deep/steps.py"


def test_an_ambiguous_border_is_left_alone(repository):
    """Where the window's first lines stand twice in the file, nothing is put before them."""
    block = "value = compute_it()\nresult = store_it(value)\nreturn_it(result)\n"
    text = "first_line = 1\n" + block + "middle_of_it = 2\n" + block + "last_line_here = 3\n"
    (repository / "twice.py").write_text(text)
    window = FileMatcher(repository).match(block, "\nlast_line_here = 3\n", ["twice.py"], None)
    assert (window.path, window.prefix) == ("twice.py", block)


def test_requests_side_by_side_share_one_index(steps, monkeypatch):
    """Each is placed, and the index is opened once: a second one would never be closed."""
    root, text = steps
    repository = open_repository(root)
    open_index(RepositoryContext(repository, Settings())).close()
    opened = []
    real = RepositoryIndex.open

    def counted(*arguments, **more):
        opened.append(real(*arguments, **more))
        return opened[-1]

    monkeypatch.setattr(RepositoryIndex, "open", counted)
    raw = RawCompleter(
        RepositoryContext(repository, Settings()), AsyncClient(InProcessClient("echo"))
    )
    requests = [
        RawRequest(*window_of(text, line, line + 20, line + 40)) for line in range(20, 100, 2)
    ]
    with ThreadPoolExecutor(16) as threads:
        windows = list(threads.map(raw._place, requests))
    assert {window.path for window in windows} == {"deep/steps.py"}
    assert len(opened) == 1


@pytest.mark.slow
def test_a_name_that_a_client_says_gives_the_language_only(steps):
    """A file that is found by its text is that file; else the name stands for the document."""
    root, text = steps
    around = RepositoryContext(open_repository(root), Settings())
    raw = RawCompleter(around, AsyncClient(InProcessClient("echo")))
    known = RawRequest(*window_of(text, 60, 120, 150), model_name="x/deep/steps.py")
    known = dataclasses.replace(known, extras=(("deep/steps.py", "x = 1"),))
    assert raw._place(known).path == "deep/steps.py"
    unknown = RawRequest("fn main() {\n    ", "\n}\n", model_name="src/new.rs")
    assert raw._place(unknown) == Window("src/new.rs", unknown.prefix, unknown.suffix)
    outside = dataclasses.replace(unknown, model_name="../../etc/passwd")
    assert raw._place(outside).path == ""
    assert asyncio.run(raw.complete(outside)).receipt["file"] == "untitled"
