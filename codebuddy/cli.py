"""The command line: loads a command's module when it is used, and turns errors into exit codes.

It knows no command's work. Exit codes: 0, 1 known error, 2 usage, 3 bug (with a log
path), 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from codebuddy import __version__, isolation
from codebuddy.errors import EXIT_BUG, EXIT_INTERRUPTED, CodebuddyError, UsageError
from codebuddy.terminal import note, note_styled, safe_line, styled

# name -> (module, one-line help); the help stands here so that `--help` imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "complete": ("complete", "Complete the code at FILE:LINE[:COL]."),
    "search": ("search", "Search the repository's index."),
    "ask": ("ask", "Answer a question from the repository's code."),
    "index": ("index", "Build or update the repository's index."),
    "eval": ("eval", "Measure completion and search on your own code."),
    "train": ("train", "Fit the model, and when it looks things up, to your own code."),
    "audit": ("audit", "Attack what was trained here, and say what it remembers."),
    "adapters": ("adapters", "List, choose, remove or share what was trained here."),
    "engine": ("engine", "Start, stop or look at the warm engine."),
    "fleet": ("fleet", "Index, evaluate and train many repositories, and list them."),
    "federate": ("federate", "Train the decision head with others; labels stay where they are."),
    "models": ("models", "List, pull, verify, remove or add models."),
    "lsp": ("lsp", "Complete in an editor, over the Language Server Protocol."),
    "serve": ("serve", "Complete over HTTP, for llama.vim, llama.vscode and others."),
    "mcp": ("mcp", "Let coding agents search and read, over the Model Context Protocol."),
    "hook": ("hook", "Suggestions about what is being committed."),
    "tui": ("tui", "Write code in the terminal, with suggestions as you type."),
    "doctor": ("doctor", "Show what is installed and used, and what to do about it."),
}

# What a stream answers whose file cannot take more.
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG})


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"codebuddy.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; a name that is nearly one says which."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name.lower(), COMMANDS, n=1)
            if near:
                ctx.fail(f"There is no command {name!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command list of `--help`, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: codebuddy complete src/app.py:42:9",
)
@click.version_option(__version__, prog_name="codebuddy")
@click.option("-C", "directory", metavar="DIR", help="Run as if started in DIR.")
def cli(directory: str | None) -> None:
    """A developer assistant that runs wholly on your machine.

    It indexes the current git repository, runs a quantized code model on your CPU or
    GPU, and looks things up in the repository only where that is worth its time.
    """
    if directory is not None:
        try:
            os.chdir(directory)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"cannot change to {directory}: {reason}", hint="give an existing folder after -C"
            ) from error
    _drop_unknown_variables()
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the current folder cannot be used: {error.strerror}", hint="cd to one that exists"
        ) from error


def _drop_unknown_variables() -> None:
    """Warn of CODEBUDDY_* variables that set nothing, and let no later step or child see them."""
    if not any(name.startswith("CODEBUDDY_") for name in os.environ):
        return
    from codebuddy.config import ignored_message, unknown_variables

    unknown = unknown_variables(os.environ)
    if not unknown:
        return
    note(f"warning: {safe_line(ignored_message(unknown))}")
    # `doctor` lists them once more, with what else is wrong.
    if click.get_current_context().invoked_subcommand != "doctor":
        for name in unknown:
            del os.environ[name]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the one place where an error becomes an exit code."""
    isolation.clean_module_path()
    _harden_streams()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code; every error has been printed on stderr.
    """
    try:
        outcome: Any = cli.main(args=arguments, prog_name="codebuddy", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        _print_click_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _print_error("interrupted")
        return EXIT_INTERRUPTED
    except CodebuddyError as error:
        for warning in error.warnings:
            note(f"warning: {safe_line(warning)}")
        _print_error(error.message, error.hint)
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # click exits by itself only where the reader of stdout has left (`| head`).
        return _reader_left()
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
            return _print_bug(error)
        _reader_left()
        _print_error(
            f"the answer cannot be written: {error.strerror}", "free some space, or write elsewhere"
        )
        return CodebuddyError.exit_code
    except Exception as error:
        return _print_bug(error)
    return outcome if isinstance(outcome, int) else 0


def _print_error(message: str, hint: str = "") -> None:
    note_styled([styled("error: ", fg="red", bold=True), safe_line(message)])
    if hint:
        note_styled([styled("hint: ", fg="cyan"), safe_line(hint)])


def _print_click_error(error: click.ClickException) -> None:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see '{error.ctx.command_path} --help'"
        takes_text = any(each.nargs == -1 for each in error.ctx.command.params)
        if isinstance(error, click.NoSuchOption) and takes_text:
            hint += "; what begins with - and is no option stands behind --"
    _print_error(error.format_message(), hint)


def _print_bug(error: Exception) -> int:
    """Save the traceback, which holds no code of the user, and say where."""
    import platform
    import tempfile
    import traceback
    from datetime import UTC, datetime

    from codebuddy import paths

    report = (
        f"codebuddy {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        + "".join(traceback.format_exception(error))
    )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    try:
        file = paths.ensure_folder(paths.log_folder()) / f"bug-{stamp}.log"
        file.write_text(report, encoding="utf-8", errors="backslashreplace")
    except (OSError, CodebuddyError):
        handle, name = tempfile.mkstemp(prefix=f"codebuddy-bug-{stamp}-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(report)
        file = Path(name)
    _print_error(
        f"this is a bug in codebuddy: {type(error).__name__}: {error}",
        hint=f"the report is in {file}",
    )
    return EXIT_BUG


def _harden_streams() -> None:
    """A closed stream becomes /dev/null, and no locale can make printing fail."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _reader_left() -> int:
    """The reader of stdout has closed it (`| head`): no error."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    return 0
