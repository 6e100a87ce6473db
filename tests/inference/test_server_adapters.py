"""A repository's adapter behind `model.url`: used where the llama-server has loaded it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import SupersededError
from codebuddy.inference import own_adapters, server_adapters
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import parse_header, read_header
from codebuddy.inference.llama_server import LlamaServerGenerator
from codebuddy.inference.remote import connect
from codebuddy.private_files import read_file
from codebuddy.service.completion_service import CompletionService
from codebuddy.service.models import ModelCache
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import AskRequest, AskSource, SettingsSources
from codebuddy.settings import ModelSettings
from codebuddy.training.adapter.export import write_adapter, write_card
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.commands.test_complete import codebuddy
from tests.support.model_server import serving
from tests.support.tiny_model import random_weights, write_base

BASE = "b" * 64
# The stand-in's token that asks for the middle.
MIDDLE = 1002
OTHER = {"id": 0, "path": "/models/style.gguf", "scale": 0.5}


@pytest.fixture
def folder(repository):
    """Where the repository's adapters lie."""
    found = adapters_folder(open_repository(repository))
    assert found is not None
    found.mkdir(parents=True, mode=0o700)
    return found


def put(folder, name="mine", *, is_trusted=True, is_used=True):
    """An adapter with its card."""
    file = folder / f"{name}.gguf"
    write_adapter(file, random_weights(), "qwen2", 8.0, middle=MIDDLE)
    card = json.loads(write_card(file, [BASE], 4, 8.0, {}, {}).read_text())
    if is_trusted:
        own_adapters.trust(card["sha256"])
    if is_used:
        own_adapters.use(folder, BASE, name)
    return file


def entry(file, number=1, **more):
    """What a server lists of an adapter."""
    tokens = {"alora_invocation_tokens": [MIDDLE], "alora_invocation_string": "<|fim_middle|>"}
    return {"id": number, "path": str(file), "scale": 1.0, **tokens, **more}


def asked(adapters, folder, setting="auto"):
    """What is chosen where a server lists `adapters`, and what a request says of them."""
    with serving("llama-server") as server:
        server.adapters = adapters
        generator = connect(ModelSettings(url=server.url))
        assert isinstance(generator, LlamaServerGenerator)
        chosen = generator.choose_adapter(setting, folder)
        wish = GenerationSettings(9, adapter=chosen.adapter)
        list(generator.generate([1, MIDDLE], wish, GenerationStats()))
        generator.close()
        [body] = server.bodies("/completion")
        assert "/lora-adapters" not in [path for path, sent in server.asked if sent is not None]
    return chosen, body.get("lora")


@pytest.mark.parametrize("where", ["the very file", "a copy elsewhere", "windows"])
def test_the_repository_s_adapter_writes_and_no_other_does(folder, where):
    """By its path, or by the name of its file; nothing is sent to the server but the number."""
    file = put(folder)
    path = {"the very file": file, "windows": "C:\\models\\mine.gguf"}.get(where, "/srv/mine.gguf")
    chosen, lora = asked([OTHER, entry(path, 7)], folder)
    assert chosen.adapter is not None
    assert (chosen.adapter.name, chosen.warnings) == ("mine", ())
    assert lora == [{"id": 7, "scale": 1.0}]


LEFT = {
    "no adapters": (None, None),
    "another one": ([OTHER], None),
    # Those of other repositories are switched off, and what the user loads is left as it is.
    "another repository's": (
        [OTHER, entry("/home/me/two/.git/codebuddy/adapters/two.gguf", 3)],
        [{"id": 0, "scale": 0.5}, {"id": 3, "scale": 0.0}],
    ),
    "nonsense": ([1, {"id": "x"}, {"path": "mine.gguf"}], None),
}


@pytest.mark.parametrize("case", LEFT)
def test_where_the_server_has_it_not_the_base_writes(folder, case):
    """The reason says how to start the server."""
    put(folder)
    adapters, expected = LEFT[case]
    chosen, lora = asked(adapters, folder)
    assert (chosen.adapter, lora) == (None, expected)
    assert "--lora" in chosen.reason


def test_one_that_does_not_say_where_it_acts_is_not_used(folder):
    """The server would let it act on the whole prompt, which it was not trained for."""
    file = put(folder)
    without = entry(file)
    del without["alora_invocation_tokens"]
    for told in (without, entry(file, alora_invocation_tokens=[5])):
        chosen, lora = asked([told], folder)
        assert (chosen.adapter, lora) == (None, [{"id": 1, "scale": 0.0}])
        assert "train it again" in chosen.reason


def test_settings_decide(folder, tmp_path):
    """`none` switches all off; a path names one; what is not used or not trusted is not asked."""
    file = put(folder)
    chosen, lora = asked([OTHER, entry(file)], folder, "none")
    assert (chosen.adapter, lora) == (None, [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}])
    chosen, lora = asked([entry(file)], None, str(file))
    assert chosen.adapter is not None
    assert lora == [{"id": 1, "scale": 1.0}]
    chosen, _ = asked([OTHER], None, str(tmp_path / "gone.gguf"))
    assert "gone.gguf; it is ignored" in chosen.warnings[0]
    own_adapters.use(folder, BASE, "none")
    assert asked([entry(file)], folder)[0].reason == "this repository uses no adapter"


@pytest.mark.parametrize("harm", ["copied in", "changed", "card gone"])
def test_one_that_came_along_or_changed_is_refused(folder, harm):
    """A warning, and the base writes."""
    file = put(folder, is_trusted=harm != "copied in")
    if harm == "changed":
        file.write_bytes(file.read_bytes()[:-1])
    if harm == "card gone":
        file.with_suffix(".json").unlink()
    chosen, lora = asked([entry(file)], folder)
    assert (chosen.adapter, lora) == (None, [{"id": 1, "scale": 0.0}])
    assert "mine" in chosen.warnings[0]


