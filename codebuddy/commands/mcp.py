"""`codebuddy mcp`: what coding agents ask about the repository, over the Model Context Protocol."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from codebuddy.errors import EXIT_INTERRUPTED
from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    import socket

    from codebuddy.serve.agents.server import AgentServer
    from codebuddy.serve.guard import Rules
    from codebuddy.service.client import CompletionClient
    from codebuddy.service.code_reader import CodeReader

_NEEDED = ("mcp", "mcp_types")


@click.command("mcp", epilog="Example: codebuddy -C ~/project mcp")
@click.option(
    "--http",
    "port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve streamable HTTP on this port of 127.0.0.1 instead; 0 for a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --http: a file with a token that stays the same; made if it is not there.",
)
@click.option("--no-engine", is_flag=True, help="Search in this process, without the engine.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --http: say where it listens as one JSON object."
)
def command(*, port: int | None, token_file: Path | None, no_engine: bool, as_json: bool) -> int:
    """Let coding agents search and read this repository (Model Context Protocol).

    Agents start it themselves and speak to its stdin and stdout. Its tools search, find
    definitions and callers, outline and read files; none of them writes. docs/agents.md says
    how Claude Code, Codex, Cursor and others are set up.
    """
    from codebuddy import paths
    from codebuddy.errors import CodebuddyError, UsageError
    from codebuddy.serve.guard import Rules
    from codebuddy.serve.listener import hosts_of, listen
    from codebuddy.serve.token_file import token_of
    from codebuddy.service.code_reader import CodeReader

    if port is None and (token_file is not None or as_json):
        raise UsageError("--token-file and --json go with --http", hint="see docs/agents.md")
    if not _is_installed():
        raise CodebuddyError(
            "the package mcp is not installed", hint="pip install 'codebuddy[mcp]'"
        )
    reader = CodeReader(Path.cwd())
    # Who starts it in a wrong folder is told now, and not the agent at its first call.
    root = reader.root
    if port is None:
        _serve_stdio(reader, may_use_engine=not no_engine)
    file = (token_file or paths.serve_token_file()).absolute()
    address = "127.0.0.1"
    with (
        listen(address, port) as listener,
        token_of(file, is_usual=token_file is None) as (token, is_new),
    ):
        hosts = hosts_of(address, listener.getsockname()[1])
        rules = Rules(hosts, frozenset(f"http://{each}" for each in hosts), token)
        url = f"http://{address}:{listener.getsockname()[1]}/mcp"
        told = {"url": url, "token_file": str(file), "repository": str(root)}
        if as_json:
            answer_json(told | {"token_is_new": is_new})
        else:
            answer(f"serving {safe_line(str(root))} to agents at {url}")
            answer(f"the token is in {safe_line(str(file))}")
        return _serve_http(reader, rules, listener, may_use_engine=not no_engine)


def _is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ImportError:
        return False


def _serve_stdio(reader: CodeReader, *, may_use_engine: bool) -> NoReturn:
    """Serve the agent that started this process, until it closes its end."""
    # First: what libraries print must not reach the agent.
    from codebuddy.serve.stdio import take_stdio

    source, sink = take_stdio()
    from codebuddy.serve.agents.transports import run_stdio

    code = 0
    agents, client = _open(reader, may_use_engine=may_use_engine)
    try:
        run_stdio(agents, source, sink)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    finally:
        _close(agents, client, reader)
    # A thread that still reads stdin or searches would be waited for.
    os._exit(code)


def _serve_http(
    reader: CodeReader, rules: Rules, listener: socket.socket, *, may_use_engine: bool
) -> int:
    from codebuddy.serve.agents.transports import run_http

    agents, client = _open(reader, may_use_engine=may_use_engine)
    try:
        run_http(agents, rules, listener)
    except KeyboardInterrupt:
        note("stopped serving")
        return EXIT_INTERRUPTED
    finally:
        _close(agents, client, reader)
    return 0


def _open(reader: CodeReader, *, may_use_engine: bool) -> tuple[AgentServer, CompletionClient]:
    """The server, and what it searches with."""
    from codebuddy.config import load_settings
    from codebuddy.engine.failover import open_client
    from codebuddy.serve.agents.server import AgentServer
    from codebuddy.serve.agents.tools import Tools
    from codebuddy.service.in_process_client import InProcessClient

    settings = load_settings().settings
    client = open_client(settings, None) if may_use_engine else InProcessClient()
    return AgentServer(Tools(reader, client)), client


def _close(agents: AgentServer, client: CompletionClient, reader: CodeReader) -> None:
    agents.close()
    reader.close()
    client.close()
