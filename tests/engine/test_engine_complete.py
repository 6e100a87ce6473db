"""Completing and searching through the engine: the same answers, over real processes."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from typing import Any

import pytest

from codebuddy import paths
from codebuddy.config import load_settings
from codebuddy.engine import client as client_module
from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import (
    DocumentError,
    IndexingError,
    ModelError,
    SupersededError,
    UsageError,
)
from codebuddy.index import file_walker
from codebuddy.service.request import SearchRequest
from codebuddy.service.response import CompletionResponse
from tests.commands.test_search_options import FILES as SEARCHED
from tests.conftest import DEFAULT_MODEL, SMALL_MODEL
from tests.support.engine import call, codebuddy, json_of, typing, wait_until
from tests.support.index import make_repository

pytestmark = pytest.mark.usefixtures("engine")

# Echo answers with the last line before the cursor: `amount =`.
CART = "import json\n\n\ndef total(items):\n    items = list(items)\n    amount = "


def without_times(found):
    """An answer without what differs from run to run."""
    left_out = {"timings_ms", "startup_ms", "engine", "runtime"}
    return {key: value for key, value in found.items() if key not in left_out}


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["cart.py:6"], None),
        (["cart.py:6:27", "--retrieve", "always"], None),
        (["./cart.py:6", "--max-lines", "1", "-n", "2"], None),
        (["new.py:2", "--stdin"], b"def brand_new():\n    return 1\n"),
        (["cart.py:1", "--stdin"], "\ufeffimport os\r\n".encode("utf-16-le")),
    ],
)
def test_with_and_without_the_engine_the_answer_is_the_same(repository, arguments, stdin):
    """Both ways run the same path on the same model, and tell the same."""
    arguments = ["complete", *arguments, "--model", "echo", "--json"]
    through = json_of(codebuddy(repository, *arguments, stdin=stdin))
    alone = json_of(codebuddy(repository, *arguments, "--no-engine", stdin=stdin))
    assert through["engine"] is not None
    assert alone["engine"] is None
    assert without_times(through) == without_times(alone)


@pytest.mark.model
def test_a_real_model_says_the_same_with_and_without_the_engine(repository):
    """Token for token, greedy decoding in the worker is greedy decoding here."""
    arguments = ["complete", "cart.py:6", "--model", str(SMALL_MODEL), "--max-tokens", "8"]
    arguments += ["--retrieve", "never", "--json"]
    through = json_of(codebuddy(repository, *arguments))
    alone = json_of(codebuddy(repository, *arguments, "--no-engine"))
    assert through["tokens"]["generated"] > 0
    assert without_times(through) == without_times(alone)


@pytest.mark.parametrize(
    "arguments",
    [
        ["complete", "nothing.py:1"],
        ["complete", "cart.py:900"],
        ["complete", "cart.py:2:99"],
        ["complete", "../elsewhere.py:1"],
        ["complete", "blob.bin:1"],
        ["complete", "cart.py:1", "--model", "no-such-model"],
        ["complete", "cart.py:1", "--model", "/nowhere/x.gguf"],
        ["search", " "],
        ["search", "x", "--near", "/etc/passwd"],
        ["search", "x", "--near", "../elsewhere.py"],
    ],
)
def test_with_and_without_the_engine_errors_are_the_same(repository, arguments):
    """Exit code and sentence do not tell who found the fault."""
    (repository / "blob.bin").write_bytes(b"\0\1\2")
    model = [] if "--model" in arguments or arguments[0] == "search" else ["--model", "echo"]
    through = codebuddy(repository, *arguments, *model)
    alone = codebuddy(repository, *arguments, *model, "--no-engine")
    assert through.returncode in (1, 2)
    assert (through.returncode, through.stdout) == (alone.returncode, "")
    assert through.stderr == alone.stderr


def test_outside_a_repository_both_say_so(tmp_path):
    """The engine looks where the file lies; a search needs a repository."""
    (tmp_path / "a.py").write_text("x\n")
    for more in ([], ["--no-engine"]):
        done = codebuddy(tmp_path, "complete", "a.py:1", "--model", "echo", *more)
        assert done.returncode == 0
        assert "the file is in no git repository" in done.stderr
        done = codebuddy(tmp_path, "search", "x", *more)
        assert done.returncode == 2
        assert "is not inside a git repository" in done.stderr


def test_search_answers_the_same_with_and_without_the_engine(repository):
    """Places, scores and texts agree, and a file written just before is found."""
    assert json_of(codebuddy(repository, "search", "discount", "--json"))["results"]
    (repository / "late.py").write_text("def discount_for_latecomers():\n    return 7\n")
    arguments = ["search", "latecomers", "discount", "--json", "-k", "3"]
    through = json_of(codebuddy(repository, *arguments))
    alone = json_of(codebuddy(repository, *arguments, "--no-engine"))
    assert through["results"][0]["path"] == "late.py"
    assert through["results"] == alone["results"]


@pytest.mark.parametrize(
    "options",
    [
        ["--near", "app.py"],
        ["--near", "../one/new.py"],
        ["--per-file", "1"],
        ["--near", "app.py", "--channel", "hybrid", "-k", "1", "--no-update"],
    ],
)
def test_search_options_reach_the_engine(tmp_path, options):
    """`--near` and `--per-file` find the same with and without the engine, and are asked of it."""
    root = make_repository(tmp_path / "r", SEARCHED)
    folder = root / "two" if "../one/new.py" in options else root
    client = EngineClient.connect()
    client.search(SearchRequest(str(root), "discount"))
    arguments = ["search", "discount(4)", "--json", *options]
    before = client.status()["requests"]["searches"]
    through = json_of(codebuddy(folder, *arguments))
    assert client.status()["requests"]["searches"] == before + 1
    alone = json_of(codebuddy(folder, *arguments, "--no-engine"))
    assert through["results"] == alone["results"] != []
    if options[0] == "--near":
        first = "one/pricing.py" if "../one/new.py" in options else "two/pricing.py"
        assert through["results"][0]["path"] == first
    shown = codebuddy(folder, *arguments[:2], "--explain", *options)
    assert "    why: " in shown.stdout


def test_the_embedder_of_the_client_is_that_of_its_search(tmp_path, monkeypatch):
    """Two clients with other settings share an engine, and neither gets the other's vectors."""
    root = make_repository(tmp_path / "r", SEARCHED)
    client = EngineClient.connect()
    pid = client.status()["pid"]
    assert client.search(SearchRequest(str(root), "discount", channel="dense"))["results"]
    monkeypatch.setenv("CODEBUDDY_INDEX_EMBEDDER", "none")
    other = EngineClient.connect()
    with pytest.raises(IndexingError, match="switched off"):
        other.search(SearchRequest(str(root), "discount", channel="dense"))
    assert other.status()["pid"] == pid
    assert client.search(SearchRequest(str(root), "discount", channel="dense"))["results"]


