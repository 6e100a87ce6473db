"""Files of an odd shape: each is indexed or skipped, and costs no other file its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from codebuddy.index import analysis
from codebuddy.index.analysis import ChunkSpan, FileAnalysis
from codebuddy.index.chunk import MAX_BYTES
from codebuddy.index.file_walker import FileStat
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, index_told, make_repository, module, write

KERNEL = '"metadata":{"kernelspec":{"language":"python"}},"nbformat":4,"nbformat_minor":5}'
# Valid JSON: 50 blank lines stand between the two strings of a cell.
GAPPED = (
    '{"cells":[{"cell_type":"code","metadata":{},"source":["a = 1\\n",'
    + "\n" * 50
    + '"beta = 2"]}],'
    + KERNEL
)
BODY = "<html>\n<body>\n<p>text</p>\n" * 40
BLANKS = " " * 70_000
SCRIPT = "<script>\nlet alpha = 1;\n</script>"
ATTRIBUTES = "<script\n" + '  data-x="yyyyyyyyyyyyyyyyyyyyyyyyyy"\n' * 2_000 + ">\n</script>\n"
DOCUMENTS = {
    "before": f"{BODY}{BLANKS}{SCRIPT}\n{BODY}",
    "behind": f"{BODY}{SCRIPT}{BLANKS}\n{BODY}",
    "attributes": f"{BODY}{ATTRIBUTES}{BODY}",
}


# In 2300 and in 1600, when nanoseconds since 1970 take more than 63 bits.
TIMES = (10_413_792_000, -11_676_096_000)


def searched(root: Path, query: str) -> list[str]:
    """The paths that an index without further update answers."""
    settings = Settings(index=IndexSettings(jobs=1, embedder="none"))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        for stored in opened.files():
            opened.chunks_of(os.fsdecode(stored.path))
        return [each.chunk.path for each in opened.search(query, 5)]


def test_a_notebook_with_blank_lines_inside_a_cell_is_read_back(tmp_path):
    """Its chunk has more lines in the file than bytes of text."""
    root = make_repository(tmp_path / "r", {"n.ipynb": GAPPED, "m.py": module("alpha")})
    json.loads(GAPPED)
    report = index(root, embedder="none")
    assert report.skipped == {}
    assert searched(root, "beta") == ["n.ipynb"]
    assert "m.py" in searched(root, "alpha")
    assert index_told(root)[1] == []


@pytest.mark.parametrize("shape", DOCUMENTS)
@pytest.mark.parametrize("extension", ["html", "vue", "svelte", "astro"])
def test_no_chunk_of_a_document_with_scripts_is_larger_than_others(tmp_path, extension, shape):
    """However much stands beside a script's tag, or in it."""
    content = DOCUMENTS[shape].encode()
    spans = analysis.analyze(f"page.{extension}", content).chunks
    assert max(each.end_byte - each.start_byte for each in spans) <= MAX_BYTES
    assert [each.start_byte for each in spans[1:]] == [each.end_byte for each in spans[:-1]]
    assert (spans[0].start_byte, spans[-1].end_byte) == (0, len(content))


def test_blanks_beside_a_script_cost_no_other_file(tmp_path):
    """The document and the files beside it are found."""
    files: dict[str, str | bytes] = {"page.html": DOCUMENTS["before"], "m.py": module("plain")}
    root = make_repository(tmp_path / "r", files)
    assert index(root, embedder="none").skipped == {}
    assert "m.py" in searched(root, "plain")
    assert searched(root, "text")[0] == "page.html"


@pytest.mark.parametrize(
    "span",
    [
        ChunkSpan(0, 6, 3, 2, "code", "", ""),
        ChunkSpan(0, 6, 0, 1, "code", "", ""),
        ChunkSpan(0, 6, 1, 1 << 50, "code", "", ""),
        ChunkSpan(6, 0, 1, 1, "code", "", ""),
        ChunkSpan(0, 6, 1, 1, None, "", ""),  # type: ignore[arg-type]
    ],
)
def test_a_file_whose_rows_could_not_be_read_back_is_skipped(tmp_path, monkeypatch, span):
    """A fault of the analysis costs the one file, and no index is found damaged."""
    root = make_repository(tmp_path / "r", {"bad.py": "x = 1\n", "m.py": module("alpha")})
    honest = analysis.analyze

    def analyze(path: str, source: bytes, language: str = "") -> FileAnalysis:
        if path == "bad.py":
            return FileAnalysis("python", (span,))
        return honest(path, source, language)

    monkeypatch.setattr(analysis, "analyze", analyze)
    assert index(root, embedder="none").skipped == {"crash": 1}
    assert searched(root, "alpha") == ["m.py"]


@pytest.mark.parametrize("seconds", TIMES)
def test_a_file_of_any_date_is_indexed_and_followed(tmp_path, seconds):
    """An archive may date a file as it likes; later changes are found as of any other."""
    root = make_repository(tmp_path / "r", {"dated.py": "x = 1\n", "m.py": module("alpha")})
    os.utime(root / "dated.py", (seconds, seconds))
    index(root, embedder="none")
    assert "m.py" in searched(root, "alpha")
    write(root, {"dated.py": "renewed = 1\n"})
    os.utime(root / "dated.py", (seconds, seconds))
    index(root, embedder="none")
    assert searched(root, "renewed") == ["dated.py"]


@pytest.mark.parametrize("seconds", TIMES)
def test_times_beyond_the_index_are_kept_as_its_last_ones(seconds):
    """On file systems that keep such dates and on others."""
    times = dict.fromkeys(("st_mtime_ns", "st_ctime_ns"), seconds * 1_000_000_000)
    status = SimpleNamespace(st_size=1, st_ino=(1 << 64) - 1, **times)
    for number in FileStat.of(cast("os.stat_result", status)).numbers:
        assert -(1 << 63) <= number < 1 << 63
