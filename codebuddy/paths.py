"""Where every file of codebuddy lives. Only `ensure_folder` creates anything."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs
from platformdirs.unix import Unix

from codebuddy.errors import CodebuddyError

APP = "codebuddy"
# Whether the XDG_ variables say where things are: not on macOS and Windows.
_HAS_XDG = issubclass(platformdirs.PlatformDirs, Unix)


def _own(named: str, below_home: str) -> Path:
    """`named`, or the usual place where an XDG variable is relative.

    XDG says to ignore such a value: it would take settings from the repository one stands in.
    """
    return Path(named) if os.path.isabs(named) else Path.home() / below_home / APP  # noqa: PTH117


def cache_folder() -> Path:
    """Derived data that can be rebuilt or downloaded again: models, fallback indexes."""
    return _own(platformdirs.user_cache_dir(APP, appauthor=False), ".cache")


def models_folder(named: str = "") -> Path:
    """Where downloaded weights live: the folder that `model.folder` names, if it names one."""
    return Path(named).expanduser().absolute() if named else cache_folder() / "models"


def is_model_path(name: str) -> bool:
    """Whether a model is named by its path: it has a separator or ends in .gguf."""
    separators = {"/", os.sep, os.altsep or os.sep}
    return name.endswith(".gguf") or any(mark in name for mark in separators)


def whole_model_name(name: str) -> str:
    """A model's name for other processes: a path as seen from here, whatever their folder."""
    return str(Path(name).expanduser().absolute()) if is_model_path(name) else name


def given_file(name: str) -> str:
    """The file that a caller names: as it stands, or percent-encoded as JSON answers write it.

    A name that is there as it stands is that file, whatever it would mean decoded.
    """
    if "%" not in name or "\0" in name or os.path.lexists(name):
        return name
    from urllib.parse import unquote_to_bytes

    try:
        decoded = os.fsdecode(unquote_to_bytes(os.fsencode(name)))
    except UnicodeEncodeError:
        return name
    return decoded if "\0" not in decoded and os.path.lexists(decoded) else name


def fallback_indexes_folder() -> Path:
    """Indexes of repositories whose git folder cannot be written."""
    return cache_folder() / "indexes"


def user_config_file() -> Path:
    """The user's own settings."""
    return _own(platformdirs.user_config_dir(APP, appauthor=False), ".config") / "config.toml"


def _state_folder() -> Path:
    return _own(platformdirs.user_state_dir(APP, appauthor=False), ".local/state")


def log_folder() -> Path:
    """Reports of bugs; never holds code."""
    return _own(platformdirs.user_log_dir(APP, appauthor=False), ".local/state")


def serve_token_file() -> Path:
    """The token file of `codebuddy serve`, unless another file is given."""
    return _state_folder() / "serve-token"


def trusted_adapters_file() -> Path:
    """The digests of adapters that this user trained or imported."""
    return _state_folder() / "adapters.json"


def fleet_runs_folder() -> Path:
    """The journals of runs over many repositories."""
    return _state_folder() / "fleet"


def fleet_clones_folder() -> Path:
    """Clones of the repositories that a list names by their address."""
    return cache_folder() / "fleet"


def fleet_work_folder() -> Path:
    """Code that was sent to this machine for one task, and is deleted after it."""
    return cache_folder() / "fleet-work"


def spare_unsaved_folder() -> Path:
    """Unsaved text of the editor where the repository's own codebuddy folder takes none."""
    return _state_folder() / "unsaved"


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


def latency_file() -> Path:
    """How fast this machine is with each model, as measured while completing."""
    return cache_folder() / "pace.json"


def tuning_file() -> Path:
    """How models run best on this machine, as `codebuddy engine tune` measured."""
    return cache_folder() / "tuning.json"


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
            hint=remedy_for(folder),
        ) from error
    return folder


def remedy_for(folder: Path) -> str:
    """What makes a folder of ours that cannot be written lie elsewhere."""
    if not _HAS_XDG:
        return "make it writable, or set HOME to a folder that you can write"
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    # The first that fits: the special ones lie inside the others.
    places = [
        (runtime_folder(), "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
        (models_folder(), "XDG_CACHE_HOME", "CODEBUDDY_MODEL_FOLDER"),
        (cache_folder(), "XDG_CACHE_HOME", ""),
        (log_folder(), "XDG_STATE_HOME", ""),
        (_state_folder(), "XDG_STATE_HOME", ""),
        (user_config_file().parent, "XDG_CONFIG_HOME", ""),
    ]
    for place, variable, other in places:
        if not folder.is_relative_to(place):
            continue
        if named and place.is_relative_to(named):
            return f"make {named} writable, or set XDG_RUNTIME_DIR to another folder of yours"
        either = f"{variable} or {other}" if other else variable
        return f"set {either} to a folder that you can write"
    return f"make {folder.parent} writable, or give another place"
