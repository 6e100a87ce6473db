"""What a rule found: a place, a sentence, the evidence for it, and edits that would remedy it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

# Lines of evidence that say enough; the others are counted.
MAX_EVIDENCE = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place that shows what the finding says; `text` is the line there."""

    path: str
    line: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """Replace the lines `first_line` to `last_line` of `path`, which read `old`, by `new`.

    Lines are 1-based and inclusive; neither text ends with a line ending. Without `new` the
    lines go away.
    """

    path: str
    first_line: int
    last_line: int
    old: str
    new: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `line` and `column` are 1-based, in the state being committed.

    `confidence` in (0, 1] orders findings of one rule among themselves. `n_more` counts
    further places beyond `evidence`. `ordinal` counts the findings before it that say the same
    of the same file. `unpatched` says why there are no edits where there could be some.
    `needs` has path and qualified name of each definition that the edits call.
    """

    rule: str
    path: str
    line: int
    column: int
    message: str
    evidence: tuple[Evidence, ...] = ()
    n_more: int = 0
    edits: tuple[FileEdit, ...] = ()
    confidence: float = 1.0
    ordinal: int = 0
    unpatched: str = ""
    needs: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """What `hook apply` calls it: the same for the same finding, whatever its line."""
        content = f"{self.rule}\0{self.path}\0{self.message}"
        if self.ordinal:
            content += f"\0{self.ordinal}"
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def with_edits(finding: Finding, edits: tuple[FileEdit, ...], unpatched: str) -> Finding:
    """The finding with its patch, or with the reason why it has none."""
    return replace(finding, edits=() if unpatched else edits, unpatched=unpatched)


def without_edits(finding: Finding) -> Finding:
    """The finding where its patch cannot be kept, and so cannot be applied."""
    return replace(finding, edits=())


def finding_from(fields: dict[str, Any]) -> Finding:
    """The opposite of `asdict`, after a way through JSON."""
    evidence = tuple(Evidence(**each) for each in fields["evidence"])
    edits = tuple(FileEdit(**each) for each in fields["edits"])
    needs = tuple((path, name) for path, name in fields["needs"])
    return Finding(**{**fields, "evidence": evidence, "edits": edits, "needs": needs})
