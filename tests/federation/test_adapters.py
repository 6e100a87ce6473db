"""A federation of adapters, on a model that answers in milliseconds."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from codebuddy.cli import run
from codebuddy.errors import UsageError
from codebuddy.federation.adapter_part import PROTOCOL, AdapterClient, opened
from codebuddy.federation.adapter_server import strategy_for
from codebuddy.federation.adapter_strategy import AdapterStrategy
from codebuddy.federation.adapter_weights import Parts
from codebuddy.federation.simulation import run_in_process
from codebuddy.federation.strategy import Rules
from codebuddy.inference import own_adapters, stamps
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import read_header
from codebuddy.service.context import repository_context_of_folder
from codebuddy.terminal import StatusLine
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import shared_folder
from tests.federation.test_processes import free_port, keys_of, start
from tests.support.tiny_model import write_base
from tests.support.toy_repository import make_house

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
MINUTES = 0.02
KEYS = json.loads(
    (Path(__file__).parent.parent / "commands" / "json_keys.json").read_text(encoding="utf-8")
)


@pytest.fixture
def houses(tmp_path, monkeypatch):
    """Two repositories, and the tiny model in use."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    monkeypatch.setenv("CODEBUDDY_INDEX_EMBEDDER", "none")
    monkeypatch.setenv("CODEBUDDY_TRAIN_GIVE_WAY", "false")
    # Threads that wait for each other on a busy machine take most of the time.
    monkeypatch.setenv("CODEBUDDY_MODEL_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    return [make_house(tmp_path / name) for name in ("north", "south")]


class Poisoned(AdapterClient):
    """Sends numbers that are none, and judges nothing."""

    def fit(self, _ins):
        shapes = self._part.parts.shapes
        return self._sent([np.full(each, np.nan, np.float16) for each in shapes], 100)

    def _take(self, _weights):
        pass


class OfAnotherModel(AdapterClient):
    """Whose matrices change other weights."""

    def get_properties(self, _ins):
        return self._properties(PROTOCOL, "other", 9)

    def _take(self, _weights):
        pass


class Learner(AdapterClient):
    """Judges nothing, which takes the longest."""

    def _take(self, _weights):
        pass


def test_a_round_comes_to_one_adapter_that_a_client_judges_for_itself(houses):
    """A third sends nonsense and is refused; a fourth has another model and is not asked."""
    strategy, base = strategy_for(None, Rules(n_rounds=1, min_clients=2))
    with ExitStack() as stack:
        parts = [
            stack.enter_context(
                opened(repository_context_of_folder(each), MINUTES, seed, StatusLine())
            )
            for seed, each in enumerate(houses)
        ]
        clients = [AdapterClient(parts[0]), Learner(parts[1]), Poisoned(parts[1])]
        clients.append(OfAnotherModel(parts[0]))
        run_in_process(strategy, clients)
    (found,) = strategy.rounds
    assert (found.asked, found.answered, found.refused) == (3, 2, 1)
    assert strategy.left_out == {"another model": 1}
    assert strategy.parts.are_of(strategy.weights)
    # In the first round nobody is sent anything; the junk travelled, too.
    numbers = sum(a * b for a, b in strategy.parts.shapes)
    assert found.bytes_sent < 1_000
    assert 2 * numbers < found.bytes_received / 3 < 2 * numbers + 20_000
    assert all(0 <= each < 1 for each in strategy.lost.values())
    part, other = parts
    assert (part.problem, other.problem, other.verdict) == ("", "", None)
    assert part.verdict is not None
    folder = shared_folder(open_repository(houses[0])) / "adapters"
    assert (own_adapters.used(folder, base.digest) == part.name) == part.verdict.is_better
    stored = own_adapters.find(folder, part.name)
    assert "federated" in stored.name
    assert read_adapter(stored.file, base.header).rank == 8
    assert not list(folder.glob("federated-*"))


def test_rules_of_heads_are_refused():
    """Medians by number mean nothing for factors."""
    with pytest.raises(UsageError, match="for heads"):
        AdapterStrategy(Rules(aggregate="median"), Parts((), (), 8), "")


def test_processes_over_tls_come_to_an_adapter(houses, tmp_path):
    """The server has the model's file and no code."""
    keys = tmp_path / "keys"
    assert run(["federate", "keys", "--folder", str(keys), "alice"]) == 0
    address, out = f"127.0.0.1:{free_port()}", tmp_path / "all.gguf"
    told_to = ["--address", address, "--clients", "1", "--rounds", "2", "--out", str(out), "--json"]
    server = start(tmp_path, "adapter", "server", *told_to, *keys_of(keys, "server"))
    told_to = ["--server", address, "--json", "--minutes", str(MINUTES)]
    client = start(houses[0], "adapter", "client", *told_to, *keys_of(keys, "alice"))
    told = [each.communicate(timeout=250) for each in (server, client)]
    assert [server.returncode, client.returncode] == [0, 0], told
    found, answer = (json.loads(each[0]) for each in told)
    assert sorted(found) == KEYS["federate adapter server"]
    assert [each["answered"] for each in found["rounds"]] == [1, 1]
    # The second begins with what came of the first.
    assert found["rounds"][1]["bytes_sent"] > 10_000 > found["rounds"][0]["bytes_sent"]
    assert read_adapter(out, read_header(tmp_path / "tiny.gguf")).rank == 8
    assert sorted(answer) == KEYS["federate adapter client"]
    assert (answer["problem"], answer["rounds"]) == ("", 2)
    assert answer["compared"]["holes"] >= 1
