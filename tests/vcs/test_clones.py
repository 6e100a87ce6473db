"""Repositories by their address: what is refused, what is fetched, and that nothing of it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.errors import CodebuddyError, RepositoryError, UsageError
from codebuddy.vcs import parcels
from codebuddy.vcs.clones import (
    Limits,
    Origin,
    bring,
    looks_like_url,
    origin_of,
    remove_clone,
)
from tests.support.index import make_repository, run_git, write


def commit(root: Path, subject: str = "one") -> str:
    run_git(root, "add", "-A")
    run_git(root, "commit", "-qm", subject)
    return run_git(root, "rev-parse", "HEAD").strip()


@pytest.fixture
def source(tmp_path) -> Path:
    """A repository somewhere else."""
    root = make_repository(tmp_path / "source", {"a.py": "def first():\n    return 1\n"})
    commit(root)
    return root


def origin_at(root: Path, ref: str = "") -> Origin:
    return origin_of(f"file://{root}" + (f"#{ref}" if ref else ""))


@pytest.mark.parametrize(
    "hostile",
    [
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "fd::17",
        "--upload-pack=touch /tmp/x",
        "-uhost:path",
        "https://",
        "https:///path",
        "https://-oProxyCommand=x/path",
        "ssh://-oProxyCommand=x/path",
        "ssh://user@-oProxyCommand=x/path",
        "-oProxyCommand=x:path",
        "host:-path",
        "host:--upload-pack=x",
        "http://example.org/a.git",
        "git://example.org/a.git",
        "ftp://example.org/a.git",
        "file://host/a.git",
        "file:///a.git?upload-pack=x",
        "https://example.org/a.git?x=y",
        "https://user:secret@example.org/a.git",
        "https://secret@example.org/a.git",
        "HTTPS://secret@example.org/a.git?x=y",
        "https://user:secret#x@example.org/a.git",
        "https://user:x#secret@example.org/a.git",
        "https://user:secret @example.org/a.git",
        "https://user:secret/x@example.org/a.git",
        "https://example.org/a.git?token=secret",
        "http://user:secret@example.org/a.git",
        "ssh://user:secret@example.org/a.git",
        "user:secret@example.org:a.git",
        "https://example.org/a.git#--upload-pack=x",
        "https://example.org/a.git#a..b",
        "https://example.org/a.git#a b",
        "https://example.org/a\n.git",
        "https://[::1/a.git",
        "https://example.org/",
    ],
)
def test_an_address_that_could_run_something_or_tell_a_secret_is_refused(hostile):
    """With a sentence that does not repeat a password."""
    with pytest.raises(UsageError) as told:
        origin_of(hostile)
    assert "secret" not in told.value.message
    assert "\n" not in told.value.message


@pytest.mark.parametrize(
    ("text", "url", "ref", "name"),
    [
        ("https://example.org/team/app.git", "https://example.org/team/app.git", "", "app"),
        (
            "https://example.org:8443/app/#v1.2",
            "https://example.org:8443/app/",
            "v1.2",
            "app",
        ),
        ("ssh://git@example.org:22/~me/app", "ssh://git@example.org:22/~me/app", "", "app"),
        ("git@example.org:team/app.git#a/b", "git@example.org:team/app.git", "a/b", "app"),
        ("file:///srv/git/app.git", "file:///srv/git/app.git", "", "app"),
    ],
)
def test_an_address_is_taken_as_git_has_it(text, url, ref, name):
    """And its folder is its own."""
    found = origin_of(text)
    assert (found.url, found.ref, found.parts[-1]) == (url, ref, name)
    assert found.folder_in(Path("/c")).name == name
    assert found.folder_in(Path("/c")) != origin_of("https://example.org/x").folder_in(Path("/c"))


@pytest.mark.parametrize(
    "text", ["https://h/..", "https://h/team/-", "git@h:team/-.git", "https://h/.git"]
)
def test_an_address_without_a_name_has_a_folder_of_its_own_too(text, tmp_path):
    """And removing it removes nothing else."""
    clones = tmp_path / "clones"
    other = origin_of("https://h/other").folder_in(clones)
    folder = origin_of(text).folder_in(clones)
    for each in (other, folder):
        each.mkdir(parents=True)
    assert folder.parent.parent == clones
    remove_clone(origin_of(text), clones)
    assert not folder.exists()
    assert other.exists()


@pytest.mark.parametrize(
    ("text", "is_url"),
    [
        ("C:\\x", False),
        ("C:/x", False),
        ("c:x", False),
        ("/srv/x::y", False),
        ("/srv/a://b", False),
        ("git@h:team/app", True),
        ("ext::sh", True),
    ],
)
def test_a_path_is_no_address(text, is_url):
    """Whatever colons it has."""
    assert looks_like_url(text) == is_url


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_whatever_is_typed_is_an_address_or_one_sentence(text):
    """Nothing that begins as an option gets through."""
    try:
        found = origin_of(text)
    except UsageError:
        return
    assert not found.url.startswith("-")
    assert not found.ref.startswith("-")
    assert "::" not in found.url.partition("/")[0]


def test_what_is_fetched_follows_the_origin(source, tmp_path):
    """A branch too; and a clone that is no longer wanted is gone."""
    folder = origin_at(source).folder_in(tmp_path / "clones")
    first = bring(origin_at(source), folder)
    assert first == run_git(source, "rev-parse", "HEAD").strip()
    assert folder.stat().st_mode & 0o077 == 0
    run_git(source, "checkout", "-qb", "side")
    write(source, {"b.py": "def second():\n    return 2\n"})
    (source / "a.py").unlink()
    second = commit(source, "two")
    assert bring(origin_at(source), folder) == second
    assert [each.name for each in sorted(folder.glob("*.py"))] == ["b.py"]
    side = origin_at(source, "side")
    assert bring(side, side.folder_in(tmp_path / "clones")) == second
    remove_clone(origin_at(source), tmp_path / "clones")
    assert not folder.exists()


def test_nothing_that_a_repository_brings_along_runs(source, tmp_path, monkeypatch):
    """Hooks of templates, filters that its attributes name, submodules by `ext::`, links."""
    ran = tmp_path / "ran"
    home = tmp_path / "home"
    hook = home / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\necho hook >>'{ran}'\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\n\ttemplateDir = {home}/template\n"
        f'[filter "evil"]\n\tsmudge = "sh -c \'echo filter >>{ran}; cat\'"\n'
        '[protocol "ext"]\n\tallow = always\n[submodule]\n\trecurse = true\n'
        "[user]\n\tname = x\n\temail = x@example.org\n"
    )
    write(
        source,
        {
            ".gitattributes": "*.py filter=evil\n",
            ".gitmodules": f'[submodule "m"]\n\tpath = m\n\turl = ext::sh -c "echo sub >>{ran}"\n',
        },
    )
    (source / "link").symlink_to("/etc/passwd")
    run_git(source, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m")
    run_git(source, "add", ".gitattributes", ".gitmodules", "link")
    run_git(source, "commit", "-qm", "evil")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    folder = origin_at(source).folder_in(tmp_path / "clones")
    bring(origin_at(source), folder)
    assert not ran.exists()
    assert (folder / "a.py").read_text().startswith("def first")
    assert not (folder / "link").is_symlink()
    # The user's own git would have run the filter.
    run_git(tmp_path, "clone", "-q", f"file://{source}", "usual")
    assert "filter" in ran.read_text()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(fetched_bytes=10_000), "too large"),
        (Limits(file_bytes=10_000), "more than is fetched"),
        (Limits(files=2), "more than is fetched"),
        (Limits(seconds=0.0), "too long"),
    ],
)
def test_what_is_too_large_is_not_kept(source, tmp_path, limits, said):
    """The sentence says which repository."""
    write(source, {f"f{n}.bin": os.urandom(20_000) for n in range(3)})
    commit(source, "large")
    folder = origin_at(source).folder_in(tmp_path / "clones")
    with pytest.raises(RepositoryError, match=said) as told:
        bring(origin_at(source), folder, limits)
    assert "source" in told.value.message
    assert not list(folder.glob("*.bin"))
    # With room it can be had.
    bring(origin_at(source), folder)
    assert len(list(folder.glob("*.bin"))) == 3


def test_a_fetch_that_is_stopped_costs_neither_the_index_nor_the_next_fetch(source, tmp_path):
    """What git left where it was killed goes; locks of codebuddy stay."""
    folder = origin_at(source).folder_in(tmp_path / "clones")
    first = bring(origin_at(source), folder)
    index = folder / ".git" / "codebuddy" / "index.sqlite"
    index.parent.mkdir(exist_ok=True)
    index.write_bytes(b"x")
    (index.parent / "training.lock").touch()
    write(source, {"large.bin": os.urandom(20_000)})
    second = commit(source, "large")
    with pytest.raises(RepositoryError, match="too large"):
        bring(origin_at(source), folder, Limits(fetched_bytes=10_000))
    assert run_git(folder, "rev-parse", "HEAD").strip() == first
    left = [folder / ".git" / name for name in ("index.lock", "shallow.lock")]
    left += [folder / ".git" / "refs/codebuddy/copy.lock", folder / ".git/objects/pack/tmp_pack_1"]
    for each in left:
        each.touch()
    assert bring(origin_at(source), folder) == second
    assert [each for each in left if each.exists()] == []
    assert index.read_bytes() == b"x"
    assert (index.parent / "training.lock").exists()


def test_what_is_not_there_empty_or_without_the_branch_is_said(tmp_path, source):
    """In git's words, with whose it is."""
    empty = make_repository(tmp_path / "empty")
    for origin in (origin_at(tmp_path / "none"), origin_at(empty), origin_at(source, "nobranch")):
        with pytest.raises(RepositoryError, match="cannot be fetched") as told:
            bring(origin, origin.folder_in(tmp_path / "clones"))
        assert origin.text in told.value.message


def test_a_parcel_holds_what_is_committed_and_a_shallow_history(source, tmp_path):
    """Unpacked it has the same commit, and nothing that git ignores or does not track."""
    for number in range(4):
        write(source, {"a.py": f"def number_{number}():\n    return {number}\n"})
        head = commit(source, str(number))
    write(source, {"loose.py": "x = 1\n"})
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "-q", "--depth=2", f"file://{source}", str(shallow))
    for root in (source, shallow):
        there = tmp_path / f"there-{root.name}"
        there.mkdir(mode=0o700)
        parcels.unpack(parcels.pack(root), there)
        assert run_git(there, "rev-parse", "HEAD").strip() == head
        assert [each.name for each in there.glob("*.py")] == ["a.py"]
        assert not list((there / ".git").glob("*.bundle"))
    with pytest.raises(RepositoryError, match="larger than"):
        parcels.pack(source, max_bytes=100)
    with pytest.raises(RepositoryError, match="no commit"):
        parcels.pack(make_repository(tmp_path / "fresh"))
    broken = tmp_path / "broken"
    broken.mkdir(mode=0o700)
    with pytest.raises(CodebuddyError):
        parcels.unpack((b"no bundle", b""), broken)
