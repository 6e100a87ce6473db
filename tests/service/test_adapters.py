"""Adapters at the front doors: by setting and flag, in receipts, in every key that they change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codebuddy import heads, paths
from codebuddy.cancellation import CancellationToken
from codebuddy.config import load_settings
from codebuddy.datatypes import Adapter
from codebuddy.diagnosis import diagnose
from codebuddy.engine.client import EngineClient
from codebuddy.engine.protocol import call_to_message
from codebuddy.errors import ConfigError, ModelError
from codebuddy.evaluation.session import EvaluationOptions, header_of
from codebuddy.inference import hardware, stamps
from codebuddy.service import dependencies
from codebuddy.service.completion_service import CompletionService
from codebuddy.service.fingerprint import fingerprint_of
from codebuddy.service.models import ModelCache
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import CompletionRequest, SettingsSources
from codebuddy.settings import CompletionSettings, Settings
from codebuddy.training.adapter.export import write_card
from codebuddy.training.head.labels import Labelling
from codebuddy.vcs.repository import open_repository
from tests.support.engine import codebuddy, json_of, typing
from tests.support.evaluation import make_shop
from tests.support.tiny_model import write_base, write_random_adapter

TEXT = "def total(items):\n    return sum(items)\n\n\ndef label(name):\n    "


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The tiny model in use, and an adapter of it."""
    base = write_base(tmp_path / "tiny.gguf")
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(base))
    monkeypatch.setenv("CODEBUDDY_MODEL_THREADS", "1")
    return base, write_random_adapter(tmp_path / "mine.gguf")


class Raw:
    """What the model wrote, before anything was cleaned up."""

    def __init__(self) -> None:
        self.text = ""

    def began(self) -> None:
        """A generation began."""
        self.text = ""

    def piece(self, text: str) -> None:
        """A piece of it."""
        self.text += text


class FrontDoor:
    """A service of this process that counts how often a model is loaded."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        models = ModelCache(on_loaded=lambda generator, _: self.loaded.append(generator.name))
        self.service = CompletionService(models, RepositoryCache(), "external")

    def ask(self, root, adapter, **more):
        """The response and the model's raw text."""
        observer = Raw()
        request = CompletionRequest(
            str(root / "cart.py"), 6, text=TEXT, retrieve="never", adapter=adapter, **more
        )
        sources = SettingsSources.of_this_process()
        response = self.service.complete(request, sources, CancellationToken(), observer=observer)
        return response, observer.text


@pytest.fixture
def door():
    """One, closed afterwards."""
    made = FrontDoor()
    yield made
    made.service.close()


@pytest.mark.model
def test_requests_with_and_without_it_follow_each_other(repository, tiny, door):
    """Over one model and one prompt; receipts name what acted."""
    file = tiny[1]
    base, base_text = door.ask(repository, "none")
    adapted, adapted_text = door.ask(repository, str(file))
    again, again_text = door.ask(repository, "none")
    assert base["adapter"] is again["adapter"] is None
    assert adapted["adapter"] is not None
    assert adapted["adapter"] == {
        "name": "mine",
        "sha256": stamps.hash_file(file).sha256,
        "rank": 4,
        "in_head": False,
    }
    assert base_text == again_text != adapted_text
    assert adapted["tokens"]["evaluated"] == again["tokens"]["evaluated"] == 1
    assert len(door.loaded) == 1
    alternatives, _ = door.ask(repository, str(file), alternatives=2)
    assert alternatives["adapter"] == adapted["adapter"]


@pytest.mark.model
def test_a_shipped_adapter_is_the_default(repository, tiny, door, monkeypatch, tmp_path):
    """Where its card names the model's digest; a damaged one costs a warning, not the answer."""
    base, _ = tiny
    stamps.write_stamp(base, stamps.hash_file(base))
    folder = tmp_path / "models" / "adapter"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "shipped_models_folder", lambda: folder.parent)
    assert door.ask(repository, None)[0]["adapter"] is None
    file = write_random_adapter(folder / "shipped.gguf")
    write_card(file, [stamps.hash_file(base).sha256], 4, 8.0, {}, {})
    found = door.ask(repository, None)[0]["adapter"]
    assert found is not None
    assert found["name"] == "shipped"
    model = diagnose()["model"]
    assert str(model["adapter"]).startswith("shipped, rank 4, SHA-256")
    write_random_adapter(file, seed=3)
    response, _ = door.ask(repository, "auto")
    assert response["adapter"] is None
    assert any("SHA-256 is not that of its card" in each for each in response["warnings"])
    report = diagnose()
    assert report["model"]["adapter"] == "none: the shipped adapter cannot be used"
    assert any("SHA-256" in each["problem"] for each in report["problems"])
    assert len(door.loaded) == 1


