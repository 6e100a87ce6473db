"""Opens a file at a line in the user's own editor; never through a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from codebuddy.errors import UsageError

# How the common editors are given a line, by the name of their program.
_PLUS = frozenset(
    "vi vim nvim gvim mvim view vimx nano pico emacs emacsclient micro joe jed mg kak ne jove"
    " gedit gnome-text-editor kwrite mousepad xed pluma less".split()
)
_COLON = frozenset("hx helix subl sublime_text zed zeditor atom mate lapce cudatext".split())
_GOTO = frozenset("code codium code-insiders vscodium cursor windsurf code-oss".split())
_LINE = frozenset(
    "idea pycharm goland webstorm clion rubymine phpstorm rustrover charm kate geany".split()
)


def editor_command(environment: Mapping[str, str]) -> list[str]:
    """The words of `$VISUAL`, or else `$EDITOR`.

    Raises:
        UsageError: Neither is set, or it cannot be split into words.
    """
    for name in ("VISUAL", "EDITOR"):
        value = environment.get(name, "").strip()
        if not value:
            continue
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise UsageError(f"${name} cannot be read: {error}", hint="mend its quotes") from error
        if words:
            return words
    raise UsageError(
        "neither $VISUAL nor $EDITOR names an editor", hint="for example: export VISUAL=vim"
    )


def arguments_for(command: list[str], file: str, line: int) -> list[str]:
    """The whole call; an editor that is not known opens the file without its line.

    Args:
        command: The editor's words.
        file: Absolute, so that it is never taken for an option.
        line: 1-based.
    """
    program = Path(command[0]).name.lower().removesuffix(".exe").removesuffix(".cmd")
    if program in _PLUS:
        return [*command, f"+{line}", file]
    if program in _COLON:
        return [*command, f"{file}:{line}"]
    if program in _GOTO:
        return [*command, "--goto", f"{file}:{line}"]
    if program in _LINE:
        return [*command, "--line", str(line), file]
    return [*command, file]


def open_in_editor(command: list[str], file: Path, line: int) -> int:
    """Run the editor in this terminal, and wait for it; its exit code.

    Raises:
        UsageError: The file is gone, or the program cannot be started.
    """
    if not file.is_file():
        raise UsageError(f"{file} is gone", hint="search again, so that the index is updated")
    try:
        # The user's own program, which is to have the user's own environment.
        return subprocess.run(
            arguments_for(command, str(file), line), check=False, env=dict(os.environ)
        ).returncode
    except OSError as error:
        raise UsageError(
            f"the editor {command[0]} cannot be started: {error.strerror or error}",
            hint="correct $VISUAL or $EDITOR",
        ) from error
