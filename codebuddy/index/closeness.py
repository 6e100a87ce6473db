"""How close files are to the one that a query comes from: imported, beside it, changed with it.

It reads inside the caller's snapshot.
"""

from __future__ import annotations

import os

from codebuddy.index.channels import Channels
from codebuddy.index.store import Store

_IMPORTED = 1.0
_BESIDE = 0.4


def closeness_to(path: str, store: Store, channels: Channels) -> dict[str, float]:
    """How close other files are to the file `path`, in (0, 1]; distant ones are left out."""
    close = dict(channels.history.changed_with(path))
    for each in channels.modules.siblings(path):
        close[each] = max(_BESIDE, close.get(each, 0.0))
    stored = store.file_of(os.fsencode(path))
    imports = store.details(stored.id).imports if stored is not None else ()
    close.update(dict.fromkeys(channels.modules.resolve(imports, path), _IMPORTED))
    return close
