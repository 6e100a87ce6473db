"""What the embedder is tuned on: questions with the chunk that answers, as the index reads it.

Of a package: its pairs, and its documented functions with their documentation, which is asked for
in other words (`asking`). Of a collection of recipes: their titles, which people wrote for who
looks for them. Titles of questions alone, without an answer, are what the transformer teaches
about. It knows nothing of models.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.training.embedder.pairs import ParsedFile, cut_pairs

# Documented functions of a package that are asked for.
MAX_ASKED = 800
_MAX_RECIPE_CHARACTERS = 2_500
_HEADING = re.compile(r"^##\s+(.*\S)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)
_GRANTED = re.compile(
    r"permission is hereby granted|redistribution and use|python software foundation|psf|"
    r"public domain|apache|\bcc0\b|as python|according to the python",
    re.IGNORECASE,
)
_RESTRICTED = re.compile(r"general public|\bl?a?gpl|non.?commercial|mozilla", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Example:
    """A question and the piece of code that answers it.

    `kind` is one of `pairs.KINDS`, `asked` (`query` is the documentation's first line, which
    `text` holds too) or `title`.
    """

    kind: str
    query: str
    path: str
    symbol: str
    text: str
    language: str


def examples_of(files: Sequence[ParsedFile], seed: int) -> list[Example]:
    """The examples of one package."""
    functions = [each for file in files for each in file.functions]
    names = {each.text: each for each in functions}
    found = []
    for pair in cut_pairs(files, seed):
        known = names.get(pair.positive)
        # A name is no question about what stands under it.
        is_named = known is not None and pair.kind != "name"
        path, symbol = (known.path, known.name) if known and is_named else ("", "")
        language = known.language if known else ""
        found.append(Example(pair.kind, pair.query, path, symbol, pair.positive, language))
    documented = [
        Example(
            "asked",
            each.doc,
            each.path,
            each.name,
            _with_documentation(each.source, each.doc),
            each.language,
        )
        for file in files
        if not file.is_test
        for each in file.functions
        if each.doc
    ]
    random.Random(seed).shuffle(documented)
    return found + documented[:MAX_ASKED]


def _with_documentation(source: str, doc: str) -> str:
    """The source; behind its documentation where that stands above the definition."""
    return source if doc[:20] in " ".join(source.split()) else f"// {doc}\n{source}"


def recipes(repository: Path, commit: str) -> list[Example]:
    """The Python recipes of a clone of ActiveState/code: the title, and the code.

    Those whose own licence is not a permissive one are left out.
    """
    by_folder: dict[str, dict[str, str]] = {}
    for path, content in _files(repository, commit, "recipes/Python"):
        folder, _, name = path.rpartition("/")
        by_folder.setdefault(folder, {})[name] = content
    found = []
    for _, files in sorted(by_folder.items()):
        heading = _HEADING.search(files.get("README.md", ""))
        licence = files.get("LICENSE.md", "")
        code = next((text for name, text in sorted(files.items()) if name.endswith(".py")), "")
        if not heading or not code or not _GRANTED.search(licence) or _RESTRICTED.search(licence):
            continue
        defined = _DEFINED.search(code)
        symbol = defined[1] if defined else ""
        text = code[:_MAX_RECIPE_CHARACTERS]
        found.append(Example("title", heading[1], "", symbol, text, "python"))
    return found


def question_titles(repository: Path, commit: str) -> list[str]:
    """The titles of the questions of StaQC (Yao et al., 2018), of a clone of its repository.

    They are about SQL: those about Python are in files that clones by way of a mirror may lack.
    """
    path = (
        "annotation_tool/data/code_solution_labeled_data/source/"
        "sql_how_to_do_it_by_classifier_multiple_qid_to_title.pickle"
    )
    titles = _Plain(io.BytesIO(_blob(repository, commit, path)), encoding="utf-8").load()
    return sorted({str(title) for title in titles.values()})


def commands(repository: Path, commit: str) -> list[str]:
    """What the commands of a clone of TellinaTool/nl2bash are to do, in words."""
    return sorted(set(_blob(repository, commit, "data/bash/all.nl").decode().splitlines()) - {""})


class _Plain(pickle.Unpickler):
    """Reads numbers, strings and their containers; a pickle can name nothing to be called."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name} is named, which nothing here needs")


def _git(repository: Path, *arguments: str) -> bytes:
    git = platforms.find_program("git") or "git"
    return subprocess.run(
        [git, "--git-dir", str(repository), *arguments],
        capture_output=True,
        check=True,
        env=platforms.child_environment(),
    ).stdout


def _blob(repository: Path, commit: str, path: str) -> bytes:
    return _git(repository, "show", f"{commit}:{path}")


def _files(repository: Path, commit: str, folder: str) -> Iterator[tuple[str, str]]:
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(_git(repository, "archive", commit, folder))) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None and member.name.endswith((".py", ".md")):
                yield member.name, stream.read(200_000).decode("utf-8", "replace")


def write_examples(file: Path, examples: Sequence[Example]) -> None:
    """Keep a package's examples; the file is whole or not there."""
    partial = file.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", errors="replace") as stream:
        for each in examples:
            stream.write(json.dumps(astuple(each)) + "\n")
    os.replace(partial, file)  # noqa: PTH105


def read_examples(file: Path) -> list[Example]:
    """What `write_examples` wrote."""
    with file.open(encoding="utf-8") as stream:
        return [Example(*json.loads(line)) for line in stream]
