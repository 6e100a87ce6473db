"""Several rankings of the same things made one. It knows nothing of what is ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def reciprocal_rank_fusion(
    rankings: Mapping[str, Sequence[tuple[int, float]]],
    rank_constant: float,
    weigh: Callable[[str, float], float] = lambda _channel, _score: 1.0,
) -> list[tuple[int, float, dict[str, float]]]:
    """Fuse rankings by the places of their entries (Cormack, Clarke, Buettcher, SIGIR 2009).

    Args:
        rankings: By channel, (id, score) from the best down. Equal scores share a place, so
            that another channel decides between them.
        rank_constant: Added to each place; the smaller, the more the first places count.
        weigh: What an entry of a channel with that score counts.

    Returns:
        (id, fused score, score by channel) from the best down; ties in the order of ids.
    """
    fused: dict[int, tuple[float, dict[str, float]]] = {}
    for channel, ranking in rankings.items():
        place, last = 0, float("nan")
        for number, (each, score) in enumerate(ranking, 1):
            place, last = (place, last) if score == last else (number, score)
            total, channels = fused.get(each, (0.0, {}))
            share = weigh(channel, score) / (rank_constant + place)
            fused[each] = (total + share, {**channels, channel: score})
    best = sorted(fused.items(), key=lambda item: (-item[1][0], item[0]))
    return [(each, score, channels) for each, (score, channels) in best]
