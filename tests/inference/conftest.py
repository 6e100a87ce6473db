"""A tiny model; what tests of pulls share: a model, its folder, stand-ins for hub and packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from codebuddy.inference.gguf import GgufHeader, read_header
from tests.support import models as support
from tests.support.tiny_model import write_base

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    """Of a tiny model."""
    return read_header(write_base(tmp_path_factory.mktemp("base") / "tiny.gguf"))


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """A valid model of about 2 MiB."""
    return support.write_gguf(tmp_path / "source.gguf", data_bytes=2 * MEBIBYTE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models folder."""
    return tmp_path / "models"


@pytest.fixture
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Point the real libraries at the stand-ins."""

    def apply(hub_url: str = support.closed_port_url(), wheels: Path | None = None) -> None:
        support.seal(monkeypatch, tmp_path, hub_url, wheels)

    apply()
    return apply
