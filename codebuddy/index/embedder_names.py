"""The names of embedders: paths that begin as one, and names of the hub.

It says whether a model is there without the libraries that load it: those take many seconds to
import.
"""

from __future__ import annotations

import os
from pathlib import Path

from codebuddy.errors import ModelError

# A name of one word is one of the libraries' own organisation.
_OWN_ORGANISATION = "sentence-transformers"
# Variables that name a folder where the libraries look beside the hub's own cache.
_FOLDER_VARIABLES = ("SENTENCE_TRANSFORMERS_HOME", "TRANSFORMERS_CACHE")


def checked_name(name: str) -> str:
    """`name`, if it is a path that begins as one, or a name of the hub that is no path as well.

    The libraries take a folder for the model of that name on the hub, and run what it names: a
    repository could plant one in the working folder.

    Raises:
        ModelError: It is both.
    """
    if name.startswith(("./", "../", "~")) or os.path.isabs(name):  # noqa: PTH117
        return os.path.expanduser(name)  # noqa: PTH111
    if os.path.lexists(name) or os.path.lexists(f"{_OWN_ORGANISATION}/{name}"):
        raise ModelError(
            f"the embedder {name} is named like a file or folder here",
            hint=f"write ./{name} for the folder, or run it elsewhere for the model of the hub",
        )
    return name


def is_missing(name: str) -> bool:
    """Whether there is surely no such model: no such path, and no folder of it in a cache.

    Of one that is there in part, whoever loads it says what is wrong.
    """
    if os.path.exists(name):  # noqa: PTH110
        return False
    if os.path.isabs(name) or name.startswith(".") or name.count("/") > 1:  # noqa: PTH117
        return True
    from huggingface_hub.constants import HF_HUB_CACHE, REPO_ID_SEPARATOR

    names = [name] if "/" in name else [name, f"{_OWN_ORGANISATION}/{name}"]
    folders = [HF_HUB_CACHE, *filter(None, map(os.environ.get, _FOLDER_VARIABLES))]
    kept = [REPO_ID_SEPARATOR.join(["models", *each.split("/")]) for each in names]
    return not any((Path(folder) / each).is_dir() for folder in folders for each in kept)
