"""The language server with a client of another make (pytest-lsp), and with the real model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

from codebuddy.service.context import RepositoryContext
from codebuddy.service.refresh import open_index
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.lsp import editing
from tests.support.serve import environment_for

pytestmark = pytest.mark.process

_COMMAND = [sys.executable, "-m", "codebuddy", "lsp", "--model", "echo", "--stdio"]


@pytest_lsp.fixture(config=ClientServerConfig(server_command=_COMMAND))  # type: ignore[untyped-decorator]
async def language_client(lsp_client: LanguageClient, repository: Path):
    """A client with the capabilities of VS Code, in the shop's repository."""
    capabilities = pytest_lsp.client_capabilities("visual-studio-code")
    assert capabilities.text_document is not None
    capabilities.text_document.inline_completion = types.InlineCompletionClientCapabilities()
    folder = types.WorkspaceFolder(repository.as_uri(), "shop")
    params = types.InitializeParams(
        capabilities=capabilities,
        process_id=None,
        root_uri=repository.as_uri(),
        workspace_folders=[folder],
    )
    await lsp_client.initialize_session(params)
    yield
    await lsp_client.shutdown_session()


@pytest.mark.asyncio
async def test_a_whole_session_follows_the_protocol(
    language_client: LanguageClient, repository: Path
):
    """Every message of a session is one that the protocol's own types and checks allow."""
    uri = (repository / "cart.py").as_uri()
    text = (repository / "cart.py").read_text()
    item = types.TextDocumentItem(uri, "python", 1, text)
    language_client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    position = types.Position(5, 26)
    invoked = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked)
    identifier = types.TextDocumentIdentifier(uri)
    found = await language_client.text_document_inline_completion_async(
        types.InlineCompletionParams(invoked, identifier, position)
    )
    assert isinstance(found, types.InlineCompletionList)
    (suggestion,) = found.items
    assert suggestion.insert_text == "return apply_discount("
    assert suggestion.range == types.Range(position, position)
    assert suggestion.command is not None
    await language_client.workspace_execute_command_async(
        types.ExecuteCommandParams(suggestion.command.command, suggestion.command.arguments)
    )
    receipt = await language_client.workspace_execute_command_async(
        types.ExecuteCommandParams("codebuddy.receipt", suggestion.command.arguments)
    )
    assert receipt is not None
    assert receipt["accepted_characters"] == len("return apply_discount(")
    language_client.text_document_did_close(types.DidCloseTextDocumentParams(identifier))
    assert language_client.log_messages == []


def test_the_real_model_completes_in_an_editor(repository, tmp_path):
    """The call in the shop's cart is completed with the definition of the other file."""
    open_index(RepositoryContext(open_repository(repository), Settings())).close()
    text = (repository / "cart.py").read_text()
    always = {"CODEBUDDY_COMPLETION_RETRIEVE": "always"}
    with editing(repository, tmp_path / "other", model="qwen2.5-coder-1.5b", **always) as client:
        client.initialize()
        uri = client.open("cart.py", text)
        suggestion = client.suggested(uri, 5, 26)
        receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
    assert "amount_cents" in suggestion
    assert [chunk["path"] for chunk in receipt["result"]["chunks"]] == ["pricing.py"]
    assert receipt["result"]["runtime"]["backend"] == "llama.cpp"


def test_the_server_works_through_the_engine(repository, tmp_path):
    """With the engine switched on the language server is a thin client of it."""
    import subprocess

    variables = {"CODEBUDDY_ENGINE_ENABLED": "true", "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    (tmp_path / "run").mkdir(mode=0o700)
    home = tmp_path / "other"
    engine = [sys.executable, "-m", "codebuddy", "engine"]
    try:
        with editing(repository, home, **variables) as client:
            client.initialize()
            uri = client.open("cart.py", (repository / "cart.py").read_text())
            assert client.suggested(uri, 5, 26) == "return apply_discount("
            receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
            assert receipt["result"]["engine"]["request_id"] > 0
            assert client.end() == 0
    finally:
        environment = environment_for(home, **variables)
        stopped = subprocess.run([*engine, "stop"], env=environment, capture_output=True)
    assert stopped.returncode == 0
