"""What `doctor` reports: each section as facts, and what is wrong with its remedy.

Every section stands by itself, so that one broken part hides no other.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from codebuddy import __version__, isolation, paths, platforms
from codebuddy.config import load_settings
from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.settings import Settings

if TYPE_CHECKING:
    from codebuddy.inference.gguf import GgufHeader
    from codebuddy.inference.run_options import RunOptions
    from codebuddy.vcs.repository import Repository

# Not needed where `model.url` names a model server.
_RUNTIME = "llama-cpp-python"
_PACKAGES = (
    "click",
    "gitpython",
    _RUNTIME,
    "rank-bm25",
    "sentence-transformers",
    "textual",
    "torch",
    "tree-sitter",
)


class Problem(TypedDict):
    """What is wrong, and what to do about it."""

    problem: str
    remedy: str


Problems = list[Problem]
# What one fact is, under a label for a person; in a list or by name where there are several.
Fact = str | bool | int | float | None | Sequence[str] | Mapping[str, int]
Section = Mapping[str, Fact]


class Diagnosis(TypedDict):
    """Sections of facts, and what is wrong. One that cannot be known has an `error` alone."""

    codebuddy: Section
    machine: Section
    runtime: Section
    model: Section
    repository: Section
    network: Section
    problems: Problems


def diagnose() -> Diagnosis:
    """Look at everything."""
    problems: Problems = []
    _check_environment(problems)
    repository, settings = _surroundings(problems)
    return {
        "codebuddy": _program(settings, problems),
        "machine": _guarded(lambda: _machine(settings), problems),
        "runtime": _guarded(lambda: _runtime(settings, problems), problems),
        "model": _guarded(lambda: _model(settings, repository, problems), problems),
        "repository": _guarded(lambda: _repository(repository, settings, problems), problems),
        "network": {
            "offline": settings.offline,
            "used by": "codebuddy models pull, or your yes to its offer; nothing else",
        },
        "problems": problems,
    }


def _check_environment(problems: Problems) -> None:
    """Warn of variables that let the folder one stands in give programs their code."""
    for name, entries in isolation.dropped_at_start().items():
        each = dict.fromkeys(f"'{entry}'" if entry else "an empty entry" for entry in entries)
        problems.append(
            {
                "problem": f"{name} holds {', '.join(each)}, which means the working folder: "
                "other programs would run what a repository puts there (codebuddy ignores it)",
                "remedy": f"remove it; {name}=/x${{{name}:+:${name}}} adds /x to a list"
                if name in isolation.LISTS
                else f"set {name} to an absolute path, or unset it",
            }
        )


def _guarded(section: Callable[[], Section], problems: Problems) -> Section:
    """The section, or the reason why it cannot be known."""
    try:
        return section()
    except CodebuddyError as error:
        problems.append({"problem": error.message, "remedy": error.hint or "see the message"})
        return {"error": error.message}


def _surroundings(problems: Problems) -> tuple[Repository | None, Settings]:
    from codebuddy.vcs.repository import open_repository

    repository = None
    try:
        repository = open_repository(Path.cwd())
    except UsageError:
        pass
    except CodebuddyError as error:
        problems.append({"problem": error.message, "remedy": error.hint or "see the message"})
    try:
        loaded = load_settings(None if repository is None else repository.root)
    except CodebuddyError as error:
        problems.append({"problem": error.message, "remedy": error.hint or "correct the setting"})
        return repository, Settings()
    problems += [
        {"problem": warning, "remedy": "remove it, or set it in your own file"}
        for warning in loaded.warnings
    ]
    return repository, loaded.settings


def _program(settings: Settings, problems: Problems) -> Section:
    facts: dict[str, Fact] = {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "executable": sys.executable,
    }
    for package in _PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = None
            if package == _RUNTIME and settings.model.url:
                continue
            problems.append(
                {"problem": f"{package} is not installed", "remedy": f"pip install {package}"}
            )
    facts["user settings"] = str(paths.user_config_file())
    return facts


def _machine(settings: Settings) -> Section:
    from codebuddy.inference import hardware

    return {
        "threads": hardware.choose_threads(settings.model.threads),
        "memory free": f"{hardware.available_bytes() / 1e9:.1f} GB",
    }


def _runtime(settings: Settings, problems: Problems) -> Section:
    from codebuddy.inference import llama_library
    from codebuddy.inference.remote import is_remote

    if is_remote(settings.model):
        return {"model server": settings.model.url}
    devices = llama_library.gpu_devices()
    if not devices and platforms.has_nvidia_driver():
        problems.append(
            {
                "problem": "there is an NVIDIA GPU, but llama.cpp was built without CUDA",
                "remedy": 'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall '
                "--no-cache-dir llama-cpp-python (docs/gpu.md)",
            }
        )
    return {
        "llama.cpp": llama_library.system_info().strip().strip("|").strip(),
        "gpu": [f"{d.name} ({d.free_bytes / 1e9:.1f} GB free)" for d in devices],
    }


def _model(settings: Settings, repository: Repository | None, problems: Problems) -> Section:
    from codebuddy.inference import hardware, llama_library
    from codebuddy.inference.gguf import read_header
    from codebuddy.inference.installed import find_model, models_folder
    from codebuddy.inference.remote import is_remote

    if is_remote(settings.model):
        return _remote_model(settings, repository)
    facts: dict[str, Fact] = {
        "name": settings.model.name,
        "folder": str(models_folder(settings)),
        "installed": False,
    }
    found = find_model(settings.model.name, settings)
    if found.path is None:
        return facts | {"installed": True, "adapter": "none: the built-in echo takes none"}
    header = read_header(found.path)
    n_ctx = hardware.choose_context(settings.model.n_ctx, header)
    shape = hardware.shape_of(header)
    layers = hardware.choose_gpu_layers(
        settings.model.gpu_layers, shape, n_ctx, llama_library.gpu_devices()
    )
    tuned, told = _tuning(settings, found.path)
    adapter, size = _adapter(settings, repository, found.path, header, problems)
    needed = hardware.needed_bytes(shape, n_ctx, hardware.choose_batch_tokens(layers, n_ctx))
    return facts | {
        "installed": True,
        "file": str(found.path),
        "context": n_ctx,
        "layers": header.n_layers,
        "gpu layers": layers if tuned is None else tuned.gpu_layers,
        "tuning": told,
        "memory needed": f"{(needed + size) / 1e9:.1f} GB",
        "adapter": adapter,
    }


def _tuning(settings: Settings, file: Path) -> tuple[RunOptions | None, str]:
    """How measuring found that the model runs best, None for as ever; and the same in words."""
    if settings.engine.tune == "off":
        return None, "off"
    from codebuddy.inference import tuning, tuning_run

    options, told = tuning_run.apply(file, settings.model)
    words = tuning.in_words(told)
    if options is None:
        return None, words
    return options, f"{words}; {tuning.options_in_words(options.to_json())}"


def _adapter(
    settings: Settings,
    repository: Repository | None,
    file: Path,
    header: GgufHeader,
    problems: Problems,
) -> tuple[str, int]:
    """The model's adapter, or why there is none, in words; and the memory that it takes."""
    from codebuddy.inference import stamps
    from codebuddy.inference.adapter_choice import AdapterChooser
    from codebuddy.vcs.worktrees import adapters_folder

    stamp = stamps.read_stamp(file)
    chooser = AdapterChooser(header, "" if stamp is None else stamp.sha256)
    try:
        chosen = chooser.choose(settings.model.adapter, adapters_folder(repository))
    except CodebuddyError as error:
        problems.append({"problem": error.message, "remedy": error.hint or "see the message"})
        return f"none: {error.message}", 0
    problems += [
        {"problem": warning, "remedy": "reinstall codebuddy, or set model.adapter to none"}
        for warning in chosen.warnings
    ]
    adapter = chosen.adapter
    if adapter is None:
        return f"none: {chosen.reason}", 0
    words = f"{adapter.name}, rank {adapter.rank}, SHA-256 {adapter.sha256[:12]}"
    return f"{words}, {adapter.path}", adapter.size


