"""Where every file of codebuddy lives. Only `ensure_folder` creates anything."""

from __future__ import annotations

import os
import stat
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


def is_model_path(name: str) -> bool:
    """Whether a model is named by its path: it has a separator or ends in .gguf."""
    separators = {"/", os.sep, os.altsep or os.sep}
    return name.endswith(".gguf") or any(mark in name for mark in separators)


def whole_model_name(name: str) -> str:
    """A model's name for other processes: a path as seen from here, whatever their folder."""
    return str(Path(name).expanduser().absolute()) if is_model_path(name) else name


def fallback_indexes_folder() -> Path:
    """Indexes of repositories whose git folder cannot be written."""
    return cache_folder() / "indexes"


def user_config_file() -> Path:
    """The user's own settings."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def log_folder() -> Path:
    """Reports of bugs; never holds code."""
    return Path(platformdirs.user_log_dir(APP, appauthor=False))


def serve_token_file() -> Path:
    """What programs must show to `codebuddy serve`, unless it is told of another file."""
    return Path(platformdirs.user_state_dir(APP, appauthor=False)) / "serve-token"


def runtime_folder() -> Path:
    """Where the engine's socket and locks live: a folder that no other user can enter.

    `XDG_RUNTIME_DIR` counts only if it is there and belongs to this user; otherwise it is the
    cache folder. Never a shared folder such as /tmp.
    """
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(named):  # noqa: PTH117
        try:
            status = os.stat(named)  # noqa: PTH116
        except (OSError, ValueError):
            return cache_folder() / "run"
        is_private = not status.st_mode & 0o022 and stat.S_ISDIR(status.st_mode)
        if is_private and status.st_uid == os.geteuid():
            return Path(named) / APP
    return cache_folder() / "run"


def engine_log_file() -> Path:
    """What the engine did, in ids and counts."""
    return log_folder() / "engine.log"


def engine_state_folder() -> Path:
    """What models have read, for the next engine to resume; made of code, so never shared."""
    return cache_folder() / "engine"


def pace_file() -> Path:
    """How fast this machine is with each model, as measured while completing."""
    return cache_folder() / "pace.json"


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
        # Each part by itself: `mkdir` gives the parents that it makes to everybody.
        for missing in [each for each in reversed(folder.parents) if not each.exists()]:
            missing.mkdir(exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise CodebuddyError(
            f"cannot create the folder {folder}: {os.strerror(error.errno or 0)}",
            hint="set XDG_CACHE_HOME or CODEBUDDY_MODEL_FOLDER to a folder that you can write",
        ) from error
    return folder
