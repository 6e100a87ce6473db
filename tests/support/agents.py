"""`codebuddy mcp` in this process and in one of its own, for the official client."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from codebuddy.serve.agents.server import AgentServer
from codebuddy.serve.agents.tools import Tools
from codebuddy.service.code_reader import CodeReader
from codebuddy.service.in_process_client import InProcessClient
from tests.support.serve import environment_for


@contextlib.contextmanager
def agent_server(root: Path) -> Iterator[AgentServer]:
    """The server for the repository at `root`, in this process and without the engine."""
    reader, client = CodeReader(root), InProcessClient()
    agents = AgentServer(Tools(reader, client))
    try:
        yield agents
    finally:
        agents.close()
        reader.close()
        client.close()


def command_of(root: Path, *flags: str) -> list[str]:
    """The words that start `codebuddy mcp` for the repository at `root`."""
    return [sys.executable, "-m", "codebuddy", "-C", str(root), "mcp", *flags]


def child(root: Path, home: Path) -> StdioServerParameters:
    """How the official client starts it."""
    program, *arguments = command_of(root)
    return StdioServerParameters(command=program, args=arguments, env=environment_for(home))


async def text_of(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool answers; an error fails."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert content.type == "text"
    assert not result.is_error, content.text
    return content.text


async def error_of(client: Client, tool: str, **arguments: Any) -> str:
    """The sentence that a tool refuses with."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert content.type == "text"
    assert result.is_error, content.text
    return content.text
