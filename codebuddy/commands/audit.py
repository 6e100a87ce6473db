"""`codebuddy audit`: what a trained file remembers of the code that it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from codebuddy.commands.privacy_options import privacy_options
from codebuddy.terminal import StatusLine, answer, answer_json, note, safe_line

# The exit status of an audit that `--gate` refuses.
EXIT_REFUSED = 1
Command = TypeVar("Command", bound=Callable[..., None])


@click.group(epilog="Example: codebuddy audit adapter --minutes 15 --html audit.html")
def command() -> None:
    """Attack what was trained here, and say what it gives away of the code."""


def _report_options(command: Command) -> Command:
    """Give a command the options of its report."""
    for option in reversed(
        (
            click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
            click.option(
                "--html",
                "page",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write the report as one page with plots, too.",
            ),
            click.option(
                "--gate",
                is_flag=True,
                help="Exit with status 1 unless the audit shows that nothing is given away.",
            ),
        )
    ):
        command = option(command)
    return command


@command.command("adapter", epilog="Example: codebuddy audit adapter --minutes 15 --html a.html")
@click.argument("name", required=False)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=15.0,
    metavar="M",
    help="How long training may take, and the rest besides (15); the next run goes on.",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@privacy_options("file")
@_report_options
def adapter(
    name: str | None,
    minutes: float,
    model: str | None,
    seed: int,
    private: bool,  # noqa: FBT001
    epsilon: float | None,
    unit: str | None,
    as_json: bool,  # noqa: FBT001
    page: Path | None,
    gate: bool,  # noqa: FBT001
) -> None:
    """Audit what an adapter of this repository remembers.

    Without NAME one is trained as 'train adapter' trains, on half of the files and with made-up
    secrets among its samples, attacked, and deleted. With NAME that adapter itself is attacked, by
    the files that took no part in its training.
    """
    from codebuddy.commands.train_adapter import to_audit
    from codebuddy.errors import UsageError
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import open_repository_context
    from codebuddy.training.audit.report import check_page
    from codebuddy.training.audit.run import Asked, run
    from codebuddy.training.own.on_repository import require_packages
    from codebuddy.training.privacy import goal_of, require_accountant

    if page is not None:
        check_page(page)
    goal = goal_of(is_private=private, epsilon=epsilon, unit=unit, default_unit="file")
    if name and goal is not None:
        raise UsageError(
            f"{safe_line(name)} was trained already: --private is for a training",
            hint="leave out the name, or --private",
        )
    require_packages()
    require_accountant(goal)
    named = None if model is None else whole_model_name(model)
    repository_context = open_repository_context({"model.name": named} if named else None)
    status = StatusLine()
    around, base = to_audit(repository_context, status)
    if not name:
        note(f"no adapter is named: one is trained to be attacked, for up to {minutes:g} minutes")
    with status:
        found = run(around, base, Asked(minutes, seed, name or "", goal))
    report = found.as_json()
    if name:
        report["notes"] = ["no secrets were planted in it: an audit without a name plants them"]
    _give(report, page, as_json=as_json, is_gate=gate)


@command.command("head", epilog="Example: codebuddy audit head --html head.html")
@click.argument("name", required=False, type=click.Choice(["own", "shipped"]))
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all draws (0).")
@_report_options
def head(
    name: str | None,
    seed: int,
    as_json: bool,  # noqa: FBT001
    page: Path | None,
    gate: bool,  # noqa: FBT001
) -> None:
    """Audit what a decision head says of the labels that it was fitted to.

    'own' is this repository's, by its labels, 'shipped' the one that comes with codebuddy; without
    either, the own one where there are labels.
    """
    from codebuddy import heads
    from codebuddy.errors import UsageError
    from codebuddy.service.context import open_repository_context
    from codebuddy.training.audit.head import audit_head
    from codebuddy.training.audit.report import check_page
    from codebuddy.training.head.examples import read_examples, read_folder

    if page is not None:
        check_page(page)
    header, shared = read_folder(heads.default_labels_folder())
    own = shared
    if name != "shipped":
        repository = open_repository_context(None).repository
        labels = heads.personal_labels_file(repository)
        if name == "own" and not labels.exists():
            raise UsageError(
                f"{repository.root} has no labels that a head was fitted to",
                hint="codebuddy train head",
            )
        if labels.exists():
            header, own = read_examples(labels)
            name = f"{safe_line(repository.root.name)}'s own"
    known = [] if own is shared else shared
    found = audit_head(name or "shipped", str(header.get("model", "")), own, known, seed)
    _give(found.as_json(), page, as_json=as_json, is_gate=gate)


def _give(report: dict[str, Any], page: Path | None, *, as_json: bool, is_gate: bool) -> None:
    """Print the report, write the page, and exit as the gate says."""
    from codebuddy.training.audit.report import lines_of, write_page

    if as_json:
        answer_json(report)
    else:
        answer("\n".join(map(safe_line, lines_of(report))))
    if page is not None:
        write_page(report, page)
        note(f"the page is {safe_line(str(page))}")
    if is_gate and report["passed"] is not True:
        note("the gate is not passed")
        raise click.exceptions.Exit(EXIT_REFUSED)
