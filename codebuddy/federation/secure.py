"""Rounds of which the server learns the mean alone: both sides of secure aggregation (`masking`).

Keys, sealed shares and what is told at the end travel as Flower's properties, the masked change as
the answer to `Fit`. A client that takes part so answers no plain round, clips by itself, and counts
as one. Who vanishes before its change came, or answers junk, is left out of the mean; with fewer
left than the threshold, or than the rules want, the round changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import numpy as np

from codebuddy.errors import TrainingError, UsageError
from codebuddy.federation.client import PROTOCOL, HeadClient
from codebuddy.federation.masking import (
    FEWEST_CLIENTS,
    MOST_CLIENTS,
    RANGE,
    Masked,
    Masking,
    as_text,
    mean_of,
    of_text,
    threshold_of,
    usable_keys,
)
from codebuddy.federation.privacy import Privacy
from codebuddy.federation.strategy import (
    HeadStrategy,
    Rules,
    answers_of,
    checked_draws,
    sound_sum,
)
from codebuddy.federation.weights import STAGES, Array

SECURE_PROTOCOL = f"{PROTOCOL}-secure"
_LENGTHS = [1 + len(stage.features) for stage in STAGES]
# So many standard deviations of a client's noise lie within what can be sent.
_DEVIATIONS = 5
# Characters; a sealed share has 232, one that is told 72. Others' shares make up one message.
_LONGEST_SHARE = 256


def checked_privacy(privacy: Privacy | None) -> Privacy:
    """The client's limits: without any its change is clipped to norm 1.

    Raises:
        UsageError: What it would send does not fit into a masked sum.
    """
    found = privacy or Privacy()
    if found.clip * (1 + _DEVIATIONS * found.noise) > RANGE:
        raise UsageError(
            f"a masked sum holds numbers up to {RANGE:g}, with this noise they are larger",
            hint="give a smaller --clip or --noise",
        )
    return found


class SecureHeadClient(HeadClient):
    """Sends its change under masks, and nothing to a server that asks for it plainly."""

    _masking: Masking | None = None

    def get_properties(self, ins: Any) -> Any:
        """What the usual client says, or a step of the round's masks."""
        config = ins.config
        try:
            if "step" not in config:
                answer = super().get_properties(ins)
                answer.properties["protocol"] = SECURE_PROTOCOL
                return answer
            said = self._step(str(config["step"]), config)
        except Exception as error:  # noqa: BLE001 - Flower would end the process
            self._masking, said = None, ""
            self._failed("no update was sent", error)
        return self._common.GetPropertiesRes(status=self._ok(), properties={"said": said})

    def fit(self, ins: Any) -> Any:
        """The masked update for the weights that came with the others' shares."""
        if self._masking is None:
            return self._not_sent(TrainingError("the server asks for an update without masks"))
        try:
            self._masking.open(of_text(ins.config["shares"]))
        except Exception as error:  # noqa: BLE001 - as above
            return self._not_sent(error)
        return super().fit(ins)

    def _sent(self, weights: Sequence[Array], n_examples: int) -> Any:
        assert self._masking is not None
        return super()._sent([self._masking.mask(weights)], 1)  # type: ignore[list-item]

    def _step(self, step: str, config: Mapping[str, Any]) -> str:
        if step == "keys":
            self._masking = Masking()
            return self._masking.public_keys()
        if self._masking is None:
            raise TrainingError("the server asks out of turn")
        if step == "share":
            return as_text(self._masking.share(int(config["number"]), of_text(config["keys"])))
        masking, self._masking = self._masking, None
        return as_text(masking.reveal([int(each) for each in str(config["answered"]).split(",")]))


def checked_rules(rules: Rules) -> Rules:
    """The rules, for three clients a round at least, each counted as one.

    Raises:
        UsageError: They ask for what only who sees each change can do, or no round could count.
    """
    if rules.aggregate != "mean" or rules.privacy is not None or np.isfinite(rules.norm_bound):
        raise UsageError(
            "a server that sees sums alone can bound no change, take no median and add no noise"
            " of its own",
            hint="leave out --aggregate, --norm-bound, --noise and --clip, or the secure sums;"
            " clients clip and add noise",
        )
    fewest = max(rules.min_clients, FEWEST_CLIENTS)
    for option, count in (
        ("--clients", fewest),
        ("--per-round", rules.per_round if rules.selection != "all" else 0),
    ):
        if count > MOST_CLIENTS:
            raise UsageError(
                f"a secure sum has {MOST_CLIENTS} clients at most", hint=f"{option} {MOST_CLIENTS}"
            )
    found = replace(rules, min_clients=fewest, is_weighted=False, is_secure=True)
    return checked_draws(found)


