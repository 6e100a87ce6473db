"""`codebuddy federate adapter`: one adapter from the code of many, which stays where it is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from codebuddy.commands.federate_options import (
    ADDRESS,
    CLIENTS,
    FILE,
    JSON,
    KEYS,
    NORM_BOUND,
    SERVER,
    attend,
    check_out,
    keys_of,
    serve_rounds,
    timeout,
)
from codebuddy.terminal import StatusLine, answer, answer_json, counted, note, safe_line

_ROUNDS = click.option(
    "--rounds", type=click.IntRange(1, 100), default=1, metavar="N", help="Rounds (1)."
)
_MINUTES = click.option(
    "--minutes",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=30.0,
    metavar="M",
    help="How long a repository trains in each round (30).",
)
_MODEL = click.option(
    "--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file."
)
_SEED = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0)."
)


@click.group(
    "adapter",
    help="Train an adapter of the model with others: code stays where it is, matrices of low rank"
    " travel, and what comes back is used only where held-out holes say that it is better.",
    epilog="Example: codebuddy federate adapter simulate ~/src/app ~/src/library",
)
def command() -> None:
    """A group, as `codebuddy federate` is one."""


@command.command(
    "client",
    help="Take part with this repository's code, as 'codebuddy train adapter' learns from it."
    " Ctrl-C leaves at any time.",
    epilog="Example: codebuddy federate adapter client --server 127.0.0.1:9440 --minutes 30",
)
@SERVER
@KEYS
@_MINUTES
@_MODEL
@_SEED
@click.option(
    "--show", is_flag=True, help="Show shapes and counts of what would be sent; send nothing."
)
@JSON
def client(
    *,
    server: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    minutes: float,
    model: str | None,
    seed: int,
    show: bool,
    as_json: bool,
) -> int:
    """Entry point of `federate adapter client`."""
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.federation.transport import MAX_ADAPTER_BYTES, checked_address

    keys = keys_of(ca, cert, key)
    checked_address(server, keys)
    status = StatusLine()
    with ExitStack() as stack:
        part = stack.enter_context(_part(Path.cwd(), model, minutes, seed, status))
        if show:
            _show(part, as_json=as_json)
            return 0
        from codebuddy.federation.adapter_part import AdapterClient

        taking = AdapterClient(part)

        def so_far() -> str:
            return counted(part.n_rounds, "round")

        if not attend(server, taking, keys, status, so_far, MAX_ADAPTER_BYTES):
            return EXIT_INTERRUPTED
        part.problem = part.problem or taking.problem
        if as_json:
            answer_json(part.as_json())
        else:
            _tell(part)
    return 0


@command.command(
    "server",
    help="Run the rounds: ask clients for adapters and average them. It needs the model's file, for"
    " what adapters of it look like, and no code. Listens on this machine alone unless it has"
    " keys.",
    epilog="Example: codebuddy federate adapter server --clients 3 --rounds 2",
)
@ADDRESS
@KEYS
@_ROUNDS
@NORM_BOUND
@_MODEL
@CLIENTS
@timeout(14_400.0, 864_000)
@click.option(
    "--out",
    type=FILE,
    default=Path("federated-adapter.gguf"),
    help="The adapter that came of it (federated-adapter.gguf).",
)
@JSON
def server(
    *,
    address: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    rounds: int,
    norm_bound: float,
    model: str | None,
    clients: int,
    timeout_s: float,
    out: Path,
    as_json: bool,
) -> int:
    """Entry point of `federate adapter server`."""
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.federation.adapter_server import save_aggregate, strategy_for
    from codebuddy.federation.strategy import Rules
    from codebuddy.federation.transport import MAX_ADAPTER_BYTES, checked_address

    keys = keys_of(ca, cert, key)
    checked_address(address, keys)
    check_out(out)
    rules = Rules(n_rounds=rounds, min_clients=clients, norm_bound=norm_bound)
    strategy, base = strategy_for(model, rules)
    status = StatusLine()
    if not serve_rounds(address, strategy, keys, timeout_s, clients, status, MAX_ADAPTER_BYTES):
        return EXIT_INTERRUPTED
    written = save_aggregate(out, strategy, base)
    found = _rounds_as_json(strategy) | {"adapter": str(out) if written else None}
    if as_json:
        answer_json(found)
    else:
        answer(safe_line(str(out)) if written else "no round counted; nothing was written")
        _tell_rounds(found)
    return 0


@command.command(
    "simulate",
    help="A federation of repositories in this process: what an adapter of all would bring to each."
    " Nothing of it is used afterwards.",
    epilog="Example: codebuddy federate adapter simulate ~/src/app ~/src/library --minutes 20",
)
@click.argument("given", metavar="PATH...", nargs=-1, required=True)
@_ROUNDS
@_MINUTES
@NORM_BOUND
@_MODEL
@_SEED
@JSON
def simulate(
    *,
    given: tuple[str, ...],
    rounds: int,
    minutes: float,
    norm_bound: float,
    model: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Entry point of `federate adapter simulate`."""
    from codebuddy.errors import UsageError
    from codebuddy.federation.adapter_part import AdapterClient
    from codebuddy.federation.adapter_server import strategy_for
    from codebuddy.federation.simulation import run_in_process
    from codebuddy.federation.strategy import Rules

    if len(given) < 2:
        raise UsageError("a federation needs two repositories", hint="name more folders")
    rules = Rules(n_rounds=rounds, min_clients=len(given), norm_bound=norm_bound)
    strategy, _ = strategy_for(model, rules)
    status = StatusLine()
    with ExitStack() as stack, status:
        parts = [
            stack.enter_context(_part(Path(each), model, minutes, seed, status, keeps=False))
            for each in given
        ]
        clients = [AdapterClient(each) for each in parts]
        run_in_process(strategy, clients)
        for part, taking in zip(parts, clients, strict=True):
            part.problem = part.problem or taking.problem
    found = _rounds_as_json(strategy) | {"clients": [each.as_json() for each in parts]}
    if as_json:
        answer_json(found)
        return
    for each in parts:
        _tell(each)
    _tell_rounds(found)


