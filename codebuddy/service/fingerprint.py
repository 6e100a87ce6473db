"""What a suggestion depends on beside the text, for the caches: request, settings, their files."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codebuddy.service.request import CompletionRequest

# The files of a repository that may hold settings (`config.load_settings`).
_SETTINGS_FILES = ("pyproject.toml", ".codebuddy.toml")


def fingerprint_of(call: CompletionRequest, sources: object) -> str:
    """What a suggestion depends on beside the text.

    Args:
        call: The request.
        sources: Where its settings come from, as `SettingsSources.to_message` gives them.
    """
    stamps = _stamps(call, sources if isinstance(sources, dict) else {})
    options = (call.budget_ms, call.takes_back, call.extras, call.language)
    parts = (call.file, call.folder, call.client, call.flags(), options, sources, stamps)
    return json.dumps(parts, sort_keys=True, ensure_ascii=True)


def _stamps(call: CompletionRequest, sources: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Size and time of each file that may hold settings for the call, where it is there."""
    folder = Path(call.folder or call.file)
    named = [str(sources.get("user_file") or "")]
    named += [str(each / name) for each in (folder, *folder.parents) for name in _SETTINGS_FILES]
    found = []
    for name in named:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(name)  # noqa: PTH116
            found.append((name, status.st_size, status.st_mtime_ns))
    return found
