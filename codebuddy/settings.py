"""Every setting with its default, meaning and bounds; `config` reads and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(
    default: Any,
    doc: str,
    *,
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    from_repository: bool = False,
    is_path: bool = False,
) -> Any:
    """A setting with its documentation and bounds; with `is_path`, a choice or a whole path."""
    return field(
        default=default,
        metadata={
            "doc": doc,
            "low": low,
            "high": high,
            "choices": choices,
            "from_repository": from_repository,
            "is_path": is_path,
        },
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`[model]`: which weights, and what of the machine they may use."""

    name: str = _key("qwen2.5-coder-1.5b", "a name of the catalog, or the path of a GGUF file")
    folder: str = _key(
        "",
        "where weights are kept, a whole path; empty for the cache folder",
        is_path=True,
    )
    adapter: str = _key(
        "auto",
        "adapter of the weights: the repository's own, else the shipped one that belongs to them"
        " (`auto`), only that (`shipped`), `none`, or the whole path of a GGUF file",
        choices=("auto", "shipped", "none"),
        is_path=True,
    )
    n_ctx: int = _key(4096, "tokens that prompt and completion may take", low=256, high=131072)
    threads: int = _key(0, "CPU threads; 0 for the number of physical cores", low=0, high=1024)
    gpu_layers: int = _key(-1, "layers on the GPU; -1 for as many as fit", low=-1, high=10000)
    url: str = _key(
        "", "address of a llama-server or Ollama to use instead; empty for llama.cpp in-process"
    )
    allow_remote: bool = _key(False, "whether model.url may name another machine")


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    """`[completion]`: how much is read, looked up and written."""

    max_tokens: int = _key(128, "tokens generated at most", low=1, high=8192, from_repository=True)
    max_lines: int = _key(
        0, "lines at most; 0 lets the syntax decide", low=0, high=1000, from_repository=True
    )
    prefix_tokens: int = _key(
        768, "tokens of the file before the cursor", low=16, high=65536, from_repository=True
    )
    suffix_tokens: int = _key(
        256, "tokens of the file after the cursor", low=0, high=65536, from_repository=True
    )
    context_tokens: int = _key(
        512, "tokens of retrieved chunks", low=0, high=65536, from_repository=True
    )
    retrieve: str = _key(
        "auto",
        "whether to look up",
        choices=("auto", "always", "never"),
        from_repository=True,
    )
    prefer: str = _key(
        "balanced",
        "what a lookup must be worth: 4 (`speed`), 1 (`balanced`) or 0.25 (`quality`) points of"
        " edit similarity for each second that it takes",
        choices=("speed", "balanced", "quality"),
        from_repository=True,
    )
    two_steps: bool = _key(
        False,
        "whether a place of which nothing was read gets a text from the nearest lines first, which"
        " that of the whole prompt may replace",
    )


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """`[index]`: what is read."""

    max_file_bytes: int = _key(
        1_000_000, "larger files are skipped", low=1, high=1 << 28, from_repository=True
    )
    jobs: int = _key(0, "processes that parse; 0 for the number of cores", low=0, high=256)
    embedder: str = _key(
        "",
        "sentence-transformers model of the dense channel; empty for ours, `none` for no channel",
    )
    deprecated: bool = _key(
        False,
        "whether lookups bring what is marked as deprecated, and its uses, though the mark names a"
        " replacement that the index knows",
        from_repository=True,
    )


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """`[search]`: the second tier."""

    reranker: str = _key(
        "",
        "sentence-transformers model that `search --best` orders a question's results by; empty"
        " for none",
    )


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`[engine]`: the warm background process."""

    enabled: bool = _key(True, "whether commands use the warm engine")
    idle_minutes: int = _key(
        20, "minutes without a request after which it leaves", low=1, high=100_000
    )
    work_ahead: bool = _key(
        True,
        "whether the place behind a suggestion is completed before it is accepted",
    )
    read_ahead: bool = _key(
        False, "whether an open file is read on where the cursor may go next, while nobody waits"
    )
    keep_state: bool = _key(
        True, "whether what the model has read is kept on disk for the next engine"
    )
    tune: str = _key(
        "auto",
        "whether ways to run the model are measured while nothing else is to do, and the best one"
        " used",
        choices=("auto", "off"),
    )
    queue_length: int = _key(
        32, "requests that may wait; further ones are refused as busy", low=1, high=1000
    )
    hang_seconds: int = _key(
        15, "seconds without a sign of life after which a worker is restarted", low=2, high=3600
    )


@dataclass(frozen=True, slots=True)
class HookSettings:
    """`[hook]`: what the git hooks look for and how long they may take."""

    enable: tuple[str, ...] = _key(
        (), "rules to switch on that are off by themselves", from_repository=True
    )
    disable: tuple[str, ...] = _key((), "rules to switch off", from_repository=True)
    max_findings: int = _key(
        5, "findings shown at most, the most useful first", low=0, high=1000, from_repository=True
    )
    max_binary_bytes: int = _key(
        1_000_000, "larger binary files are remarked on", low=1, high=1 << 40, from_repository=True
    )
    limit_ms: int = _key(
        1000, "milliseconds that a commit may wait for the rules", low=50, high=60_000
    )
    budget_s: int = _key(
        2,
        "seconds that a commit may wait in all where the model works; 0: no model",
        low=0,
        high=60,
    )


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """`[serve]`: the HTTP interface of `codebuddy serve`."""

    # The default port of llama.vim.
    port: int = _key(8012, "port that `codebuddy serve` listens on", low=0, high=65535)


@dataclass(frozen=True, slots=True)
class TuiSettings:
    """`[tui]`: the editor in the terminal."""

    theme: str = _key(
        "dark",
        "colours; `terminal` takes the terminal's own",
        choices=("dark", "light", "contrast", "terminal"),
    )
    suggest: str = _key(
        "auto", "suggest as one types, or only when asked with a key", choices=("auto", "asked")
    )
    restore: bool = _key(True, "open again what was open the last time")
    mouse: bool = _key(True, "take the mouse; without, the terminal selects text itself")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """`[train]`: what an adapter of the repository learns from."""

    exclude: tuple[str, ...] = _key(
        (), "paths that nothing is learned from; `*` stands for anything", from_repository=True
    )
    tests: bool = _key(True, "learn from tests too", from_repository=True)
    untracked: bool = _key(False, "learn from files that git does not track", from_repository=True)
    deprecated: bool = _key(
        False, "learn what is marked as deprecated, and its uses", from_repository=True
    )
    max_fixes: int = _key(
        60,
        "percent of a file's commits that may be bug fixes or reverts; 100 for all",
        low=1,
        high=100,
        from_repository=True,
    )
    recent_commits: int = _key(
        500,
        "files that so many last commits changed are learned from twice as much; 0 for none",
        low=0,
        high=100_000,
        from_repository=True,
    )
    replay: int = _key(
        15,
        "percent of the samples that are of code from elsewhere, against forgetting",
        low=0,
        high=75,
    )
    give_way: bool = _key(
        True, "let other programs go first, and wait while somebody types and on battery"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, resolved."""

    model: ModelSettings = ModelSettings()
    completion: CompletionSettings = CompletionSettings()
    index: IndexSettings = IndexSettings()
    search: SearchSettings = SearchSettings()
    engine: EngineSettings = EngineSettings()
    serve: ServeSettings = ServeSettings()
    hook: HookSettings = HookSettings()
    train: TrainSettings = TrainSettings()
    tui: TuiSettings = TuiSettings()
    offline: bool = _key(False, "never use the network, not even for `models pull`")