def _remote_model(settings: Settings, repository: Repository | None) -> Section:
    """What a model server of this machine says; another machine's is not asked."""
    from codebuddy.inference.llama_server import LlamaServerGenerator
    from codebuddy.inference.remote import connect
    from codebuddy.vcs.worktrees import adapters_folder

    facts: dict[str, Fact] = {
        "name": settings.model.name,
        "url": settings.model.url,
        "adapter": "none: the server is not asked",
    }
    if settings.model.allow_remote:
        return facts | {"asked": "no, since doctor does not touch the network"}
    generator = connect(settings.model)
    try:
        facts |= {"name": generator.name, "context": generator.n_ctx}
        facts["adapter"] = "none: Ollama takes no adapter of codebuddy's"
        if isinstance(generator, LlamaServerGenerator):
            setting, folder = settings.model.adapter, adapters_folder(repository)
            chosen = generator.choose_adapter(setting, folder)
            name = chosen.adapter and f"{chosen.adapter.name}, loaded by the server"
            facts["adapter"] = name or f"none: {chosen.reason}"
        return facts | cast("dict[str, Fact]", generator.runtime)
    finally:
        generator.close()


def _second_tier(settings: Settings, problems: Problems) -> str:
    """The model of `search --best` in words: off, there, or what is wrong with it."""
    from codebuddy.index.second_tier import SecondTier

    tier = SecondTier(settings, Path())
    fault = tier.fault()
    if fault:
        problem = f"the second tier {tier.name} {fault}: search --best does not work"
        problems.append({"problem": problem, "remedy": tier.remedy()})
    words = f"{tier.name} ({fault})" if fault else tier.name
    return words or "off (search.reranker names no model)"


def _repository(repository: Repository | None, settings: Settings, problems: Problems) -> Section:
    second_tier = {"reranker": _second_tier(settings, problems)}
    if repository is None:
        return {"root": None, **second_tier}
    from codebuddy.index.search import RepositoryIndex

    if repository.refused_folder:
        problems.append(
            {"problem": repository.refused_folder, "remedy": "delete it, or close it to others"}
        )
    facts: dict[str, Fact] = {
        "root": str(repository.root),
        "index": str(repository.index_folder),
        "files by git": len(repository.list_files()),
        **second_tier,
    }
    try:
        with RepositoryIndex.open(repository, settings) as index:
            stats = index.stats()
    except CodebuddyError as error:
        problems.append({"problem": error.message, "remedy": error.hint or "codebuddy index"})
        return facts
    return facts | {
        "files indexed": stats.files,
        "chunks": stats.chunks,
        "lines": stats.lines,
        "embedder": stats.embedder,
        "vectors": stats.vectors,
        "index size": f"{stats.index_bytes / 1e6:.1f} MB",
        "languages": stats.languages,
        "skipped": stats.skipped,
    }
