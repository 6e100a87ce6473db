"""How model families spell fill-in-the-middle, for servers that take text instead of tokens.

Data from the families' own papers and model cards; the longest matching name decides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FimSpelling:
    """The marks around prefix, suffix and middle; `repository` and `separator` may be empty."""

    prefix: str
    suffix: str
    middle: str
    repository: str = ""
    separator: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """Every mark that there is."""
        every = (self.prefix, self.suffix, self.middle, self.repository, self.separator)
        return tuple(mark for mark in every if mark)


_QWEN = FimSpelling(
    "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"
)
_STARCODER = FimSpelling(
    "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"
)
_FAMILIES: dict[str, FimSpelling] = {
    "codegemma": FimSpelling(
        "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "", "<|file_separator|>"
    ),
    "codellama": FimSpelling("<PRE> ", " <SUF>", " <MID>"),
    "deepseek-coder": FimSpelling(
        "<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"
    ),
    "granite": FimSpelling("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    "qwen2.5-coder": _QWEN,
    "qwen3-coder": _QWEN,
    "starcoder": _STARCODER,
}

# Marks that few texts hold by chance stand first; `<PRE>` and `[PREFIX]` may be anything.
_WRITTEN = (
    FimSpelling("<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"),
    FimSpelling("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
    FimSpelling("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    FimSpelling("<AIX-SPAN-PRE>", "<AIX-SPAN-POST>", "<AIX-SPAN-MIDDLE>"),
    FimSpelling("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),
)
# Marks between the files of a repository, and the tokens that begin and fill up a sequence.
FILE_MARKS = ("<|file_sep|>", "<|file_separator|>", "<file_sep>", "<filename>")
REPOSITORY_MARKS = ("<|repo_name|>", "<repo_name>", "<reponame>")
START_MARKS = (
    *("<s>", "<bos>", "<|endoftext|>", "<|begin_of_text|>"),
    *("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<|begin\u2581of\u2581sentence|>"),
)
PAD_MARKS = ("<|fim_pad|>", "<fim_pad>")


def spelling_of(model: str) -> FimSpelling | None:
    """The marks that `model` was trained with, by its name; None if it is unknown."""
    lowered = model.lower().replace("_", "-")
    matching = [family for family in _FAMILIES if family in lowered]
    return _FAMILIES[max(matching, key=len)] if matching else None


def every_spelling() -> tuple[FimSpelling, ...]:
    """All that are known, each once."""
    return tuple(dict.fromkeys(_FAMILIES.values()))


def written_spellings() -> tuple[FimSpelling, ...]:
    """All in which clients write prompts themselves: also those of models that are not served."""
    return (*every_spelling(), *_WRITTEN)
