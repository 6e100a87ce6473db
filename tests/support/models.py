"""Stand-ins for the model tests: tiny real GGUF files, a hub on 127.0.0.1, wheels in a folder.

Run as a program it pulls one model of a given catalog, for tests that have to kill a process:

    python -m tests.support.models CATALOG NAME FIRST_BYTE_S
"""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from codebuddy.inference.catalog import CatalogEntry, HubSource, PackagesSource, load_catalog
from codebuddy.inference.download import pull
from codebuddy.inference.transfer import Limits
from codebuddy.settings import ModelSettings, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
REPO = "someone/tiny-GGUF"
QUICK = Limits(first_byte_s=1.0, stall_s=1.0)
# For sources that answer: patient, so that a busy machine does not change the outcome.
PATIENT = Limits(first_byte_s=60.0, stall_s=60.0)


def write_gguf(path: Path, *, data_bytes: int = 4096, seed: int = 0) -> bytes:
    """Write a small valid model with the reference writer and return its bytes."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"])
    writer.add_token_scores([0.0, 1.0, 2.0, 3.0, 4.0])
    writer.add_chat_template("{{ messages }}")
    values = numpy.random.default_rng(seed).standard_normal(data_bytes // 4)
    writer.add_tensor("token_embd.weight", values.astype(numpy.float32))
    writer.add_tensor("output_norm.weight", numpy.ones(64, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def hub_source(file: str = "tiny.gguf") -> HubSource:
    """The stand-in hub's one file."""
    return HubSource(REPO, file, "main")


def packages_source(data: bytes, parts: int) -> PackagesSource:
    """`data` in equal parts, the last one smaller."""
    part_bytes = -(-len(data) // parts)
    return PackagesSource(
        "tiny-model-part{n}",
        "0.2.0",
        "tiny_model_part{n}/data/part{n:02d}.bin",
        parts,
        part_bytes,
        len(data) - part_bytes * (parts - 1),
    )


def entry_for(data: bytes, *sources: HubSource | PackagesSource, **changes: Any) -> CatalogEntry:
    """A pinned entry for `data`."""
    values: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "file": "tiny.gguf",
        "bytes": len(data),
        "approx_bytes": None,
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "MIT",
        "n_ctx": 512,
        "fim": True,
        "good_for": "Tests.",
        "sources": sources,
    }
    return CatalogEntry(**(values | changes))


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings that keep models in `folder`."""
    return Settings(model=ModelSettings(folder=str(folder)), **changes)


def write_wheels(folder: Path, data: bytes, source: PackagesSource) -> list[Path]:
    """Publish `data` as the wheels that `source` names, for pip's --find-links."""
    folder.mkdir(parents=True, exist_ok=True)
    wheels, start = [], 0
    for part in range(1, source.parts + 1):
        piece = data[start : start + source.bytes_of(part)]
        start += len(piece)
        wheels.append(write_wheel(folder, f"tiny_model_part{part}", source.member_of(part), piece))
    return wheels


def write_wheel(folder: Path, distribution: str, member: str, piece: bytes) -> Path:
    """One wheel with one data member; its setup code would end the process if it ever ran."""
    information = f"{distribution}-0.2.0.dist-info"
    wheel = folder / f"{distribution}-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, piece)
        archive.writestr(f"{distribution}/__init__.py", "raise SystemExit('imported')\n")
        archive.writestr(
            f"{information}/METADATA",
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.2.0\n",
        )
        archive.writestr(
            f"{information}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{information}/RECORD", "")
    return wheel


@dataclass
class Hub:
    """What the stand-in hub serves, how it misbehaves, and what it was asked."""

    data: bytes
    etag: str = ""
    hangs: bool = False
    ignores_range: bool = False
    stops_after: int | None = None
    redirects_to: str = ""
    chunk_pause_s: float = 0.0
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent_bytes: int = 0

    def gets(self) -> list[str]:
        """The Range header of each GET, in order."""
        return [ranges for method, ranges, _ in self.asked if method == "GET"]

    def tokens(self) -> set[str]:
        """Every Authorization header that arrived."""
        return {token for _, _, token in self.asked}


