"""Messages between client, engine and worker."""

from __future__ import annotations

import dataclasses
import json

import pytest

from codebuddy import errors
from codebuddy.engine import protocol
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import CodebuddyError, EngineError, UsageError


def head(**fields):
    return {"file": "/r/a.py", "line": 3, **fields}


@pytest.mark.parametrize(
    "text", [None, "", "def f():\n", "é\u2028\U0001f600", b"\xff\xfeh\x00i\x00"]
)
def test_a_call_survives_the_wire(text):
    """Every field arrives as it was sent, whatever the text holds."""
    call = CompletionCall(
        "/r/a.py",
        3,
        4,
        text,
        "always",
        2,
        9,
        "echo",
        1,
        500,
        "c",
        "typing",
        "/r",
        "a.py",
        False,
        "r7",
    )
    sent = protocol.encode_message(*protocol.call_to_message(call))
    arrived = protocol.call_from_message(*protocol.decode_message(sent))
    assert arrived.unsaved() == call.unsaved()
    assert (arrived.text is None) == (text is None)
    assert [getattr(arrived, f) for f in arrived.__slots__ if f != "text"] == [
        getattr(call, f) for f in call.__slots__ if f != "text"
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"line": 0}, "line must be between 1 and"),
        ({"line": True}, "line must be of type int"),
        ({"line": "3"}, "line must be of type int"),
        ({"line": 1e300}, "line must be of type int"),
        ({"max_tokens": -1}, "max_tokens must be between 1 and 8192"),
        ({"max_tokens": 10**30}, "max_tokens must be between"),
        ({"alternatives": 99}, "alternatives must be between"),
        ({"priority": "now"}, "priority must be one of"),
        ({"file": "a.py"}, "not an absolute path"),
        ({"file": "/r/\0"}, "not an absolute path"),
        ({"file": None}, "file must be of type str"),
        ({"grammar": "x"}, "no field 'grammar'"),
    ],
)
def test_a_wrong_call_is_a_usage_error_that_names_the_field(fields, words):
    """Types and bounds of every field are checked before anything is done."""
    with pytest.raises(UsageError, match=words):
        protocol.call_from_message(head(**fields), b"")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"top_k": 0}, "top_k must be between 1 and 1000"),
        ({"top_k": True}, "top_k must be of type int"),
        ({"max_per_file": -1}, "max_per_file must be between"),
        ({"channel": "sparse"}, "channel must be one of"),
        ({"near": 3}, "near must be of type str"),
        ({"near": "a\0b"}, "no NUL"),
        ({"folder": "r"}, "by its absolute path"),
        ({"wait_s": 9}, "no field 'wait_s'"),
    ],
)
def test_a_wrong_search_is_a_usage_error_that_names_the_field(fields, words):
    """A search's request is checked before it reaches the index's process."""
    assert protocol.search_from_message({"folder": "/r"})["top_k"] == 10
    with pytest.raises(UsageError, match=words):
        protocol.search_from_message({"folder": "/r"} | fields)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]\n", b"nonsense\n", b"\xff\n", b"[" * 200_000 + b"\n", b"1" * 9999 + b"\n"],
)
def test_what_is_no_message_is_a_usage_error(content):
    """Garbage, deep nesting and huge numbers do no more than an error."""
    with pytest.raises(UsageError):
        protocol.decode_message(content)


def test_errors_survive_the_wire_with_kind_message_and_hint():
    """Each error of our tree arrives as itself; another one as an engine's."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, CodebuddyError)
    ]
    assert len(kinds) > 8
    for kind in kinds:
        sent = json.loads(json.dumps(protocol.error_to_wire(kind("it broke", hint="mend it"))))
        arrived = protocol.error_from_wire(sent)
        assert (type(arrived), arrived.message, arrived.hint) == (kind, "it broke", "mend it")
    stranger: list[object] = [{"kind": "SystemExit"}, {"kind": "Path"}, {}, None, []]
    for strange in stranger:
        assert type(protocol.error_from_wire(strange)) is EngineError


def test_identity_changes_with_the_engines_own_settings_alone():
    """Two clients share an engine if version, installation and [engine] agree."""
    one = protocol.identity({"idle_minutes": 20})
    assert one == protocol.identity({"idle_minutes": 20})
    assert one != protocol.identity({"idle_minutes": 5})


def test_what_may_be_typing_travels_where_it_is_said():
    """The key goes only with calls that need it: older engines do not know it."""
    call = CompletionCall("/r/a.py", 3, 4, "text", may_be_typing=True)
    message, body = protocol.call_to_message(call)
    sent = json.loads(json.dumps(message))
    assert protocol.call_from_message(sent, body).may_be_typing
    assert "may_be_typing" not in protocol.call_to_message(CompletionCall("/r/a.py", 3))[0]


def test_a_call_travels_under_its_old_keys():
    """Clients of other versions send and read them: none is renamed, and none goes."""
    call = CompletionCall("/r/a.py", 3, 4, "text", client="c", takes_back=True)
    message, body = protocol.call_to_message(call)
    assert set(message) == {
        "file", "line", "column", "text", "retrieve", "max_lines", "max_tokens", "model",
        "alternatives", "budget_ms", "client", "priority", "folder", "name", "should_update",
        "request", "extras", "prefer", "takes_back", "language",
    }  # fmt: skip
    sent = json.loads(json.dumps(message))
    assert protocol.call_from_message(sent, body) == dataclasses.replace(call, text=b"text")
