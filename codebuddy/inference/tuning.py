"""What measuring found for this machine, model and build of llama.cpp, as a small file.

An entry holds for exactly one identity: a home folder that was copied to another machine, a
container with fewer cores or another build finds none. A damaged file is like none.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.inference import llama_library, machine
from codebuddy.inference.run_options import RunOptions
from codebuddy.inference.stamps import digest_of
from codebuddy.private_files import read_json, write_file
from codebuddy.settings import ModelSettings

_FORMAT = 1
_MAX_BYTES = 1 << 20
_MAX_ENTRIES = 50
# Beyond any ratio that can be believed.
_MAX_RATIO = 100.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was found for one identity.

    `crashed` means that the build ended by a signal with rearranged weights: it is not tried
    again. `ratio` is the untuned time over the tuned one of a completion, and `texts` how many of
    the trial's greedy texts were the same, differed where two tokens were equally likely, and
    differed otherwise. `tried` are the steps, for people.
    """

    options: RunOptions
    is_finished: bool = False
    crashed: bool = False
    ratio: float = 1.0
    seconds: float = 0.0
    texts: dict[str, int] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {
            "options": self.options.to_json(),
            "is_finished": self.is_finished,
            "crashed": self.crashed,
            "ratio": self.ratio,
            "seconds": self.seconds,
            "texts": self.texts,
            "tried": self.tried,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, value: Any) -> Tuning:
        """Checked.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(value, dict) or type(value.get("ratio")) not in (int, float):
            raise ValueError("this is no tuning")
        kinds = {"is_finished": bool, "crashed": bool, "texts": dict, "tried": list, "note": str}
        if any(type(value.get(name)) is not kind for name, kind in kinds.items()):
            raise ValueError("a part of the tuning is of another type")
        if not 0 < value["ratio"] < _MAX_RATIO or not math.isfinite(float(value["seconds"])):
            raise ValueError("a figure is out of bounds")
        options = RunOptions.from_json(value["options"])
        given = {name: value[name] for name in (*kinds, "ratio", "seconds")}
        return cls(options=options, **given)


def identity_of(model: Path, settings: ModelSettings) -> dict[str, Any]:
    """All that a tuning depends on.

    Raises:
        ModelError: The runtime is missing or broken.
    """
    library = llama_library.load_library()
    return {
        "format": _FORMAT,
        "machine": machine.describe_machine(),
        "build": machine.describe_build(
            llama_library.version(),
            str(Path(library.__file__).parent / "lib" / "libllama.so"),
            llama_library.system_info(),
        ),
        "gpu": [device.name for device in llama_library.gpu_devices()],
        "model": digest_of(model),
        # What a person set holds, and other things may be best beside it.
        "settings": [settings.n_ctx, settings.threads, settings.gpu_layers],
    }


def find(identity: dict[str, Any], file: Path | None = None) -> Tuning | None:
    """What is known for exactly this identity."""
    return _parsed(_read(file).get(_key(identity)))


def has_other(identity: dict[str, Any], file: Path | None = None) -> bool:
    """Whether there are tunings of the model that do not hold here."""
    entries = _read(file)
    own = _key(identity)
    return any(
        key != own and isinstance(entry, dict) and entry.get("model") == identity["model"]
        for key, entry in entries.items()
    )


def keep(identity: dict[str, Any], tuning: Tuning, file: Path | None = None) -> None:
    """Store it in the place of what was known.

    Raises:
        OSError: The disk refuses; what was known is still there.
    """
    file = file or paths.tuning_file()
    entries = _read(file)
    entries.pop(_key(identity), None)
    entries[_key(identity)] = {"model": identity["model"], "tuning": tuning.to_json()}
    kept = dict(list(entries.items())[-_MAX_ENTRIES:])
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(file, json.dumps(kept).encode("ascii"))


def summary(tuning: Tuning | None, *, has_others: bool = False) -> dict[str, object]:
    """For `doctor`, `engine status` and receipts: `state` and what it won."""
    if tuning is None:
        return {"state": "none of this machine and build" if has_others else "none yet"}
    if not tuning.is_finished:
        return {"state": "begun", "crashed": tuning.crashed}
    return {
        "state": "tuned",
        "ratio": round(tuning.ratio, 3),
        "crashed": tuning.crashed,
        "texts": tuning.texts,
        "note": tuning.note,
    }


def in_words(told: dict[str, Any]) -> str:
    """A summary, on one line."""
    words = [str(told.get("state", "off"))]
    if "ratio" in told:
        words.append(f"a completion takes 1/{told['ratio']:.2f} of the untuned time")
    if told.get("crashed"):
        words.append("this build crashes with rearranged weights, which stay off")
    if told.get("note"):
        words.append(str(told["note"]))
    if told.get("put_off"):
        words.append(f"put off: {told['put_off']}")
    return "; ".join(words)


def options_in_words(options: dict[str, Any]) -> str:
    """Options, on one line."""
    flash = "with" if options["may_flash"] else "without"
    layout = "rearranged for the processor" if options["has_extra_buffers"] else "as in the file"
    return (
        f"{options['threads']} threads, {options['gpu_layers']} layers on the GPU, "
        f"weights {layout}, {flash} flash attention, batches of {options['batch_tokens']} tokens"
    )


def _read(file: Path | None) -> dict[str, Any]:
    try:
        content = read_json(file or paths.tuning_file(), _MAX_BYTES)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _parsed(entry: Any) -> Tuning | None:
    try:
        return Tuning.from_json(entry["tuning"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _key(identity: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
