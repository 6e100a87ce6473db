"""The list of repositories: a text file that a person may edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.errors import UsageError
from codebuddy.fleet import listing


def test_what_is_added_stands_in_the_file_once_and_comments_stay(tmp_path):
    """The list is the user's own text."""
    file = tmp_path / "fleet.txt"
    file.write_text("# mine\n\n/src/app\n")
    assert listing.add(file, [Path("/src/app"), Path("/src/lib"), Path("/src/lib")]) == [
        Path("/src/lib")
    ]
    assert file.read_text() == "# mine\n\n/src/app\n/src/lib\n"
    assert listing.remove(file, ["app"]) == [listing.Member("app", Path("/src/app"))]
    assert file.read_text() == "# mine\n\n/src/lib\n"


def test_two_with_one_name_are_told_apart_by_the_folders_above(tmp_path):
    """And a name never holds a slash."""
    roots = [Path("/a/app"), Path("/b/app"), Path("/c/lib"), Path("/x/b~app"), Path("/")]
    names = [each.name for each in listing.named(roots)]
    assert names[0] == "a~app"
    assert names[2] == "lib"
    assert len(set(names)) == len(roots)
    assert not any("/" in each for each in names)


@pytest.mark.parametrize(
    ("content", "said"),
    [("app\n", "line 1"), ("/a\nb/c\n", "line 2"), ("/a\0b\n", "line 1")],
)
def test_a_line_that_is_no_absolute_path_is_named(tmp_path, content, said):
    """With the file."""
    file = tmp_path / "fleet.txt"
    file.write_text(content)
    with pytest.raises(UsageError, match=said):
        listing.read_members(file)


def test_a_list_that_is_missing_a_folder_or_too_large_is_said(tmp_path):
    """No traceback."""
    with pytest.raises(UsageError, match="there is no list"):
        listing.read_members(tmp_path / "none.txt")
    assert listing.read_members(tmp_path / "none.txt", may_miss=True) == []
    with pytest.raises(UsageError, match="cannot be read"):
        listing.read_members(tmp_path)
    many = tmp_path / "many.txt"
    many.write_text("".join(f"/src/r{number}\n" for number in range(10_001)))
    with pytest.raises(UsageError, match="10000 are the most"):
        listing.read_members(many)


def test_removing_what_is_not_there_changes_nothing(tmp_path):
    """The others stay."""
    file = tmp_path / "fleet.txt"
    file.write_text("/src/app\n")
    with pytest.raises(UsageError, match="not on the list"):
        listing.remove(file, ["app", "other"])
    assert file.read_text() == "/src/app\n"
