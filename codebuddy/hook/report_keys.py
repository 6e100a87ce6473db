"""What `codebuddy hook run --format json` says, by its stable keys. Standard library only.

The TUI checks it once, where the bytes of a child process become values.
"""

from typing import TypedDict


class EvidenceItem(TypedDict):
    """A place that shows what a finding says; `line` is 1-based; 0 stands for no line."""

    path: str
    line: int
    text: str


class FindingItem(TypedDict):
    """One finding; `line` and `column` are 1-based. `more_evidence` counts what is left out."""

    id: str
    rule: str
    name: str
    level: str
    path: str
    line: int
    column: int
    message: str
    confidence: float
    evidence: list[EvidenceItem]
    more_evidence: int
    has_patch: bool


class HookReport(TypedDict):
    """The keys of `hook run --format json`.

    `found` counts all findings, also those that are not shown. `failed` gives the reason by
    rule module, `timings_ms` the milliseconds by rule module.
    """

    findings: list[FindingItem]
    found: int
    suppressed: int
    failed: dict[str, str]
    missing: list[str]
    timings_ms: dict[str, float]
