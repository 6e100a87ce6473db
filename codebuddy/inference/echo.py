"""A generator without weights, for tests of the plumbing: it repeats the prompt's last line.

Deterministic and shipped; chosen by the model name `echo`. Its tokens are UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import FimTokens, GenerationSettings, GenerationStats

_PREFIX, _SUFFIX, _MIDDLE, _REPOSITORY, _SEPARATOR = range(256, 261)


class EchoGenerator:
    """Answers with the last line before the cursor that has text, then a newline."""

    name = "echo"
    n_ctx = 65536
    bos = None
    has_probabilities = False
    fim = FimTokens(_PREFIX, _SUFFIX, _MIDDLE, _REPOSITORY, _SEPARATOR)

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: nothing."""
        return {"backend": "echo", "threads": 0, "gpu_layers": 0}

    def tokenize(self, text: str) -> list[int]:
        """One token per UTF-8 byte."""
        return list(text.encode("utf-8", "surrogateescape"))

    def tokenize_chat(self, system: str, user: str) -> list[int]:
        """Both texts, one behind the other."""
        return self.tokenize(f"{system}\n{user}")

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """Yield the answer a character at a time.

        Raises:
            SupersededError: The call was cancelled.
        """
        before_suffix = list(tokens)
        if _SUFFIX in before_suffix:
            before_suffix = before_suffix[: before_suffix.index(_SUFFIX)]
        if _PREFIX in before_suffix:
            before_suffix = before_suffix[before_suffix.index(_PREFIX) + 1 :]
        text = bytes(t for t in before_suffix if t < 256).decode("utf-8", "replace")
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        reply = (lines[-1] if lines else "pass") + "\n"
        stats.prompt_tokens = stats.evaluated_tokens = len(tokens)
        for character in reply[: settings.max_tokens]:
            if cancellation is not None:
                cancellation.check()
            stats.generated_tokens += 1
            yield character
        stats.finish_reason = "length" if len(reply) > settings.max_tokens else "stop"
