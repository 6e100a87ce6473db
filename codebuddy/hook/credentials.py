"""Detects real keys and passwords, and masks them in messages.

Known formats are those that their issuers document; anything else counts only with a telling
name before it and as much disorder as a key has. It promises no completeness.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_KEYED = {
    "AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_\w{22,255}\b",
    "GitLab token": r"\bgl(?:pat|ptt|dt|rt|ft|soat|cbt|oas)-[\w-]{20,}",
    "Slack token": r"\bxox[abeprs]-\d{8,}-[\w-]{10,}|\bxapp-\d-[A-Z0-9]+-\d+-\w+",
    "Slack webhook": r"hooks\.slack\.com/services/T\w{8,}/B\w{8,}/\w{20,}",
    "Stripe key": r"\b[sr]k_live_[A-Za-z0-9]{20,}",
    "Google API key": r"\bAIza[\w-]{35}(?![\w-])",
    "Google OAuth secret": r"\bGOCSPX-[\w-]{28}",
    "SendGrid key": r"\bSG\.[\w-]{22}\.[\w-]{43}",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "Python package upload token": r"\bpypi-AgE[\w-]{50,}",
    "OpenAI key": r"\bsk-(?:proj-|svcacct-|admin-)?[\w-]{20,200}T3BlbkFJ[\w-]{20,}",
    "Anthropic key": r"\bsk-ant-(?:api|admin)\d\d-[\w-]{80,}",
    "model hub token": r"\bhf_[A-Za-z]{34}\b",
    "DigitalOcean token": r"\bdo[opr]_v1_[a-f0-9]{64}\b",
    "Databricks token": r"\bdapi[a-f0-9]{32}\b",
    "Shopify token": r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b",
    "Square token": r"\bsq0(?:atp|csp)-[\w-]{22,43}|\bEAAA[\w-]{60}\b",
    "Mailgun key": r"\bkey-[0-9a-f]{32}\b",
    "Mailchimp key": r"\b[0-9a-f]{32}-us\d{1,2}\b",
    "Twilio key": r"\bSK[0-9a-f]{32}\b",
    "Telegram bot token": r"\b\d{8,10}:AA[\w-]{33}(?![\w-])",
    "Discord webhook": r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}",
    "Vault token": r"\bhv[sb]\.[\w-]{24,}",
    "Docker token": r"\bdckr_(?:pat|oat)_[\w-]{20,}",
    "Linear key": r"\blin_api_[A-Za-z0-9]{40}\b",
    "Postman key": r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b",
    "Doppler token": r"\bdp\.(?:pt|st|ct|sa)\.[A-Za-z0-9]{40,}",
    "Grafana token": r"\bglsa_[A-Za-z0-9]{32}_[a-f0-9]{8}\b",
    "New Relic key": r"\bNRAK-[A-Z0-9]{27}\b",
    "Atlassian token": r"\bATATT3[\w-]{100,}=?[A-F0-9]{0,8}",
    "age secret key": r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b",
    "Azure storage key": r"\bAccountKey=[A-Za-z0-9+/]{86}==",
    "private key": r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----",
    "password in an address": r"\b[a-z][a-z0-9+.-]{2,20}://[\w.%+-]{0,64}:"
    r"(?P<value>[^\s:@/'\"`<>{}$\\]{6,128})@(?P<host>[\w.-]+)",
    "signed token": r"\beyJ[\w-]{15,400}\.eyJ[\w-]{15,}\.[\w-]{20,}",
}
_FORMATS = [(name, re.compile(pattern)) for name, pattern in _KEYED.items()]
_NAMED = re.compile(
    r"(?i)(?<![\w.-])(?=[\w.-]*?(?:passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|auth[_-]?token|access[_-]?token|client[_-]?secret|credential))"
    r"(?P<name>[\w.-]++)[\"']?\s*+(?::=|=>|[:=])\s*+(?P<quote>[\"'])(?P<value>[^\"'\s]{16,200})(?P=quote)"
)
# In a file of settings a value stands without quotes, up to the end of its line.
_UNQUOTED = re.compile(
    r"(?i)^\s*+(?:export\s+|-\s+)?(?=[\w.-]*?(?:passw(?:or)?d|passphrase|secret|api[_-]?key|"
    r"access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token|credential))"
    r"(?P<name>[\w.-]++)\s*+[:=]\s*+(?P<value>[\w+/=.!@#%^&*~-]{16,200})\s*(?:\s[#;].*)?$"
)
# Such a name speaks of where a secret is, not of what it is.
_ONLY_NAMED = re.compile(r"(?i)(?:name|file|path|ref|url|uri|id|version)$")
_PLACEHOLDER = re.compile(
    r"(?i)example|sample|dummy|fake|mock|placeholder|change_?me|your[_-]|x{4}|\*{3}|0{6}|1{6}|"
    r"12345|abcde|redacted|<\w|\$\{|\{\{|%\(|test|none|null|todo|insert|replace|secret|password|"
    r"fixture|dev(?:elop)?|local"
)
_IDENTIFIER = re.compile(r"[A-Za-z_]++(?:[./-][A-Za-z_]++)*+|[a-z]++(?:[A-Z][a-z]++)++")
_LOCAL_HOST = re.compile(r"(?i)localhost|127\.|0\.0\.0\.0|host|example|test|\.local$|^\w+$")
# Most lines hold nothing like any of these, and forty patterns a line are slow.
_LIKELY = re.compile(
    r"(?=[\w+/=.-]{0,60}\d)[\w+/=.-]{16}|[\"'][^\"'\s]{16}|://[^\s/]*:[^\s/]*@|PRIVATE KEY|\bhf_"
    r"|\d:AA"
)
_MIN_ENTROPY_BITS = 3.7
_MIN_DISTINCT = 8
_SHOWN_CHARACTERS = 4
# Longer lines are data; keys in them are looked for in the first part.
_MAX_LINE = 4000


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret in a line: what kind, and from which character to which (0-based, half-open)."""

    kind: str
    start: int
    end: int
    is_keyed: bool


