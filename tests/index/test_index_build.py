"""Building and updating: an updated index equals a clean build, and only changes are read."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codebuddy.index import file_walker
from tests.support.index import (
    clean_dump,
    database,
    dump,
    index,
    index_told,
    make_repository,
    module,
    run_git,
    write,
)


def _report(root: Path, **options) -> tuple[int, int, int]:
    report = index(root, **options)
    return report.added, report.updated, report.removed


def test_adds_edits_and_removals_end_where_a_clean_build_ends(tmp_path):
    """After any series of changes every row, posting and statistic equals a clean build's."""
    rng = random.Random(7)
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(20)})
    assert _report(root) == (20, 0, 0)
    for round_ in range(12):
        name = f"m{rng.randrange(20)}.py"
        write(root, {name: module(f"changed_{round_}"), f"new{round_}.py": module(f"new_{round_}")})
        (root / f"m{(round_ + 3) % 20}.py").unlink(missing_ok=True)
        index(root)
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(
        st.dictionaries(
            st.sampled_from(["a.py", "b.js", "c.txt", "d/e.go"]),
            st.one_of(st.none(), st.text(max_size=60), st.binary(max_size=40)),
            min_size=1,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_content_in_any_order_ends_where_a_clean_build_ends(tmp_path_factory, steps):
    """Whatever bytes files hold, come to hold or stop holding, the index follows exactly."""
    base = tmp_path_factory.mktemp("any")
    root = make_repository(base / "r")
    for step in steps:
        for name, content in step.items():
            if content is None:
                (root / name).unlink(missing_ok=True)
            else:
                write(root, {name: content})
        index(root)
    assert dump(database(root)) == clean_dump(root, base / "clean")


def test_nothing_changed_reads_nothing(tmp_path, monkeypatch):
    """Once files are older than the clock's grain, an update opens none of them."""
    root = make_repository(tmp_path / "r", {"alpha.py": module("alpha"), "beta.py": module("b")})
    for name in ("alpha.py", "beta.py"):
        # Making the repository may have taken longer than the grain.
        (root / name).touch()
    index(root)
    assert set(_opened_by_update(root)) >= {"alpha.py", "beta.py"}, "fresh files are read again"
    # Rather than wait until the files are old.
    monkeypatch.setattr(file_walker, "RACY_NS", 0)
    index(root)
    assert not {"alpha.py", "beta.py"} & set(_opened_by_update(root))


_opened: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None:
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], bytes) else "")


def _opened_by_update(root: Path) -> list[str]:
    """The byte paths that an update opens: the interpreter itself tells."""
    global _opened
    if _hook not in _hooked:
        sys.addaudithook(_hook)
        _hooked.append(_hook)
    _opened = []
    try:
        index(root)
        return _opened
    finally:
        _opened = None


_hooked: list[object] = []


