"""`codebuddy adapters`: what was trained for this repository, and which of it is used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.terminal import answer, answer_json, is_terminal, note, safe_line

if TYPE_CHECKING:
    from codebuddy.inference.own_adapters import Base, StoredAdapter
    from codebuddy.service.context import RepositoryContext

_JSON = click.option("--json", "as_json", is_flag=True, help="Answer as one JSON document.")
_MODEL = click.option("--model", metavar="NAME|PATH", help="The model that it is for.")


@click.group(epilog="Example: codebuddy adapters list")
def command() -> None:
    """List, show, choose, remove, export or import this repository's adapters.

    An adapter holds what a model learned from one repository ('codebuddy train adapter').
    """


@command.command("list", epilog="Example: codebuddy adapters list --json")
@_JSON
def list_adapters(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the adapters of this repository, the one in use with a star."""
    from codebuddy.inference import own_adapters

    repository_context, folder = _place()
    items = [_described(repository_context, folder, each) for each in own_adapters.stored(folder)]
    if as_json:
        answer_json({"folder": str(folder), "adapters": items})
        return
    for item in items:
        answer(f"{'*' if item['used'] else ' '} {safe_line(_line_of(item))}")
    if not items:
        note("this repository has no adapter; 'codebuddy train adapter' makes one")


@command.command("show", epilog="Example: codebuddy adapters show shop-1a2b3c4d5e")
@click.argument("name")
@_JSON
def show_adapter(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Show an adapter's card: what it learned from, and what it is worth."""
    import json

    from codebuddy.inference import own_adapters

    repository_context, folder = _place()
    found = own_adapters.find(folder, name)
    item = _described(repository_context, folder, found)
    if as_json:
        answer_json(item | {"card": dict(found.card)})
        return
    answer(safe_line(_line_of(item)))
    for key in ("bases", "rank", "alpha", "made_by", "figures"):
        if key in found.card:
            answer(f"{key}: {safe_line(json.dumps(found.card[key], indent=None))}")


@command.command("use", epilog="Example: codebuddy adapters use shop-1a2b3c4d5e")
@click.argument("name", metavar="NAME|shipped|none")
@_MODEL
@_JSON
def use_adapter(name: str, model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Use an adapter in this repository from now on, also one that was found no better.

    'shipped' uses the one that comes with the model, 'none' the model alone.
    """
    from codebuddy.commands.train_adapter import note_other_adapter
    from codebuddy.inference import own_adapters
    from codebuddy.inference.adapter_card import NONE, SHIPPED

    repository_context, folder = _place(model)
    if name in (NONE, SHIPPED):
        bases = [_base(repository_context).digest]
    else:
        found = own_adapters.find(folder, name)
        _check(found)
        bases = list(found.bases)
    for base in bases:
        own_adapters.use(_made(folder), base, name)
    note_other_adapter(repository_context.settings)
    _note_other_model(repository_context, bases)
    if as_json:
        answer_json({"used": name, "bases": bases})
        return
    answer(f"{safe_line(name)} is used in this repository")


@command.command("remove", epilog="Example: codebuddy adapters remove shop-1a2b3c4d5e")
@click.argument("name")
@_JSON
def remove_adapter(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Delete an adapter with its card."""
    from codebuddy.inference import own_adapters

    _, folder = _place()
    gone = [str(file) for file in own_adapters.remove(folder, name)]
    if as_json:
        answer_json({"name": name, "removed": gone})
        return
    for file in gone:
        answer(safe_line(file))


@command.command("export", epilog="Example: codebuddy adapters export shop-1a2b3c4d5e ~/shared")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path), metavar="FOLDER")
@_JSON
def export_adapter(name: str, target: Path, as_json: bool) -> None:  # noqa: FBT001
    """Copy an adapter and its card into FOLDER, for somebody who works on the same code.

    It can hold pieces of the code that it learned from: give it only to who may read that.
    """
    from codebuddy.errors import UsageError
    from codebuddy.inference import own_adapters
    from codebuddy.inference.adapter import MAX_BYTES
    from codebuddy.private_files import read_file, write_file

    _, folder = _place()
    found = own_adapters.find(folder, name)
    _check(found)
    target = target.expanduser()
    if not target.is_dir():
        raise UsageError(f"{target} is no folder", hint="make it first")
    copies = []
    files = found.file, found.file.with_suffix(".json")
    for copy in (target / file.name for file in files):
        if copy.exists():
            raise UsageError(f"{copy} is there already", hint="name another folder")
    for file in files:
        copy = target / file.name
        try:
            content = read_file(file, MAX_BYTES, follows_links=True)
            if file is not found.file:
                content = _card_for_others(found, content)
            # At no moment for others to read.
            write_file(copy, content)
        except OSError as error:
            raise UsageError(f"cannot write {copy}: {error.strerror}") from error
        copies.append(str(copy))
    if as_json:
        answer_json({"name": name, "files": copies})
        return
    for each in copies:
        answer(safe_line(each))
    note("it can hold pieces of the code that it learned from")


