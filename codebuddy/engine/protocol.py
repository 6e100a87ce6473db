"""The protocol of client and engine: messages as values and as bytes. Standard library only.

HTTP over a Unix socket. A request's body is one line of JSON (the head) followed by raw
bytes (a buffer's text, a query, or a question with its sources as JSON), so that a text of 32 MiB
costs no escaping. Answers to `/v1/complete`, `/v1/search` and `/v1/ask` are lines of JSON, each
with a `type`:

    alive    about every second: the engine works on it or it waits in the queue
    text     the suggestion so far
    result   the last line: the answer
    error    the last line: kind, message and hint of an error of `codebuddy.errors`

The engine talks to its workers with the same head and raw bytes. Nothing here opens a socket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codebuddy import __version__, errors
from codebuddy.errors import CodebuddyError, EngineError, UsageError
from codebuddy.paths import whole_model_name
from codebuddy.service.request import (
    MAX_QUESTION_CHARACTERS,
    MAX_SOURCES,
    PRIORITIES,
    AskRequest,
    AskSource,
    CompletionRequest,
    SearchRequest,
)

MAX_HEAD_BYTES = 1 << 20
ALIVE_EVERY_S = 1.0
IDENTITY_HEADER = "Codebuddy-Identity"


# The name under which docs/engine.md teaches it.
CompletionCall = CompletionRequest


def call_to_message(call: CompletionRequest) -> tuple[dict[str, Any], bytes]:
    """The call as head and raw bytes."""
    head = asdict(call)
    if call.model is not None:
        head["model"] = whole_model_name(call.model)
    # An engine of another version need not know these keys.
    if call.adapter is None:
        del head["adapter"]
    if not call.may_be_typing:
        del head["may_be_typing"]
    unsaved = call.unsaved()
    head["text"] = unsaved is not None
    return head, unsaved or b""


# What each field of a call may be, and its bounds where it is a number.
_CALL_FIELDS: dict[str, tuple[type, bool, int, int]] = {
    "file": (str, False, 0, 0),
    "line": (int, False, 1, 10**9),
    "column": (int, True, 1, 10**9),
    "text": (bool, False, 0, 0),
    "retrieve": (str, True, 0, 0),
    "max_lines": (int, True, 0, 1000),
    "max_tokens": (int, True, 1, 8192),
    "model": (str, True, 0, 0),
    "alternatives": (int, False, 0, 7),
    "budget_ms": (int, True, 1, 3_600_000),
    "client": (str, False, 0, 0),
    "priority": (str, False, 0, 0),
    "folder": (str, False, 0, 0),
    "name": (str, False, 0, 0),
    "should_update": (bool, False, 0, 0),
    "request": (str, False, 0, 0),
    "extras": (list, False, 0, 0),
    "prefer": (str, True, 0, 0),
    "takes_back": (bool, False, 0, 0),
    "language": (str, False, 0, 0),
    "adapter": (str, True, 0, 0),
    "may_be_typing": (bool, False, 0, 0),
}
MAX_EXTRAS = 16
# In a head of 1 MiB, where a character takes 6 bytes at most.
MAX_EXTRA_CHARACTERS = 64 << 10


# The same for a search request; the query is the message's raw bytes.
_SEARCH_FIELDS: dict[str, tuple[type, bool, int, int]] = {
    "folder": (str, False, 0, 0),
    "top_k": (int, False, 1, 1000),
    "channel": (str, False, 0, 0),
    "near": (str, False, 0, 0),
    "max_per_file": (int, False, 0, 1000),
    "should_update": (bool, False, 0, 0),
    "whole_words": (bool, False, 0, 0),
    "is_best": (bool, False, 0, 0),
    "fleet": (str, False, 0, 0),
    "wants_missing": (bool, False, 0, 0),
}
SEARCH_CHANNELS = ("lexical", "dense", "symbol", "hybrid")


def search_to_message(request: SearchRequest) -> tuple[dict[str, Any], bytes]:
    """The request as head and raw bytes; the engine refuses one that names an embedder."""
    head = asdict(request)
    body = head.pop("query").encode("utf-8", "surrogatepass")
    # An engine of another version need not know these keys.
    if request.embedder is None:
        del head["embedder"]
    for name in ("whole_words", "is_best", "fleet", "wants_missing"):
        if not head[name]:
            del head[name]
    return head, body


def search_from_message(head: Mapping[str, Any]) -> dict[str, Any]:
    """The search request, complete, with types and bounds checked.

    Raises:
        UsageError: Something is unknown or wrong; names the field.
    """
    given = {"folder": ""} | _checked(head, _SEARCH_FIELDS, "a search")
    options, _ = search_to_message(SearchRequest(query="", **given))
    if not Path(options["folder"]).is_absolute():
        raise UsageError("a search needs a folder by its absolute path")
    if options["channel"] not in SEARCH_CHANNELS:
        raise UsageError(f"channel must be one of {', '.join(SEARCH_CHANNELS)}")
    fleet = options.get("fleet", "")
    if fleet and not Path(fleet).is_absolute():
        raise UsageError("a search over many names their list by its absolute path")
    if any("\0" in each for each in (options["near"], options["folder"], fleet)):
        raise UsageError("a path holds no NUL")
    return options


_ASK_FIELDS: dict[str, tuple[type, bool, int, int]] = {
    "folder": (str, False, 0, 0),
    "max_tokens": (int, False, 1, 8192),
    "model": (str, True, 0, 0),
    "client": (str, False, 0, 0),
}
_SOURCE_FIELDS: dict[str, tuple[type, bool, int, int]] = {
    "path": (str, False, 0, 0),
    "start_line": (int, False, 1, 10**9),
    "line": (int, False, 1, 10**9),
    "kind": (str, False, 0, 0),
    "symbol": (str, False, 0, 0),
    "text": (str, False, 0, 0),
}


def ask_to_message(request: AskRequest) -> tuple[dict[str, Any], bytes]:
    """The request as head and raw bytes: question and sources as one line of JSON."""
    head = asdict(request)
    if request.model is not None:
        head["model"] = whole_model_name(request.model)
    body = {"question": head.pop("question"), "sources": head.pop("sources")}
    if missing := head.pop("missing"):
        body["missing"] = missing
    return head, encode_line(body)


def ask_from_message(head: Mapping[str, Any], body: bytes) -> AskRequest:
    """The request, with every field's type and bounds checked.

    Raises:
        UsageError: Something is missing, unknown or wrong; names the field.
    """
    given = {"folder": ""} | _checked(head, _ASK_FIELDS, "a question")
    if not Path(given["folder"]).is_absolute() or "\0" in given["folder"]:
        raise UsageError("a question needs a folder by its absolute path")
    asked = decode_line(body)
    question, sources = asked.get("question"), asked.get("sources")
    if not isinstance(question, str) or not question.strip():
        raise UsageError("the question is empty")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise UsageError(f"a question may have {MAX_QUESTION_CHARACTERS} characters")
    if not isinstance(sources, list) or not 0 < len(sources) <= MAX_SOURCES:
        raise UsageError(f"a question needs between 1 and {MAX_SOURCES} sources")
    missing = asked.get("missing", [])
    is_list = isinstance(missing, list) and len(missing) <= MAX_QUESTION_CHARACTERS
    if not is_list or not all(isinstance(each, str) and each in question for each in missing):
        raise UsageError("missing is a list of words of the question")
    return AskRequest(
        **given, question=question, sources=tuple(map(_source, sources)), missing=tuple(missing)
    )


def _source(value: object) -> AskSource:
    given = _checked(value if isinstance(value, dict) else {}, _SOURCE_FIELDS, "a source")
    if missing := [name for name in _SOURCE_FIELDS if name not in given]:
        raise UsageError(f"a source needs {', '.join(missing)}")
    return AskSource(**given)


def _checked(
    head: Mapping[str, Any], fields: Mapping[str, tuple[type, bool, int, int]], what: str
) -> dict[str, Any]:
    """The fields that are given."""
    given: dict[str, Any] = {}
    for name, value in head.items():
        if name not in fields:
            raise UsageError(f"{what} has no field {name!r:.60}")
        kind, is_optional, low, high = fields[name]
        if value is None and is_optional:
            continue
        if type(value) is not kind:
            raise UsageError(f"{name} must be of type {kind.__name__}, not {value!r:.60}")
        if isinstance(value, int) and kind is int and not low <= value <= high:
            raise UsageError(f"{name} must be between {low} and {high}, not {value}")
        given[name] = value
    return given


def call_from_message(head: Mapping[str, Any], body: bytes) -> CompletionRequest:
    """The request of head and raw bytes, with every field's type and bounds checked.

    Raises:
        UsageError: Something is missing, unknown or wrong; names the field.
    """
    given = _checked(head, _CALL_FIELDS, "a completion call")
    if "file" not in given or "line" not in given:
        raise UsageError("a completion call needs file and line")
    if not Path(given["file"]).is_absolute() or "\0" in given["file"]:
        raise UsageError(f"{given['file']!r:.200} is not an absolute path")
    if given.get("priority", "ask") not in PRIORITIES:
        raise UsageError(f"priority must be one of {', '.join(PRIORITIES)}")
    if "extras" in given:
        given["extras"] = _extras(given["extras"])
    has_text = given.pop("text", False)
    return CompletionRequest(**given, text=body if has_text else None)


def _extras(value: list[Any]) -> tuple[tuple[str, str], ...]:
    is_right = len(value) <= MAX_EXTRAS and all(
        isinstance(each, list) and len(each) == 2 and all(isinstance(part, str) for part in each)
        for each in value
    )
    if not is_right or sum(len(part) for each in value for part in each) > MAX_EXTRA_CHARACTERS:
        raise UsageError(
            f"extras must be {MAX_EXTRAS} pairs of path and text at most, of "
            f"{MAX_EXTRA_CHARACTERS} characters in all"
        )
    return tuple((path, text) for path, text in value)


def encode_message(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One line of JSON, then the raw bytes."""
    return encode_line(head) + body


