"""`codebuddy lsp`, as an editor uses it: a real process, real messages, the echo generator.

Echo repeats the last line before the cursor that has text.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import wait_until
from tests.support.lsp import Client, editing, place
from tests.support.serve import environment_for

pytestmark = pytest.mark.process

TEXT = "def total(items):\n    first()\n    call_it(\n\n\ndef other():\n    pass\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository with one file, and a home for the server."""
    folder = tmp_path_factory.mktemp("lsp")
    root = folder / "repo"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "cart.py").write_text(TEXT)
    return root, folder / "home"


@pytest.fixture(scope="module")
def client(shop: tuple[Path, Path]) -> Iterator[Client]:
    """An editor with inline completions, initialised, for tests that only ask."""
    with editing(*shop) as editor:
        editor.initialize()
        yield editor


def test_an_inline_completion_can_be_accepted_in_parts(client):
    """The item is a pure insertion at the cursor, so that any beginning of it can be taken."""
    uri = client.open("parts.py", TEXT)
    (item,) = client.inline(uri, 2, 12)["result"]["items"]
    cursor = {"line": 2, "character": 12}
    assert item["insertText"] == "call_it("
    assert item["range"] == {"start": cursor, "end": cursor}
    assert item["command"]["command"] == "codebuddy.accepted"


def test_the_receipt_and_acceptance_of_a_suggestion(client):
    """An editor can show why a suggestion came, and say how much of it was taken."""
    uri = client.open("receipt.py", TEXT)
    (item,) = client.inline(uri, 2, 12)["result"]["items"]
    (number,) = item["command"]["arguments"]

    def run(command: str, *arguments: object) -> Any:
        params = {"command": f"codebuddy.{command}", "arguments": list(arguments)}
        return client.request("workspace/executeCommand", params)["result"]

    receipt = run("receipt", number)
    assert receipt["file"] == "receipt.py"
    assert receipt["decision"]["mode"] == "auto"
    assert receipt["accepted_characters"] == 0
    assert run("accepted", number, 4) is None
    assert run("receipt", number)["accepted_characters"] == 4
    assert run("accepted", number) is None
    assert run("receipt")["accepted_characters"] == len("call_it(")
    assert run("receipt", 10**9) is None
    assert run("accepted", "nonsense", -1) is None


def test_changes_are_followed_incrementally(client):
    """Suggestions are made for the text as the editor has it, change by change."""
    uri = client.open("changes.py", TEXT)
    start = {"line": 2, "character": 4}
    client.change(
        uri, {"range": {"start": start, "end": {"line": 2, "character": 11}}, "text": "f"}
    )
    client.change(uri, {"range": {"start": start, "end": start}, "text": "gg"}, version=3)
    assert client.suggested(uri, 2, 8) == "ggf("
    client.change(uri, {"text": "def whole():\n    new_text(\n"}, version=4)
    assert client.suggested(uri, 1, 13) == "new_text("


@pytest.mark.parametrize(
    ("encodings", "unit", "expected"),
    [(["utf-8"], 4, "utf-8"), (["utf-32", "utf-16"], 1, "utf-32"), (["odd"], 2, "utf-16")],
)
def test_the_position_encoding_is_negotiated(shop, encodings, unit, expected):
    """Each encoding counts an emoji as it says; a change and a cursor behind it land right."""
    with editing(*shop) as client:
        capabilities = {"general": {"positionEncodings": encodings}}
        answer = client.initialize(capabilities)
        assert answer["result"]["capabilities"]["positionEncoding"] == expected
        uri = client.open("emoji.py", "def f():\n    '😀' + y(\n")
        after = 5 + unit + len("' + y(")
        start, end = (
            {"line": 1, "character": after - 2},
            {"line": 1, "character": after - 1},
        )
        client.change(uri, {"range": {"start": start, "end": end}, "text": "zz"})
        assert client.suggested(uri, 1, after + 1) == "'😀' + zz("


def test_utf_16_tabs_and_carriage_returns(client):
    """The default counts UTF-16 units; tabs count one; CRLF documents get CRLF suggestions."""
    uri = client.open("crlf.py", "def f():\r\n\tx = '𝄞𝄞'; y(\r\n")
    assert client.suggested(uri, 1, 15) == "x = '𝄞𝄞'; y("
    # Past the end of the line is its end, and not the line ending.
    assert client.suggested(uri, 1, 9999) == "x = '𝄞𝄞'; y("


