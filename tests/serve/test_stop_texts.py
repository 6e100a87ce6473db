"""Stop texts of raw completions: a streamed text is the same as one that is not streamed."""

from __future__ import annotations

import asyncio

import pytest

from codebuddy.serve.infill import RawRequest
from codebuddy.serve.raw_completion import RawCompleter
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.context import repository_context_of_folder


class Growing:
    """A client whose text comes in the given states; the last one is the answer."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def complete(self, _request, on_text=None):
        """As `CompletionClient.complete`."""
        for text in self._texts[:-1]:
            if on_text is not None:
                on_text(text)
        return {"text": self._texts[-1], "alternatives": [], "warnings": []}

    def cancel(self, *_arguments) -> None:
        """As `CompletionClient.cancel`."""


@pytest.mark.parametrize(
    ("texts", "stops", "expected"),
    [
        (("a = 1\n", "a = 1\n\nb", "a = 1\n\nb = 2"), ("\n\n",), "a = 1"),
        (("a = 1\n", "a = 1\nb = 2"), ("\n\n",), "a = 1\nb = 2"),
        (("a<|e", "a<|end", "a<|end|>"), ("<|end|>", "|e|"), "a"),
        (("a<|e", "a<|each"), ("<|end|>",), "a<|each"),
        (("a = 1\n",), ("\n\n",), "a = 1\n"),
        (("aab", "aabx"), ("abc", "b", ""), "aa"),
    ],
)
def test_nothing_is_sent_that_a_stop_text_takes_back(tmp_path, texts, stops, expected):
    """What may be the beginning of one is held back until it is known."""
    context = repository_context_of_folder(tmp_path)
    client = AsyncClient(Growing(*texts))  # type: ignore[arg-type]
    raw = RawRequest("def f():\n    ", "\n", stops=stops)

    async def work() -> tuple[str, str]:
        sent, final = "", ""
        async for text, done in RawCompleter(context, client).stream(raw):
            assert text.startswith(sent)
            sent = text
            final = final if done is None else done.text
        return sent, final

    assert asyncio.run(work()) == (expected, expected)