def encode_line(value: Mapping[str, Any]) -> bytes:
    """One line of JSON; non-ASCII is escaped, so that surrogates survive too."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def decode_message(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and raw bytes.

    Raises:
        UsageError: The first line is too long or is no JSON object.
    """
    line, newline, body = content.partition(b"\n")
    if not newline or len(line) > MAX_HEAD_BYTES:
        raise UsageError("a request begins with one line of JSON")
    return decode_line(line), body


def decode_line(line: bytes) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        UsageError: It is none.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError("a message is one line of JSON that holds an object")
    return value


def error_to_wire(error: CodebuddyError) -> dict[str, Any]:
    """An error as kind, message and hint."""
    head = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    return head | ({"warnings": list(error.warnings)} if error.warnings else {})


def error_from_wire(value: object) -> CodebuddyError:
    """The `CodebuddyError` of kind, message and hint."""
    if not isinstance(value, dict):
        return EngineError("the engine answered with an error that cannot be read")
    found = getattr(errors, str(value.get("kind")), None)
    kind: type[CodebuddyError] = EngineError
    if isinstance(found, type) and issubclass(found, CodebuddyError):
        kind = found
    error = kind(str(value.get("message", "")), hint=str(value.get("hint", "")))
    warnings = value.get("warnings")
    error.warnings = tuple(map(str, warnings)) if isinstance(warnings, list) else ()
    return error


def identity(engine_settings: Mapping[str, Any]) -> str:
    """What client and engine must share: version, installation, and the engine's own settings.

    Other settings travel with each request, so that another model or another repository's
    settings need no new process.
    """
    parts = (str(Path(__file__).resolve().parent), json.dumps(engine_settings, sort_keys=True))
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{__version__} {digest[:16]}"
