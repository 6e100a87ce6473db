"""`codebuddy lsp`: the language server, started by an editor."""

from __future__ import annotations

import os

import click


@click.command("lsp", epilog="Example: codebuddy lsp --model smollm2-135m")
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--stdio", is_flag=True, help="What it does anyway; editors like to say it.")
@click.option(
    "--clientProcessId",
    "process_id",
    type=click.IntRange(0, 2**31 - 1),
    metavar="ID",
    help="End when this process does.",
)
def command(*, model: str | None, stdio: bool, process_id: int | None) -> None:  # noqa: ARG001
    """Serve an editor over stdin and stdout (Language Server Protocol).

    Offers inline completions, and one completion item to editors that have none of these.
    docs/editors.md says how Neovim, Helix, VS Code and Emacs are set up.
    """
    from codebuddy.config import load_settings
    from codebuddy.engine.failover import open_client
    from codebuddy.serve.language_server import run

    settings = load_settings(flags={"model.name": model}).settings
    code = run(open_client(settings, model), model, process_id)
    # A completion that still runs in a thread would be waited for.
    os._exit(code)
