"""A manifest: the repositories of a team as TOML, for a file that several people keep.

[[repository]]
url = "https://git.example.org/team/app.git"
ref = "main"

[[repository]]
path = "/srv/library"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codebuddy.bounded_toml import TomlError, parse
from codebuddy.errors import UsageError
from codebuddy.fleet.places import Place, place_named
from codebuddy.vcs.clones import looks_like_url, shown

_KEYS = frozenset({"url", "ref", "path"})


def places_of(file: Path, content: bytes) -> list[Place]:
    """The folders and addresses that a manifest names, in its order.

    Raises:
        UsageError: It is none; the message says which entry is wrong.
    """
    try:
        found = parse(content.decode("utf-8"))
    except (TomlError, UnicodeDecodeError) as error:
        raise UsageError(f"the manifest {file} is no TOML: {error}") from error
    entries = found.pop("repository", [])
    if found or not isinstance(entries, list):
        raise UsageError(
            f"the manifest {file} has other parts than [[repository]]: {sorted(found)[:5]}",
            hint=_FORM,
        )
    return [_place(each, f"{file}, repository {n}") for n, each in enumerate(entries, 1)]


_FORM = "give each [[repository]] a url, with a ref if you like, or a path"


def _place(entry: Any, where: str) -> Place:
    is_sound = isinstance(entry, dict) and not set(entry) - _KEYS
    if not is_sound or not all(isinstance(value, str) for value in entry.values()):
        raise UsageError(f"{where}: it is no repository", hint=_FORM)
    url, path, ref = (entry.get(key, "") for key in ("url", "path", "ref"))
    if bool(url) == bool(path) or (ref and not url):
        raise UsageError(f"{where}: it has both a url and a path, or neither", hint=_FORM)
    if looks_like_url(path) or (url and (not looks_like_url(url) or "#" in url)):
        raise UsageError(f"{where}: {shown(url or path)!r} is no {'url' if url else 'path'}")
    return place_named(f"{url}#{ref}" if ref else url or path, where)
