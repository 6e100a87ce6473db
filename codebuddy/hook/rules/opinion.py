"""CB113: one short remark of the model's on a hunk, said to be its opinion.

Off by itself: no rule of the repository stands behind it, and docs/benchmarks.md says how often
it was right. The model is shown the largest hunk of code after a few examples of remarks, may
answer "fine", and is quoted only where its own probabilities say that it was sure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from codebuddy.hook.credentials import masked
from codebuddy.hook.finding import Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.terminal import safe_line

# The mean probability of the remark's tokens from which it is said: docs/benchmarks.md.
MIN_CONFIDENCE = 0.8
_CONTEXT = 3
_MAX_HUNK_LINES = 40
_MAX_FILE_LINES = 4000
_MAX_FILES = 20
_MAX_LINE = 160
_LENGTHS = range(8, 120)
_VIRTUAL_NAME = "REVIEW.txt"
_FINE = re.compile(r"(?i)\W*(?:fine|ok|okay|good|looks good|lgtm|none|nothing|no remarks?)\b")

_EXAMPLES = """\
A careful reviewer reads each change and writes one short remark about a mistake in it. \
Where there is no mistake, the remark is "fine".

Change in paging.py:
 def first(items, n):
-    return items[:n]
+    return items[:n - 1]
Remark: returns one item too few

Change in shop.py:
+def total(prices):
+    return sum(prices)
Remark: fine

Change in reading.py:
 def load(path):
+    if not path.exists():
+        return None
     return path.read_text()
Remark: fine

Change in limits.py:
-    if size > limit:
+    if size < limit:
         raise TooLarge(size)
Remark: the comparison is the wrong way round, so small sizes are refused

"""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changed lines with a few around them; `line` is the first new one in the new content."""

    path: str
    line: int
    text: str
    n_changed: int


def may_apply(review: Review) -> bool:
    """Whether there is code to look at."""
    return any(
        role_of(change.path, file.source) == "code" for change, file in review.state.written()
    )


def check(review: Review) -> Iterator[Finding]:
    """The model's remark on the largest hunk of code, if it is sure of one."""
    if review.model is None:
        return
    hunk = max(_hunks(review), key=lambda each: each.n_changed, default=None)
    if hunk is None:
        return
    prompt = prompt_for(hunk)
    lines = prompt.split("\n")
    place = (len(lines), len(lines[-1]) + 1)
    answer = review.model.complete(_VIRTUAL_NAME, prompt, *place, 1, retrieve="never")
    remark = remark_of(answer.text)
    if remark and answer.confidence >= MIN_CONFIDENCE:
        yield Finding(
            "CB113",
            hunk.path,
            hunk.line,
            1,
            f"the model's opinion ({answer.confidence:.0%} sure): {remark}",
            confidence=min(1.0, answer.confidence),
        )


def prompt_for(hunk: Hunk) -> str:
    """A text that ends where the remark would stand."""
    shown = "\n".join(masked(line)[:_MAX_LINE] for line in hunk.text.split("\n"))
    return f"{_EXAMPLES}Change in {safe_line(hunk.path)}:\n{shown}\nRemark: "


def remark_of(text: str) -> str:
    """The model's sentence; empty where it has nothing against the change, or only noise.

    A small model likes to say one of the examples again.
    """
    sentence = safe_line(text.strip().split("\n")[0].strip("\"'` "))
    is_copied = f"Remark: {sentence}\n" in _EXAMPLES
    if is_copied or _FINE.match(sentence) or len(sentence) not in _LENGTHS:
        return ""
    return sentence


def _hunks(review: Review) -> Iterator[Hunk]:
    count = 0
    for change, file in review.state.written():
        review.check_time()
        if role_of(change.path, file.source) != "code" or len(file.lines) > _MAX_FILE_LINES:
            continue
        old = review.state.old_file(change.old_path) if change.old_path else None
        if old is not None and len(old.lines) > _MAX_FILE_LINES:
            continue
        yield from hunks_of(old, file)
        count += 1
        if count >= _MAX_FILES:
            return


def hunks_of(old: SourceFile | None, new: SourceFile) -> Iterator[Hunk]:
    """What changed in a file, in pieces that are short enough to be read at once."""
    before, after = (old.lines if old else []), new.lines
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        lines = []
        first = 0
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [f" {line}" for line in after[j1:j2]]
                continue
            first = first or j1 + 1
            lines += [f"-{line}" for line in before[i1:i2]]
            lines += [f"+{line}" for line in after[j1:j2]]
        n_changed = sum(line[:1] != " " for line in lines)
        if len(lines) <= _MAX_HUNK_LINES:
            place = min(first, max(1, len(after)))
            yield Hunk(new.path, place, "\n".join(lines), n_changed)