class _Handler(http.server.BaseHTTPRequestHandler):
    """Enough of the hub's protocol for the real client library."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, *, has_body: bool) -> None:
        hub = self.server.hub
        ranges = self.headers.get("Range", "")
        hub.asked.append((self.command, ranges, self.headers.get("Authorization", "")))
        if hub.hangs:
            self.server.closing.wait(60)
            self.close_connection = True
            return
        start = 0
        if ranges and not hub.ignores_range:
            start = int(ranges.removeprefix("bytes=").split("-")[0])
        body = hub.data[start:]
        self.send_response(302 if hub.redirects_to else 206 if start else 200)
        if hub.redirects_to:
            self.send_header("Location", hub.redirects_to)
            self.send_header("X-Linked-Size", str(len(hub.data)))
        self.send_header("ETag", f'"{hub.etag or hashlib.sha256(hub.data).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", "0" if hub.redirects_to else str(len(body)))
        if start:
            end = f"bytes {start}-{len(hub.data) - 1}/{len(hub.data)}"
            self.send_header("Content-Range", end)
        self.end_headers()
        if has_body and not hub.redirects_to:
            self._send(hub, body)

    def _send(self, hub: Hub, body: bytes) -> None:
        step = 1 << 16
        for offset in range(0, len(body), step):
            if hub.stops_after is not None and hub.sent_bytes >= hub.stops_after:
                self.server.closing.wait(60)
                self.close_connection = True
                return
            piece = body[offset : offset + step]
            try:
                self.wfile.write(piece)
            except OSError:
                self.close_connection = True
                return
            hub.sent_bytes += len(piece)
            time.sleep(hub.chunk_pause_s)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.closing = threading.Event()

    def handle_error(self, *arguments: object) -> None:
        pass


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` on a free port of 127.0.0.1."""
    server = _Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def sealed_environment(home: Path, hub_url: str, wheels: Path | None) -> dict[str, str]:
    """Variables that keep the real libraries away from the developer's home and the network."""
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "HF_HOME": str(home / "hub"),
        "HF_ENDPOINT": hub_url,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels or home / "no-wheels"),
        "NO_PROXY": "127.0.0.1,localhost",
    }


def seal(monkeypatch: pytest.MonkeyPatch, home: Path, hub_url: str, wheels: Path | None) -> None:
    """Give this process the sealed environment and none of the developer's own variables."""
    for name in list(os.environ):
        is_proxy = "proxy" in name.lower()
        if is_proxy or name.startswith(("HF_", "HUGGING", "PIP_", "CODEBUDDY_")):
            monkeypatch.delenv(name)
    for name, value in sealed_environment(home, hub_url, wheels).items():
        monkeypatch.setenv(name, value)


def closed_port_url() -> str:
    """Where nobody listens."""
    return "http://127.0.0.1:9"


def catalog_text(entry: CatalogEntry) -> str:
    """`entry` as a catalog file, for processes of their own."""
    lines = ['default = "tiny"', "[[model]]"]
    for key in ("name", "title", "file", "bytes", "sha256", "licence", "n_ctx", "good_for"):
        value = getattr(entry, key)
        if value is not None:
            lines.append(f"{key} = {value if isinstance(value, int) else repr(value)}")
    lines.append("fim = true")
    for source in entry.sources:
        lines.append("[[model.source]]")
        lines.append(f"kind = {'hub' if isinstance(source, HubSource) else 'packages'!r}")
        for key in source.__slots__:
            value = getattr(source, key)
            lines.append(f"{key} = {value if isinstance(value, int) else repr(value)}")
    return "\n".join(lines) + "\n"


def flipped(data: bytes, seed: int = 0) -> bytes:
    """`data` with one bit changed."""
    damaged = bytearray(data)
    position = random.Random(seed).randrange(len(data))
    damaged[position] ^= 1 << (seed % 8)
    return bytes(damaged)


def main() -> None:
    """Pull one model, as the command would; for tests that end the process midway."""
    from codebuddy.config import load_settings
    from codebuddy.errors import ModelError

    catalog, name, first_byte_s = sys.argv[1:]
    limits = Limits(first_byte_s=float(first_byte_s), stall_s=60.0)
    try:
        entry = load_catalog(Path(catalog)).get(name)
        pull(entry, load_settings().settings, limits=limits)
    except ModelError as error:
        sys.exit(f"{error.message} | {error.hint}")


if __name__ == "__main__":
    main()