def find_credentials(
    line: str, *, keyed_only: bool = False, is_settings: bool = False
) -> Iterator[Credential]:
    """What looks like a real secret in one line.

    Args:
        line: The text.
        keyed_only: Leave out what only its name and disorder speak for.
        is_settings: The line is one of a file of settings, whose values need no quotes.
    """
    line = line[:_MAX_LINE]
    if not _LIKELY.search(line):
        return
    for kind, pattern in _FORMATS:
        for match in pattern.finditer(line):
            group = "value" if "value" in pattern.groupindex else 0
            value = match[group]
            if kind == "password in an address" and (
                _LOCAL_HOST.search(match["host"]) or not _is_disorderly(value, 2.5)
            ):
                continue
            if kind == "private key" or not _is_placeholder(value):
                yield Credential(kind, *match.span(group), is_keyed=True)
    if keyed_only:
        return
    named = list(_NAMED.finditer(line))
    if is_settings and not named:
        found = _UNQUOTED.finditer(line)
        named = [each for each in found if not _ONLY_NAMED.search(each["name"])]
    for match in named:
        value = match["value"]
        if not _is_placeholder(value) and _is_disorderly(value, _MIN_ENTROPY_BITS):
            yield Credential("secret by its name", *match.span("value"), is_keyed=False)


def masked(text: str) -> str:
    """`text` with every secret cut to its first characters."""
    for found in sorted(set(find_credentials(text)), key=lambda each: -each.start):
        text = text[: found.start] + shown(text[found.start : found.end]) + text[found.end :]
    return text


def shown(value: str) -> str:
    """A secret as it may be shown: its first characters and its length."""
    return f"{value[:_SHOWN_CHARACTERS]}...({len(value)} characters)"


def _is_placeholder(value: str) -> bool:
    return len(set(value)) < _MIN_DISTINCT or _PLACEHOLDER.search(value) is not None


def _is_disorderly(value: str, min_bits: float) -> bool:
    """Whether `value` is neither a name, a path nor words: letters and digits, and mixed."""
    if _IDENTIFIER.fullmatch(value) or value.startswith(("/", "./", "http", "$", "{", "%")):
        return False
    has_both = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return has_both and _entropy_bits(value) >= min_bits


def _entropy_bits(value: str) -> float:
    """Shannon's entropy of the characters, in bits each."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