class SecureHeadStrategy(HeadStrategy):
    """As for a head, with sums under masks; `rules` as `checked_rules` gives them."""

    protocol = SECURE_PROTOCOL

    def configure_fit(
        self, server_round: int, parameters: Any, client_manager: Any
    ) -> list[tuple[Any, Any]]:
        """Exchange keys and shares, then ask for masked changes."""
        self._round_bytes = [0, 0]
        asked = super().configure_fit(server_round, parameters, client_manager)[:MOST_CLIENTS]
        self._asked = len(asked)
        self._members = {number: client for number, (client, _) in enumerate(asked, 1)}
        self._keys = usable_keys(self._ask("keys", self._members, lambda _: {}))
        keys = as_text(self._keys)
        found = self._ask("share", self._keys, lambda number: {"number": number, "keys": keys})
        self._shares = _shares_for(set(self._keys), found)
        if len(self._shares) < max(self.rules.min_clients, threshold_of(len(self._keys))):
            self._end_round(server_round, 0, len(asked), 0, self._travelled)
            return []
        instructions = []
        for number in self._shares:
            config = self._config()
            config["shares"] = as_text({n: each[number] for n, each in self._shares.items()})
            ins = self._common.FitIns(asked[number - 1][1].parameters, config)
            self._round_bytes[0] += self._serde.fit_ins_to_proto(ins).ByteSize()
            instructions.append((self._members[number], ins))
        return instructions

    def aggregate_fit(
        self, server_round: int, results: list[tuple[Any, Any]], failures: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The new weights from the mean of the changes that came, if enough tell how."""
        by_client = {self._members[number]: number for number in self._shares}
        masked: dict[int, Masked] = {}
        for client, answer in results:
            self._round_bytes[1] += self._serde.fit_res_to_proto(answer).ByteSize()
            if (numbers := self._masked(answer)) is not None:
                masked[by_client[client]] = numbers
        if len(masked) >= max(self.rules.min_clients, threshold_of(len(self._keys))):
            answered = ",".join(map(str, sorted(masked)))
            told = self._ask("reveal", sorted(masked), lambda _: {"answered": answered})
            try:
                mean = mean_of(masked, self._keys, _shares_for(set(self._shares), told))
            except Exception:  # noqa: BLE001 - whatever damaged shares come to
                masked = {}
            else:
                change = np.split(mean, np.cumsum(_LENGTHS)[:-1])
                self.weights = sound_sum(self.weights, change)
        else:
            masked = {}
        refused = self._asked - len(masked)
        self._end_round(server_round, len(masked), refused, 0, self._travelled)
        return self._common.ndarrays_to_parameters(self.weights), {}

    @property
    def _travelled(self) -> tuple[int, int]:
        sent, received = self._round_bytes
        return sent, received

    def _ask(self, step: str, numbers: Any, more: Any) -> dict[int, str]:
        """What each client says to a step; without those who say nothing."""
        questions = {
            number: self._common.GetPropertiesIns({"step": step, **more(number)})
            for number in numbers
        }
        self._round_bytes[0] += sum(
            self._serde.get_properties_ins_to_proto(ins).ByteSize() for ins in questions.values()
        )
        answers = answers_of({each: (self._members[each], questions[each]) for each in questions})
        found = {}
        for number, answer in answers.items():
            try:
                size = self._serde.get_properties_res_to_proto(answer).ByteSize()
                said = str(answer.properties["said"])
            except Exception:  # noqa: BLE001, S112 - it answers nonsense
                continue
            self._round_bytes[1] += size
            if said:
                found[number] = said
        return found

    def _masked(self, answer: Any) -> Masked | None:
        """The numbers of an answer; None where they are no masked change."""
        try:
            (change,) = self._common.parameters_to_ndarrays(answer.parameters)
        except Exception:  # noqa: BLE001
            return None
        fits = change.dtype == np.uint32 and change.shape == (sum(_LENGTHS),)
        return change if fits else None


def _shares_for(others: AbstractSet[int], said: Mapping[int, str]) -> dict[int, dict[int, str]]:
    """By client the shares that it gives; without those who say anything but one for each other."""
    found = {}
    for number, text in said.items():
        try:
            shares = of_text(text)
        except TrainingError:
            continue
        are_short = all(len(each) <= _LONGEST_SHARE for each in shares.values())
        if set(shares) == others and are_short:
            found[number] = shares
    return found


def client_kind(*, is_secure: bool) -> type[HeadClient]:
    """Who takes part in such rounds."""
    return SecureHeadClient if is_secure else HeadClient


def strategy_of(
    rules: Rules, start: Sequence[Array], trained_for: str, on_round: Any = None
) -> HeadStrategy:
    """Rounds by the rules, with secure sums or without; see `HeadStrategy`."""
    kind = SecureHeadStrategy if rules.is_secure else HeadStrategy
    return kind(rules, start, trained_for, on_round)
