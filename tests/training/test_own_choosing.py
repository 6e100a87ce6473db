"""What a repository's adapter learns from: which files, which holes, and which it is judged by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from codebuddy.evaluation.holes import KINDS, holes_of_file
from codebuddy.settings import TrainSettings
from codebuddy.training.own.choosing import (
    NO_TRAIN,
    Earlier,
    choose_files,
    earlier_training,
    is_fix_subject,
)
from codebuddy.training.own.cutting import judging_files, settings_key
from tests.support.evaluation import indexed
from tests.support.index import make_repository, run_git, write

DEFAULT = TrainSettings()


def body(name: str, n_functions: int = 6) -> str:
    """A module of code that has nothing in common with another one."""
    return "\n\n".join(
        f"def {name}_{n}(first_{name}, second_{name}):\n"
        f'    """Joins what {name} is given, way {n}."""\n'
        f"    joined_{name} = first_{name} + second_{name} * {n}\n"
        f"    return joined_{name}"
        for n in range(n_functions)
    )


def commit(root, files, subject):
    """Write and commit."""
    write(root, files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", subject)


@pytest.fixture
def root(tmp_path):
    """Twelve modules, committed."""
    root = make_repository(tmp_path / "house")
    commit(root, {f"house/m{n:02}.py": body(f"m{n:02}") for n in range(12)}, "Start")
    return root


def choose(root, settings=DEFAULT, earlier=None):
    """The choice there."""
    with indexed(root) as (repository, index):
        return choose_files(repository, index, settings, earlier)


def after(root, held_out=()):
    """A training at the commit that is checked out."""
    return Earlier(run_git(root, "rev-parse", "HEAD").strip(), frozenset(held_out))


def test_files_are_learned_from_or_judge_and_stay_where_they_are(root):
    """Each file has one part, which other files do not change."""
    first = choose(root)
    assert len(first.learned) + len(first.held_out) == 12
    assert not set(first.learned) & set(first.held_out)
    assert len(first.held_out) >= 2
    assert first.left_out == {}
    commit(root, {"house/zz.py": body("zz")}, "Add zz")
    second = choose(root)
    assert set(first.learned) <= set(second.learned) | set(first.held_out)
    watched, judged = judging_files(second.held_out)
    assert sorted(watched + judged) == sorted(second.held_out)
    assert judging_files(["one.py"]) == (["one.py"], ["one.py"])


LEFT_OUT = {
    "generated": {"house/api_pb2.py": body("api")},
    "vendored": {"vendor/lib.py": body("lib")},
    "no-train": {"house/private.py": f"# {NO_TRAIN}\n" + body("private")},
    "secret": {"house/key.py": body("key") + '\n\n\nTOKEN = "ghp_' + "aB3dE6gH9" * 4 + '"\n'},
    "excluded": {"house/odd_thing.py": body("odd")},
    "short": {"house/tiny.py": "def tiny():\n    return 1\n"},
}


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_some_files_are_left_out_with_a_reason(root, reason):
    """And nothing of them is learned or judged."""
    commit(root, LEFT_OUT[reason], "Add one")
    choice = choose(root, dataclasses.replace(DEFAULT, exclude=("house/odd*",)))
    assert choice.left_out == {reason: 1}
    assert len(choice.learned) + len(choice.held_out) == 12


def test_what_git_does_not_track_and_tests_are_a_matter_of_settings(root):
    """Untracked files are left out, tests are not, unless the settings say otherwise."""
    commit(root, {"tests/test_m.py": body("test_m")}, "Add a test")
    write(root, {"house/new.py": body("new")})
    assert choose(root).left_out == {"untracked": 1}
    other = dataclasses.replace(DEFAULT, tests=False, untracked=True)
    choice = choose(root, other)
    assert choice.left_out == {"test": 1}
    assert "house/new.py" in {*choice.learned, *choice.held_out}


def test_files_whose_history_is_repairs_are_left_out(root):
    """Four commits or more, most of them fixes; a typo's fix is none."""
    for n in range(4):
        commit(root, {"house/m01.py": body("m01") + f"\n\nFIX = {n}\n"}, f"Fix the sum {n}")
        commit(root, {"house/m02.py": body("m02") + f"\n\nFIX = {n}\n"}, f"Fix typo {n}")
    assert choose(root).left_out == {"often fixed": 1}
    assert "house/m01.py" not in choose(root).learned
    assert choose(root, dataclasses.replace(DEFAULT, max_fixes=100)).left_out == {}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Fix the rounding", True),
        ('Revert "Round up"', True),
        ("bugfix: sums", True),
        ("Add a prefix", False),
        ("Fix typos in the docs", False),
        ("Fixture for sums", False),
    ],
)
def test_what_mends_a_mistake(subject, expected):
    """By the first line of its message."""
    assert is_fix_subject(subject) is expected


def test_copies_judge_nothing(root):
    """A file that is nearly another one is learned from, whatever its name says."""
    copied = {f"house/copy{n:02}.py": body("m00") + f"\n\nCOPY = {n}\n" for n in range(9)}
    commit(root, copied, "Copy")
    choice = choose(root)
    assert not {path for path in choice.held_out if "copy" in path or path.endswith("m00.py")}
    assert set(copied) <= set(choice.learned)


def test_recent_files_and_those_that_changed_since(root):
    """By the commits of the history; an unknown commit means that all is new."""
    before = after(root)
    commit(root, {"house/m03.py": body("m03", 8)}, "Change m03")
    choice = choose(root, dataclasses.replace(DEFAULT, recent_commits=1), before)
    assert choice.recent == {"house/m03.py"}
    assert choice.renewed == {"house/m03.py"}
    for unknown in ("0" * 40, "--output=x", "gone"):
        assert choose(root, earlier=Earlier(unknown, frozenset())).renewed is None
    assert choose(root, earlier=after(root)).renewed == frozenset()


