"""Options that the commands of `codebuddy federate` share, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codebuddy.terminal import StatusLine, counted, note

if TYPE_CHECKING:
    from codebuddy.federation.client import Client
    from codebuddy.federation.privacy import Place, Privacy
    from codebuddy.federation.strategy import Rules
    from codebuddy.federation.transport import Keys

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_ADDRESS = "127.0.0.1:9440"
FILE = click.Path(path_type=Path, dir_okay=False)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _with(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


KEYS = _with(
    click.option("--ca", type=FILE, metavar="FILE", help="The authority's certificate."),
    click.option("--cert", type=FILE, metavar="FILE", help="One's own certificate."),
    click.option("--key", type=FILE, metavar="FILE", help="One's own key."),
)
SERVER = click.option(
    "--server", default=DEFAULT_ADDRESS, metavar="HOST:PORT", help=f"({DEFAULT_ADDRESS})"
)
ADDRESS = click.option(
    "--address", default=DEFAULT_ADDRESS, metavar="HOST:PORT", help=f"({DEFAULT_ADDRESS})"
)
CLIENTS = click.option(
    "--clients",
    type=click.IntRange(1, 1_000),
    default=2,
    metavar="N",
    help="Wait for so many; with fewer answers a round changes nothing (2).",
)
NORM_BOUND = click.option(
    "--norm-bound",
    type=click.FloatRange(0, min_open=True),
    default=math.inf,
    metavar="X",
    show_default=False,
    help="Longer updates are scaled down to this norm.",
)
RULES = _with(
    click.option(
        "--rounds", type=click.IntRange(1, 10_000), default=20, metavar="N", help="Rounds (20)."
    ),
    click.option(
        "--select",
        type=click.Choice(["all", "uniform", "activity"]),
        default="all",
        help="Whom to ask in a round: all, so many drawn evenly, or by their number of labels.",
    ),
    click.option(
        "--per-round",
        type=click.IntRange(1, 10_000),
        default=5,
        metavar="M",
        help="How many are drawn (5).",
    ),
    click.option(
        "--aggregate",
        type=click.Choice(["mean", "median", "trimmed"]),
        default="mean",
        help="median and trimmed hold against some that send nonsense.",
    ),
    NORM_BOUND,
    click.option(
        "--proximal",
        type=click.FloatRange(0, 1_000),
        default=0.0,
        metavar="MU",
        help="FedProx: holds clients near the weights that they were sent (0: FedAvg).",
    ),
)
SECURE = click.option(
    "--secure-aggregation",
    is_flag=True,
    help="Changes travel under masks that cancel in their sum: the server sees no client's own."
    " Clients and server must both ask for it; three a round at least.",
)
PRIVACY = _with(
    click.option(
        "--noise",
        type=click.FloatRange(0, 1_000),
        default=0.0,
        metavar="S",
        help="Noise on an update, in units of --clip; 0 for none.",
    ),
    click.option(
        "--clip",
        type=click.FloatRange(0, 1_000, min_open=True),
        metavar="C",
        help="The longest update that is sent; 1 with --noise.",
    ),
    click.option(
        "--delta",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=1e-3,
        metavar="D",
        help="The chance with which epsilon may not hold (0.001).",
    ),
    click.option(
        "--max-epsilon",
        type=click.FloatRange(0, min_open=True),
        default=math.inf,
        metavar="E",
        show_default=False,
        help="Send nothing more once this is spent.",
    ),
)


def timeout(usual: float, most: float) -> Callable[[F], F]:
    """The option that says how long a client is waited for, in seconds."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(1, most),
        default=usual,
        metavar="S",
        help=f"A client that takes longer for an answer is left behind ({usual:.0f}).",
    )


def check_out(file: Path) -> None:
    """Refuse a file that could not be written, before the rounds.

    Raises:
        UsageError: Its folder is not there, or cannot be written.
    """
    from codebuddy.errors import UsageError
    from codebuddy.platforms import is_writable_folder

    folder = file.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist", hint="give another --out")
    if not is_writable_folder(folder):
        raise UsageError(f"nothing can be written into {folder}", hint="give another --out")


