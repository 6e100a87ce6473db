"""The list of repositories: a text file that a person may edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.errors import UsageError
from codebuddy.fleet import listing
from codebuddy.vcs.clones import origin_of


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


def test_a_folder_with_what_is_no_line_end_to_a_list_leaves_it_readable(tmp_path):
    """Form feeds and Unicode's separators are part of a name, a carriage return at the end not."""
    file = tmp_path / "fleet.txt"
    odd = [Path("/src/a\x0cb"), Path("/src/c\u2028d"), Path("/src/e\x85f"), Path("/src/g\rh")]
    assert listing.add(file, odd) == odd
    file.write_bytes(file.read_bytes() + b"/src/last\r\n")
    members = listing.read_members(file)
    assert [each.root for each in members] == [*odd, Path("/src/last")]
    listing.remove(file, [members[0].name])
    assert [each.root for each in listing.read_members(file)] == [*odd[1:], Path("/src/last")]


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


def test_an_address_stands_in_the_list_beside_paths(tmp_path):
    """Its root is a clone of ours, and its name is told apart from a folder's."""
    file = tmp_path / "fleet.txt"
    url = "https://git.example.org/team/app.git"
    assert listing.add(file, [Path("/src/app"), origin_of(url), origin_of(url)]) == [
        Path("/src/app"),
        origin_of(url),
    ]
    file.write_text(f"{file.read_text()}git@example.org:other/app#main\n")
    members = listing.read_members(file)
    assert [each.name for each in members] == ["src~app", "team~app", "other~app"]
    assert [each.task for each in members] == ["/src/app", url, "git@example.org:other/app#main"]
    assert members[1].root.is_relative_to(paths.fleet_clones_folder())
    assert members[1].root != members[2].root
    assert listing.remove(file, [url]) == [members[1]]
    assert file.read_text() == "/src/app\ngit@example.org:other/app#main\n"


def test_a_line_with_a_hostile_address_is_named(tmp_path):
    """Before anything is done with the others."""
    file = tmp_path / "fleet.txt"
    file.write_text("/src/app\next::sh -c id\n")
    with pytest.raises(UsageError, match=r"line 2: .*names a program"):
        listing.read_members(file)


def test_a_manifest_names_repositories_of_a_team(tmp_path):
    """It is read, and changed by an editor alone."""
    file = tmp_path / "team.toml"
    file.write_text(
        '[[repository]]\nurl = "ssh://git@example.org/team/app.git"\nref = "main"\n'
        '[[repository]]\npath = "/srv/library"\n'
    )
    assert [each.task for each in listing.read_members(file)] == [
        "ssh://git@example.org/team/app.git#main",
        "/srv/library",
    ]
    with pytest.raises(UsageError, match="is a manifest"):
        listing.add(file, [Path("/src/app")])
    with pytest.raises(UsageError, match="is a manifest"):
        listing.remove(file, ["library"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[repository", "no TOML"),
        ("\xff", "no TOML"),
        ("[repository]\nurl = 'https://example.org/a'\n", "other parts"),
        ("[other]\n", "other parts"),
        ("[[repository]]\n", "or neither"),
        ("[[repository]]\nurl = 'https://example.org/a'\npath = '/b'\n", "or neither"),
        ("[[repository]]\npath = '/b'\nref = 'main'\n", "or neither"),
        ("[[repository]]\nurl = 5\n", "no repository"),
        ("[[repository]]\nrun = 'x'\n", "no repository"),
        ("[[repository]]\nurl = '/b'\n", "no url"),
        ("[[repository]]\npath = 'ext::sh'\n", "no path"),
        ("[[repository]]\nurl = 'https://example.org/a'\nref = '-x'\n", "no branch"),
        ("[[repository]]\npath = '/a'\n[[repository]]\npath = 'b'\n", "repository 2"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_said(tmp_path, content, said):
    """With the entry."""
    file = tmp_path / "team.toml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=said):
        listing.read_members(file)
