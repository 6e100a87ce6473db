"""Who is let in: the rules themselves, the token's file, and the address."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from codebuddy.commands.serve import command as serve
from codebuddy.errors import CodebuddyError, ConfigError, UsageError
from codebuddy.serve.guard import Rules
from codebuddy.serve.listener import check_address, hosts_of, listen
from codebuddy.serve.token_file import read_or_make_token

TOKEN = "t" * 43
HOSTS = hosts_of("127.0.0.1", 8012)
RULES = Rules(HOSTS, frozenset(f"http://{host}" for host in HOSTS), TOKEN)


def check(method: str, path: str = "/infill", **headers: str) -> int:
    """The status of a refusal, or 200."""
    given = {name.replace("_", "-").lower(): [value] for name, value in headers.items()}
    refusal = RULES.check(method, path, given)
    return 200 if refusal is None else refusal.status


GOOD_HOSTS = ["127.0.0.1:8012", "localhost:8012", "LocalHost:8012"]
BAD_HOSTS = [
    "evil.example",
    "evil.example:8012",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.1.:8012",
    "localhost.:8012",
    "[::1]:8012",
    "0.0.0.0:8012",
    "127.0.0.1:8012.evil.example",
    "127.0.0.1:8012@evil.example",
    " ",
    "",
]
BAD_ORIGINS = [
    "null",
    "",
    "http://evil.example",
    "https://127.0.0.1:8012",
    "http://127.0.0.1",
    "http://127.0.0.1:9999",
    "http://127.0.0.1:8012.evil.example",
    "http://127.0.0.1:8012/",
    "file://",
    "vscode-webview://x",
]
METHODS = ["GET", "POST", "OPTIONS", "PUT", "HEAD"]


@pytest.mark.parametrize(("host", "method"), itertools.product(BAD_HOSTS, METHODS))
def test_a_foreign_host_is_refused(host, method):
    """No Host but this server's own names is served, whatever else is right."""
    content = {"Content_Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    assert check(method, Host=host, **content) == 403


@pytest.mark.parametrize(("origin", "method"), itertools.product(BAD_ORIGINS, METHODS))
def test_a_foreign_origin_is_refused(origin, method):
    """No Origin but the server's own is served, so no web page's request is."""
    content = {"Content_Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    assert check(method, Host=GOOD_HOSTS[0], Origin=origin, **content) == 403


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_the_server_is_known_by_its_own_names(host):
    """An editor of this machine, with the token and JSON, is let in."""
    own = {"Content_Type": "application/json; charset=utf-8", "Authorization": f"Bearer {TOKEN}"}
    assert check("POST", Host=host, **own) == 200
    assert check("POST", Host=host, Origin="http://localhost:8012", **own) == 200
    assert check("GET", "/v1/models", Host=host, X_API_Key=TOKEN) == 200


def test_host_must_be_there_once():
    """A request without a Host, or with two, is refused."""
    assert RULES.check("GET", "/health", {}) is not None
    assert RULES.check("GET", "/health", {"host": [GOOD_HOSTS[0]] * 2}) is not None


def test_no_preflight_is_answered():
    """A browser that asks whether it may is told no, with the right Host and Origin too."""
    origin = "http://127.0.0.1:8012"
    method = "OPTIONS"
    assert check(method, Host=GOOD_HOSTS[0], Origin=origin, X_API_Key=TOKEN) == 405


@pytest.mark.parametrize(
    "token", ["", "t", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), f"Bearer {TOKEN} x", "\xff" * 43]
)
def test_a_wrong_token_is_refused(token):
    """Only the whole token opens, in either header; health alone needs none."""
    host = GOOD_HOSTS[0]
    for headers in ({"Authorization": f"Bearer {token}"}, {"X_API_Key": token}, {}):
        assert check("GET", "/v1/models", Host=host, **headers) == 401
        assert check("GET", "/health", Host=host, **headers) == 200


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_body_that_is_not_json_is_refused(media_type):
    """What a browser can send without asking first is never read."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert check("POST", Host=GOOD_HOSTS[0], Content_Type=media_type, **token) == 415


def test_the_token_file_is_the_users_alone(tmp_path):
    """A token of 256 bits is made once, in a file that nobody else can read."""
    file = tmp_path / "state" / "token"
    token = read_or_make_token(file)
    assert len(token) == 43
    assert read_or_make_token(file) == token
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert read_or_make_token(tmp_path / "other" / "token") != token


def _shared(file: Path) -> None:
    file.write_text(TOKEN)
    file.chmod(0o644)


def _link(file: Path) -> None:
    target = file.with_name("target")
    target.write_text(TOKEN)
    target.chmod(0o600)
    file.symlink_to(target)


def _short(file: Path) -> None:
    file.write_text("short")
    file.chmod(0o600)


def _fifo(file: Path) -> None:
    os.mkfifo(file, 0o600)


def _binary(file: Path) -> None:
    file.write_bytes(b"\0" * 40)
    file.chmod(0o600)


@pytest.mark.parametrize("make", [_shared, _link, _short, _fifo, _binary, Path.mkdir])
def test_a_token_file_that_cannot_be_trusted_is_refused(make, tmp_path):
    """A file that others read, a link, or one without a token is named, and not used."""
    file = tmp_path / "token"
    make(file)
    with pytest.raises(ConfigError) as caught:
        read_or_make_token(file)
    assert str(file) in caught.value.message


def test_a_token_file_beside_no_token_is_refused(repository, monkeypatch, tmp_path):
    """Who names a token does not want to be without."""
    monkeypatch.chdir(repository)
    done = CliRunner().invoke(serve, ["--no-token", "--token-file", str(tmp_path / "token")])
    assert isinstance(done.exception, UsageError)
    assert "--token-file" in done.exception.message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "8.8.8.8"])
def test_an_address_that_others_reach_needs_a_flag_and_a_token(host):
    """Other machines are let in on purpose only, and never without a token."""
    with pytest.raises(UsageError):
        check_address(host, may_be_remote=False, has_token=True)
    with pytest.raises(UsageError):
        check_address(host, may_be_remote=True, has_token=False)
    assert check_address(host, may_be_remote=True, has_token=True) == host


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1:80", "0"])
def test_a_name_is_no_address(host):
    """Names are not looked up, since they can lead anywhere."""
    with pytest.raises(UsageError):
        check_address(host, may_be_remote=True, has_token=True)


def test_a_taken_port_is_an_error():
    """The port of another program is left to it, and no other one is taken instead."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(CodebuddyError) as caught:
            listen("127.0.0.1", port)
        assert f"port {port} of 127.0.0.1 is taken" in caught.value.message


def test_hosts_are_those_of_the_address():
    """What is listened on decides which names are this server's."""
    assert hosts_of("::1", 8012) == {"[::1]:8012"}
    assert hosts_of("10.0.0.7", 8012) == {"10.0.0.7:8012"}
    assert hosts_of("10.0.0.7", 8012, ["Box.lan"]) == {"10.0.0.7:8012", "box.lan:8012"}
    assert hosts_of("127.0.0.1", 80) >= {"127.0.0.1", "localhost:80"}
