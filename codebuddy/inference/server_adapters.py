"""A repository's adapter on a llama-server: chosen among those that the server was started with.

Nothing is ever sent there: the server lists what it loaded (`GET /lora-adapters`), and a request
says which of them write its text. An adapter is the repository's if the file that the server
loaded is the very one, or is called as it is. It must say in the file from which token on it acts
(`adapter.alora.invocation_tokens`), or the server would let it act on the whole prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from codebuddy.datatypes import Adapter
from codebuddy.errors import ModelError
from codebuddy.inference import own_adapters
from codebuddy.inference.adapter import MAX_BYTES, identity_of, refused
from codebuddy.inference.adapter_card import AUTO, NONE, SHIPPED, read_card
from codebuddy.inference.adapter_choice import ChosenAdapter
from codebuddy.inference.remote_pieces import number_of
from codebuddy.private_files import read_file

_MAX_LISTED = 1000
# Files whose digests are kept.
_MAX_DIGESTS = 16
# How the folder of a repository's adapters ends.
_FOLDER = ("codebuddy", "adapters")
_WITHOUT = "llama-server has no adapter of this repository: start it with --lora FILE"


@dataclass(frozen=True, slots=True)
class ServerAdapter:
    """An adapter that a server has loaded: its number there, file, scale, and where it acts."""

    id: int
    path: str
    scale: float
    invocation: tuple[int, ...]

    @property
    def name(self) -> str:
        """What its file is called."""
        return PurePosixPath(self.path.replace("\\", "/")).name.removesuffix(".gguf")

    @property
    def is_of_a_repository(self) -> bool:
        """Whether its file lies where codebuddy keeps those of a repository."""
        return PurePosixPath(self.path.replace("\\", "/")).parts[-3:-1] == _FOLDER


def listed(answer: Any) -> list[ServerAdapter]:
    """What a server lists; entries that say nothing usable are left out."""
    found = []
    for each in answer[:_MAX_LISTED] if isinstance(answer, list) else []:
        if not isinstance(each, dict) or type(each.get("id")) is not int:
            continue
        tokens = each.get("alora_invocation_tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            tokens = []
        scale = number_of(each.get("scale"), 1.0)
        found.append(ServerAdapter(each["id"], str(each.get("path", "")), scale, tuple(tokens)))
    return found


def choose(
    setting: str, own: Path | None, there: Sequence[ServerAdapter], middle: int | None
) -> tuple[ChosenAdapter, ServerAdapter | None]:
    """The adapter that `model.adapter` means, and which of the server's it is.

    Args:
        setting: Its value.
        own: The folder of the repository's adapters; none outside of any.
        there: What the server has loaded.
        middle: The token that asks its model for the middle; `None` if it has none.
    """
    if setting == NONE:
        return ChosenAdapter(None, "model.adapter is none"), None
    if setting == SHIPPED:
        return ChosenAdapter(None, "a model server has no shipped adapter"), None
    if middle is None:
        return ChosenAdapter(
            None, "the server's model has no token to switch an adapter on at"
        ), None
    if setting == AUTO:
        files = [] if own is None else _used_in(own)
        reason = _WITHOUT if files else "this repository uses no adapter"
    else:
        files, reason = [Path(setting).expanduser()], f"llama-server has not loaded {setting}"
    for file in files:
        found = _same_file(file, there)
        if found is None:
            continue
        if found.invocation != (middle,):
            reason = f"{found.name} does not say on which token it acts; train it again"
            continue
        try:
            return ChosenAdapter(_described(file, is_own=setting == AUTO)), found
        except ModelError as error:
            return ChosenAdapter(None, error.message, (error.message,)), None
    is_named = setting != AUTO
    return ChosenAdapter(None, reason, (f"{reason}; it is ignored",) if is_named else ()), None


def scales(there: Sequence[ServerAdapter], acting: int | None, setting: str) -> list[Any]:
    """What a request says of the server's adapters (`lora`); empty leaves all as they are.

    With an adapter of ours no other acts; without one those of repositories do not, wherever they
    were trained, and with the setting `none` no adapter at all.
    """
    if acting is not None:
        return [{"id": acting, "scale": 1.0}]
    is_off = setting == NONE
    if not is_off and not any(each.is_of_a_repository and each.scale for each in there):
        return []
    return [
        {"id": each.id, "scale": 0.0 if is_off or each.is_of_a_repository else each.scale}
        for each in there
    ]


def _used_in(folder: Path) -> list[Path]:
    """The files of the adapters that the repository uses, for whatever weights."""
    words = dict.fromkeys(own_adapters.uses_in(folder).values())
    return [folder / f"{word}.gguf" for word in words if word not in (NONE, SHIPPED)]


def _same_file(file: Path, there: Sequence[ServerAdapter]) -> ServerAdapter | None:
    by_path = (each for each in there if Path(each.path) == file)
    by_name = (each for each in there if each.name == file.stem)
    return next(by_path, None) or next(by_name, None)


def _described(file: Path, *, is_own: bool) -> Adapter:
    """The adapter as its card and its file here describe it.

    Raises:
        ModelError: Either is missing or damaged, or it was neither trained nor imported here.
    """
    card = read_card(file.with_suffix(".json"))
    if is_own and not own_adapters.is_trusted(card["sha256"]):
        raise refused(file, "it was neither trained nor imported here")
    try:
        identity = identity_of(file)
        digest = _digest(file, identity)
    except OSError as error:
        raise refused(file, str(error.strerror)) from error
    if digest != card["sha256"]:
        raise refused(file, "its SHA-256 is not that of its card")
    return Adapter(file.stem, digest, file, identity, identity[2], card["rank"], card["alpha"])


@lru_cache(maxsize=_MAX_DIGESTS)
def _digest(file: Path, identity: tuple[int, int, int, int]) -> str:  # noqa: ARG001
    """The SHA-256 of a file, which is read once for each `identity_of` it.

    Raises:
        OSError: It cannot be read.
    """
    return hashlib.sha256(read_file(file, MAX_BYTES, follows_links=True)).hexdigest()