def test_typing_what_was_suggested_costs_nothing(client):
    """Characters that agree with a suggestion leave its rest, with no tokens evaluated anew."""
    uri = client.open("typing.py", TEXT)
    assert client.suggested(uri, 2, 12) == "call_it("
    cursor = {"line": 2, "character": 12}
    client.change(uri, {"range": {"start": cursor, "end": cursor}, "text": "call"})
    # Another model call would repeat the whole line that stands there now.
    assert client.suggested(uri, 2, 16) == "_it("


def test_a_changed_index_is_followed(repository, tmp_path):
    """The same place is served from memory until another file is indexed anew."""
    index = [sys.executable, "-P", "-m", "codebuddy", "-C", str(repository), "index"]
    with editing(repository, tmp_path / "home", CODEBUDDY_COMPLETION_RETRIEVE="always") as client:
        environment = environment_for(tmp_path / "home")
        subprocess.run(index, env=environment, check=True, capture_output=True)
        client.initialize()
        text = "import pricing\n\n\ndef total(items):\n    return pricing.apply_discount(\n"
        uri = client.open("cart.py", text)

        def receipt():
            client.suggested(uri, 4, 34)
            command = {"command": "codebuddy.receipt"}
            return client.request("workspace/executeCommand", command)["result"]

        def is_remembered():
            return receipt()["timings_ms"] == receipt()["timings_ms"]

        # The server brings the index up to date once, beside the first request.
        assert wait_until(is_remembered)
        first = receipt()
        assert "depends_on" not in first
        file = repository / "pricing.py"
        file.write_text("# About prices.\n" * 9 + "\n" + file.read_text())
        subprocess.run(index, env=environment, check=True, capture_output=True)
        third = receipt()
        assert third["timings_ms"] != first["timings_ms"]
        before, after = [{e["end_line"] for e in found["chunks"]} for found in (first, third)]
        assert max(after) == max(before) + 10
        assert wait_until(is_remembered)


def test_a_document_without_a_file_is_completed(client):
    """An untitled buffer is completed in the language that the editor says."""
    uri = client.open("untitled:Untitled-1", "fn f() {\n    work(\n", "rust")
    assert client.suggested(uri, 1, 9) == "work("
    receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
    assert receipt["result"]["file"] == "untitled.rs"


def test_the_selected_item_of_a_menu_is_continued(client):
    """With an item of the menu selected, the suggestion begins with that item's text."""
    uri = client.open("menu.py", "def f():\n    value(1)\n    val\n")
    span = {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 7}}
    selected = {"range": span, "text": "value_of("}
    answer = client.inline(uri, 2, 7, selectedCompletionInfo=selected)
    (item,) = answer["result"]["items"]
    assert item["insertText"] == "value_of(value_of("
    assert item["range"] == span


def test_a_client_without_inline_completion_gets_an_item(shop):
    """The fallback is one plain item, sorted last, that holds the word before the cursor."""
    with editing(*shop) as client:
        answer = client.initialize({})
        assert "." in answer["result"]["capabilities"]["completionProvider"]["triggerCharacters"]
        uri = client.open("plain.py", "def f():\n    call_it\n")
        params = place(uri, 1, 11)
        result = client.request("textDocument/completion", params)["result"]
    assert result["isIncomplete"] is True
    (item,) = result["items"]
    assert item["textEdit"] == {
        "range": {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 11}},
        "newText": "call_itcall_it",
    }
    assert item["preselect"] is False
    assert item["insertTextFormat"] == 1
    assert item["filterText"] == "call_it"
    assert item["sortText"] > "zzzz"


def test_the_fallback_can_be_asked_for(shop):
    """A client that has both may have the item too; one that has neither may refuse it."""
    with editing(*shop) as client:
        answer = client.initialize(initializationOptions={"completion": True})
        assert "completionProvider" in answer["result"]["capabilities"]
    with editing(*shop) as client:
        answer = client.initialize({}, initializationOptions={"completion": False})
        assert "completionProvider" not in answer["result"]["capabilities"]


