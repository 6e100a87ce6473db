"""The user's own models: any GGUF file, taken into the models folder and listed by name.

The file is linked or copied, never moved; its header is checked and its digest recorded in
`added.json`, from then on the file has to match it like a catalog model. The quality of the weights
is not checked.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codebuddy import paths, platforms
from codebuddy.errors import ModelError
from codebuddy.inference import stamps
from codebuddy.inference.catalog import (
    Catalog,
    CatalogEntry,
    check_digest,
    check_file,
    check_name,
)
from codebuddy.inference.gguf import GgufHeader, read_header
from codebuddy.private_files import read_json, write_file

_MAX_LIST_BYTES = 1 << 20
_LARGEST_CONTEXT = 1 << 30


def added_file(folder: Path) -> Path:
    """The list of added models inside the models folder."""
    return folder / "added.json"


def load_added(folder: Path) -> tuple[CatalogEntry, ...]:
    """The models that were added to `folder`, in order.

    Raises:
        ModelError: The list is damaged; the message names it.
    """
    file = added_file(folder)
    try:
        items = read_json(file, _MAX_LIST_BYTES, follows_links=True)
    except FileNotFoundError:
        return ()
    except NotADirectoryError:
        return ()
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _damaged(file, "it is not valid JSON") from error
    if not isinstance(items, list):
        raise _damaged(file, "it is not a list")
    return tuple(_entry(item, file) for item in items)


def add_model(source: Path, folder: Path, catalog: Catalog, name: str | None = None) -> Path:
    """Take the GGUF file `source` into `folder` under `name`, by default made from its file name.

    Args:
        source: The file; it stays where it is.
        folder: The models folder.
        catalog: Every model that already has a name.
        name: How the model will be called.

    Returns:
        The file inside the models folder.

    Raises:
        ModelError: It is no usable GGUF file, or the name is taken by other bytes.
    """
    header = read_header(source)
    if header.split_count > 1:
        raise ModelError(
            f"{source} is one of {header.split_count} pieces of a model",
            hint="join them with llama.cpp's llama-gguf-split --merge, then add the result",
        )
    name = check_name(_name_from(source) if name is None else name, "the model to add")
    taken = {text for entry in catalog.entries if not entry.is_added for text in _words(entry)}
    if {name, f"{name}.gguf"} & taken:
        raise ModelError(
            f"the catalog already has a model called {name}",
            hint=f"codebuddy models add {source} --name ANOTHER",
        )
    paths.ensure_folder(folder)
    with platforms.exclusive_lock(folder / ".added.lock", math.inf):
        return _take(source, folder, name, header)


def forget(folder: Path, name: str) -> None:
    """Take `name` off the list of added models; its file is not touched.

    Raises:
        ModelError: The list is damaged.
    """
    with platforms.exclusive_lock(folder / ".added.lock", math.inf):
        _write_list(folder, [entry for entry in load_added(folder) if entry.name != name])


def _take(source: Path, folder: Path, name: str, header: GgufHeader) -> Path:
    """Link or copy, hash, put in place, record; under the list's lock."""
    entries = load_added(folder)
    target = folder / f"{name}.gguf"
    known = next((entry for entry in entries if entry.name == name), None)
    partial = paths.ensure_folder(folder / ".partial") / f"{name}.{os.getpid()}.adding"
    try:
        _link_or_copy(source, partial)
        # What was checked above is what was linked, unless the file was replaced between.
        read_header(partial)
        stamp = stamps.hash_file(partial)
        if known is not None and known.sha256 != stamp.sha256:
            raise ModelError(
                f"another model is called {name}",
                hint=f"codebuddy models remove {name}, or codebuddy models add --name ANOTHER",
            )
        if known is None and target.exists():
            raise ModelError(f"{target} already exists", hint="choose another --name")
        partial.replace(target)
    except OSError as error:
        raise ModelError(f"cannot take {source} into {folder}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    stamps.write_stamp(target, stamp)
    if known is None:
        _write_list(folder, [*entries, _described(name, target.name, stamp, header)])
    return target


def _link_or_copy(source: Path, target: Path) -> None:
    source = source.resolve(strict=True)
    try:
        os.link(source, target)
    except OSError:
        size = source.stat().st_size
        if shutil.disk_usage(target.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        shutil.copyfile(source, target)


def _words(entry: CatalogEntry) -> tuple[str, str]:
    # Case-folded: on some systems names that differ in case are one file.
    return entry.name, entry.file.casefold()


def _name_from(source: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", source.name.lower()).removesuffix(".gguf")
    return name.strip("-._")[:64] or "model"


def _described(name: str, file: str, stamp: stamps.Stamp, header: GgufHeader) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        title=f"{name} ({header.architecture})",
        file=file,
        bytes=stamp.size,
        approx_bytes=None,
        sha256=stamp.sha256,
        licence="",
        n_ctx=header.n_ctx_train,
        fim=header.has_fim,
        good_for="Added by you.",
        sources=(),
        is_added=True,
    )


def _write_list(folder: Path, entries: Sequence[CatalogEntry]) -> None:
    keys = ("name", "title", "file", "bytes", "sha256", "n_ctx", "fim")
    items = [{key: getattr(entry, key) for key in keys} for entry in entries]
    file = added_file(folder)
    try:
        write_file(file, json.dumps(items, indent=1).encode("ascii"))
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error.strerror}") from error


def _entry(item: Any, file: Path) -> CatalogEntry:
    where = f"the list of added models {file}"
    try:
        name, title, size, n_ctx = item["name"], item["title"], item["bytes"], item["n_ctx"]
        if not (type(size) is int and type(n_ctx) is int and type(item["fim"]) is bool):
            raise _damaged(file, "a value has the wrong type")
        if size < 0 or not 0 < n_ctx <= _LARGEST_CONTEXT:
            raise _damaged(file, "a number is out of bounds")
        return CatalogEntry(
            name=check_name(name, where),
            title=str(title),
            file=check_file(item["file"], where),
            bytes=size,
            approx_bytes=None,
            sha256=check_digest(item["sha256"], where),
            licence="",
            n_ctx=n_ctx,
            fim=item["fim"],
            good_for="Added by you.",
            sources=(),
            is_added=True,
        )
    except (KeyError, TypeError, IndexError) as error:
        raise _damaged(file, "an entry is incomplete") from error


def _damaged(file: Path, reason: str) -> ModelError:
    return ModelError(
        f"the list of added models {file} cannot be read: {reason}",
        hint="delete it, then add the models again",
    )