def test_apply_through_the_engine_writes_what_it_suggests(repository):
    """The suggestion goes into the file, once, where it was asked for."""
    before = (repository / "cart.py").read_text().split("\n")
    done = codebuddy(repository, "complete", "cart.py:9", "--model", "echo", "--apply", "--json")
    found = json_of(done)
    after = (repository / "cart.py").read_text().split("\n")
    assert found["applied"]
    assert found["text"]
    before[8] += found["text"]
    assert after == "\n".join(before).split("\n")


def test_stream_through_the_engine_prints_the_suggestion(repository):
    """What is streamed is what would have been printed."""
    plain = codebuddy(repository, "complete", "cart.py:6", "--model", "echo")
    streamed = codebuddy(repository, "complete", "cart.py:6", "--model", "echo", "--stream")
    assert plain.stdout == streamed.stdout != ""


def test_errors_of_the_work_arrive_as_themselves(repository):
    """A client can tell a wrong position from a missing model and from a binary file."""
    client = EngineClient.connect()
    with pytest.raises(UsageError, match="has 11 lines, so there is no line 99"):
        client.complete(call(repository, line=99))
    with pytest.raises(ModelError, match="no-such"):
        client.complete(call(repository, model="no-such"))
    with pytest.raises(DocumentError, match="is a binary file"):
        client.complete(call(repository, text=b"\0"))


