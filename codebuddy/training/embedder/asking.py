"""A line of documentation as someone would type it who looks for the function.

`Returns True if the string is valid JSON.` becomes `python check if string is valid json` or
`how to check if string is valid json`. Rules alone: other verbs, no articles, small letters, the
language before or behind. It knows nothing of functions.
"""

from __future__ import annotations

import random
import re

# Of a verb that opens documentation, what people type in its place.
_VERBS = {
    "accept": ("take",),
    "add": ("append", "insert", "put"),
    "append": ("add",),
    "apply": ("use", "run"),
    "assert": ("check", "test"),
    "build": ("create", "make"),
    "calculate": ("compute", "get", "find"),
    "call": ("run", "execute"),
    "check": ("test", "see"),
    "clean": ("clear", "remove"),
    "compute": ("calculate", "get", "find"),
    "construct": ("create", "make", "build"),
    "convert": ("turn", "change", "transform"),
    "copy": ("duplicate", "clone"),
    "create": ("make", "build", "new"),
    "delete": ("remove", "drop"),
    "determine": ("check", "find out", "get"),
    "download": ("get", "fetch"),
    "emit": ("send", "output"),
    "ensure": ("make sure", "check"),
    "evaluate": ("calculate", "compute"),
    "execute": ("run",),
    "extract": ("get", "find"),
    "fetch": ("get", "download"),
    "find": ("search", "get", "look for"),
    "format": ("print", "convert"),
    "generate": ("create", "make", "get"),
    "get": ("find", "return", "retrieve"),
    "initialize": ("create", "set up", "start"),
    "insert": ("add", "put"),
    "iterate": ("loop", "go"),
    "join": ("combine", "concatenate", "merge"),
    "list": ("get", "show"),
    "load": ("read", "open"),
    "make": ("create",),
    "merge": ("combine", "join"),
    "normalize": ("clean",),
    "obtain": ("get",),
    "open": ("read",),
    "parse": ("read", "convert", "get"),
    "perform": ("do", "run"),
    "print": ("show", "display", "output"),
    "read": ("load", "get", "open"),
    "remove": ("delete", "strip", "drop"),
    "replace": ("change", "substitute"),
    "retrieve": ("get", "fetch"),
    "return": ("get", "find", ""),
    "run": ("execute", "start"),
    "save": ("write", "store"),
    "send": ("post", "write"),
    "serialize": ("convert", "dump"),
    "set": ("change", "assign"),
    "show": ("display", "print"),
    "split": ("divide", "separate", "break"),
    "store": ("save", "write"),
    "test": ("check",),
    "transform": ("convert", "change"),
    "update": ("change", "modify"),
    "validate": ("check", "verify"),
    "verify": ("check", "test"),
    "wait": ("sleep",),
    "write": ("save", "print"),
    "yield": ("get", "iterate over"),
}
_WHETHER = re.compile(
    r"^(?:returns? (?:a )?(?:bool(?:ean)? (?:indicating )?)?(?:`*true`*|whether|if)"
    r"|true|whether|checks? (?:if|whether)|determines? (?:if|whether)|tests? (?:if|whether))"
    r"(?: if| when| iff| whether)?\b",
    re.IGNORECASE,
)
_ARTICLES = re.compile(r"\b(?:a|an|the|this|given|specified|all of)\s+", re.IGNORECASE)
_TAIL = re.compile(r"[.,;:!]\s.*$|[.,;:!?]+$|\s\(.*$", re.DOTALL)
_LANGUAGES = {"javascript": ("javascript", "js"), "typescript": ("typescript", "javascript")}
_MAX_WORDS = 14


def question_of(line: str, language: str, rng: random.Random) -> str:
    """`line` as a question; the same line gives another one with another state of `rng`."""
    text = _TAIL.sub("", line.strip())
    text, count = _WHETHER.subn(rng.choice(("check if", "test if", "check whether")), text, count=1)
    if not count:
        text = _with_other_verb(text, rng)
    if rng.random() < 0.8:
        text = _ARTICLES.sub("", text)
    if rng.random() < 0.8:
        text = text.lower()
    text = " ".join(text.split()[:_MAX_WORDS])
    name = rng.choice(_LANGUAGES.get(language, (language,)))
    form = rng.choice(
        ("{}", "{}", "{}", "{language} {}", "{language} {}", "how to {}", "how to {} in {language}")
        + ("{} {language}", "{} in {language}", "{language} how to {}", "how do i {}")
    )
    return form.replace("{language}", name).replace("{}", text)


def _with_other_verb(text: str, rng: random.Random) -> str:
    """The first word as an imperative, or what people type in its place."""
    first, _, rest = text.partition(" ")
    verb = first.lower()
    for ending, other in (("ies", "y"), ("es", "e"), ("es", ""), ("s", "")):
        if verb.endswith(ending) and verb.removesuffix(ending) + other in _VERBS:
            verb = verb.removesuffix(ending) + other
            break
    else:
        if verb not in _VERBS:
            return text
    if rng.random() < 0.6:
        verb = rng.choice(_VERBS[verb])
    return f"{verb} {rest}".strip()