@contextmanager
def connected(adapters=None):
    """A server, the generator of it, and what a request without an adapter says next."""
    with serving("llama-server") as server:
        server.adapters = adapters
        generator = connect(ModelSettings(url=server.url))
        assert isinstance(generator, LlamaServerGenerator)

        def said():
            list(generator.generate([1, MIDDLE], GenerationSettings(9), GenerationStats()))
            return server.bodies("/completion")[-1].get("lora")

        try:
            yield server, generator, said
        finally:
            generator.close()


TWO = entry("/home/me/two/.git/codebuddy/adapters/two.gguf", 3)


def test_a_server_that_was_started_anew_with_adapters_is_found_out(folder):
    """Though it had none; one that cannot list any is asked once."""
    with connected([]) as (server, generator, said):
        generator.choose_adapter("auto", folder)
        assert said() is None
        server.adapters = [TWO]
        generator.choose_adapter("auto", folder)
        assert said() == [{"id": 3, "scale": 0.0}]
    with connected() as (server, generator, said):
        for _ in range(3):
            generator.choose_adapter("auto", folder)
        assert [path for path, _ in server.asked].count("/lora-adapters") == 1


def test_where_the_list_does_not_come_no_adapter_acts(folder):
    """Those that were there last are switched off, also the repository's own."""
    file = put(folder)
    with connected([OTHER, entry(file)]) as (server, generator, said):
        own = generator.choose_adapter("auto", folder).adapter
        server.faults.add("/lora-adapters is silent")
        started = time.monotonic()
        assert generator.choose_adapter("auto", folder, 50.0).adapter is None
        assert time.monotonic() - started < 1.5
        off = [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]
        assert said() == off
        wish = GenerationSettings(9, adapter=own)
        list(generator.generate([1, MIDDLE], wish, GenerationStats()))
        assert server.bodies("/completion")[-1]["lora"] == off


def test_waiting_for_the_list_ends_with_the_request(folder):
    """A keystroke that is superseded does not wait for a slow server."""
    with connected([OTHER]) as (server, generator, _):
        server.faults.add("/lora-adapters is silent")
        token = CancellationToken()
        timer = threading.Timer(0.05, token.cancel)
        timer.start()
        with pytest.raises(SupersededError):
            generator.choose_adapter("auto", folder, 0.0, token)
        timer.join()


def test_an_adapter_s_file_is_hashed_once_until_it_changes(folder, monkeypatch):
    """A request costs a look at its stamp."""
    file = put(folder)
    read = []

    def counted(path, *rest, **more):
        read.append(path)
        return read_file(path, *rest, **more)

    monkeypatch.setattr(server_adapters, "read_file", counted)
    with connected([entry(file)]) as (_, generator, _said):
        for _ in range(3):
            assert generator.choose_adapter("auto", folder).adapter is not None
        assert len(read) == 1
        file.write_bytes(file.read_bytes()[:-1])
        assert generator.choose_adapter("auto", folder).adapter is None
        assert len(read) == 2


def test_a_question_is_answered_without_another_repository_s_adapter(repository):
    """`ask` has no adapter, and the server would let the one of another repository act."""
    with serving("llama-server") as server:
        server.adapters, server.n_ctx = [TWO], 4096
        sources = SettingsSources({"CODEBUDDY_MODEL_URL": server.url}, repository / "none.toml")
        service = CompletionService(ModelCache(), RepositoryCache(), "before")
        found = AskSource("one.py", 1, 1, "function", "one", "def one(): ...")
        request = AskRequest(str(repository), "What?", (found,), max_tokens=8)
        service.ask(request, sources, CancellationToken())
        service.close()
        assert server.bodies("/completion")[0]["lora"] == [{"id": 3, "scale": 0.0}]


@pytest.mark.process
def test_the_receipt_and_doctor_name_it(repository, folder, monkeypatch):
    """From the command to the request and back."""
    file = put(folder)
    (repository / "one.py").write_text("def one():\n    \n\n\ndef two():\n    return 2\n")
    with serving("llama-server") as server:
        server.adapters = [entry(file)]
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        done = codebuddy(repository, "complete", "one.py:2:5", "--no-engine", "--json")
        assert done.returncode == 0, done.stderr.decode()
        told = json.loads(done.stdout)["adapter"]
        assert (told["name"], told["rank"]) == ("mine", 4)
        assert server.bodies("/completion")[0]["lora"] == [{"id": 1, "scale": 1.0}]
        model = json.loads(codebuddy(repository, "doctor", "--json").stdout)["model"]
    assert model["adapter"] == "mine, loaded by the server"


def test_a_file_says_from_which_token_on_it_acts(tmp_path):
    """In the key that llama.cpp reads, as a list of uint32; our own reader takes the file."""
    base = write_base(tmp_path / "base.gguf")
    file = tmp_path / "mine.gguf"
    write_adapter(file, random_weights(), "qwen2", 8.0, middle=258)
    key = b"adapter.alora.invocation_tokens"
    found = file.read_bytes()
    begin = found.index(key) + len(key)
    kinds = [int.from_bytes(found[begin + at : begin + at + 4], "little") for at in (0, 4)]
    assert kinds == [9, 4]
    assert int.from_bytes(found[begin + 8 : begin + 16], "little") == 1
    assert int.from_bytes(found[begin + 16 : begin + 20], "little") == 258
    assert parse_header(file).architecture == "qwen2"
    assert read_adapter(file, read_header(base)).rank == 4
