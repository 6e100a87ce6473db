"""`codebuddy fleet`: the list of repositories, and work that is done for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from codebuddy.commands.fleet_work import JSON, LIST, do_for_all, how, list_of, url_of
from codebuddy.paths import whole_model_name
from codebuddy.terminal import answer, answer_json, counted, note, safe_line


@click.group(
    "fleet",
    help="Many repositories at once. 'codebuddy search --fleet' searches them.",
    epilog="Example: codebuddy fleet add ~/src/app ~/src/library",
)
def command() -> None:
    """A group; the list is a text file that a person may edit."""


@command.command(
    "add",
    help="Put repositories on the list: PATH is any folder of one, URL the address of one that your"
    " git may read (URL#BRANCH for a branch), of which a clone is kept in the cache folder.",
    epilog="Example: codebuddy fleet add ~/src/app https://git.example.org/team/library.git",
)
@click.argument("given", metavar="PATH|URL...", nargs=-1, required=True)
@LIST
@JSON
def add(given: tuple[str, ...], list_file: str | None, *, as_json: bool) -> None:
    """Entry point of `fleet add`."""
    from codebuddy.fleet import listing
    from codebuddy.fleet.places import Place
    from codebuddy.vcs.clones import Origin, looks_like_url, origin_of
    from codebuddy.vcs.repository import open_repository

    places: list[Place] = [
        origin_of(text)
        if looks_like_url(text) and not Path(text).exists()
        else open_repository(Path(text)).root
        for text in given
    ]
    file = list_of(list_file)
    added = listing.add(file, places)
    shown = [each.text if isinstance(each, Origin) else str(each) for each in added]
    if as_json:
        answer_json({"list": str(file), "added": shown})
        return
    for each in shown:
        answer(safe_line(each))
    already = len(dict.fromkeys(places)) - len(added)
    note(
        f"{counted(len(added), 'repository', 'repositories')} added to {safe_line(str(file))}"
        + (f", {already} already there" if already else "")
    )
    if any(isinstance(each, Origin) for each in added):
        note("'codebuddy fleet index' fetches what is named by its address")


@command.command(
    "list",
    help="Show the list, and whether each repository can be searched.",
    epilog="Example: codebuddy fleet list",
)
@LIST
@JSON
def show(list_file: str | None, *, as_json: bool) -> None:
    """Entry point of `fleet list`."""
    from codebuddy.fleet import listing
    from codebuddy.fleet.shards import state_of

    file = list_of(list_file)
    members = listing.read_members(file, may_miss=list_file is None)
    states = [state_of(each) for each in members]
    if as_json:
        items = [
            {
                "name": each.name,
                "repository": str(each.root),
                "url": url_of(each),
                "state": state,
            }
            for each, state in zip(members, states, strict=True)
        ]
        answer_json({"list": str(file), "repositories": items})
        return
    if not members:
        note(f"no repositories in {safe_line(str(file))}; 'codebuddy fleet add PATH...'")
    for each, state in zip(members, states, strict=True):
        answer(safe_line(f"{each.name}  {each.task}  ({state})"))


@command.command(
    "remove",
    help="Take repositories off the list, by name, path or address. Nothing of theirs is deleted,"
    " but for clones that codebuddy made.",
    epilog="Example: codebuddy fleet remove app",
)
@click.argument("given", metavar="NAME|PATH|URL...", nargs=-1, required=True)
@LIST
@JSON
def remove(given: tuple[str, ...], list_file: str | None, *, as_json: bool) -> None:
    """Entry point of `fleet remove`."""
    from codebuddy.fleet import listing

    file = list_of(list_file)
    gone = listing.remove(file, given)
    if as_json:
        answer_json({"list": str(file), "removed": [each.task for each in gone]})
        return
    for each in gone:
        answer(safe_line(f"{each.name}  {each.task}"))


@command.command(
    "index",
    help="Bring the index of each repository up to date.",
    epilog="Example: codebuddy fleet index --workers 2",
)
@click.option("--force", is_flag=True, help="Build each anew.")
@click.option(
    "--embedder", metavar="NAME|PATH", help="Of the dense channel; 'none' for no such channel."
)
@how
def index(*, force: bool, embedder: str | None, **options: Any) -> int:
    """Entry point of `fleet index`."""
    from codebuddy.fleet.tasks import Job

    flags = {} if embedder is None else {"index.embedder": embedder}
    return do_for_all(Job("index", {"force": force}, flags), _index_in_words, **options)


@command.command(
    "eval",
    help="Measure completion, or with --retrieval-only search, on each repository.",
    epilog="Example: codebuddy fleet eval --retrieval-only",
)
@click.option(
    "--tasks", type=click.IntRange(1, 10_000), default=20, metavar="N", help="Of each kind (20)."
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["line", "call", "block"]),
    multiple=True,
    help="Only this kind; may be given twice.",
)
@click.option("--minutes", type=click.FloatRange(0, 100_000), metavar="M", help="Of a repository.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--retrieval-only", is_flag=True, help="The search alone, without a model.")
@how
def evaluate(
    *,
    tasks: int,
    kinds: tuple[str, ...],
    minutes: float | None,
    seed: int,
    model: str | None,
    retrieval_only: bool,
    **options: Any,
) -> int:
    """Entry point of `fleet eval`."""
    from codebuddy.fleet.tasks import Job

    chosen = [each for each in ("line", "call", "block") if not kinds or each in kinds]
    evaluation = {
        "kinds": ["call"] if retrieval_only else chosen,
        "tasks": tasks,
        "seed": seed,
        "minutes": minutes or 0.0,
    }
    work = {"evaluation": evaluation, "retrieval_only": retrieval_only}
    flags = {} if model is None else {"model.name": whole_model_name(model)}
    return do_for_all(Job("eval", work, flags), _eval_in_words, **options)


@command.group(
    "train",
    help="Fit codebuddy to each repository.",
    epilog="Example: codebuddy fleet train head --minutes 10",
)
def train() -> None:
    """A group, as `codebuddy train` is one."""


@train.command(
    "head",
    help="Label each repository's holes and adapt the decision head to it, as 'codebuddy train"
    " head' does; goes on where the labels end.",
    epilog="Example: codebuddy fleet train head --minutes 10",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=30.0,
    metavar="M",
    help="Of a repository: no hole is begun after so long (30).",
)
@click.option(
    "--per-kind",
    type=click.IntRange(1, 10_000),
    default=60,
    metavar="N",
    help="Holes of each kind: lines, calls, blocks (60).",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@how
def train_head(
    *, minutes: float, per_kind: int, model: str | None, seed: int, **options: Any
) -> int:
    """Entry point of `fleet train head`."""
    from codebuddy.fleet.tasks import Job

    work = {"minutes": minutes, "per_kind": per_kind, "seed": seed}
    flags = {} if model is None else {"model.name": whole_model_name(model)}
    return do_for_all(Job("train head", work, flags), _training_in_words, **options)


@train.command(
    "adapter",
    help="Teach the model each repository's own code, as 'codebuddy train adapter' does; goes on"
    " where it was stopped, and uses each only where it is better there.",
    epilog="Example: codebuddy fleet train adapter --minutes 60",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=60.0,
    metavar="M",
    help="Of a repository (60).",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--anew", is_flag=True, help="Forget what was learned before.")
@how
def train_adapter(
    *, minutes: float, model: str | None, seed: int, anew: bool, **options: Any
) -> int:
    """Entry point of `fleet train adapter`."""
    from codebuddy.fleet.tasks import Job
    from codebuddy.training.own.on_repository import require_packages

    require_packages()
    work = {"minutes": minutes, "seed": seed, "is_fresh": anew}
    flags = {} if model is None else {"model.name": whole_model_name(model)}
    return do_for_all(Job("train adapter", work, flags), _adapter_in_words, **options)


def _index_in_words(result: dict[str, Any]) -> str:
    return f"{counted(result['files'], 'file')}, {counted(result['chunks'], 'chunk')}"


def _eval_in_words(result: dict[str, Any]) -> str:
    arms = result.get("arms")
    if result.get("tasks") == 0:
        return "no task was done"
    if not arms:
        calls = (result["retrieval"].get("calls") or {}) if result.get("retrieval") else {}
        said = f"search over {counted(int(calls.get('queries', 0) or 0), 'call')}"
        recall = (calls.get("channels") or {}).get("hybrid", {}).get("recall_at_10")
        return said if recall is None else f"{said}: {recall:.0%} found among ten results"
    scores = ", ".join(f"{name} {arm['edit_similarity']:.1f}" for name, arm in arms.items())
    return f"{counted(result['tasks'], 'task')}: {scores}"


def _training_in_words(result: dict[str, Any]) -> str:
    if result["missing"]:
        return f"{counted(result['holes'], 'hole')}, {result['missing']} more needed"
    return f"{counted(result['holes'], 'hole')}, {'kept' if result['kept'] else 'not kept'}"


def _adapter_in_words(result: dict[str, Any]) -> str:
    compared = result["compared"]
    if not compared:
        return "nothing new to learn"
    return f"{'kept' if result['kept'] else 'not used'}: {compared['reason']}"