def test_a_training_at_a_merge_is_gone_on_from(root):
    """What changed after it is new, as after any other commit."""
    run_git(root, "checkout", "-qb", "side")
    commit(root, {"house/m04.py": body("m04", 8)}, "Change m04")
    run_git(root, "checkout", "-q", "-")
    commit(root, {"house/m05.py": body("m05", 8)}, "Change m05")
    run_git(root, "merge", "-q", "--no-edit", "side")
    at_merge = after(root)
    assert choose(root, earlier=at_merge).renewed == frozenset()
    commit(root, {"house/m06.py": body("m06", 8)}, "Change m06")
    assert choose(root, earlier=at_merge).renewed == {"house/m06.py"}


def test_copies_move_no_other_file_to_the_judges(root):
    """Those judge whose digest says so, however many copies there are."""
    before = choose(root).held_out
    copied = {f"house/copy{n:02}.py": body("m00") + f"\n\nCOPY = {n}\n" for n in range(18)}
    commit(root, copied, "Copy")
    assert set(choose(root).held_out) == set(before) - {"house/m00.py"}


def test_an_adapter_that_goes_on_is_judged_by_what_it_never_saw(root):
    """Neither by files that it learned from, nor by those that were not looked at then."""
    held_out = choose(root).held_out
    earlier = after(root, held_out[:2])
    commit(root, {f"house/t{n:02}.py": body(f"t{n:02}") for n in range(12)}, "Add more")
    assert set(choose(root).held_out) - set(held_out)
    later = choose(root, earlier=earlier)
    assert set(later.held_out) == set(held_out[:2])
    assert len(later.learned) == 22


def test_a_card_tells_of_its_training():
    """Where it is the card of a repository's adapter, and whole."""
    card = {"made_by": {"commit": "c" * 40, "watched": ["a.py", 1], "judged": ["b.py"]}}
    assert earlier_training(card) == Earlier("c" * 40, frozenset({"a.py", "b.py"}))
    others: list[dict[str, object]] = [{}, {"made_by": []}, {"made_by": {"judged": ["b.py"]}}]
    for other in others:
        assert earlier_training(other) is None


def test_giving_way_is_no_part_of_what_is_learned():
    """Switched on or off, the same samples are gone on with."""
    busy = dataclasses.replace(DEFAULT, give_way=not DEFAULT.give_way)
    assert settings_key(busy) == settings_key(DEFAULT)
    other = dataclasses.replace(DEFAULT, replay=DEFAULT.replay + 1)
    assert settings_key(other) != settings_key(DEFAULT)


OLD = '''
def old_sum(first, second):
    """Adds.

    .. deprecated:: 2
       Use new_sum instead.
    """
    total_of_old = first + second
    return total_of_old


def new_sum(first, second):
    """Adds better."""
    total_of_new = first + second
    return total_of_new


def middle(first):
    """Calls both."""
    from_old = old_sum(first, 1)
    from_new = new_sum(first, 1)
    return from_old - from_new
'''


def test_what_is_deprecated_is_no_sample_and_neither_are_its_uses(root):
    """Its own lines and calls of it; other lines of the file are."""
    commit(root, {"house/sums.py": OLD}, "Add sums")
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, DEFAULT)
        holes = holes_of_file(repository, index, "house/sums.py", KINDS, 1)
        kept = [hole.text for hole in holes if not choice.deprecated.is_in(hole)]
        everything = choose_files(
            repository, index, dataclasses.replace(DEFAULT, deprecated=True)
        ).deprecated
        assert not any(everything.is_in(hole) for hole in holes)
    assert choice.deprecated.names == {"old_sum"}
    assert not [text for text in kept if "old_sum" in text or "total_of_old" in text]
    assert any("new_sum" in text for text in kept)
    assert any("total_of_new" in text for text in kept)


HEADERS = {
    "a.py": "# Copyright 2020 The House\n# Licensed under the MIT License; see LICENSE.\n",
    "b.py": '"""Sums.\n\nCopyright 2020 The House, MIT License.\n"""\n',
    "c.js": "/*\n * Copyright (c) 2020 The House\n * Permission is hereby granted.\n */\n",
    "d.go": "// Copyright 2020 The House. A BSD-style licence.\n\npackage house\n",
}


def test_no_hole_begins_in_a_licence_header(tmp_path):
    """So that nobody learns one, and none is counted as recited."""
    bodies = {
        ".py": body("sums"),
        ".js": "function total(first, second) {\n  return joined(first, second) + 1;\n}\n" * 3,
        ".go": "func total(first int, second int) int {\n\treturn first + second*2\n}\n" * 3,
    }
    files: dict[str, str | bytes] = {
        name: text + bodies[Path(name).suffix] for name, text in HEADERS.items()
    }
    root = make_repository(tmp_path / "house", files)
    with indexed(root) as (repository, index):
        for name, header in HEADERS.items():
            holes = holes_of_file(repository, index, name, KINDS, 1)
            assert holes, name
            assert min(hole.start_byte for hole in holes) >= len(header.split("package")[0]), name


def test_a_repository_without_history_or_code_has_nothing(tmp_path):
    """No commit, data alone: no error here."""
    root = make_repository(tmp_path / "empty", {"data.json": "{}", "new.py": body("new")})
    choice = choose(root)
    assert (choice.learned, choice.held_out) == ((), ())
    assert choice.left_out == {"untracked": 1}