def serve_rounds(
    address: str,
    strategy: Any,
    keys: Keys | None,
    timeout_s: float,
    clients: int,
    status: StatusLine,
    max_bytes: int | None = None,
) -> bool:
    """Run all rounds of a strategy; False, with a note, where Ctrl-C ended them.

    Raises:
        CodebuddyError: As `federation.transport.serve`.
    """
    from codebuddy.federation.transport import MAX_MESSAGE_BYTES, serve

    def listening(port: int) -> None:
        note(f"listening at {address.rpartition(':')[0]}:{port}, waiting for {clients} clients")

    try:
        serve(
            address, strategy, keys, timeout_s, listening, max_bytes=max_bytes or MAX_MESSAGE_BYTES
        )
    except KeyboardInterrupt:
        status.clear()
        note(f"stopped after {counted(len(strategy.rounds), 'round')}; nothing was written")
        return False
    finally:
        status.clear()
    return True


def attend(
    server: str,
    taking: Client,
    keys: Keys | None,
    status: StatusLine,
    so_far: Callable[[], str],
    max_bytes: int | None = None,
) -> bool:
    """Take part until all is done; False, with a note of what was done so far, after Ctrl-C.

    Raises:
        CodebuddyError: As `federation.transport.take_part`.
    """
    from codebuddy.federation.transport import MAX_MESSAGE_BYTES, take_part

    try:
        take_part(server, taking, keys, status.show, max_bytes=max_bytes or MAX_MESSAGE_BYTES)
    except KeyboardInterrupt:
        status.clear()
        note(f"left after {so_far()}")
        return False
    finally:
        status.clear()
    return True


def keys_of(ca: Path | None, cert: Path | None, key: Path | None) -> Keys | None:
    """The three files; None without them."""
    from codebuddy.errors import UsageError
    from codebuddy.federation.keys import checked
    from codebuddy.federation.transport import Keys

    if ca is None and cert is None and key is None:
        return None
    if ca is None or cert is None or key is None:
        raise UsageError(
            "--ca, --cert and --key go together", hint="'codebuddy federate keys' makes them"
        )
    return Keys(*checked([ca, cert, key]))


def privacy_of(
    noise: float, clip: float | None, delta: float, max_epsilon: float, place: Place
) -> Privacy | None:
    """The limits that options ask for; None for none."""
    from codebuddy.errors import UsageError
    from codebuddy.federation.privacy import Privacy

    if not noise and math.isfinite(max_epsilon):
        raise UsageError("--max-epsilon needs noise", hint="give --noise, say 1")
    if place == "server" and math.isfinite(max_epsilon):
        raise UsageError(
            "--max-epsilon ends what a client sends with its own noise", hint="--place client"
        )
    if not noise and clip is None:
        return None
    return Privacy(clip or 1.0, noise, place, delta, max_epsilon)


def rules_of(given: dict[str, Any], min_clients: int, privacy: Privacy | None) -> Rules:
    """How rounds go, as the options say; `min_clients` must answer for a round to count.

    Raises:
        UsageError: They cannot go together.
    """
    from codebuddy.errors import UsageError
    from codebuddy.federation.strategy import Rules, checked_draws
    from codebuddy.federation.weights import StepConfig

    has_noise = privacy is not None and privacy.place == "server" and privacy.noise > 0
    if has_noise and given["aggregate"] != "mean":
        raise UsageError(
            "the server's noise is reckoned for the mean",
            hint="--aggregate mean, or noise at the clients",
        )
    bound = given["norm_bound"]
    if privacy is not None and privacy.place == "server":
        bound = min(bound, privacy.clip)
    rules = Rules(
        n_rounds=given["rounds"],
        selection=given["select"],
        per_round=given["per_round"],
        min_clients=min_clients,
        aggregate=given["aggregate"],
        norm_bound=bound,
        step=StepConfig(proximal=given["proximal"]),
        privacy=privacy,
        # Who is drawn by activity would count twice.
        is_weighted=given["select"] != "activity",
    )
    if given["secure_aggregation"]:
        from codebuddy.federation.secure import checked_rules

        return checked_rules(rules)
    return checked_draws(rules)
