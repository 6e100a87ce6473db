"""A finding switched off where it stands: `codebuddy: ignore` or `codebuddy: ignore[CB101]`.

The comment counts on the finding's own line and on a line above it that holds nothing else.
Other tools' marks, which a repository may be full of, do not count.
"""

from __future__ import annotations

import re

from codebuddy.hook.finding import Finding
from codebuddy.hook.state import State

_MARK = re.compile(r"codebuddy:\s*ignore(?:\[([\w\s,]*)\])?")
_ONLY_COMMENT = re.compile(r"\s*(?:#|//|/\*|--|;|%|<!--)")


def is_suppressed(finding: Finding, state: State) -> bool:
    """Whether the line, or the comment above it, switches the finding off."""
    file = state.file(finding.path)
    if file is None or not finding.line or not file.holds_word("codebuddy:"):
        return False
    own = file.line(finding.line)
    above = file.line(finding.line - 1)
    lines = [own, above] if _ONLY_COMMENT.match(above) else [own]
    for line in lines:
        for match in _MARK.finditer(line):
            names = match[1]
            if names is None or finding.rule in re.split(r"[\s,]+", names.strip()):
                return True
    return False
