"""`codebuddy tui`: interactive completion in the terminal.

Checks whether the terminal can show it; prints errors once the terminal is restored.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.terminal import is_terminal, note, safe_line

if TYPE_CHECKING:
    from codebuddy.tui.text.buffer import Location

# Screen updates per second at most; Textual's own 60 would add 8 ms to a keystroke.
_FRAMES_PER_SECOND = "120"
# How long Esc and Alt with a letter wait for the rest of a key's sequence; Textual's 100 lag.
_ESCAPE_DELAY_MS = "50"
# Of a name that the system refuses.
_SHOWN_CHARACTERS = 60


@click.command(
    "tui",
    help="Write code in the terminal, with suggestions as you type.",
    epilog="Example: codebuddy tui src/app.py:42",
)
@click.argument("target", metavar="[FILE[:LINE[:COL]]]", required=False)
@click.option("--model", metavar="NAME|PATH", help="Which model; `echo` needs none.")
@click.option("--no-engine", is_flag=True, help="Run the model in this process.")
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "contrast", "terminal"]),
    help="Colours; `terminal` takes the terminal's own.",
)
@click.option("--no-restore", is_flag=True, help="Do not open what was open the last time.")
def command(
    target: str | None,
    model: str | None,
    *,
    no_engine: bool,
    theme: str | None,
    no_restore: bool,
) -> int | None:
    """Entry point of the verb."""
    from codebuddy import platforms
    from codebuddy.config import load_settings
    from codebuddy.errors import UsageError

    if os.environ.get("TERM", "") in ("dumb", "") or not (
        is_terminal(sys.stdin) and is_terminal(sys.stdout)
    ):
        raise UsageError(
            "this terminal cannot show the editor (TERM is dumb, or it is no terminal)",
            hint="use 'codebuddy complete' and 'codebuddy search' here",
        )
    start = _start(target)
    flags = {"model.name": model, "tui.theme": theme}
    settings = load_settings(flags=flags).settings
    if model is not None and not settings.model.url:
        from codebuddy.inference.installed import refuse_unusable

        refuse_unusable(model, settings)
    code = platforms.guard_terminal()
    if code is not None:
        return code if code >= 0 else _print_death(-code)
    os.environ.setdefault("TEXTUAL_FPS", _FRAMES_PER_SECOND)
    os.environ.setdefault("ESCDELAY", _ESCAPE_DELAY_MS)
    from codebuddy.tui.launch import launch

    launch(
        start,
        settings,
        should_use_engine=not no_engine and settings.engine.enabled,
        should_restore=settings.tui.restore and not no_restore,
    )
    return None


def _print_death(number: int) -> int:
    """Say what ended the editor, and that nothing is lost."""
    from codebuddy.errors import EXIT_BUG

    note(f"the editor was ended by {signal.Signals(number).name}")
    note("unsaved text is kept, and offered when its file is opened again")
    return EXIT_BUG


def _start(target: str | None) -> tuple[Path, Location | None] | None:
    """The file to open, and the place in it that the target names."""
    if not target:
        return None
    from codebuddy.errors import UsageError
    from codebuddy.paths import given_file
    from codebuddy.positions import parse_target
    from codebuddy.tui.text.buffer import Location

    if "\0" in target:
        raise UsageError("a file's name cannot contain a NUL character")
    try:
        Path(target).exists()
    except OSError as error:
        shown = safe_line(target[:_SHOWN_CHARACTERS])
        raise UsageError(f"{shown} cannot be opened: {error.strerror}") from error
    file, place = Path(given_file(target)), None
    if not file.exists() and ":" in file.name:
        name, line, column = parse_target(target)
        file, place = Path(given_file(name)), Location(line - 1, (column or 1) - 1)
    if file.is_dir():
        raise UsageError(
            f"{safe_line(str(file))} is a folder",
            hint="give a file in it; without one, 'codebuddy tui' opens the repository",
        )
    if file.exists() and not file.is_file():
        raise UsageError(f"{safe_line(str(file))} is not a regular file", hint="give a text file")
    return file.absolute(), place
