"""Deletes a model from this machine: its own files inside the models folder, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from codebuddy import platforms
from codebuddy.errors import ModelError
from codebuddy.inference import added, stamps
from codebuddy.inference.catalog import CatalogEntry
from codebuddy.inference.installed import entry_path, models_folder
from codebuddy.settings import Settings


def remove(entry: CatalogEntry, settings: Settings) -> list[Path]:
    """Delete the entry's file, its stamp, its damaged copy and what an unfinished pull left.

    A symbolic link is deleted, not what it points to.

    Returns:
        What was deleted.

    Raises:
        ModelError: There was nothing to delete, a pull is at work, or the system refuses.
    """
    folder = models_folder(settings)
    path = entry_path(entry, settings)
    partial = folder / ".partial" / entry.file
    removed: list[Path] = []
    try:
        if partial.is_dir() and not partial.is_symlink():
            with platforms.exclusive_lock(partial.with_name(entry.file + ".lock"), timeout_s=0):
                shutil.rmtree(partial)
            removed.append(partial)
        for file in (path, path.with_name(path.name + ".corrupt"), stamps.stamp_file(path)):
            if file.is_symlink() or file.is_file():
                file.unlink()
                removed.append(file)
    except TimeoutError as error:
        raise ModelError(
            f"{entry.name} is being pulled", hint="wait for it, or end that process first"
        ) from error
    except OSError as error:
        raise ModelError(f"cannot delete {entry.name}: {error}") from error
    if entry.is_added:
        added.forget(folder, entry.name)
    elif not removed:
        raise ModelError(f"the model {entry.name} is not installed in {folder}")
    return removed
