"""Prompts whose FIM tokens a client wrote itself: taken apart, or refused with what to send."""

from __future__ import annotations

import pytest

from codebuddy.errors import UsageError
from codebuddy.serve.fim_prompt import FimPrompt, split_prompt

P, S = "def f():\n    x = ", "\n    return x\n"
DEEPSEEK = tuple(f"<\uff5cfim\u2581{each}\uff5c>" for each in ("begin", "hole", "end"))
DEEPSEEK_START = "<\uff5cbegin\u2581of\u2581sentence\uff5c>"
NOTE = (("", "# about b.py\n\n"),)
FAMILIES = [
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<PRE> ", " <SUF>", " <MID>"),
    DEEPSEEK,
    ("<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"),
    ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    ("<AIX-SPAN-PRE>", "<AIX-SPAN-POST>", "<AIX-SPAN-MIDDLE>"),
    ("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),
]


@pytest.mark.parametrize(("pre", "suf", "mid"), FAMILIES, ids=lambda mark: mark.strip())
def test_every_family_in_every_order(pre, suf, mid):
    """Prefix first, suffix first, suffix in the middle; with nothing before or after the cursor."""
    spm = f"{pre}{suf.lstrip()}{S}{mid}{' ' if pre.endswith(' ') else ''}{P}"
    for text in (f"{pre}{P}{suf}{S}{mid}", f"{suf}{S}{pre}{P}{mid}", spm):
        if text.startswith(" ") or (" " in pre and text.startswith(suf)):
            continue
        assert split_prompt(text) == FimPrompt(P, S), text
    assert split_prompt(f"{pre}{P}{suf}{mid}") == FimPrompt(P, "")
    assert split_prompt(f"{pre}{suf}{S}{mid}") in (FimPrompt("", S), FimPrompt("", S + " "))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        # Codestral's own order has no mark of the middle.
        (f"[SUFFIX]{S}[PREFIX]{P}", FimPrompt(P, S)),
        (f"<s>[SUFFIX]{S}[PREFIX]{P}", FimPrompt(P, S)),
        (f"# about b.py\n\n[SUFFIX]{S}[PREFIX]{P}", FimPrompt(P, S, extras=NOTE)),
        (
            f"[SUFFIX]{S}[PREFIX]+++++ b.py \nb = 1\n\n+++++ src/a.py\n{P}",
            FimPrompt(P, S, "src/a.py", (("b.py", "b = 1\n\n"),)),
        ),
        # CodeLlama as Twinny writes it: no blank behind its first mark, one behind the second.
        (f"<PRE># Language: Python\n{P} <SUF> {S} <MID>", FimPrompt(f"# Language: Python\n{P}", S)),
        ("<PRE>    x =<SUF>\n<MID>", FimPrompt("    x =", "\n")),
        # The beginning of a sequence, a filled-up end, the middle's own beginning.
        (f"{DEEPSEEK_START}{DEEPSEEK[0]}{P}{DEEPSEEK[1]}{S}{DEEPSEEK[2]}", FimPrompt(P, S)),
        (f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|><|fim_pad|>", FimPrompt(P, S)),
        (f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>1 +", FimPrompt(P + "1 +", S)),
        # A mark is missing, and what is what is plain all the same.
        (f"{P}<|fim_suffix|>{S}<|fim_middle|>", FimPrompt(P, S)),
        (f"<|fim_suffix|>{S}<|fim_middle|>{P}", FimPrompt(P, S)),
        (f"<|fim_prefix|>{P}<|fim_suffix|>{S}", FimPrompt(P, S)),
        (f"<|fim_prefix|>{P}<|fim_middle|>", FimPrompt(P, "")),
        (f"<|fim_prefix|>{P}", FimPrompt(P, "")),
        # Files of the repository, with and without FIM tokens behind them.
        (
            f"<|repo_name|>shop\n<|file_sep|>b.py\nb = 1\n<|file_sep|>src/a.py\n"
            f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
            FimPrompt(P, S, "src/a.py", (("b.py", "b = 1\n"),)),
        ),
        (
            f"<|file_sep|># note\n\n<|file_sep|># Language: Python\n"
            f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
            FimPrompt(P, S, "", (("", "# note\n\n"), ("", "# Language: Python\n"))),
        ),
        (
            f"<|fim_prefix|><|file_sep|>b.py\nb = 1\n<|file_sep|>a.py\n{P}"
            f"<|fim_suffix|>{S}<|fim_middle|>",
            FimPrompt(P, S, "a.py", (("b.py", "b = 1\n"),)),
        ),
        (
            f"<reponame>shop<filename>a.py\n<fim_prefix>{P}<fim_suffix>{S}<fim_middle>",
            FimPrompt(P, S, "a.py"),
        ),
        (
            f"<|repo_name|>shop\n<|file_sep|>b.py\nb = 1\n<|file_sep|>a.py\n{P}",
            FimPrompt(P, "", "a.py", (("b.py", "b = 1\n"),)),
        ),
        # Words of another family in the document are text.
        (
            f"<|fim_prefix|>see [PREFIX] and [SUFFIX]\n{P}<|fim_suffix|>{S}<|fim_middle|>",
            FimPrompt(f"see [PREFIX] and [SUFFIX]\n{P}", S),
        ),
    ],
)  # fmt: skip
def test_forms_that_clients_send(text, parts):
    """Read from the templates of Continue, Twinny, minuet, Mercury and the models' own cards."""
    assert split_prompt(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return 1\n",
        "usage: tool [PREFIX] NAME [SUFFIX]\n",
        "<html><PRE>\nold markup\n</PRE>\n",
        "# it ends with <|file_sep|> in some models\n",
        "<s>struck</s>",
        "",
    ],
)
def test_a_plain_prompt_is_left_alone(text):
    """Words in brackets and old HTML are no tokens."""
    assert split_prompt(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"<|fim_middle|>{P}<|fim_prefix|>{S}<|fim_suffix|>",
        f"{P}<|fim_middle|>",
        f"{P}<|fim_suffix|>{S}",
        f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_suffix|>{S}<|fim_middle|>",
        f"<|fim_prefix|>{P}<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
        f"MARKS = ('{DEEPSEEK[0]}', '{DEEPSEEK[2]}', '{DEEPSEEK[1]}')",
    ],
)
def test_what_cannot_be_taken_apart_is_refused_with_what_to_send(text):
    """Tokens in no order, or twice: nobody can tell them from the document's own text."""
    with pytest.raises(UsageError, match="prompt holds the FIM token") as caught:
        split_prompt(text)
    assert "prompt and the text after it as suffix" in caught.value.hint
