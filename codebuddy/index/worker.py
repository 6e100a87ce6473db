"""A worker process: takes batches on stdin, analyses them, and answers on stdout.

All native parsers of a large update run here, so that a crash takes one worker and not the
index. The parent starts it as `python -P -m codebuddy.index.worker`: without `-P` a folder
named `codebuddy` in a hostile repository would be imported instead of this one. Messages
are pickles, each after its length in 8 bytes, from and to our own child alone.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import IO, Any

from codebuddy.index.batch import analyze_batch

# A worker's first message: everything it needs could be imported.
READY = "ready"


def send(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    data = pickle.dumps(message, protocol=5)
    stream.write(len(data).to_bytes(8, "little"))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: The other side is gone.
    """
    size = _exactly(stream, 8)
    return pickle.loads(_exactly(stream, int.from_bytes(size, "little")))  # noqa: S301


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the other side is gone")
    return data


def main() -> None:
    """Answer batches until stdin ends."""
    # A native library that prints must not garble the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    send(answers, READY)
    while True:
        try:
            batch = receive(questions)
        except EOFError:
            return
        try:
            send(answers, analyze_batch(batch))
        except BrokenPipeError:
            os._exit(1)


if __name__ == "__main__":
    main()
