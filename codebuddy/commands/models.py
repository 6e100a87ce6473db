"""`codebuddy models`: list, pull, verify, remove and add models.

It translates between the command line and `inference/`; what a model is and how it comes
here is decided there.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.inference.catalog import CatalogEntry
    from codebuddy.settings import Settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Answer as one JSON document.")
_NAME_WIDTH = 22
# Holes of each kind that a model is judged by, where a gate is given.
_GATE_TASKS = 12


@click.group(epilog="Example: codebuddy models pull qwen2.5-coder-1.5b")
def command() -> None:
    """List, pull, verify, remove or add models."""


@command.command("list", epilog="Example: codebuddy models list --json")
@_JSON
def list_models(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the models of the catalog and your own, with what is installed."""
    from codebuddy.inference.catalog import format_bytes
    from codebuddy.inference.installed import load_models, models_folder
    from codebuddy.inference.rerankers import RERANKERS, is_installed

    settings = _settings()
    catalog = load_models(settings)
    rerankers = [
        {
            "name": each.name,
            "path": str(models_folder(settings) / each.name),
            "installed": is_installed(each.name, settings),
            "bytes": each.bytes,
            "licence": each.licence,
        }
        for each in RERANKERS.values()
    ]
    if as_json:
        items = [_described(entry, settings) for entry in catalog.entries]
        folder = str(models_folder(settings))
        answer_json({"folder": folder, "models": items, "rerankers": rerankers})
        return
    for entry in catalog.entries:
        item = _described(entry, settings)
        mark = "*" if item["installed"] else " "
        facts = [entry.size_text, entry.licence_name]
        facts.append(f"{entry.n_ctx} tokens" if entry.n_ctx else "unknown context")
        if item["default"]:
            facts.append("default")
        if not entry.is_pinned:
            facts.append("unpinned")
        if item["adapter"]:
            facts.append(f"adapter {item['adapter']}")
        answer(f"{mark} {entry.name:<{_NAME_WIDTH}} {', '.join(facts)}")
        answer(f"  {'':<{_NAME_WIDTH}} {entry.good_for}")
    for item in rerankers:
        mark = "*" if item["installed"] else " "
        size = format_bytes(int(str(item["bytes"])))
        answer(f"{mark} {item['name']:<{_NAME_WIDTH}} {size}, {item['licence']}")
        answer(f"  {'':<{_NAME_WIDTH}} second tier of search --best (search.reranker)")
    note(f"* installed in {models_folder(settings)}")


