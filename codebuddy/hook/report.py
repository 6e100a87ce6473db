"""Findings as people and programs read them: text, JSON, SARIF 2.1.0, GitHub's annotations.

Whatever a finding quotes is masked here once more: no format prints a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from codebuddy import __version__
from codebuddy.hook.catalog import BY_ID, RULES
from codebuddy.hook.credentials import masked
from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.report_keys import FindingItem, HookReport
from codebuddy.terminal import safe_line

if TYPE_CHECKING:
    from codebuddy.hook.review import ReviewResult

_MAX_QUOTED = 120
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def text(findings: Sequence[Finding]) -> str:
    """`path:line:col ID message`, the evidence indented below."""
    lines = []
    for each in findings:
        place = f"{each.path}:{each.line}:{each.column}"
        lines.append(safe_line(f"{place} {each.rule} {masked(each.message)}"))
        lines += [f"    {safe_line(_evidence(shown))}" for shown in each.evidence]
        if each.n_more:
            lines.append(f"    and {each.n_more} more")
        if each.edits:
            lines.append(f"    to apply: codebuddy hook apply {each.id}")
        elif each.unpatched:
            lines.append(f"    no patch: {safe_line(each.unpatched)}")
    return "\n".join(lines)


def as_json(result: ReviewResult, shown: Sequence[Finding]) -> HookReport:
    """The report of a review, with the findings that are shown of it."""
    return {
        "findings": [_item(each) for each in shown],
        "found": len(result.findings),
        "suppressed": result.n_suppressed,
        "failed": dict(result.failed),
        "missing": list(result.missing),
        "timings_ms": result.timings_ms,
    }


def sarif(findings: Sequence[Finding]) -> str:
    """One run in the Static Analysis Results Interchange Format, version 2.1.0."""
    used = [rule for rule in RULES if any(each.rule == rule.id for each in findings)]
    places = {rule.id: place for place, rule in enumerate(used)}
    rules = [
        {
            "id": rule.id,
            "name": rule.name,
            "shortDescription": {"text": rule.summary},
            "defaultConfiguration": {"level": rule.level},
        }
        for rule in used
    ]
    driver = {"name": "codebuddy", "version": __version__, "rules": rules}
    results = [
        {
            "ruleId": each.rule,
            "ruleIndex": places[each.rule],
            "level": BY_ID[each.rule].level,
            "message": {"text": _plain(masked(each.message))},
            "locations": [_location(each.path, each.line, each.column)],
            "relatedLocations": [
                _location(shown.path, shown.line) for shown in each.evidence if shown.line
            ],
            "partialFingerprints": {"codebuddy/v1": each.id},
        }
        for each in findings
    ]
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def github(findings: Sequence[Finding]) -> str:
    """Workflow commands that annotate the lines of a pull request."""
    lines = []
    for each in findings:
        rule = BY_ID[each.rule]
        quoted = [_evidence(shown) for shown in each.evidence]
        message = _escaped("\n".join([masked(each.message), *quoted]))
        properties = {
            "file": each.path,
            "line": str(each.line),
            "col": str(each.column),
            "title": f"{rule.id} {rule.name}",
        }
        shown = ",".join(f"{name}={_escaped_property(v)}" for name, v in properties.items())
        lines.append(safe_line(f"::{_GITHUB_LEVELS[rule.level]} {shown}::{message}"))
    return "\n".join(lines)


WRITERS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "text": text,
    "sarif": sarif,
    "github": github,
}


def _item(finding: Finding) -> FindingItem:
    rule = BY_ID[finding.rule]
    return {
        "id": finding.id,
        "rule": finding.rule,
        "name": rule.name,
        "level": rule.level,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "message": masked(finding.message),
        "confidence": finding.confidence,
        "evidence": [
            {"path": shown.path, "line": shown.line, "text": masked(shown.text[:_MAX_QUOTED])}
            for shown in finding.evidence
        ],
        "more_evidence": finding.n_more,
        "has_patch": bool(finding.edits),
    }


def _evidence(shown: Evidence) -> str:
    place = f"{shown.path}:{shown.line}" if shown.line else shown.path
    # Masked before it is cut: half a key would not be recognised.
    quoted = masked(shown.text)[:_MAX_QUOTED].rstrip()
    return f"{place}: {quoted}" if quoted else place


def _location(path: str, line: int, column: int = 1) -> dict[str, Any]:
    uri = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    region = {"startLine": max(1, line), "startColumn": max(1, column)}
    artifact = {"uri": uri, "uriBaseId": "SRCROOT"}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _plain(message: str) -> str:
    return message.encode("utf-8", "replace").decode()


def _escaped(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")
