"""Where every file of codebuddy lives. Only `ensure_folder` creates anything."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from codebuddy.errors import CodebuddyError

APP = "codebuddy"


def cache_folder() -> Path:
    """Derived data that can be rebuilt or downloaded again: models, fallback indexes."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def models_folder() -> Path:
    """Where downloaded weights live, unless `model.folder` says otherwise."""
    return cache_folder() / "models"


def fallback_indexes_folder() -> Path:
    """Indexes of repositories whose git folder cannot be written."""
    return cache_folder() / "indexes"


def user_config_file() -> Path:
    """The user's own settings."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def log_folder() -> Path:
    """Reports of bugs; never holds code."""
    return Path(platformdirs.user_log_dir(APP, appauthor=False))


def shipped_models_folder() -> Path:
    """The project's `models/` folder: package data in an installation, the checkout's otherwise."""
    package = Path(__file__).resolve().parent
    installed = package / "shipped_models"
    return installed if installed.is_dir() else package.parent / "models"


def ensure_folder(folder: Path) -> Path:
    """Create `folder` for this user alone (0700) and return it.

    Raises:
        CodebuddyError: It cannot be created; the message names it and the system's reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CodebuddyError(
            f"cannot create the folder {folder}: {os.strerror(error.errno or 0)}",
            hint="set XDG_CACHE_HOME or CODEBUDDY_MODEL_FOLDER to a folder that you can write",
        ) from error
    return folder
