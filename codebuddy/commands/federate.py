"""`codebuddy federate`: one decision head from many machines' labels, of which weights travel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.commands import federate_adapter
from codebuddy.commands.federate_options import (
    ADDRESS,
    CLIENTS,
    FILE,
    JSON,
    KEYS,
    PRIVACY,
    RULES,
    SECURE,
    SERVER,
    attend,
    check_out,
    keys_of,
    privacy_of,
    rules_of,
    serve_rounds,
    timeout,
)
from codebuddy.terminal import StatusLine, answer, answer_json, counted, note, safe_line

if TYPE_CHECKING:
    from codebuddy.federation.privacy import Place


@click.group(
    "federate",
    help="Train the decision head with others: labels stay where they are, changes of 42 weights"
    " travel.",
    epilog="Example: codebuddy federate client --server 127.0.0.1:9440 --show",
)
def command() -> None:
    """A group: `client` and `server`, `keys` for them, and `simulate` in one process."""


command.add_command(federate_adapter.command)


@command.command(
    "client",
    help="Take part with this repository's labels ('codebuddy train head' makes them). What comes"
    " back is used only if it judges held-out holes better. Ctrl-C leaves at any time.",
    epilog="Example: codebuddy federate client --server 127.0.0.1:9440 --show",
)
@SERVER
@KEYS
@PRIVACY
@SECURE
@click.option("--labels", type=FILE, metavar="FILE", help="Other labels than the repository's.")
@click.option("--show", is_flag=True, help="Show what would be sent, and send nothing.")
@JSON
def client(
    *,
    server: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    noise: float,
    clip: float | None,
    delta: float,
    max_epsilon: float,
    secure_aggregation: bool,
    labels: Path | None,
    show: bool,
    as_json: bool,
) -> int:
    """Entry point of `federate client`."""
    from codebuddy.federation.local import LocalPart, load_shared
    from codebuddy.federation.transport import checked_address
    from codebuddy.heads import personal_labels_file
    from codebuddy.vcs.location import repository_around

    keys = keys_of(ca, cert, key)
    checked_address(server, keys)
    repository = repository_around(Path.cwd())
    if labels is None:
        from codebuddy.service.context import open_repository_context

        labels = personal_labels_file(open_repository_context().repository)
    privacy = privacy_of(noise, clip, delta, max_epsilon, "client")
    if secure_aggregation:
        from codebuddy.federation.secure import checked_privacy

        privacy = checked_privacy(privacy)
    part = LocalPart(repository, labels, privacy, load_shared())
    if show:
        _show(part, as_json=as_json)
        return 0
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.federation.secure import client_kind

    # Asked here first, since the library that accounts takes longer to load than a server waits.
    if not part.participant.may_send:
        note("no update will be sent: there are no labels to learn from, or no privacy is left")
    status = StatusLine()
    status.show(f"taking part with {counted(len(part.participant.learned), 'label')}")
    kind = client_kind(is_secure=secure_aggregation)
    taking = kind(part.participant, part.trained_for, part.take, part.record_release)

    def so_far() -> str:
        return counted(part.participant.n_sent, "update")

    if not attend(server, taking, keys, status, so_far):
        return EXIT_INTERRUPTED
    part.problem = part.problem or taking.problem
    _tell(part, as_json=as_json)
    return 0


@command.command(
    "server",
    help="Run the rounds: ask clients for updates and average them. Listens on this machine alone"
    " unless it has keys.",
    epilog="Example: codebuddy federate server --clients 3 --rounds 20 --out head.json",
)
@ADDRESS
@KEYS
@RULES
@SECURE
@CLIENTS
@timeout(120.0, 86_400)
@click.option("--noise", type=click.FloatRange(0, 1_000), default=0.0, help="The server's own.")
@click.option("--clip", type=click.FloatRange(0, 1_000, min_open=True), help="Before its noise.")
@click.option(
    "--out",
    type=FILE,
    default=Path("federated-head.json"),
    help="The head that came of it (federated-head.json).",
)
@JSON
def server(
    *,
    address: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    clients: int,
    timeout_s: float,
    noise: float,
    clip: float | None,
    out: Path,
    as_json: bool,
    **rules: Any,
) -> int:
    """Entry point of `federate server`."""
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.federation.local import load_shared, save_aggregate
    from codebuddy.federation.secure import strategy_of
    from codebuddy.federation.transport import checked_address

    keys = keys_of(ca, cert, key)
    checked_address(address, keys)
    check_out(out)
    privacy = privacy_of(noise, clip, 1e-3, math.inf, "server")
    shared = load_shared()
    status = StatusLine()

    def show(number: int, _weights: object) -> None:
        status.show(f"round {number} of {strategy.rules.n_rounds}: {_in_words(strategy)}")

    strategy = strategy_of(rules_of(rules, clients, privacy), shared.start(), "", show)

    if not serve_rounds(address, strategy, keys, timeout_s, clients, status):
        return EXIT_INTERRUPTED
    save_aggregate(out, strategy, shared)
    if not strategy.has_counted:
        note(
            "warning: no round counted, since fewer than --clients answered: the head that was"
            " written is the one that the rounds began with"
        )
    if as_json:
        answer_json(
            {
                "head": str(out),
                "trained_for": strategy.trained_for,
                "left_out": strategy.left_out,
                "rounds": [each.as_json() for each in strategy.rounds],
            }
        )
        return 0
    answer(safe_line(str(out)))
    note(f"{counted(len(strategy.rounds), 'round')}; the last: {_in_words(strategy)}")
    return 0


@command.command(
    "keys",
    help="Make an authority, a key for the server, and one for each CLIENT; what is there stays."
    " Give each client its own two files and ca.pem; ca.key stays here.",
    epilog="Example: codebuddy federate keys --host build.example.org alice bob",
)
@click.argument("clients", metavar="CLIENT...", nargs=-1)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="By which clients call the server; may be given twice (127.0.0.1, localhost).",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("federation-keys"),
    help="(federation-keys)",
)
@JSON
def keys(clients: tuple[str, ...], hosts: tuple[str, ...], folder: Path, *, as_json: bool) -> None:
    """Entry point of `federate keys`."""
    from codebuddy.federation.keys import make_keys, unnamed_hosts

    named = hosts or ("127.0.0.1", "localhost")
    made = [str(each) for each in make_keys(folder.absolute(), named, clients)]
    if missing := unnamed_hosts(folder.absolute(), hosts):
        note(
            f"warning: server.pem does not name {safe_line(', '.join(missing))}: clients that call"
            " the server so will not reach it; delete server.pem to have it made anew"
        )
    if as_json:
        answer_json({"folder": str(folder.absolute()), "files": made})
        return
    for each in made:
        answer(safe_line(each))
    if not made:
        note("all of them are there already")


@command.command(
    "simulate",
    help="A federation in this process, over labels of many repositories: what it would bring.",
    epilog="Example: codebuddy federate simulate --select activity --per-round 3",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Files of labels, one a repository; those that come with codebuddy by default.",
)
@click.option(
    "--deal",
    "dealing",
    type=click.Choice(["repository", "label", "language", "quantity"]),
    default="repository",
    help="Who has which labels: one repository each, or by class with Dirichlet shares.",
)
@click.option(
    "--clients", type=click.IntRange(2, 1_000), default=50, metavar="N", help="So dealt (50)."
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1_000, min_open=True),
    default=1.0,
    metavar="A",
    help="Of the Dirichlet distribution; the smaller, the more unequal (1).",
)
@click.option("--poison", type=click.IntRange(0, 1_000), default=0, help="Clients that send junk.")
@click.option(
    "--place", type=click.Choice(["client", "server"]), default="client", help="Of noise."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@RULES
@SECURE
@PRIVACY
@JSON
def simulate(
    *,
    labels: Path | None,
    dealing: Any,
    clients: int,
    alpha: float,
    poison: int,
    place: Place,
    seed: int,
    noise: float,
    clip: float | None,
    delta: float,
    max_epsilon: float,
    as_json: bool,
    **rules: Any,
) -> None:
    """Entry point of `federate simulate`."""
    from dataclasses import replace

    from codebuddy.evaluation.tables import number
    from codebuddy.federation.trial import Dealt, try_out

    privacy = privacy_of(noise, clip, delta, max_epsilon, place)
    if rules["secure_aggregation"]:
        from codebuddy.federation.secure import checked_privacy

        privacy = checked_privacy(privacy)
    at_server = privacy if place == "server" else None
    made = replace(rules_of(rules, 1, at_server), seed=seed, noise_seed=seed)
    found = try_out(labels, Dealt(dealing, clients, alpha, seed, poison), made, privacy)
    if as_json:
        answer_json(found)
        return
    answer(
        f"{found['clients']} clients, {found['labels']} labels,"
        f" divergence {found['divergence']:.3f} bits"
    )
    answer("AUROC on held-out files      syntax  confidence")
    for name in ("centralised", "federated", "alone"):
        values = found["auroc"][name]
        shown = [number(values[stage], 1.0, 3) for stage in ("syntax", "confidence")]
        answer(f"  {name:<24} {shown[0]:>8} {shown[1]:>11}")
    if None in found["auroc"]["federated"].values():
        note("a dash: in no file that was held out, or in all, a lookup helped")
    said = f"{found['bytes_per_client_and_round']:.0f} bytes a client and round"
    if found["epsilon"] is not None:
        said += f", epsilon {found['epsilon']:.2f} at delta {delta:g}"
    note(said)


def _show(part: Any, *, as_json: bool) -> None:
    from codebuddy.federation.participant import preview
    from codebuddy.federation.weights import StepConfig

    found = preview(part.participant, part.shared.start(), StepConfig())
    found |= {"trained_for": part.trained_for, "file": str(part.labels)}
    if as_json:
        answer_json(found)
        return
    sent = found["sent"]
    answer(f"of {found['labels']['learned']} labels, by the shipped head's weights, would be sent:")
    answer(f"  n_examples: {sent['n_examples']}")
    answer(f"  trained_for: {safe_line(found['trained_for'])}")
    for name, values in zip(("syntax", "confidence"), sent["change"], strict=True):
        answer(f"  change of {name} ({len(values)} numbers): {' '.join(f'{v:g}' for v in values)}")
    note("no code, no paths, no texts; each round sends such numbers for that round's weights")


def _tell(part: Any, *, as_json: bool) -> None:
    """What came of taking part."""
    from codebuddy.federation.participant import verdict_as_json

    epsilon = part.participant.epsilon()
    verdict = None if part.verdict is None else verdict_as_json(part.verdict)
    if as_json:
        answer_json(
            {
                "updates": part.participant.n_sent,
                "epsilon": None if math.isinf(epsilon) else epsilon,
                "verdict": verdict,
                "problem": part.problem,
            }
        )
        return
    answer(f"{counted(part.participant.n_sent, 'update')} sent")
    said = "infinite, updates were sent without noise" if math.isinf(epsilon) else f"{epsilon:.2f}"
    answer(f"epsilon spent so far: {said}")
    if part.problem:
        note(safe_line(part.problem))
    if verdict is None:
        if not part.problem:
            note("no aggregate came")
    elif verdict["adopted"]:
        answer(f"adopted: better on {verdict['holes']} held-out holes")
    else:
        answer(f"not adopted: not better on {verdict['holes']} held-out holes")


def _in_words(strategy: Any) -> str:
    last = strategy.rounds[-1] if strategy.rounds else None
    if last is None:
        return "no round"
    out = "".join(f", {count} left out ({why})" for why, count in strategy.left_out.items())
    return f"{last.answered} of {last.asked} answered, {last.refused} refused{out}"