@command.command("pull", epilog="Example: codebuddy models pull smollm2-135m")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--trust", is_flag=True, help="Take models whose digest is not known beforehand.")
@click.option("--offline", is_flag=True, help="Never use the network; succeed if installed.")
@_JSON
def pull_models(
    names: tuple[str, ...],
    trust: bool,  # noqa: FBT001
    offline: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Download models, by default the one in use.

    Bytes are checked against the catalog's digest before they get their name. What arrived
    before an interruption is used again.
    """
    from codebuddy.inference.download import pull
    from codebuddy.inference.installed import entry_path, load_models
    from codebuddy.inference.progress import progress_on_stderr
    from codebuddy.inference.rerankers import RERANKERS, pull_reranker

    settings = _settings({"offline": True} if offline else None)
    catalog = load_models(settings)
    rerankers = [name for name in names if name in RERANKERS]
    wanted = [name for name in names if name not in RERANKERS]
    if not rerankers:
        wanted = wanted or [settings.model.name]
    entries = [catalog.get(name) for name in wanted]
    items = []
    for entry in entries:
        # Names were checked above, so that a slip in the last does not cost the first's time.
        pull(entry, settings, trust=trust, progress=progress_on_stderr())
        items.append(_described(entry, settings))
        if not as_json:
            answer(str(entry_path(entry, settings)))
    pulled = [
        {
            "name": name,
            "path": str(pull_reranker(name, settings, progress=progress_on_stderr(), notify=note)),
        }
        for name in rerankers
    ]
    if as_json:
        answer_json({"models": items, **({"rerankers": pulled} if pulled else {})})
        return
    for each in pulled:
        answer(each["path"])
        note(f"use it with search --best: set CODEBUDDY_SEARCH_RERANKER={each['name']}")


@command.command("verify", epilog="Example: codebuddy models verify qwen2.5-coder-1.5b")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_JSON
def verify_models(names: tuple[str, ...], as_json: bool) -> int:  # noqa: FBT001
    """Hash installed models again, by default all, and compare with what they must be.

    A file that does not match is moved aside; the exit code is then 1.
    """
    from codebuddy.inference.installed import entry_path, load_models
    from codebuddy.inference.rerankers import RERANKERS, is_installed

    settings = _settings()
    catalog = load_models(settings)
    if names:
        entries = [catalog.get(name) for name in names if name not in RERANKERS]
        rerankers = [name for name in names if name in RERANKERS]
    else:
        entries = [e for e in catalog.entries if entry_path(e, settings).is_file()]
        rerankers = [name for name in RERANKERS if is_installed(name, settings)]
    verified = itertools.chain(
        (_verified(entry, settings) for entry in entries),
        (_verified_reranker(name, settings) for name in rerankers),
    )
    items: list[dict[str, Any]] = []
    for item in verified:
        items.append(item)
        if not as_json:
            answer(f"{item['name']}: {'ok' if item['ok'] else item['reason']}")
            if not item["ok"]:
                note(f"hint: {item['hint']}")
    if as_json:
        answer_json({"models": items})
    elif not items:
        note("no model is installed")
    return 0 if all(item["ok"] for item in items) else 1


def _verified(entry: CatalogEntry, settings: Settings) -> dict[str, Any]:
    from codebuddy.errors import ModelError
    from codebuddy.inference.installed import check_installed, entry_path, find_model

    path = entry_path(entry, settings)
    item: dict[str, Any] = {"name": entry.name, "path": str(path), "ok": False}
    try:
        if not path.is_file():
            find_model(entry.name, settings)
        return item | {"sha256": check_installed(entry, path, force=True).sha256, "ok": True}
    except ModelError as error:
        return item | {"reason": error.message, "hint": error.hint}


def _verified_reranker(name: str, settings: Settings) -> dict[str, Any]:
    """As of a model; its digest is that of its weights."""
    from codebuddy.inference.installed import models_folder
    from codebuddy.inference.rerankers import RERANKERS, is_installed, wrong_file

    item: dict[str, Any] = {
        "name": name,
        "path": str(models_folder(settings) / name),
        "ok": False,
    }
    wrong = wrong_file(name, settings)
    if not wrong:
        return item | {"sha256": RERANKERS[name].files["model.safetensors"], "ok": True}
    is_there = is_installed(name, settings)
    reason = f"{wrong} is not what it must be" if is_there else f"{name} is not installed"
    return item | {"reason": reason, "hint": f"codebuddy models pull {name}"}


@command.command("remove", epilog="Example: codebuddy models remove smollm2-135m")
@click.argument("name")
@_JSON
def remove_model(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Delete a model's file, and what an unfinished pull left of it.

    Only files inside the models folder are deleted; what you added keeps its original.
    """
    from codebuddy.inference.installed import load_models
    from codebuddy.inference.removal import remove
    from codebuddy.inference.rerankers import RERANKERS, remove_reranker

    settings = _settings()
    if name in RERANKERS:
        removed = remove_reranker(name, settings)
    else:
        removed = remove(load_models(settings).get(name), settings)
    if as_json:
        answer_json({"name": name, "removed": [str(path) for path in removed]})
        return
    for path in removed:
        answer(str(path))


@command.command(
    "add", epilog="Example: codebuddy models add ~/Downloads/my-model.gguf --name mine"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it; by default made from the file's name.")
@click.option(
    "--gate",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Limits, as TOML: measure it in this repository, and add it only if it keeps them.",
)
@click.option(
    "--tasks",
    type=click.IntRange(1, 10_000),
    default=_GATE_TASKS,
    metavar="N",
    help=f"Of --gate: holes of each kind ({_GATE_TASKS}).",
)
@_JSON
def add_gguf(
    file: Path,
    name: str | None,
    gate: Path | None,
    tasks: int,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Take any GGUF file as a model: link or copy it into the models folder.

    Its header is checked first. Only add files that you trust: the weights are read by
    native code. With --gate the exit status is 1 where it does not keep the limits.
    """
    from codebuddy.commands.eval_gate import exit_status
    from codebuddy.commands.models_gate import judge_model
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.inference.added import add_model
    from codebuddy.inference.installed import load_models, models_folder

    settings = _settings()
    file = file.expanduser()
    verdict, ended = judge_model(file, gate, tasks) if gate is not None else (None, "done")
    status = exit_status(verdict, is_whole=ended == "done")
    if ended == "interrupted":
        status = EXIT_INTERRUPTED
    if status:
        note(f"{safe_line(str(file))} is not added")
        if as_json:
            answer_json({"file": str(file), "added": False, "gate": verdict})
        return status
    before = load_models(settings)
    path = add_model(file, models_folder(settings), before, name)
    entry = next(e for e in load_models(settings).entries if e.file == path.name)
    if as_json:
        judged = {} if verdict is None else {"gate": verdict}
        answer_json({**_described(entry, settings), **judged})
        return status
    answer(entry.name)
    note(f"use it with --model {entry.name}, or set CODEBUDDY_MODEL_NAME={entry.name}")
    return status


def _settings(flags: dict[str, Any] | None = None) -> Settings:
    from codebuddy.config import load_settings

    loaded = load_settings(flags=flags)
    for warning in loaded.warnings:
        note(f"warning: {safe_line(warning)}")
    return loaded.settings


def _described(entry: CatalogEntry, settings: Settings) -> dict[str, Any]:
    from codebuddy.inference import stamps
    from codebuddy.inference.adapter_choice import shipped_for
    from codebuddy.inference.installed import entry_path

    path = entry_path(entry, settings)
    stamp = stamps.read_stamp(path)
    sha256 = entry.sha256 or (stamp.sha256 if stamp else None)
    return {
        "name": entry.name,
        "title": entry.title,
        "file": entry.file,
        "path": str(path),
        "installed": path.is_file(),
        "verified": stamp is not None and stamp.sha256 == (entry.sha256 or stamp.sha256),
        "default": entry.name == settings.model.name,
        "bytes": entry.bytes,
        "approx_bytes": entry.approx_bytes,
        "sha256": sha256,
        "pinned": entry.is_pinned,
        "licence": entry.licence,
        "n_ctx": entry.n_ctx,
        "fim": entry.fim,
        "good_for": entry.good_for,
        "added": entry.is_added,
        "adapter": shipped_for(sha256) if sha256 else None,
    }
