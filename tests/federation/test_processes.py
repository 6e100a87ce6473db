"""A server and two clients as processes, over TLS with keys on both sides."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy import heads
from codebuddy.cli import run
from codebuddy.vcs.repository import open_repository

pytestmark = [pytest.mark.process, pytest.mark.slow]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "codebuddy", "federate", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def labelled(root: Path, name: str) -> Path:
    """A repository with the shipped labels of another one."""
    from codebuddy.index.build import update_index
    from codebuddy.settings import IndexSettings, Settings
    from tests.support.index import make_repository, module

    make_repository(root, {"a.py": module("a_thing")})
    repository = open_repository(root)
    update_index(repository, Settings(index=IndexSettings(jobs=1, embedder="none")))
    shutil.copyfile(
        heads.default_labels_folder() / f"{name}.jsonl", heads.personal_labels_file(repository)
    )
    return root


def keys_of(folder: Path, name: str) -> list[str]:
    files = {"--ca": "ca.pem", "--cert": f"{name}.pem", "--key": f"{name}.key"}
    return [part for option, file in files.items() for part in (option, str(folder / file))]


@pytest.fixture
def keys(tmp_path) -> Path:
    folder: Path = tmp_path / "keys"
    assert run(["federate", "keys", "--folder", str(folder), "alice", "bob"]) == 0
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a" * 55], "54 letters"),
        (["--host", "häuser.example", "a"], "no name or address of a host"),
        (["--host", "build.example.org:9440", "a"], "without a port"),
        (["--host", "", "a"], "no name or address of a host"),
        (["ca"], "is taken"),
        (["../a"], "no name for a client"),
    ],
)
def test_names_that_no_certificate_can_hold_are_refused(tmp_path, capsys, arguments, said):
    """In a sentence, before anything is made."""
    folder = tmp_path / "keys"
    assert run(["federate", "keys", "--folder", str(folder), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("what", [[], ["adapter"]])
def test_an_aggregate_that_could_not_be_written_is_refused_before_the_rounds(
    tmp_path, capsys, what
):
    """A folder that is not there."""
    out = str(tmp_path / "none" / "head.json")
    assert run(["federate", *what, "server", "--address", "127.0.0.1:0", "--out", out]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_server_s_key_that_does_not_name_a_host_is_told_of(tmp_path, capsys):
    """What is there stays, and clients that call the server so would not reach it."""
    common = ["federate", "keys", "--folder", str(tmp_path / "keys")]
    assert run([*common, "a" * 54]) == 0
    assert run([*common, "bob"]) == 0
    assert "server.pem" not in capsys.readouterr().err
    assert run([*common, "--host", "localhost", "--host", "build.example.org", "carol"]) == 0
    told = capsys.readouterr().err
    assert "server.pem does not name build.example.org" in told


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("alice.pem", "bob.key", "bob.key is not the key of"),
        ("alice.key", "alice.key", "alice.key is no certificate"),
        ("alice.pem", "alice.pem", "alice.pem is no key"),
    ],
)
def test_files_that_do_not_belong_together_are_named(tmp_path, keys, capsys, cert, key, said):
    """Before anybody listens or connects: gRPC says of each that the port is taken."""
    given = ["--ca", str(keys / "ca.pem"), "--cert", str(keys / cert), "--key", str(keys / key)]
    for command in (["server", "--address", "127.0.0.1:0"], ["client", "--show"]):
        assert run(["federate", *command, *given]) == 2
        assert said in capsys.readouterr().err


def test_keys_without_the_library_are_one_sentence(tmp_path, monkeypatch, capsys):
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    assert run(["federate", "keys", "--folder", str(tmp_path / "keys"), "alice"]) == 1
    assert "codebuddy[federated]" in capsys.readouterr().err


def test_two_clients_over_tls_come_to_one_head(tmp_path, keys):
    """Each says what it sent and what its own holes made of the aggregate."""
    roots = [labelled(tmp_path / name, name) for name in ("memori", "tanstack-pacer")]
    address = f"127.0.0.1:{free_port()}"
    out = tmp_path / "head.json"
    server = start(
        tmp_path,
        "server",
        "--address",
        address,
        "--rounds",
        "3",
        "--clients",
        "2",
        "--out",
        str(out),
        "--json",
        *keys_of(keys, "server"),
    )
    clients = [
        start(root, "client", "--server", address, "--json", *keys_of(keys, name), *more)
        for root, name, more in (
            (roots[0], "alice", []),
            (roots[1], "bob", ["--noise", "4", "--max-epsilon", "8"]),
        )
    ]
    told = [each.communicate(timeout=250) for each in (server, *clients)]
    assert [each.returncode for each in (server, *clients)] == [0, 0, 0], told
    found = json.loads(told[0][0])
    assert [each["answered"] for each in found["rounds"]] == [2, 2, 2]
    head = heads.load_head_file(out)
    assert head.confidence is not None
    alice, bob = (json.loads(each[0]) for each in told[1:])
    assert alice["updates"] == bob["updates"] == 3
    assert alice["epsilon"] is None
    assert 0 < bob["epsilon"] < 8
    for answer, root in zip((alice, bob), roots, strict=True):
        assert answer["verdict"]["holes"] >= 15
        own = heads.personal_head_file(open_repository(root))
        assert own.exists() == answer["verdict"]["adopted"]
    record = json.loads((open_repository(roots[1]).index_folder / "federated.json").read_text())
    assert record["releases"] == [[4.0, 3]]


def test_a_client_with_a_key_of_nobody_is_not_let_in(tmp_path, keys):
    """The server goes on waiting for others."""
    root = labelled(tmp_path / "memori", "memori")
    strangers = tmp_path / "strangers"
    assert run(["federate", "keys", "--folder", str(strangers), "mallory"]) == 0
    address = f"127.0.0.1:{free_port()}"
    server = start(tmp_path, "server", "--address", address, *keys_of(keys, "server"))
    mixed = keys_of(strangers, "mallory")
    mixed[1] = str(keys / "ca.pem")
    client = start(root, "client", "--server", address, *mixed)
    try:
        _, told = client.communicate(timeout=250)
        assert client.returncode == 1
        assert "cannot be reached" in told
        assert server.poll() is None
    finally:
        server.kill()
        server.communicate()


def test_what_would_be_sent_is_shown_without_a_server(tmp_path, monkeypatch, capsys):
    """And nothing is counted as sent."""
    root = labelled(tmp_path / "memori", "memori")
    monkeypatch.chdir(root)
    assert run(["federate", "client", "--show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sent"]["numbers"] == 42
    assert not (open_repository(root).index_folder / "federated.json").exists()
    assert run(["federate", "client", "--show"]) == 0
    assert "no code, no paths" in capsys.readouterr().err
