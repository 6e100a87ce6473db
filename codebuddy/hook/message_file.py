"""git's message file as it stands before the editor opens: whether a comment there is stripped.

git strips lines that begin with its comment character only in its usual cleanup mode, and only
where the message is edited. Options of the command line are not told to a hook, so that git's own
note in the file has to say it. In doubt a comment would stay in the commit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MAX_MESSAGE_BYTES = 1 << 20
# What git writes below the message in its usual mode; in the others the lines "will be kept".
_STRIPPED = re.compile(r"Lines starting with '(.{1,20}?)' will be ignored")
_DEFAULT_MARK = "#"
_KEPT = re.compile(r"Lines starting with '.{1,20}?' will be kept")
# In the others, also `scissors`, a comment above the scissors stays.
_STRIPPING_MODES = frozenset({"", "default", "strip"})
_MAX_PARENTS = 6
_MAX_COMMAND_BYTES = 1 << 16


def comment_mark(file: Path, mode: str, configured: str) -> str:
    """What a line begins with that git strips from the message; empty if nothing is for sure.

    Args:
        file: What git passes to the hook.
        mode: `commit.cleanup`.
        configured: `core.commentChar`.
    """
    # Without an editor git strips no comments; it then says so to the hook.
    if mode not in _STRIPPING_MODES or os.environ.get("GIT_EDITOR") == ":":
        return ""
    command = _git_command()
    if file.stat().st_size > _MAX_MESSAGE_BYTES or _names_cleanup(command):
        return ""
    lines = file.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    # Scissors: what follows them is cut away whatever it is, but a diff is no place to write.
    if any(">8" in line and line[1:].strip(" -").startswith(">8") for line in lines):
        return ""
    mark = configured or _DEFAULT_MARK
    if mark == "auto":
        mark = lines[-1][:1]
    own = " ".join(_last_comment(lines, mark).split())
    note = _STRIPPED.search(own)
    if note is not None:
        return mark if note[1] == mark else ""
    # In another language than English git's note is not known.
    is_sure = bool(own) and configured != "auto" and _is_plain_commit(command)
    return mark if is_sure and not _KEPT.search(own) else ""


def _last_comment(lines: list[str], mark: str) -> str:
    """The text of the comment lines at the end of the file."""
    found: list[str] = []
    for line in reversed(lines):
        if not mark or not line.startswith(mark):
            break
        found.append(line.removeprefix(mark))
    return "\n".join(reversed(found))


def _names_cleanup(command: list[str]) -> bool:
    """Whether the command line chooses a cleanup mode; git takes the option's beginnings, too."""
    return any(part.startswith("--cl") for part in command)


def _is_plain_commit(command: list[str]) -> bool:
    """Whether git was called with the verb itself and no settings of this call alone."""
    variables = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")
    return "commit" in command[1:] and not any(os.environ.get(name) for name in variables)


def _git_command() -> list[str]:
    """The command line of the git that runs the hook; empty where the system does not tell."""
    process = os.getpid()
    for _ in range(_MAX_PARENTS):
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
            process = int(status.partition("\nPPid:")[2].split(maxsplit=1)[0])
            with Path(f"/proc/{process}/cmdline").open("rb") as stream:
                parts = os.fsdecode(stream.read(_MAX_COMMAND_BYTES)).split("\0")
        except (OSError, ValueError, IndexError):
            return []
        if Path(parts[0]).name in ("git", "git-commit"):
            return parts
    return []