@pytest.mark.model
def test_a_base_that_was_replaced_has_no_adapter(repository, tiny, door, tmp_path):
    """An adapter with a card is refused for other weights of the same shape."""
    base, file = tiny
    stamps.write_stamp(base, stamps.hash_file(base))
    write_card(file, [stamps.hash_file(base).sha256], 4, 8.0, {}, {})
    assert door.ask(repository, str(file))[0]["adapter"] is not None
    write_base(base, seed=4)
    stamps.write_stamp(base, stamps.hash_file(base))
    with pytest.raises(ModelError, match="names another base than the model in use"):
        door.ask(repository, str(file))
    assert door.ask(repository, "auto")[0]["adapter"] is None


@pytest.mark.model
def test_memory_that_is_short_costs_the_shipped_adapter_alone(
    repository, tiny, door, monkeypatch, tmp_path
):
    """A warning where it was not asked for by name, an error where it was."""
    base, named = tiny
    stamps.write_stamp(base, stamps.hash_file(base))
    folder = tmp_path / "models" / "adapter"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "shipped_models_folder", lambda: folder.parent)
    file = write_random_adapter(folder / "shipped.gguf")
    write_card(file, [stamps.hash_file(base).sha256], 4, 8.0, {}, {})
    door.ask(repository, "none")
    monkeypatch.setattr(hardware, "available_bytes", lambda: 1000)
    response, _ = door.ask(repository, "auto")
    assert response["adapter"] is None
    assert "GB of memory" in response["warnings"][0]
    with pytest.raises(ModelError, match="GB of memory"):
        door.ask(repository, str(named))


@pytest.mark.model
def test_a_head_says_whether_it_learned_with_the_adapter(repository, tiny, door):
    """One fitted with it decides only there; one fitted without decides in both."""
    file = tiny[1]
    completion = load_settings().settings.completion
    own = heads.personal_head_file(open_repository(repository))
    own.parent.mkdir(parents=True, exist_ok=True)

    def fit(adapter):
        content = json.loads(heads.default_head_file().read_text())
        trained_for = heads.trained_for("tiny", completion) | {"adapter": adapter}
        heads.save_head(own, content | {"name": "own", "trained_for": trained_for})

    fit(stamps.hash_file(file).sha256)
    adapted, _ = door.ask(repository, str(file))
    assert adapted["adapter"] is not None
    assert adapted["adapter"]["in_head"]
    base, _ = door.ask(repository, "none")
    assert "trained for adapter" in base["warnings"][0]
    fit(None)
    adapted, _ = door.ask(repository, str(file))
    assert adapted["adapter"] is not None
    assert not adapted["adapter"]["in_head"]
    assert adapted["warnings"] == door.ask(repository, "none")[0]["warnings"] == []


@pytest.mark.parametrize("name", ["none", "auto"])
def test_what_has_no_weights_has_no_adapter(repository, door, monkeypatch, name, tmp_path):
    """The built-in echo; a file that was named is mentioned as ignored."""
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    response, _ = door.ask(repository, name)
    assert (response["adapter"], response["warnings"]) == (None, [])
    response, _ = door.ask(repository, str(tmp_path / "mine.gguf"))
    assert "the built-in echo takes no adapter" in response["warnings"][0]
    assert "takes none" in str(diagnose()["model"]["adapter"])


def test_a_bad_setting_is_told(repository, monkeypatch, tmp_path):
    """Neither a word that is known nor a whole path; a repository may not set it."""
    for value in ("always", "mine.gguf", "./mine.gguf", ""):
        monkeypatch.setenv("CODEBUDDY_MODEL_ADAPTER", value)
        with pytest.raises(ConfigError, match="CODEBUDDY_MODEL_ADAPTER"):
            load_settings()
    for value in ("auto", "none", str(tmp_path / "mine.gguf"), "~/mine.gguf"):
        monkeypatch.setenv("CODEBUDDY_MODEL_ADAPTER", value)
        assert load_settings().settings.model.adapter == value
    monkeypatch.delenv("CODEBUDDY_MODEL_ADAPTER")
    (repository / ".codebuddy.toml").write_text('[model]\nadapter = "/tmp/evil.gguf"\n')
    loaded = load_settings(repository)
    assert loaded.settings.model.adapter == "auto"
    assert "model.adapter is ignored" in loaded.warnings[0]


@pytest.mark.model
def test_a_kept_suggestion_depends_on_the_adapter(repository, tiny, door):
    """On its file and its card: where one changes, it is not served again."""
    _, file = tiny
    answer, _ = door.ask(repository, str(file), priority="typing")
    named = [path for path, _ in answer["depends_on"]]
    assert {str(file), str(file.with_suffix(".json"))} <= set(named)
    assert dependencies.is_current(answer)
    write_card(file, [], 4, 8.0, {}, {})
    assert not dependencies.is_current(answer)
    other, _ = door.ask(repository, "none", priority="typing")
    assert str(file) not in [path for path, _ in other["depends_on"]]