def test_settings_are_those_of_the_client_that_asks(repository, monkeypatch):
    """Another variable or another flag needs no other engine."""
    client = EngineClient.connect()
    pid = client.status()["pid"]
    call_ = CompletionCall(str(repository / "cart.py"), 6, model="echo")
    assert client.complete(call_)["decision"]["mode"] == "auto"
    monkeypatch.setenv("CODEBUDDY_COMPLETION_RETRIEVE", "never")
    other = EngineClient.connect()
    assert other.complete(call_)["decision"]["mode"] == "never"
    assert other.status()["pid"] == pid
    assert client.complete(call_)["decision"]["mode"] == "auto"


@pytest.mark.model
def test_another_model_is_loaded_in_the_same_process(repository):
    """A switch of models needs no restart, and status says which one is loaded."""
    client = EngineClient.connect()
    client.complete(call(repository))
    first = client.status()
    assert (first["model"], first["threads"]) == ("echo", 0)
    found = client.complete(call(repository, model=str(SMALL_MODEL), max_tokens=4))
    second = client.status()
    assert found["model"] == second["model"] == SMALL_MODEL.stem
    assert (second["threads"] or 0) > 0
    assert second["workers"]["model"] == first["workers"]["model"]
    assert second["tokens"]["evaluated"] > first["tokens"]["evaluated"]


def test_a_keystroke_that_agrees_is_served_without_the_model(repository, monkeypatch):
    """Typing what was suggested evaluates no token and reaches no worker."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_WORK_AHEAD", "false")
    client = EngineClient.connect()
    shown = client.complete(typing(repository, CART, 6))
    assert shown["text"] == "amount ="
    assert not shown["engine"]["is_cached"]
    assert wait_until(lambda: client.status()["queue"]["running"] is None)
    evaluated = client.status()["tokens"]["evaluated"]
    after = client.complete(typing(repository, CART + "amo", 6))
    assert after["text"] == "unt ="
    assert after["engine"]["is_cached"]
    assert (after["line"], after["column"]) == (6, 17)
    assert after["tokens"]["evaluated"] == after["tokens"]["generated"] == 0
    assert client.status()["requests"]["cache_hits"] == 1
    assert client.status()["tokens"]["evaluated"] == evaluated


def test_a_changed_setting_asks_the_model_again(repository):
    """What was suggested under other settings, in a file edited since, is not served."""
    client = EngineClient.connect()
    assert not client.complete(typing(repository, CART, 6))["engine"]["is_cached"]
    assert client.complete(typing(repository, CART, 6))["engine"]["is_cached"]
    (repository / ".codebuddy.toml").write_text("[completion]\nmax_lines = 3\n")
    assert not client.complete(typing(repository, CART, 6))["engine"]["is_cached"]


def line_of_discount(answer):
    """Where the chunk that an answer looked up ends in pricing.py."""
    (line,) = {each["end_line"] for each in answer["chunks"] if each["path"] == "pricing.py"}
    return line


@pytest.mark.slow
def test_a_changed_index_asks_the_model_again(repository):
    """What was suggested before another file changed is not served after it was indexed anew."""
    client = EngineClient.connect()
    # Of a file that was written just before, an update has something to note later.
    time.sleep(file_walker.RACY_NS / 1e9)
    codebuddy(repository, "index")
    text = "import pricing\n\n\ndef total(items):\n    return pricing.apply_discount("
    wanted = typing(repository, text, 5, retrieve="always", should_update=False)
    first = client.complete(wanted)
    assert client.complete(wanted)["engine"]["is_cached"]
    # An update that finds nothing changed leaves what is kept.
    codebuddy(repository, "index")
    assert client.complete(wanted)["engine"]["is_cached"]
    file = repository / "pricing.py"
    file.write_text("# About prices.\n" * 9 + "\n" + file.read_text())
    codebuddy(repository, "index")
    after = client.complete(wanted)
    assert not after["engine"]["is_cached"]
    assert line_of_discount(after) == line_of_discount(first) + 10
    assert client.complete(wanted)["engine"]["is_cached"]
    # Without lookups the index decides nothing.
    alone = typing(repository, text, 5, retrieve="never", should_update=False)
    client.complete(alone)
    file.write_text(file.read_text() + "\n\ndef unrelated():\n    return 1\n")
    codebuddy(repository, "index")
    assert client.complete(alone)["engine"]["is_cached"]


@pytest.mark.model
@pytest.mark.parametrize(
    "change", ["extras", "takes_back", "prefer", "budget_ms", "head", "weights"]
)
def test_all_that_changes_a_suggestion_is_part_of_its_key(repository, tmp_path, change):
    """An editor's pieces, a wish, a head of the repository's own, weights replaced in place."""
    client = EngineClient.connect()
    weights = tmp_path / "tiny.gguf"
    weights.symlink_to(SMALL_MODEL)
    model = str(weights) if change == "weights" else "echo"
    wanted = typing(repository, CART, 6, model=model, max_tokens=2, retrieve=None)
    wanted = dataclasses.replace(wanted, should_update=False)
    client.complete(wanted)
    assert client.complete(wanted)["engine"]["is_cached"]
    if change == "head":
        folder = repository / ".git" / "codebuddy"
        folder.mkdir(exist_ok=True)
        (folder / "head.json").write_text("{}")
    elif change == "weights":
        weights.unlink()
        shutil.copyfile(SMALL_MODEL, weights)
    else:
        new = {"extras": (("a.py", "x = 1\n"),), "takes_back": True, "prefer": "speed"}
        wanted = dataclasses.replace(wanted, **{change: new.get(change, 50_000)})
    assert not client.complete(wanted)["engine"]["is_cached"]
    assert client.complete(wanted)["engine"]["is_cached"]


def test_a_keystroke_that_disagrees_asks_the_model(repository):
    """The cache never answers with another text's suggestion."""
    client = EngineClient.connect()
    client.complete(typing(repository, CART, 6))
    other = client.complete(typing(repository, CART + "x", 6))
    assert not other["engine"]["is_cached"]
    changed = client.complete(typing(repository, CART.replace("json", "os"), 6))
    assert not changed["engine"]["is_cached"]


