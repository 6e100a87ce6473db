"""Labelled holes: what a head is trained on, as rows of a JSON-lines file.

A row holds numbers and places, never code: features of the place, the scores of the
completion without and with a lookup, and what both cost. A file has a header that says
which repository, model and retrieval the rows belong to.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codebuddy.completion.confidence import NAMES as TEXT_FEATURES
from codebuddy.completion.features import NAMES as PLACE_FEATURES
from codebuddy.errors import TrainingError
from codebuddy.heads import TRAINED_FOR
from codebuddy.private_files import append_to, parse_json, read_file, write_file

FORMAT = "codebuddy-head-labels"
VERSION = 1
_MAX_BYTES = 256 << 20
# Beyond any time, size or feature of a hole.
_LARGEST = 1e12


class DamagedLabelsError(TrainingError):
    """A file that was read holds no labels, or some that make no sense."""


@dataclass(frozen=True, slots=True)
class LabelledCompletion:
    """One completion of a hole: similarity from 0 to 100, tokens, milliseconds."""

    edit_similarity: float
    exact: bool
    prompt_tokens: int
    generated_tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class Example:
    """A hole completed twice.

    `features` are known before the model runs; `confidence` comes from the completion
    without a lookup, `confidence_after` from the one with it, `found` from the lookup itself.
    `gain_growth`: what lookups win today for each point that those of the time of the label won.
    """

    repository: str
    path: str
    start: int
    end: int
    kind: str
    language: str
    features: Mapping[str, float]
    confidence: Mapping[str, float]
    confidence_after: Mapping[str, float]
    found: Mapping[str, float]
    never: LabelledCompletion
    always: LabelledCompletion
    gain_growth: float = 1.0

    @property
    def gain(self) -> float:
        """Points of edit similarity that the lookup won, negative where it lost."""
        return self.always.edit_similarity - self.never.edit_similarity

    @property
    def kept(self) -> LabelledCompletion:
        """Of both completions the one whose tokens the model takes for likelier."""
        before, after = (c["mean_logprob"] for c in (self.confidence, self.confidence_after))
        return self.always if after >= before else self.never

    @property
    def helps(self) -> bool:
        """Whether the lookup made the completion better."""
        return self.gain > 0

    def gain_of(self, completion: LabelledCompletion) -> float:
        """Points of edit similarity that `completion` gains over the one without retrieval."""
        return completion.edit_similarity - self.never.edit_similarity


def write_header(file: Path, about: Mapping[str, Any]) -> None:
    """Begin a file of labels; its folder is made if needed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, _header(about))


def append_example(file: Path, example: Example) -> None:
    """Add a row, on the disk before this returns."""
    append_to(file, _row(example).encode("utf-8"))


def rewrite_examples(file: Path, about: Mapping[str, Any], examples: Iterable[Example]) -> None:
    """Replace the file by one with these rows, whole or not at all."""
    header = _header({k: v for k, v in about.items() if k not in ("format", "version")})
    write_file(file, header + "".join(map(_row, examples)).encode("utf-8"), is_durable=True)


def ends_with_line(file: Path) -> bool:
    """Whether the file's last row is whole."""
    return read_file(file, _MAX_BYTES).endswith(b"\n")


def read_examples(
    file: Path, *, follows_links: bool = False
) -> tuple[dict[str, Any], list[Example]]:
    """Header and rows; a last row that was cut off while being written is left out.

    Args:
        file: JSON lines.
        follows_links: Whether the file may be a link, as an installation makes them.

    Raises:
        DamagedLabelsError: It is no file of labels, or is damaged before its last row.
        TrainingError: It cannot be read.
    """
    try:
        content = read_file(file, _MAX_BYTES, follows_links=follows_links)
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DamagedLabelsError(f"the labels {file} are damaged: they are no text") from error
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ELOOP, errno.EFBIG):
            raise DamagedLabelsError(f"{file} holds no labels: {error.strerror}") from error
        raise TrainingError(f"the labels {file} cannot be read: {error.strerror}") from error
    rows = list(_parsed(lines, file))
    if not rows or rows[0].get("format") != FORMAT or rows[0].get("version") != VERSION:
        raise DamagedLabelsError(f"{file} holds no labels that this codebuddy can read")
    try:
        return rows[0], [_example(row) for row in rows[1:]]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        said = f"{type(error).__name__} {error}"
        raise DamagedLabelsError(f"the labels {file} are damaged: {said}") from error


