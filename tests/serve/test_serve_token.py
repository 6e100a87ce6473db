"""The token of `serve`: a new one at each start, one for all servers that run, none for others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codebuddy.errors import CodebuddyError, ConfigError
from codebuddy.serve.listener import listen, user_listening
from codebuddy.serve.token_file import renewed_token
from tests.support.serve import serving


@pytest.mark.process
def test_each_start_has_a_new_token(repository, tmp_path):
    """Who got the old one while no server ran can do nothing with it."""
    home = tmp_path / "other"
    with serving(repository, home) as first:
        assert first.request("GET", "/v1/models").status == 200
    with serving(repository, home) as second:
        assert second.token_file == first.token_file
        assert second.token != first.token
        old = {"Authorization": f"Bearer {first.token}"}
        assert second.request("GET", "/v1/models", headers=old, is_authorised=False).status == 401
        assert second.request("GET", "/v1/models").status == 200
        assert second.token_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.process
def test_servers_that_run_together_share_the_token(repository, tmp_path):
    """A second one takes nothing away from the first, and neither does its end."""
    home = tmp_path / "other"
    with serving(repository, home) as first:
        for _ in range(2):
            with serving(repository, home) as second:
                assert second.token == first.token
        with serving(repository, home) as second:
            first.process.terminate()
            first.process.wait(60)
            # The first one has gone, and the token still is the second one's.
            with serving(repository, home) as third:
                assert third.token == second.token
                assert second.request("GET", "/v1/models").status == 200


@pytest.mark.process
def test_a_token_of_the_users_own_stays(repository, tmp_path):
    """A file that is named is left as it is; it is made once."""
    own = ("--token-file", str(tmp_path / "own-token"))
    with serving(repository, tmp_path / "other", *own) as first:
        pass
    with serving(repository, tmp_path / "other", *own) as second:
        assert second.token == first.token


@pytest.mark.process
def test_a_start_that_fails_changes_no_token(repository, tmp_path):
    """Where the port is taken, the token of who has it stays valid."""
    home = tmp_path / "other"
    with serving(repository, home) as server:
        program = [sys.executable, "-m", "codebuddy", "-C", str(repository), "serve"]
        done = subprocess.run(
            [*program, "--model", "echo", "--port", str(server.port)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(home)},
        )
        assert done.returncode == 1
        assert server.token_file.read_text().strip() == server.token
        assert server.request("GET", "/v1/models").status == 200


def test_many_starts_at_once_agree(tmp_path):
    """The first makes the token, and all others take it."""
    file = tmp_path / "token"
    file.write_text("x" * 40)
    file.chmod(0o600)
    barrier = threading.Barrier(8)

    def start(_: int) -> tuple[str, bool]:
        with renewed_token(file) as found:
            barrier.wait(60)
            return found

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(start, range(8)))
    assert len({token for token, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1
    assert found[0][0] != "x" * 40


def test_a_token_file_that_is_not_ours_is_not_replaced(tmp_path):
    """A link is refused, and what it leads to stays; a damaged file is made anew."""
    target = tmp_path / "target"
    target.write_text("y" * 40)
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(ConfigError, match="link"), renewed_token(link):
        pass
    assert target.read_text() == "y" * 40
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"")
    damaged.chmod(0o600)
    with renewed_token(damaged) as (token, is_new):
        assert (len(token), is_new) == (43, True)


def test_a_port_of_another_users_program_is_told_apart(monkeypatch):
    """Its owner gets what editors send there, which our own forgotten server does not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if not Path("/proc/net/tcp").exists():
            pytest.skip("this system does not say who listens")
        assert user_listening(port) == os.geteuid()
        with pytest.raises(CodebuddyError, match="is taken") as own:
            listen("127.0.0.1", port)
        assert "another user" not in own.value.message
        real = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: real + 1)
        with pytest.raises(CodebuddyError, match=f"another user \\({real}\\)") as other:
            listen("127.0.0.1", port)
        assert "code and the token" in other.value.message