def _card_for_others(found: StoredAdapter, content: bytes) -> bytes:
    """The card as it is; of a private adapter without names of files and of code, but counted."""
    import json

    made_by = found.card.get("made_by")
    if not isinstance(made_by, dict) or not made_by.get("privacy"):
        return content
    counted = {key: len(each) if isinstance(each, list) else each for key, each in made_by.items()}
    return (json.dumps({**found.card, "made_by": counted}, indent=1) + "\n").encode()


@command.command("import", epilog="Example: codebuddy adapters import ~/shared/shop.gguf --trust")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it; by default as the file.")
@click.option("--trust", is_flag=True, help="Take it without being asked.")
@_MODEL
@_JSON
def import_adapter(
    file: Path,
    name: str | None,
    trust: bool,  # noqa: FBT001
    model: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Take an adapter that was exported elsewhere, with the card beside it, into this repository.

    Base, shapes and numbers are checked first. Only import files that you trust: the weights
    are read by native code, and decide what is suggested.
    """
    from codebuddy.errors import ModelError
    from codebuddy.inference import own_adapters
    from codebuddy.inference.adapter_card import read_card
    from codebuddy.inference.adapter_choice import AdapterChooser

    repository_context, folder = _place(model)
    file = file.expanduser().absolute()
    card_file = file.with_suffix(".json")
    for each in (file, card_file):
        if not each.is_file():
            raise ModelError(
                f"there is no file {each}",
                hint="name the .gguf of 'codebuddy adapters export', which has its card beside it",
            )
    name = own_adapters.check_name(name or file.stem)
    base = _base(repository_context)
    # Without a card it would be held to the model's shapes alone.
    card = read_card(card_file)
    adapter = AdapterChooser(base.header, base.digest).choose(str(file)).adapter
    assert adapter is not None
    _ask_for_trust(file, trust=trust)
    _take(file, card, _made(folder) / f"{name}.gguf")
    # What was copied is what was checked, or it is never used.
    own_adapters.trust(adapter.sha256)
    item = _described(repository_context, folder, own_adapters.find(folder, name))
    if as_json:
        answer_json(item)
        return
    answer(safe_line(name))
    note(f"use it with 'codebuddy adapters use {name}'")


def _ask_for_trust(file: Path, *, trust: bool) -> None:
    from codebuddy.errors import UsageError

    if trust:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(
            f"{file} decides what is suggested, and is read by native code", hint="add --trust"
        )
    if not click.confirm(f"Do you trust who made {safe_line(str(file))}?", err=True):
        raise click.Abort


def _take(source: Path, card: dict[str, Any], target: Path) -> None:
    """Copy an adapter's file, and its card with a mark that no training of here made it."""
    import json

    from codebuddy.errors import ModelError
    from codebuddy.inference.adapter import MAX_BYTES
    from codebuddy.inference.adapter_card import IMPORTED
    from codebuddy.private_files import read_file, write_file

    if target.exists():
        raise ModelError(
            f"this repository has an adapter {target.stem} already",
            hint=f"--name another, or codebuddy adapters remove {target.stem}",
        )
    try:
        content = read_file(source, MAX_BYTES, follows_links=True)
        # The card first: alone it is nothing, while a file without one would be in the way.
        marked = json.dumps({**card, IMPORTED: True}, indent=1) + "\n"
        write_file(target.with_suffix(".json"), marked.encode("ascii"))
        write_file(target, content)
    except OSError as error:
        raise ModelError(f"cannot copy {source}: {error.strerror}") from error


def _place(model: str | None = None) -> tuple[RepositoryContext, Path]:
    """The repository, and the folder of its adapters."""
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import open_repository_context
    from codebuddy.vcs.worktrees import adapters_folder

    flags = None if model is None else {"model.name": whole_model_name(model)}
    repository_context = open_repository_context(flags)
    folder = adapters_folder(repository_context.repository)
    assert folder is not None
    return repository_context, folder


def _made(folder: Path) -> Path:
    from codebuddy.errors import CodebuddyError
    from codebuddy.private_files import make_folder

    try:
        return make_folder(folder, 2)
    except OSError as error:
        raise CodebuddyError(f"cannot make the folder {folder}: {error.strerror}") from error


def _base(repository_context: RepositoryContext) -> Base:
    from codebuddy.inference.installed import find_model
    from codebuddy.inference.own_adapters import base_of

    settings = repository_context.settings
    return base_of(find_model(settings.model.name, settings))


def _note_other_model(repository_context: RepositoryContext, bases: list[str]) -> None:
    """Say where the chosen adapter belongs to other weights than those in use."""
    from codebuddy.errors import CodebuddyError

    try:
        base = _base(repository_context)
    except CodebuddyError:
        return
    if base.digest not in bases:
        note(f"it is for another model: with {safe_line(base.name)}, in use now, it writes nothing")


def _check(found: StoredAdapter) -> None:
    """Refuse what would not be used.

    Raises:
        ModelError: Its card is damaged, or it came along with somebody's copy of the repository.
    """
    from codebuddy.inference import own_adapters
    from codebuddy.inference.adapter import refused

    if found.problem:
        raise refused(found.file, found.problem)
    if not own_adapters.is_trusted(found.sha256):
        raise refused(found.file, "it was neither trained nor imported here")


def _described(
    repository_context: RepositoryContext, folder: Path, found: StoredAdapter
) -> dict[str, Any]:
    from codebuddy.inference import own_adapters
    from codebuddy.inference.adapter_card import AUTO

    setting = repository_context.settings.model.adapter
    is_chosen = any(own_adapters.used(folder, base) == found.name for base in found.bases)
    made_by, figures = found.card.get("made_by", {}), found.card.get("figures", {})
    return {
        "name": found.name,
        "path": str(found.file),
        "used": is_chosen if setting == AUTO else Path(setting).expanduser() == found.file,
        "trusted": own_adapters.is_trusted(found.sha256),
        "bytes": found.file.stat().st_size,
        "sha256": found.sha256 or None,
        "model": made_by.get("model"),
        "commit": made_by.get("commit"),
        "kept": figures.get("kept"),
        "gain": figures.get("gain"),
        "problem": found.problem or None,
    }


def _line_of(item: dict[str, Any]) -> str:
    """An adapter in one line."""
    if item["problem"]:
        return f"{item['name']}: {item['problem']}"
    facts = [f"for {item['model']}" if item["model"] else "", f"{item['bytes'] / 1e6:.1f} MB"]
    if item["gain"] is not None:
        facts.append(f"{item['gain']:+.1f} points of edit similarity")
    if item["kept"] is False:
        facts.append("found no better")
    if not item["trusted"]:
        facts.append("not from here: import it to use it")
    return f"{item['name']}: {', '.join(fact for fact in facts if fact)}"