def test_files_outside_the_workspace_are_refused(client, tmp_path):
    """A file elsewhere, on another host or behind a link out of the workspace gets nothing."""
    (tmp_path / "secret.py").write_text(TEXT)
    (client.root / "link.py").symlink_to(tmp_path / "secret.py")
    outside = [
        (tmp_path / "secret.py").as_uri(),
        client.uri("link.py"),
        client.uri("../secret.py"),
        "file://elsewhere/etc/passwd",
        "https://example.org/x.py",
        "file:///a%00b",
    ]
    for uri in outside:
        client.open(uri, TEXT)
        assert client.suggested(uri, 2, 12) == ""
    logged = [message for message in client.messages() if "outside the workspace" in message]
    # Each is told once, however often its file is asked about.
    assert len(logged) == len(set(logged)) == 3


def test_a_workspace_folder_may_join_and_leave(client, tmp_path):
    """Files of a folder that joins are completed, until it leaves."""
    root = tmp_path / "second"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    uri = client.open((root / "a.py").as_uri(), TEXT)
    folder = {"uri": root.as_uri(), "name": "second"}
    method = "workspace/didChangeWorkspaceFolders"
    client.notify(method, {"event": {"added": [folder], "removed": []}})
    assert client.suggested(uri, 2, 12) == "call_it("
    client.notify(method, {"event": {"added": [], "removed": [folder]}})
    assert client.suggested(uri, 2, 12) == ""


def test_wrong_places_are_errors_and_keep_the_document(client):
    """Ranges that do not fit are refused; the document is not completed until sent whole."""
    uri = client.open("wrong.py", TEXT)
    for position in [(99, 0), (2**31 - 1, 0)]:
        assert client.inline(uri, *position)["error"]["code"] == -32602
    odd: list[tuple[Any, int]] = [(-1, 0), (2, -5), (2**40, 0), (None, 0)]
    for position in odd:
        assert "error" in client.inline(uri, *position)
    assert client.suggested(uri, 2, 12) == "call_it("
    beyond = {"start": {"line": 50, "character": 0}, "end": {"line": 51, "character": 0}}
    client.change(uri, {"range": beyond, "text": "x"})
    assert client.suggested(uri, 2, 12) == ""
    client.change(uri, {"text": TEXT}, version=3)
    assert client.suggested(uri, 2, 12) == "call_it("


def test_changes_of_a_document_that_is_not_open_do_no_harm(client):
    """A change or a question before the opening is an error, told once, and forgotten."""
    uri = client.uri("unopened.py")
    for _ in range(3):
        client.change(uri, {"text": "x"})
    assert client.inline(uri, 0, 0)["error"]["code"] == -32602
    assert sum("unopened.py is not open" in message for message in client.messages()) == 1
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    client.open("unopened.py", TEXT)
    assert client.suggested(uri, 2, 12) == "call_it("
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert "error" in client.inline(uri, 2, 12)


def test_lone_surrogates_are_text(client):
    """Half an emoji, which JSON can hold, neither ends the server nor the answers."""
    uri = client.open("half.py", "def f():\n    '\ud83d' + y(\n")
    assert client.suggested(uri, 1, 14).endswith("+ y(")


def test_outside_of_a_repository_nothing_is_looked_up(shop, tmp_path):
    """A file in no repository is completed all the same, and the receipt says why no lookup."""
    root = tmp_path / "plain"
    root.mkdir()
    with editing(shop[0], shop[1]) as client:
        client.root = root
        client.initialize()
        uri = client.open("a.py", TEXT)
        assert client.suggested(uri, 2, 12) == "call_it("
        receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
        reason = receipt["result"]["decision"]["reason"]
        assert reason == "the file is in no git repository"


