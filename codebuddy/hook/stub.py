"""The shell script that git runs: small, POSIX, and never in the way.

It runs the hook that was there before, whose exit status counts, then codebuddy, whose does
not. Everything that could keep a commit waiting is ended by it: it reads no input, waits only
so long, and knows nothing of Python beyond one path.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

# Marks the script as codebuddy's; the number is the script's version.
MARK = "codebuddy-hook-3e0c1a7d"
VERSION = 4
LEGACY_SUFFIX = ".codebuddy-legacy"
GUARD_VARIABLE = "_CODEBUDDY_HOOK"
HOOKS = ("pre-commit", "prepare-commit-msg")

_VERSION = re.compile(rf"^# {MARK} (\d+)\r?$", re.MULTILINE)
_PYTHON = re.compile(r"^python=([^\r\n]*)\r?$", re.MULTILINE)

_SCRIPT = """\
#!/bin/sh
# {mark} {version}
# Written by 'codebuddy hook install'; 'codebuddy hook uninstall' takes it away again.
# Suggests, and never stops a commit. 'git commit --no-verify' goes without it.

python={python}
# git calls a hook by a path. Nothing is run to find the folder: PATH may begin with the repository.
case $0 in */*) here=${{0%/*}} ;; *) here=. ;; esac
legacy=$here/{name}{legacy_suffix}

# The hook that was here before decides as it always did.
if [ -x "$legacy" ]; then
    "$legacy" "$@" || exit $?
fi

# A commit made while this hook runs is none of its business.
[ -z "${{{guard}:-}}" ] || exit 0
{guard}=1
export {guard}
[ -x "$python" ] || exit 0

# An empty or relative entry of these means the repository, whose files would run as programs,
# modules or libraries. What is left of a list goes to $kept.
keep_absolute() {{
    kept=
    rest=$1:
    while [ -n "$rest" ]; do
        entry=${{rest%%:*}}
        rest=${{rest#*:}}
        case $entry in /*) kept=${{kept:+$kept:}}$entry ;; esac
    done
}}
keep_absolute "${{PATH:-}}"
PATH=${{kept:-/usr/bin:/bin}}
keep_absolute "${{PYTHONPATH:-}}"
PYTHONPATH=$kept
[ -n "$kept" ] || unset PYTHONPATH
case ${{LD_LIBRARY_PATH:-}} in *";"*) unset LD_LIBRARY_PATH ;; esac
keep_absolute "${{LD_LIBRARY_PATH:-}}"
LD_LIBRARY_PATH=$kept
[ -n "$kept" ] || unset LD_LIBRARY_PATH
case ${{PYTHONHOME:-/}} in [!/]* | *:[!/]* | *:) unset PYTHONHOME ;; esac
case ${{PYTHONUSERBASE:-/}} in /*) ;; *) unset PYTHONUSERBASE ;; esac
case ${{PYTHONPYCACHEPREFIX:-/}} in /*) ;; *) unset PYTHONPYCACHEPREFIX ;; esac
case ${{HOME:-/}} in /*) ;; *) unset HOME ;; esac
git_folder=$(git rev-parse --git-dir 2>/dev/null) || exit 0
for state in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
    [ ! -e "$git_folder/$state" ] || exit 0
done
{condition}
# Set before anything is started, and for what was started last until its number is known.
stop='kill -KILL "${{child:-$!}}" 2>/dev/null; kill "${{watchdog:-$!}}" 2>/dev/null; exit 0'
trap "$stop" INT TERM HUP
"$python" -P -m codebuddy hook run --from-git {name}{arguments} </dev/null 2>/dev/null &
child=$!
(
    trap 'kill "${{pause:-$!}}" 2>/dev/null; exit 0' TERM
    sleep {limit_s} &
    pause=$!
    wait "$pause" && kill -KILL "$child"
) </dev/null >/dev/null 2>&1 &
watchdog=$!
wait "$child" 2>/dev/null
status=$?
kill "$watchdog" 2>/dev/null
{ending}exit 0
"""

# What has ended by itself has said what it left out. Where all went well, nothing more is started.
_SAID_WHEN_KILLED = """\
say_ended() {
    scope="--range HEAD~1..HEAD"
    git rev-parse -q --verify HEAD >/dev/null 2>&1 || scope=--all
    told="codebuddy: the time was over before all was looked at; to see it"
    echo "$told: codebuddy hook run $scope"
}
[ "$status" != 137 ] || say_ended
"""
# A message that is given, merged, squashed or taken from a commit is not to be suggested.
_MESSAGE_CONDITION = 'case "${2:-}" in "" | template) ;; *) exit 0 ;; esac\n'


def script(name: str, python: Path, limit_s: int) -> str:
    """The text of the hook `name`.

    Args:
        name: One of `HOOKS`.
        python: The interpreter that has codebuddy.
        limit_s: Seconds after which it is ended.
    """
    is_message = name == "prepare-commit-msg"
    return _SCRIPT.format(
        mark=MARK,
        version=VERSION,
        python=shlex.quote(str(python)),
        name=name,
        legacy_suffix=LEGACY_SUFFIX,
        guard=GUARD_VARIABLE,
        condition=_MESSAGE_CONDITION if is_message else "",
        arguments=' --message-file "$1"' if is_message else "",
        limit_s=limit_s,
        ending="" if is_message else _SAID_WHEN_KILLED,
    )


def version_of(text: str) -> int | None:
    """The version of one of our scripts; `None` for anybody else's."""
    found = _VERSION.search(text)
    return int(found[1]) if found else None


def python_of(text: str) -> Path | None:
    """The interpreter that one of our scripts calls."""
    found = _PYTHON.search(text)
    try:
        words = shlex.split(found[1]) if found else []
    except ValueError:
        return None
    return Path(words[0]) if len(words) == 1 else None
