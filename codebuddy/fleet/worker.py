"""A worker process: takes repositories on stdin, works on each, and answers on stdout.

Lines of JSON, from and to its parent alone. Native code of the work (parsers, llama.cpp) runs
here, so that a crash takes this process and the repository is tried again by another.
"""

from __future__ import annotations

import json
import os
import sys

from codebuddy.fleet.tasks import run_task

READY = b"ready\n"


def main() -> None:
    """Answer until stdin ends."""
    # A library that prints must not garble the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(READY)
    answers.flush()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        found = run_task(os.fsdecode(bytes.fromhex(asked["root"])), asked["job"])
        found.pop("root")
        try:
            answers.write(json.dumps(found).encode("ascii") + b"\n")
            answers.flush()
        except BrokenPipeError:
            os._exit(1)


if __name__ == "__main__":
    main()