def test_a_cancelled_request_is_answered_as_cancelled(client):
    """Cancelling while the server waits for the typing to pause ends the request."""
    uri = client.open("cancel.py", TEXT)
    codes = set()
    for count in range(20):
        end = {"line": 2, "character": 12 + count}
        client.change(uri, {"range": {"start": end, "end": end}, "text": "b"}, version=2 + count)
        completion_request = place(uri, 2, 13 + count, {"triggerKind": 2})
        request = client.ask("textDocument/inlineCompletion", completion_request)
        client.notify("$/cancelRequest", {"id": request})
        # One that was answered before the cancellation came is answered all the same.
        codes.add(client.answer(request).get("error", {}).get("code"))
    assert -32800 in codes
    assert codes <= {-32800, None}
    client.notify("$/cancelRequest", {"id": 10**6})
    assert client.suggested(uri, 2, 32) == "call_it(" + "b" * 20


def test_a_newer_request_takes_the_place_of_an_older_one(client):
    """While somebody types, only the last of many requests is worked on; all are answered."""
    uri = client.open("burst.py", TEXT)
    requests = []
    # In one piece: a pause between two of them would be one in typing, with a suggestion.
    with client.at_once():
        for count in range(12):
            end = {"line": 2, "character": 12 + count}
            change = {"range": {"start": end, "end": end}, "text": "a"}
            client.change(uri, change, version=2 + count)
            request = place(uri, 2, 13 + count, {"triggerKind": 2})
            requests.append(client.ask("textDocument/inlineCompletion", request))
    answers = [client.answer(request)["result"]["items"] for request in requests]
    assert [len(items) for items in answers[:-1]] == [0] * 11
    assert answers[-1][0]["insertText"] == "call_it(" + "a" * 12


def test_the_protocols_order_is_kept(shop):
    """Nothing before initialize, nothing after shutdown, and the exit code says how it went."""
    with editing(*shop) as client:
        assert client.inline("file:///x", 0, 0)["error"]["code"] == -32002
        client.open("early.py", TEXT)
        client.initialize()
        assert client.request("initialize", {"capabilities": {}})["error"]["code"] == -32600
        assert client.request("textDocument/noSuchThing", {})["error"]["code"] == -32601
        assert client.request("workspace/executeCommand", {"command": "x"})["error"]
        assert client.request("shutdown", None)["result"] is None
        assert client.inline("file:///x", 0, 0)["error"]["code"] == -32600
        client.notify("exit", None)
        assert client.process.wait(timeout=60) == 0
    with editing(*shop) as client:
        client.initialize()
        client.notify("exit", None)
        assert client.process.wait(timeout=60) == 1


def test_it_ends_when_the_editor_closes_its_stdin(shop):
    """The end of stdin is the editor's end, and ours."""
    with editing(*shop) as client:
        client.initialize()
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert client.process.wait(timeout=60) == 0


def test_it_ends_when_the_editors_process_does(shop):
    """A dead processId ends the server though its stdin is still held open."""
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with editing(*shop) as client:
        client.initialize(processId=editor.pid)
        editor.communicate(b"\n")
        assert client.process.wait(timeout=60) == 1


def test_only_messages_reach_stdout(shop, tmp_path):
    """Prints of Python code and writes of native code in the server go to stderr."""
    program = (
        "import os, sys, subprocess\n"
        "from codebuddy.serve import language_server\n"
        "from codebuddy.service.in_process_client import InProcessClient\n"
        "class Noisy(InProcessClient):\n"
        "    def complete(self, *arguments):\n"
        "        print('stray print', flush=True)\n"
        "        os.write(1, b'native log\\n')\n"
        "        subprocess.run(['echo', 'child'])\n"
        "        assert sys.stdin.read() == ''\n"
        "        return super().complete(*arguments)\n"
        "os._exit(language_server.run(Noisy('echo'), 'echo'))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=shop[0],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    client = Client(process, shop[0])
    client.initialize()
    uri = client.open("noise.py", TEXT)
    assert client.suggested(uri, 2, 12) == "call_it("
    assert client.end() == 0
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read() == b""
    assert process.stderr.read().split(b"\n")[:3] == [b"stray print", b"native log", b"child"]
    process.communicate()


def test_a_large_document_is_followed(client):
    """A document of 4 MB is completed and changed like a small one."""
    text = "# filler line of some length for the test\n" * 100_000 + TEXT
    uri = client.open("large.py", text)
    assert client.suggested(uri, 100_002, 12) == "call_it("
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 100_000, "character": 0}}
    client.change(uri, {"range": span, "text": ""})
    assert client.suggested(uri, 2, 12) == "call_it("
