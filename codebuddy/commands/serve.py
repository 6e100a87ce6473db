"""`codebuddy serve`: the HTTP interface for llama.vim, llama.vscode and OpenAI clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    import socket

    from codebuddy.serve.guard import Rules
    from codebuddy.service.context import RepositoryContext


@click.command(
    "serve",
    epilog="Example: codebuddy -C ~/project serve --port 8012",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 for a free one.  [8012]")
@click.option("--host", default="127.0.0.1", help="Address to listen on.", show_default=True)
@click.option("--allow-remote", is_flag=True, help="Let --host be one that others can reach.")
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="A further name of this server."
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with a token that stays the same; made if it is not there.",
)
@click.option(
    "--no-token", is_flag=True, help="Ask for no token: any program of this machine may ask."
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON object.")
def command(
    *,
    port: int | None,
    host: str,
    allow_remote: bool,
    names: tuple[str, ...],
    token_file: Path | None,
    no_token: bool,
    model: str | None,
    as_json: bool,
) -> int:
    """Complete over HTTP, with lookups in this repository, if the folder is in one.

    Speaks llama-server's /infill, OpenAI's /v1/completions and /v1/models, to this machine
    alone. Clients send the token as 'Authorization: Bearer TOKEN' or 'X-API-Key: TOKEN'.
    Ends with Ctrl-C. docs/editors.md says how editors are set up.
    """
    from codebuddy import paths
    from codebuddy.errors import EXIT_INTERRUPTED, UsageError
    from codebuddy.inference.installed import find_model
    from codebuddy.inference.remote import connect, is_remote
    from codebuddy.serve.guard import Rules
    from codebuddy.serve.listener import check_address, hosts_of, listen
    from codebuddy.serve.token_file import token_of
    from codebuddy.service.context import repository_context_of_folder

    if no_token and token_file is not None:
        raise UsageError(
            "--no-token asks for no token and --token-file names one", hint="give one of them"
        )
    address = check_address(host, may_be_remote=allow_remote, has_token=not no_token)
    flags = {"serve.port": port, "model.name": model}
    repository_context = repository_context_of_folder(Path.cwd(), flags)
    # Report a missing model now, not at the first keystroke.
    if is_remote(repository_context.settings.model):
        connect(repository_context.settings.model).close()
    else:
        find_model(repository_context.settings.model.name, repository_context.settings, notify=note)
    file = None if no_token else (token_file or paths.serve_token_file()).absolute()
    with (
        listen(address, repository_context.settings.serve.port) as listener,
        token_of(file, is_usual=token_file is None) as (token, is_new),
    ):
        listened = listener.getsockname()[1]
        hosts = hosts_of(address, listened, names)
        rules = Rules(hosts, frozenset(f"http://{each}" for each in hosts), token)
        shown = f"[{address}]" if ":" in address else address
        url = f"http://{shown}:{listened}"
        _print_address(repository_context, url, file, is_new=is_new, as_json=as_json)
        try:
            _serve(repository_context, rules, listener)
        except KeyboardInterrupt:
            note("stopped serving")
            return EXIT_INTERRUPTED
    return 0


def _serve(repository_context: RepositoryContext, rules: Rules, listener: socket.socket) -> None:
    from codebuddy.engine.failover import open_client
    from codebuddy.serve.http_api import run
    from codebuddy.serve.raw_completion import RawCompleter
    from codebuddy.service.async_client import AsyncClient

    settings = repository_context.settings

    def warn(sentence: str) -> None:
        note(f"warning: {safe_line(sentence)}")

    completions = AsyncClient(open_client(settings, settings.model.name), warn)
    raw = RawCompleter(repository_context, completions)
    try:
        raw.prewarm()
        run(raw, rules, listener)
    finally:
        completions.close()


def _print_address(
    repository_context: RepositoryContext,
    url: str,
    file: Path | None,
    *,
    is_new: bool,
    as_json: bool,
) -> None:
    """Where it listens, and what a client needs to know."""
    root, model = repository_context.root, repository_context.settings.model.name
    has_repository = repository_context.found is not None
    if as_json:
        where = {"url": url, "token_file": None if file is None else str(file)}
        named = str(root) if has_repository else None
        answer_json(where | {"repository": named, "model": model, "token_is_new": is_new})
        return
    if not has_repository:
        note(f"{safe_line(str(root))} is in no git repository, so nothing is looked up for it")
    answer(f"serving {safe_line(str(root))} with {safe_line(model)} at {url}")
    if file is None:
        note("no token is asked for: any program of this machine may ask")
    else:
        answer(f"the token is in {safe_line(str(file))}")
        if is_new:
            note("it is a new one: start your editors again, or have them read the file again")
