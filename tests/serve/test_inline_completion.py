"""What the language server keeps of suggestions, and for how long they hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.serve.inline_completion import InlineCompletionProvider
from codebuddy.serve.text_document import TextDocument
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.in_process_client import InProcessClient

TEXT = "abc_d = "


@pytest.fixture
def user_file(monkeypatch) -> Path:
    """The user's settings, which name the echo."""
    monkeypatch.delenv("CODEBUDDY_MODEL_NAME", raising=False)
    file = paths.user_config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[model]\nname = 'echo'\n")
    return file


def suggested(folder: Path, change) -> list[tuple[str, int]]:
    """The text before and after `change`, and how often the model was asked by then."""
    client = InProcessClient()
    asked: list[int] = []
    complete = client.complete

    def noted(*arguments):
        asked.append(1)
        return complete(*arguments)

    client.complete = noted  # type: ignore[method-assign]
    document = TextDocument(f"file://{folder / 'a.py'}", "python", TEXT, "utf-16")

    async def work() -> list[tuple[str, int]]:
        provider = InlineCompletionProvider(AsyncClient(client), None)
        found = []
        for step in (lambda: None, lambda: None, change):
            step()
            shown = await provider.suggest(
                document, len(TEXT), document.uri.removeprefix("file://"), is_automatic=False
            )
            found.append(("" if shown is None else shown.text, len(asked)))
        return found

    try:
        return asyncio.run(work())
    finally:
        client.close()


def test_a_changed_setting_brings_a_new_suggestion(tmp_path, user_file):
    """As in the engine, settings are part of what a suggestion is kept for."""

    def fewer_tokens() -> None:
        user_file.write_text("[model]\nname = 'echo'\n[completion]\nmax_tokens = 3\n")

    first, again, changed = suggested(tmp_path, fewer_tokens)
    assert first == again
    assert len(changed[0]) < len(first[0])
    assert (first[1], changed[1]) == (1, 2)


def test_a_changed_variable_brings_a_new_suggestion(tmp_path, user_file, monkeypatch):
    """Variables are settings too."""
    assert user_file.exists()
    found = suggested(tmp_path, lambda: monkeypatch.setenv("CODEBUDDY_COMPLETION_MAX_TOKENS", "3"))
    assert [count for _, count in found] == [1, 1, 2]