def read_folder(folder: Path, *, as_measured: bool = False) -> tuple[dict[str, Any], list[Example]]:
    """The rows of all files in `folder`, in the order of their names, with the first header.

    Args:
        folder: Of files of labels.
        as_measured: Whether gains stay as they were, for figures about those lookups.

    Raises:
        TrainingError: There are none, one is damaged, or two are for different models or
            retrieval.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise TrainingError(f"there are no labels in {folder}")
    found: list[Example] = []
    first: dict[str, Any] = {}
    for file in files:
        header, examples = read_examples(file, follows_links=True)
        first = first or header
        for key in TRAINED_FOR:
            if header.get(key) != first.get(key):
                raise TrainingError(
                    f"{file} has labels for {key} {header.get(key)}, {files[0].name} for"
                    f" {first.get(key)}",
                    hint="labels of one head share model and budgets",
                )
        found += examples
    if as_measured:
        found = [replace(each, gain_growth=1.0) for each in found]
    return first, found


def _header(about: Mapping[str, Any]) -> bytes:
    return (json.dumps({"format": FORMAT, "version": VERSION, **about}) + "\n").encode("ascii")


def _row(example: Example) -> str:
    return json.dumps(asdict(example), separators=(",", ":")) + "\n"


def _parsed(lines: list[str], file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = parse_json(line.encode("utf-8"))
        except ValueError as error:
            # What was being written when the power or the process went has no line ending.
            if number == len(lines):
                return
            raise DamagedLabelsError(f"{file}, line {number} is damaged: {error}") from error
        if not isinstance(row, dict):
            raise DamagedLabelsError(f"{file}, line {number} is not an object")
        yield row


def _example(row: dict[str, Any]) -> Example:
    """An example of a row; what is known of its numbers is checked, other keys are left out."""
    never, always = (
        LabelledCompletion(
            edit_similarity=_number(completion["edit_similarity"], 0, 100),
            exact=bool(completion["exact"]),
            prompt_tokens=int(_number(completion["prompt_tokens"], 0)),
            generated_tokens=int(_number(completion["generated_tokens"], 0)),
            ms=_number(completion["ms"], 0),
        )
        for completion in (row["never"], row["always"])
    )
    return Example(
        repository=str(row["repository"]),
        path=str(row["path"]),
        start=int(_number(row["start"], 0)),
        end=int(_number(row["end"], 0)),
        kind=str(row["kind"]),
        language=str(row["language"]),
        features=_numbers(row["features"], PLACE_FEATURES),
        confidence=_numbers(row["confidence"], TEXT_FEATURES),
        confidence_after=_numbers(row["confidence_after"], TEXT_FEATURES),
        found=_numbers(row["found"]),
        never=never,
        always=always,
        gain_growth=_number(row.get("gain_growth", 1.0), 0.1, 10),
    )


def _numbers(content: Mapping[str, Any], needed: Iterable[str] = ()) -> dict[str, float]:
    found = {name: _number(value) for name, value in content.items()}
    missing = sorted(set(needed) - set(found))
    if missing:
        raise ValueError(f"a row lacks {', '.join(missing)}")
    return found


def _number(value: Any, smallest: float = -_LARGEST, largest: float = _LARGEST) -> float:
    number = float(value)
    if not smallest <= number <= largest:
        raise ValueError("a number is out of bounds")
    return number


def repositories(examples: Iterable[Example]) -> list[str]:
    """The repositories of the examples, sorted, each once."""
    return sorted({example.repository for example in examples})