def _part(
    folder: Path,
    model: str | None,
    minutes: float,
    seed: int,
    status: StatusLine,
    *,
    keeps: bool = True,
) -> Any:
    from codebuddy.federation.adapter_part import opened
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import repository_context_of_folder
    from codebuddy.training.own.on_repository import require_packages

    require_packages()
    named = {} if model is None else {"model.name": whole_model_name(model)}
    context = repository_context_of_folder(folder.absolute(), named)
    name = safe_line(context.repository.root.name)
    return opened(
        context, minutes, seed, status, lambda text: status.show(f"{name}: {text}"), keeps=keeps
    )


def _show(part: Any, *, as_json: bool) -> None:
    numbers = sum(tall * wide for tall, wide in part.parts.shapes)
    found = {
        "n_examples": part.n_examples,
        "trained_for": part.trained_for,
        "numbers": numbers,
        "bytes": 2 * numbers,
        "parts": list(part.parts.names),
    }
    if as_json:
        answer_json(found)
        return
    answer(
        f"after a training, for each of {len(part.parts.names)} parts two matrices would be sent:"
    )
    answer(f"  {numbers:,} numbers, {2 * numbers:,} bytes in each round")
    answer(f"  n_examples: {part.n_examples} (stretches of code that are learned from)")
    answer(f"  trained_for: {part.trained_for}")
    note("no code, no paths, no texts; but matrices that learned from code may tell of it")


def _tell(part: Any) -> None:
    found = part.as_json()
    name = safe_line(found["repository"])
    if found["problem"]:
        note(safe_line(f"{name}: {found['problem']}"))
    elif found["compared"] is None:
        note(f"{name}: no aggregate came")
    else:
        said = "better here" if found["is_better"] else "not better here"
        answer(safe_line(f"{name}: {said}: {found['compared']['reason']}"))


def _rounds_as_json(strategy: Any) -> dict[str, Any]:
    rounds = [
        {**each.as_json(), "lost": round(strategy.lost.get(each.number, 0.0), 4)}
        for each in strategy.rounds
    ]
    asked = sum(each["asked"] for each in rounds)
    travelled = sum(each["bytes_sent"] + each["bytes_received"] for each in rounds)
    return {
        "trained_for": strategy.trained_for,
        "left_out": strategy.left_out,
        "rounds": rounds,
        "bytes_per_client_and_round": travelled / asked if asked else 0.0,
    }


def _tell_rounds(found: dict[str, Any]) -> None:
    for each in found["rounds"]:
        note(
            f"round {each['round']}: {each['answered']} of {each['asked']} answered,"
            f" {each['refused']} refused; the rank lost {each['lost']:.1%} of the mean's square"
        )
    note(f"{found['bytes_per_client_and_round']:,.0f} bytes a client and round")
