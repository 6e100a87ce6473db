"""`make bench`: the figures of docs/benchmarks.md, as Markdown on stdout.

    python -m tests.bench                       all sections
    python -m tests.bench startup completion    some of them
    python -m tests.bench index --repository DIR --lines 1000000

Each figure is a median, or a ratio of medians taken in turns in one run, since machines
are noisy. Without `--repository`, the index is measured on a repository made of the
packages installed beside codebuddy: real code of many hands, over a million lines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from codebuddy.settings import ModelSettings, Settings

ROOT = Path(__file__).parents[2]
COMMAND = [str(Path(sys.executable).parent / "codebuddy")]
SECTIONS = ("startup", "completion", "memory", "index")


def main() -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", metavar="|".join(SECTIONS))
    parser.add_argument("--repository", type=Path)
    parser.add_argument("--child")
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.child, arguments.repository)
        return
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    print(f"commit {commit}, {platform.machine()}, {os.cpu_count()} cores, {_processor()}")
    print(f"command: python -m tests.bench {' '.join(sys.argv[1:])}\n")
    print("| what | figure | goal |\n|---|--:|--:|")
    for section in arguments.sections or SECTIONS:
        if section == "index":
            bench_index(arguments.repository)
        else:
            {"startup": bench_startup, "completion": bench_completion, "memory": bench_memory}[
                section
            ]()


def row(what: str, figure: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"| {what} | {figure} | {goal} |", flush=True)


def bench_startup() -> None:
    """Cold processes: `--help`, and `search` on an up-to-date index of this repository."""
    _run([*COMMAND, "index"], ROOT)
    bare = _median(lambda: _run([sys.executable, "-c", "pass"], ROOT), 15)
    row("`python -c pass`, for comparison", f"{bare:.3f} s")
    row(
        "`codebuddy --help`",
        f"{_median(lambda: _run([*COMMAND, '--help'], ROOT), 15):.3f} s",
        "0.2 s",
    )
    search = _median(lambda: _run([*COMMAND, "search", "parse a position"], ROOT), 15)
    row("`codebuddy search`, cold process, this repository", f"{search:.3f} s", "0.6 s")


def bench_completion() -> None:
    """`complete` against a bare call of llama-cpp-python: same tokens, same output, in turns."""
    row("complete / bare llama-cpp-python, median of 9 pairs", *_in_child("overhead"))
    figure = _in_child("overhead-same-layout")
    row("the same, the bare call too with weights as they are in the file", *figure)


def bench_memory() -> None:
    """Peak memory of a process that completes with the default model."""
    row("peak memory of `codebuddy complete`, default model", *_in_child("memory"))


def bench_index(repository: Path | None) -> None:
    """Cold index, unchanged update, one-file change, lexical search."""
    with tempfile.TemporaryDirectory(prefix="codebuddy-bench-") as scratch:
        target = Path(scratch) / "repository"
        if repository is None:
            _make_repository(target)
        else:
            _output("git", "clone", "--quiet", "--shared", str(repository), str(target))
        report = json.loads(_in_child("index", target)[0])
        name = "installed packages" if repository is None else repository.name
        row(
            f"cold index of {name}: {report['files']} files, {report['lines']} lines",
            f"{report['lines'] / report['cold_s']:.0f} lines/s",
            "20,000 lines/s",
        )
        row("its peak memory, all processes", f"{report['peak_mb']:.0f} MB", "1,500 MB")
        row("index size / source size", f"{report['size_ratio']:.2f}", "2")
        row("update with nothing changed", f"{report['unchanged_s']:.2f} s", "1.5 s")
        row("update with one file changed", f"{report['one_file_s']:.2f} s", "2 s")
        row("lexical search, p50 of 200", f"{report['search_p50_ms']:.1f} ms")
        row("lexical search, p95 of 200", f"{report['search_p95_ms']:.1f} ms", "20 ms")


def _make_repository(target: Path) -> None:
    """A git repository of the sources installed in this environment."""
    site = Path(json.__file__).parent.parent / "site-packages"
    packages = Path(next(p for p in sys.path if p.endswith("site-packages")))
    ignored = shutil.ignore_patterns("__pycache__", "*.so*", "*.pyc", "*.bin", "*.dist-info")
    shutil.copytree(packages, target / "packages", ignore=ignored, symlinks=True)
    if site.parent.is_dir():
        shutil.copytree(
            site.parent,
            target / "stdlib",
            ignore=shutil.ignore_patterns("__pycache__", "site-packages", "*.so*", "*.a"),
            symlinks=True,
        )
    _output("git", "-C", str(target), "init", "--quiet")
    _output("git", "-C", str(target), "add", "--all")


def _child(what: str, repository: Path | None) -> None:
    """A measurement in a process of its own; prints figure and goal, separated by a tab."""
    if what.startswith("overhead"):
        ratio = _measure_overhead(has_same_layout=what == "overhead-same-layout")
        print(f"{ratio:.3f}\t1.05")
    elif what == "memory":
        sys.argv = ["codebuddy"]
        from codebuddy.cli import run

        os.chdir(ROOT)
        run(["complete", "codebuddy/positions.py:47", "--retrieve", "always", "--json"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"\n{peak:.2f} GB\t2.2 GB")
    else:
        assert repository is not None
        print(json.dumps(_measure_index(repository)) + "\t")


def _measure_overhead(*, has_same_layout: bool) -> float:
    import llama_cpp

    from codebuddy.completion.context import build_context
    from codebuddy.completion.document import load_document
    from codebuddy.completion.pipeline import complete
    from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
    from codebuddy.completion.prompt import build_prompt
    from codebuddy.datatypes import Position
    from codebuddy.inference.installed import find_model
    from codebuddy.inference.llama import LlamaGenerator

    settings = Settings()
    model = find_model(settings.model.name, settings)
    assert model.path is not None
    ours = LlamaGenerator(model.path, model.name, settings.model)
    bare = _bare_model(llama_cpp, model.path, settings.model, ours, has_same_layout)
    document = load_document("codebuddy/positions.py", ROOT)
    request = PipelineRequest(document, Position(47, 12), "python", "never")
    resources = PipelineResources(ours, None, settings.completion, ROOT.name)
    context = build_context(document, request.position, "python")
    tokens = list(build_prompt(context, [], ours, settings.completion, ROOT.name).tokens)
    generated = complete(request, resources).receipt.stats.generated_tokens
    ratios = []
    for _ in range(9):
        started = time.perf_counter()
        ours.kv.clear()
        complete(request, resources)
        our_s = time.perf_counter() - started
        started = time.perf_counter()
        bare.reset()
        for count, _token in enumerate(bare.generate(tokens, temp=0.0), 1):
            if count == generated:
                break
        ratios.append(our_s / (time.perf_counter() - started))
    return statistics.median(ratios)


def _bare_model(llama_cpp, path: Path, settings: ModelSettings, ours, has_same_layout: bool):
    """`llama_cpp.Llama` with the same threads and context, else with its defaults.

    By default it repacks the weights. Built with AMX by GCC 12 that crashes, so there, and
    where the same layout is asked for, it takes them as they are.
    """
    low = llama_cpp.llama_cpp
    if has_same_layout or b"AMX_INT8 = 1" in low.llama_print_system_info():
        defaults = low.llama_model_default_params

        def without_repacking():
            parameters = defaults()
            parameters.use_extra_bufts = False
            return parameters

        low.llama_model_default_params = without_repacking
    threads = ours.runtime["threads"]
    return llama_cpp.Llama(
        str(path),
        n_ctx=settings.n_ctx,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )


def _measure_index(root: Path) -> dict[str, float]:
    from codebuddy.index.build import update_index
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.vcs.repository import open_repository

    repository, settings = open_repository(root), Settings()
    started = time.perf_counter()
    report = update_index(repository, settings)
    cold_s = time.perf_counter() - started
    usage = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # The children's figure is the largest of them: count each core's worker as large as that.
    own, child = (resource.getrusage(who).ru_maxrss / 1e3 for who in usage)
    unchanged_s = _median(lambda: update_index(repository, settings), 5)
    changing = root / os.fsdecode(next(p for p in repository.list_files() if p.endswith(b".py")))

    def change_one() -> None:
        changing.write_text(changing.read_text(errors="replace") + f"\nlast = {time.time()}\n")
        update_index(repository, settings)

    one_file_s = _median(change_one, 5)
    with RepositoryIndex.open(repository, settings) as index:
        stats = index.stats()
        times = []
        for query in _queries(index, 220):
            started = time.perf_counter()
            index.search(query, 10, "lexical")
            times.append((time.perf_counter() - started) * 1000)
    times = sorted(times[20:])
    return {
        "files": report.files,
        "lines": report.lines,
        "cold_s": cold_s,
        "peak_mb": own + child * (os.cpu_count() or 1),
        "size_ratio": stats.index_bytes / stats.source_bytes,
        "unchanged_s": unchanged_s,
        "one_file_s": one_file_s,
        "search_p50_ms": times[len(times) // 2],
        "search_p95_ms": times[len(times) * 95 // 100],
    }


def _queries(index, count: int) -> list[str]:
    """Signatures and documentation of the repository's own definitions, in a fixed order."""
    import random

    chance = random.Random(11)
    ids = chance.sample(range(1, index.stats().chunks), min(count * 3, index.stats().chunks - 1))
    texts = [" ".join(chunk.text.split()[:8]) for chunk in index.chunks(ids)]
    return [text for text in texts if text.strip()][:count]


def _in_child(what: str, repository: Path | None = None) -> tuple[str, str]:
    more = ["--repository", str(repository)] if repository else []
    out = _output(sys.executable, "-m", "tests.bench", "--child", what, *more)
    figure, _, goal = out.splitlines()[-1].partition("\t")
    return figure, goal


def _median(action: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _output(*command: str) -> str:
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next(
        (s.split(":")[1].strip() for s in text.splitlines() if s.startswith("model name")), ""
    )


if __name__ == "__main__":
    main()