def test_a_touched_file_with_the_same_content_is_not_analysed_again(tmp_path):
    """New times on old content update the row and nothing else."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    before = dump(database(root))
    os.utime(root / "a.py", (1_700_000_000, 1_700_000_000))
    assert _report(root) == (0, 0, 0)
    assert dump(database(root)) == before


def test_a_change_that_keeps_size_and_mtime_is_found(tmp_path):
    """An edit behind a restored mtime is caught by the change time."""
    root = make_repository(tmp_path / "r", {"a.py": "first = 1\n"})
    status = (root / "a.py").stat()
    index(root)
    (root / "a.py").write_text("other = 2\n")
    os.utime(root / "a.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (root / "a.py").stat().st_size == status.st_size
    assert _report(root) == (0, 1, 0)
    assert "other" in dump(database(root))["postings"]


def test_files_dated_1970_and_in_the_future_are_followed(tmp_path):
    """No clock is believed: a file's age never hides a change."""
    root = make_repository(tmp_path / "r", {"old.py": "ancient = 1\n", "new.py": "later = 1\n"})
    os.utime(root / "old.py", (0, 0))
    os.utime(root / "new.py", (4_000_000_000, 4_000_000_000))
    index(root)
    write(root, {"old.py": "renewed = 1\n", "new.py": "sooner = 1\n"})
    os.utime(root / "old.py", (0, 0))
    os.utime(root / "new.py", (4_000_000_000, 4_000_000_000))
    assert _report(root) == (0, 2, 0)
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_a_branch_switch_reads_only_what_differs(tmp_path):
    """Going to a branch and back updates the files that differ, and ends where it began."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(10)})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "main")
    index(root)
    at_main = dump(database(root))
    run_git(root, "checkout", "-qb", "topic")
    write(root, {"m1.py": module("other"), "extra.py": module("extra")})
    run_git(root, "rm", "-q", "m2.py")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "topic")
    assert _report(root) == (1, 1, 1)
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")
    run_git(root, "checkout", "-q", "main")
    assert _report(root) == (1, 1, 1)
    assert dump(database(root)) == at_main


@pytest.mark.process
def test_workers_and_this_process_build_the_same_index(tmp_path):
    """A large update through two workers equals small ones without any."""
    files: dict[str, str | bytes] = {f"p{i}/m.py": module(f"name_{i}") for i in range(90)}
    root = make_repository(tmp_path / "r")
    names = list(files)
    for start in range(0, 90, 30):
        write(root, {name: files[name] for name in names[start : start + 30]})
        index(root)
    in_process = dump(database(root))
    report = index(root, force=True, jobs=2)
    assert report.files == report.added == 90
    assert dump(database(root)) == in_process


def test_force_builds_anew_and_keeps_the_content(tmp_path):
    """`force` reads every file again and leaves no trace of the work."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha"), "b.py": module("beta")})
    index(root)
    before = dump(database(root))
    assert _report(root, force=True) == (2, 0, 0)
    assert dump(database(root)) == before
    folder = database(root).parent
    names = sorted(each.name for each in folder.iterdir())
    assert names == ["index.db", "index.lock", "index.seal"]


def test_a_smaller_size_limit_takes_large_files_out_and_a_larger_one_brings_them_back(tmp_path):
    """The limit of the settings holds for files that are already indexed."""
    root = make_repository(tmp_path / "r", {"big.py": "value = 1\n" * 100, "small.py": "x = 1\n"})
    assert index(root).files == 2
    report = index(root, max_file_bytes=500)
    assert (report.files, report.removed, report.skipped) == (1, 1, {"large": 1})
    report = index(root)
    assert (report.files, report.added, report.skipped) == (2, 1, {})


def test_an_empty_repository_gives_an_empty_index(tmp_path):
    """No commits and no files are no error."""
    root = make_repository(tmp_path / "r")
    report, told = index_told(root)
    assert (report.files, report.chunks, report.skipped, told) == (0, 0, {}, [])


def test_empty_and_blank_files_are_indexed(tmp_path):
    """Files without a single term count as files and break no statistic."""
    root = make_repository(
        tmp_path / "r", {"__init__.py": "", "blank.txt": "\n\n", "a.py": "x = 1"}
    )
    assert index(root).files == 3
    (root / "a.py").unlink()
    assert index(root).files == 2
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_many_small_updates_stay_in_few_segments(tmp_path):
    """Segments merge, so that a query never meets more than a handful."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(40)})
    index(root)
    for round_ in range(30):
        write(root, {"m0.py": module(f"round_{round_}")})
        index(root)
    from codebuddy.index.store import Store

    store = Store.open(database(root))
    with store.snapshot():
        n_segments = len(store.segments())
    store.close()
    assert n_segments <= 8
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


def test_the_index_never_touches_the_repository(tmp_path):
    """Work tree, git's index, references and configuration are as they were, byte for byte."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha"), "b.py": module("beta")})
    run_git(root, "add", "a.py")
    run_git(root, "commit", "-qm", "one")

    def state() -> dict[str, bytes]:
        own = root / ".git" / "codebuddy"
        return {
            str(file): file.read_bytes()
            for file in sorted(root.rglob("*"))
            if file.is_file() and own not in file.parents
        }

    before = state()
    index(root)
    write(root, {"b.py": module("gamma")})
    before[str(root / "b.py")] = (root / "b.py").read_bytes()
    index(root)
    index(root, force=True)
    assert state() == before