def test_the_place_behind_a_suggestion_is_completed_ahead(repository):
    """After an accept the next suggestion is there already."""
    client = EngineClient.connect()
    shown = client.complete(typing(repository, CART, 6))
    assert wait_until(lambda: client.status()["requests"]["ahead"] == 1)
    assert wait_until(lambda: client.status()["queue"]["running"] is None)
    accepted = CART + shown["text"]
    client.accepted("editor", shown["text"])
    following = client.complete(typing(repository, accepted, 6))
    assert following["engine"]["is_cached"]
    counts = client.status()["requests"]
    assert (counts["accepted"], counts["accepted_characters"]) == (1, len(shown["text"]))


@pytest.mark.model
@pytest.mark.slow
def test_prewarming_leaves_the_prompt_evaluated(repository):
    """The first suggestion of a file that was opened a while ago reuses its prompt."""
    client = EngineClient.connect()
    text = "".join(f"value_{number} = {number}\n" for number in range(25))
    client.prewarm(CompletionCall(str(repository / "cart.py"), 25, 4, text, model=str(SMALL_MODEL)))
    assert wait_until(lambda: client.status()["tokens"]["evaluated"] > 80, 60)
    wanted = typing(repository, text, 25, 4, model=str(SMALL_MODEL), max_tokens=4)
    found = client.complete(wanted)
    assert found["tokens"]["reused"] > 0.8 * found["tokens"]["prompt"]
    assert client.status()["requests"]["prewarmed"] == 1


