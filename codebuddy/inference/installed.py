"""Which models are on this machine, where, and whether their bytes are the right ones.

A catalog model is handed out only when its bytes were hashed and match: at the pull, or
once here for a file that was put there by hand, and again whenever the file changed. A
file that does not match is moved aside to `<file>.corrupt`. How bytes arrive is
`download.py`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths
from codebuddy.errors import ModelError
from codebuddy.inference import added, stamps
from codebuddy.inference.catalog import Catalog, CatalogEntry, format_bytes, load_catalog
from codebuddy.inference.gguf import read_header
from codebuddy.paths import is_model_path
from codebuddy.settings import Settings
from codebuddy.terminal import note

ECHO = "echo"
# Smaller files are hashed without a word.
_NOTIFY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that can be loaded: `path` is None for the built-in echo generator.

    `entry` is None for echo and for a file given by its path.
    """

    name: str
    path: Path | None
    entry: CatalogEntry | None


def models_folder(settings: Settings) -> Path:
    """Where weights are kept; the folder need not exist."""
    return paths.models_folder(settings.model.folder)


def load_models(settings: Settings) -> Catalog:
    """The shipped catalog followed by the user's own models.

    Raises:
        ModelError: One of the two lists is damaged.
    """
    shipped = load_catalog()
    return shipped.with_entries(added.load_added(models_folder(settings)))


def entry_path(entry: CatalogEntry, settings: Settings) -> Path:
    """Where the entry's file is, or would be."""
    return models_folder(settings) / entry.file


def find_model(
    name_or_path: str, settings: Settings, *, notify: Callable[[str], None] = note
) -> InstalledModel:
    """The installed model of that name, with its bytes checked, or the GGUF file at that path.

    Args:
        name_or_path: A catalog name, the name of an added model, a path, or `echo`.
        settings: Where models are kept.
        notify: Takes one sentence when a large file has to be hashed first.

    Raises:
        ModelError: It is unknown, missing or damaged; the hint is the command that helps.
    """
    if name_or_path == ECHO:
        return InstalledModel(ECHO, None, None)
    if is_model_path(name_or_path):
        path = Path(name_or_path).expanduser().absolute()
        if not path.exists():
            raise ModelError(
                f"there is no model file {path}", hint="codebuddy models list shows what there is"
            )
        read_header(path)
        return InstalledModel(path.stem, path, None)
    entry = load_models(settings).get(name_or_path)
    path = entry_path(entry, settings)
    if not path.is_file():
        raise missing_model(entry)
    check_installed(entry, path, notify=notify)
    return InstalledModel(entry.name, path, entry)


def refuse_unusable(name_or_path: str, settings: Settings) -> None:
    """Raise early for a model that cannot be loaded, without reading its bytes.

    A model of the catalog that is merely missing passes as long as none is installed at all:
    then there is a first one to offer.

    Raises:
        ModelError: As for `find_model`.
    """
    if name_or_path == ECHO or is_model_path(name_or_path):
        find_model(name_or_path, settings)
        return
    models = load_models(settings)
    entry = models.get(name_or_path)
    installed = [each for each in models.entries if entry_path(each, settings).is_file()]
    if installed and entry not in installed:
        raise missing_model(entry)


def check_installed(
    entry: CatalogEntry,
    path: Path,
    *,
    force: bool = False,
    notify: Callable[[str], None] = note,
) -> stamps.Stamp:
    """Make sure that the file at `path` has the entry's bytes; hash it where that is not known.

    Args:
        entry: What the file has to be.
        path: The file.
        force: Hash it even if its stamp still holds.
        notify: Takes one sentence before a large file is hashed.

    Raises:
        ModelError: It does not match (and was moved aside), or nothing is known to match.
    """
    stamp = stamps.read_stamp(path)
    expected = entry.sha256 or stamps.recorded_digest(path)
    if expected is None:
        raise ModelError(
            f"{path} was not checked: the catalog knows no digest for {entry.name}",
            hint=f"codebuddy models pull {entry.name} --trust",
        )
    if stamp is not None and stamp.sha256 == expected and not force:
        return stamp
    try:
        size = path.stat().st_size
        if entry.bytes is not None and size != entry.bytes:
            found = f"it has {size} bytes, not {entry.bytes}"
            raise _moved_aside(entry, path, found)
        if size >= _NOTIFY_BYTES:
            notify(f"checking {entry.name} ({format_bytes(size)})")
        stamp = stamps.hash_file(path)
    except OSError as error:
        raise ModelError(f"cannot check {path}: {error.strerror}") from error
    if stamp.sha256 != expected:
        raise _moved_aside(entry, path, f"its SHA-256 is {stamp.sha256}, not {expected}")
    stamps.write_stamp(path, stamp)
    return stamp


def missing_model(entry: CatalogEntry) -> ModelError:
    """What to raise where the entry's file is not there; the hint is the command that helps."""
    if entry.is_added:
        return ModelError(
            f"the model {entry.name} is not in the models folder any more",
            hint=f"codebuddy models remove {entry.name}, then codebuddy models add FILE.gguf",
        )
    trust = "" if entry.is_pinned else " --trust"
    return ModelError(
        f"the model {entry.name} ({entry.size_text}) is not installed",
        hint=f"codebuddy models pull {entry.name}{trust}",
    )


def _moved_aside(entry: CatalogEntry, path: Path, found: str) -> ModelError:
    aside = path.with_name(path.name + ".corrupt")
    try:
        path.replace(aside)
        stamps.remove_stamp(path)
        outcome = f"; it was moved to {aside}"
    except OSError as error:
        outcome = f"; it could not be moved aside: {error.strerror}"
    remedy = "add FILE.gguf" if entry.is_added else f"pull {entry.name}"
    return ModelError(
        f"{path} is not the model {entry.name}: {found}{outcome}",
        hint=f"codebuddy models {remedy}",
    )