def test_the_engines_cache_tells_adapters_apart(repository):
    """By the request's flag, and by the variables that it brings."""

    def key(adapter, **environment):
        call = typing(repository, TEXT, 6, adapter=adapter)
        sources = {"environment": environment, "user_file": ""}
        head, _ = call_to_message(call)
        assert head.get("adapter") == adapter
        return fingerprint_of(call, sources)

    keys = [
        key(None),
        key("none"),
        key("/a.gguf"),
        key("/b.gguf"),
        key(None, CODEBUDDY_MODEL_ADAPTER="none"),
    ]
    assert len(set(keys)) == len(keys)


def some_adapter(digit="a"):
    """One that is never loaded."""
    return Adapter("x", digit * 64, Path("/x.gguf"), (), 1, 8, 16.0)


def test_runs_and_labels_are_kept_by_adapter(repository):
    """An evaluation goes on only with the same one, labels of another one are put aside."""
    opened = open_repository(repository)
    options = EvaluationOptions(["call"], tasks=1)
    choices = (None, some_adapter("a"), some_adapter("b"))
    runs = [header_of(opened, "m", Settings(), options, [], adapter=each) for each in choices]
    labels = [heads.trained_for("m", CompletionSettings(), each)["adapter"] for each in choices]
    assert [run["adapter"] for run in runs] == [
        None,
        {"name": "x", "sha256": "a" * 64},
        {"name": "x", "sha256": "b" * 64},
    ]
    assert labels == [None, "a" * 64, "b" * 64]
    assert "adapter" in heads.TRAINED_FOR
    assert Labelling.__dataclass_fields__["adapter"].default is None


@pytest.mark.model
def test_the_engine_serves_both(repository, tiny, engine):
    """Each with its receipt; the status names the adapter of the last answer."""
    _, file = tiny
    client = EngineClient.connect()
    ask = {"model": None}
    first = client.complete(typing(repository, TEXT, 6, adapter=str(file), **ask))
    assert first["adapter"] is not None
    assert first["adapter"]["name"] == "mine"
    assert client.status()["adapter"] == "mine"
    second = client.complete(typing(repository, TEXT, 6, adapter="none", **ask))
    assert second["adapter"] is None
    assert not second["engine"]["is_cached"]
    assert client.status()["adapter"] is None
    third = client.complete(typing(repository, TEXT, 6, adapter=str(file), **ask))
    assert third["adapter"] == first["adapter"]
    assert third["engine"]["is_cached"]
    assert client.load()["adapter"] is None


@pytest.mark.model
@pytest.mark.process
def test_the_command_takes_and_names_it(repository, tiny):
    """By a path from where one stands; the receipt on stderr says so."""
    _, file = tiny
    place = (f"{repository}/cart.py:6", "--retrieve", "never", "--no-engine", "--adapter")
    done = codebuddy(file.parent, "complete", *place, "mine.gguf", "--json")
    assert json_of(done)["adapter"]["name"] == "mine"
    assert "tiny with mine" in codebuddy(file.parent, "complete", *place, "./mine.gguf").stderr
    refused = codebuddy(file.parent, "complete", *place, "missing.gguf")
    assert refused.returncode == 1
    assert "missing.gguf" in refused.stderr
    assert "model.adapter" in refused.stderr


@pytest.mark.model
@pytest.mark.process
def test_an_evaluation_sets_the_base_beside_it(tmp_path, tiny):
    """`--arm base` repeats each arm without the adapter, in one run that names it."""
    root = make_shop(tmp_path / "shop")
    options = ("eval", "--tasks", "1", "--kind", "line", "--arms", "never,auto", "--json")
    report = json_of(codebuddy(root, *options, "--arm", "base", "--adapter", str(tiny[1])))
    assert report["adapter"] == {"name": "mine", "sha256": stamps.hash_file(tiny[1]).sha256}
    assert list(report["arms"]) == ["never", "auto", "base_never", "base_auto"]
    assert {"never-base_never", "auto-base_auto"} <= set(report["differences"])
    [listed] = json.loads(codebuddy(root, "eval", "--list", "--json").stdout)
    assert listed["adapter"] == report["adapter"]
    other = json_of(codebuddy(root, *options, "--adapter", "none"))
    assert (other["adapter"], other["resumed"]) == (None, 0)
    assert other["run"] != report["run"]
    refused = codebuddy(root, *options, "--arm", "base", "--adapter", "none")
    assert refused.returncode == 2
    assert "no adapter to compare the base with: model.adapter is none" in refused.stderr
