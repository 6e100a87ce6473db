"""Two repositories in one engine: what stands in one never reaches the other, nor its files."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import zlib

import pytest

from codebuddy import paths
from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.errors import CodebuddyError
from codebuddy.inference.echo import EchoGenerator
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.request import CompletionRequest, SearchRequest
from tests.support.engine import call, codebuddy, json_of, typing, worker_pid
from tests.support.index import make_repository

MARKERS = ("aqxfirst", "bqxsecond")
_PACKED = b"\x78\x9c"


def make_pair(tmp_path):
    """Repositories with the same files and names, but for a marker in all that they hold."""
    return [
        make_repository(
            tmp_path / f"home{number}" / "shop",
            {
                "pricing.py": f"def apply_discount(amount_cents, {marker}_percent):\n"
                f'    """The {marker} amount after a discount."""\n'
                f"    return amount_cents * (100 - {marker}_percent)\n",
                "cart.py": "from pricing import apply_discount\n\n\n"
                f"def total(items):\n    # the {marker} cart\n    return apply_discount(\n",
            },
        )
        for number, marker in enumerate(MARKERS)
    ]


def readable(folder) -> bytes:
    """All bytes of all files below, and what is packed in them."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            found.append(content)
            at = content.find(_PACKED)
            while at >= 0:
                unpacking = zlib.decompressobj()
                with contextlib.suppress(zlib.error):
                    found.append(unpacking.decompress(content[at : at + 100_000], 100_000))
                at = content.find(_PACKED, at + 1)
    return b"\0".join(found)


def test_no_prompt_and_no_answer_of_one_holds_a_word_of_the_other(tmp_path, monkeypatch):
    """By turns in one process, with one model: every prompt is looked at, every answer too."""
    asked: list[str] = []
    real = EchoGenerator.generate

    def listened(self, tokens, *arguments, **more):
        asked.append(bytes(token for token in tokens if token < 256).decode(errors="replace"))
        return real(self, tokens, *arguments, **more)

    monkeypatch.setattr(EchoGenerator, "generate", listened)
    roots = make_pair(tmp_path)
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    with contextlib.closing(InProcessClient(index_refresh="before")) as client:
        for number in (0, 1, 0, 1, 1, 0):
            other = MARKERS[1 - number].encode()
            asked.clear()
            request = CompletionRequest(
                str(roots[number] / "cart.py"), 6, model="echo", retrieve="always"
            )
            answer = client.complete(request)
            found = client.search(SearchRequest(str(roots[number]), "discount"))
            assert any(MARKERS[number] in prompt for prompt in asked)
            assert not [prompt for prompt in asked if other.decode() in prompt]
            for text in (repr(answer), repr(found)):
                assert other.decode() not in text
            assert MARKERS[number] in repr(found)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.usefixtures("engine")
def test_files_logs_and_answers_stay_apart_under_load_superseding_and_restarts(tmp_path):
    """Typing in both at once, a worker that is killed, an engine that is begun anew."""
    roots = make_pair(tmp_path)
    for root in roots:
        json_of(codebuddy(root, "search", "discount", "--json"))
    answers: list[list[str]] = [[], []]

    def type_on(number: int) -> None:
        client = EngineClient.connect()
        for count in range(12):
            marker, file = MARKERS[number], roots[number] / "cart.py"
            # Echo answers with the last line before the cursor.
            text = f"{file.read_text()}    {marker}_{count} = "
            asked = call(roots[number], retrieve="always")
            if count % 3:
                asked = typing(roots[number], text, 7)
            try:
                answers[number].append(repr(client.complete(asked)))
            except CodebuddyError as error:
                answers[number].append(str(error))

    def both() -> None:
        threads = [threading.Thread(target=type_on, args=(n,)) for n in (0, 1, 0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

    both()
    os.kill(worker_pid(), signal.SIGKILL)
    both()
    stop_engine()
    both()
    stop_engine()
    for number in (0, 1):
        own, other = MARKERS[number], MARKERS[1 - number]
        assert any(own in answer for answer in answers[number])
        assert not [answer for answer in answers[number] if other in answer]
        kept = readable(roots[number] / ".git")
        assert own.encode() in kept
        assert other.encode() not in kept
    # What the engine keeps for all repositories: logs, times, states.
    kept = b"\0".join(map(readable, (paths.cache_folder(), paths.log_folder())))
    assert kept
    assert not [marker for marker in MARKERS if marker.encode() in kept]