@pytest.mark.model
@pytest.mark.slow
def test_an_open_file_is_read_where_the_cursor_may_go(repository, monkeypatch):
    """Where it is switched on: the definition of a name at the cursor is read while idle."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_READ_AHEAD", "true")
    client = EngineClient.connect()
    body = "".join(f"    amount = amount + {number}\n" for number in range(30))
    text = f"def tax(amount):\n{body}\n\ndef total(amount):\n{body}    return tax(amount)\n"
    options: dict[str, Any] = {"model": str(SMALL_MODEL), "max_tokens": 1, "retrieve": "never"}
    client.complete(typing(repository, text, 65, **options))
    assert wait_until(lambda: client.status()["requests"]["read_ahead"] == 1, 60)
    found = client.complete(typing(repository, text, 1, **options))
    assert found["tokens"]["evaluated"] <= 2
    assert found["tokens"]["prompt"] > 5


@pytest.mark.model
@pytest.mark.slow
def test_an_editor_that_calls_the_command_types_on_a_warm_prompt(repository):
    """Calls a few characters apart evaluate what was typed; the same call again is exact."""
    suffix = "\n\n\ndef total(items, percent):\n    return sum(item.price for item in items)\n" * 3
    arguments = ["complete", "cart.py:2", "--stdin", "--model", str(DEFAULT_MODEL)]
    arguments += ["--retrieve", "never", "--max-tokens", "1", "--json"]
    counts = []
    for typed in ("", "price", "price * (", "price * ("):
        text = f"def discount(price, percent):\n    return {typed}{suffix}"
        found = json_of(codebuddy(repository, *arguments, stdin=text.encode()))
        counts.append(found["tokens"])
    cold, first, second, again = counts
    assert cold["evaluated"] == cold["prompt"] > 60
    assert first["evaluated"] < 8
    assert second["evaluated"] < 8
    assert again["evaluated"] > 40, "asked for the same again: behind exactly what was typed"


@pytest.mark.model
def test_a_model_is_found_where_the_caller_stands(repository, monkeypatch):
    """The engine has another folder: a relative path is made whole before it is sent."""
    (repository / "tiny.gguf").symlink_to(SMALL_MODEL)
    monkeypatch.chdir(repository)
    client = EngineClient.connect()
    assert client.load("tiny.gguf")["model"] == "tiny"
    named = client.complete(typing(repository, CART, 6, model="tiny.gguf", max_tokens=2))
    assert named["model"] == "tiny"
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "tiny.gguf")
    again = EngineClient.connect().complete(typing(repository, CART, 3, model=None, max_tokens=2))
    assert again["model"] == "tiny"


@pytest.mark.model
def test_a_newer_request_of_a_client_supersedes_what_runs(repository):
    """The older one ends at once with a word of why, the newer one is answered."""
    client = EngineClient.connect()
    text = "def numbers():\n    return [1, 2, 3,\n    "
    long: dict[str, Any] = {
        "model": str(SMALL_MODEL),
        "max_lines": 1000,
        "max_tokens": 1500,
        "client": "one",
    }
    client.load(str(SMALL_MODEL))
    outcome: list[BaseException | CompletionResponse] = []

    def ask():
        try:
            outcome.append(client.complete(typing(repository, text, 3, **long)))
        except SupersededError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    newer = client.complete(typing(repository, "import sys\n", 1, **(long | {"max_tokens": 3})))
    thread.join(30)
    assert newer["tokens"]["generated"] > 0
    assert isinstance(outcome[0], SupersededError)
    assert outcome[0].message == "a newer request took the place of this one"


@pytest.mark.model
def test_cancel_ends_what_a_client_has(repository):
    """Running and waiting requests of that client end; the worker stays, and is free."""
    client = EngineClient.connect()
    client.load(str(SMALL_MODEL))
    pid = client.status()["workers"]["model"]
    body = "x = [\n" + "    1,\n" * 200
    request = call(
        repository, text=body, line=201, model=str(SMALL_MODEL), max_tokens=1500, max_lines=1000,
        client="one",
    )  # fmt: skip
    errors: list[SupersededError] = []

    def ask():
        with pytest.raises(SupersededError) as caught:
            client.complete(request)
        errors.append(caught.value)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: client.status()["queue"]["waiting"] == 2)
    client.cancel("one")
    for thread in threads:
        thread.join(30)
    assert [error.message for error in errors] == ["the request was cancelled"] * 3
    assert wait_until(lambda: client.status()["queue"]["running"] is None)
    assert client.status()["workers"]["model"] == pid
    assert client.complete(call(repository))["text"]


@pytest.mark.model
def test_cancel_of_one_request_leaves_the_others_of_its_client(repository):
    """A cancellation names its request, so that it never hits one that came later."""
    client = EngineClient.connect()
    client.load(str(SMALL_MODEL))
    body = "x = [\n" + "    1,\n" * 200
    long = call(
        repository, text=body, line=201, model=str(SMALL_MODEL), max_tokens=1500, max_lines=1000,
        client="one", request="older",
    )  # fmt: skip
    newer = call(repository, text=body, line=201, client="one", request="newer")
    outcome: dict[str, object] = {}

    def ask(request):
        try:
            outcome[request.request] = client.complete(request)["text"]
        except SupersededError as error:
            outcome[request.request] = error.message

    threads = [threading.Thread(target=ask, args=(request,)) for request in (long, newer)]
    threads[0].start()
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    threads[1].start()
    assert wait_until(lambda: client.status()["queue"]["waiting"] == 1)
    client.cancel("one", "older")
    for thread in threads:
        thread.join(60)
    assert outcome == {"older": "the request was cancelled", "newer": "1,"}


def test_a_cancellation_may_come_before_its_request(repository):
    """The request that it names ends on arrival; others of that client are answered."""
    client = EngineClient.connect()
    client.cancel("one", "late")
    with pytest.raises(SupersededError):
        client.complete(call(repository, client="one", request="late"))
    assert client.complete(call(repository, client="one", request="other"))["text"]
    assert client.complete(call(repository, client="two", request="late"))["text"]
    # Each is for one request: a name that is used again is a new one.
    assert client.complete(call(repository, client="one", request="late"))["text"]


def test_a_cancellation_reaches_a_call_whose_engine_is_still_starting(repository):
    """Nothing is started for a cancellation; the call that waits for a start hears of it."""
    client = EngineClient(load_settings().settings.engine)
    client.cancel("one", "early")
    assert client_module.engine_status() is None
    with pytest.raises(SupersededError):
        client.complete(call(repository, client="one", request="early"))
    assert client.complete(call(repository, client="one", request="next"))["text"]


@pytest.mark.model
def test_a_spent_budget_answers_with_what_there_is(repository):
    """`--budget-ms` reaches the model in the worker: no machine reads a prompt in 1 ms."""
    client = EngineClient.connect()
    client.load(str(SMALL_MODEL))
    request = call(
        repository, text="x = [\n" + "    1,\n" * 60, line=62, model=str(SMALL_MODEL),
        max_lines=1000, max_tokens=60,
    )  # fmt: skip
    cut = client.complete(dataclasses.replace(request, budget_ms=1))
    whole = client.complete(request)
    assert cut["finish_reason"] == "budget"
    assert whole["finish_reason"] in ("stop", "length")
    assert cut["tokens"]["generated"] < whole["tokens"]["generated"]
    assert whole["text"].startswith(cut["text"])
    arguments = ["complete", "cart.py:6", "--model", "echo", "--budget-ms", "60000", "--json"]
    through = json_of(codebuddy(repository, *arguments))
    assert through["finish_reason"] == "stop"
    assert through["engine"] is not None


@pytest.mark.model
def test_a_restarted_engine_resumes_a_warm_file(repository):
    """What the model had read before `engine stop` need not be read again."""
    text = "".join(f"value_{number} = {number}\n" for number in range(25))
    request = call(repository, text=text, line=25, model=str(SMALL_MODEL), max_tokens=2)
    first = EngineClient.connect().complete(request)
    assert first["tokens"]["reused"] == 0
    stop_engine()
    second = EngineClient.connect().complete(request)
    assert second["tokens"]["reused"] == second["tokens"]["prompt"] - 1
    assert second["text"] == first["text"]
    files = [file for file in paths.engine_state_folder().iterdir() if file.suffix != ".taken"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * len(files)
