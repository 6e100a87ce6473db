"""Masks that cancel in a sum: what a server needs of changes is their sum, and it sees no other.

Secure aggregation (Bonawitz et al., CCS 2017) among all clients of a round. Each pair shares a
key by X25519, from which one adds and the other takes away the same numbers; each adds numbers of
its own besides. The seeds of both are split among all (Shamir), sealed for their receivers, so that
a client that vanishes after sharing costs nobody the sum: enough others tell either the one seed or
the other of each client, never both. Splitting and quantization are Flower's. Its stream of masks
is not used: it folds a key to 32 bits, which can be tried out; here it is ChaCha20. It holds
against a server that follows the rounds and looks at all it gets, not against one that hands out
keys of its own.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.errors import TrainingError
from codebuddy.federation.flower import flower
from codebuddy.federation.weights import Array

Masked = npt.NDArray[np.uint32]

# Changes and their noise lie within; what does not is cut. A sum of 200 stays below 2^32.
RANGE = 8.0
_STEPS = 1 << 24
MOST_CLIENTS = 200
FEWEST_CLIENTS = 3
_KEY, _NONCE = 32, 12


def threshold_of(n_clients: int) -> int:
    """How many must be left at the end: more than two thirds."""
    return 2 * n_clients // 3 + 1


class Masking:
    """A client's part in one round; each step is taken once, in this order.

    A mask that were used for two changes would tell their difference.
    """

    def __init__(self) -> None:
        x25519 = flower("cryptography.hazmat.primitives.asymmetric.x25519")
        self._sealing = x25519.X25519PrivateKey.generate()
        self._pairing = x25519.X25519PrivateKey.generate()
        self._own = os.urandom(_KEY)
        self._steps = iter(("share", "open", "mask", "reveal"))
        self._number = 0
        # By other client what is shared with it alone: one key seals, the other makes masks.
        self._sealing_keys: dict[int, bytes] = {}
        self._pair_keys: dict[int, bytes] = {}
        self._held: dict[int, tuple[bytes, bytes]] = {}

    def public_keys(self) -> str:
        """What the others need, by way of the server."""
        return _text([_public(self._sealing), _public(self._pairing)])

    def share(self, number: int, keys: Mapping[int, str]) -> dict[int, str]:
        """The seeds split among the clients of a round and sealed for each.

        Args:
            number: Which of them this is.
            keys: Of all of them, its own included.

        Raises:
            TrainingError: It is not its turn, or they are too few, not these, or no keys.
        """
        self._next("share")
        if not FEWEST_CLIENTS <= len(keys) <= MOST_CLIENTS:
            raise TrainingError(f"a sum of {len(keys)} is not sent: {FEWEST_CLIENTS} at least")
        if keys.get(number) != self.public_keys() or len(set(keys.values())) < len(keys):
            raise TrainingError("the server hands out other keys than it was given")
        self._number = number
        try:
            pairs = {other: _two(text) for other, text in keys.items()}
            sealing = {
                other: _pair_key(self._sealing, first) for other, (first, _) in pairs.items()
            }
            masks = {
                other: _pair_key(self._pairing, second) for other, (_, second) in pairs.items()
            }
        except ValueError as error:
            raise TrainingError("the server hands out keys that are none") from error
        self._sealing_keys, self._pair_keys = sealing, masks
        shamir = flower("flwr.common.secure_aggregation.crypto.shamir")
        needed, order = threshold_of(len(keys)), sorted(keys)
        pairing = self._pairing.private_bytes_raw()
        split = [shamir.create_shares(each, needed, len(keys)) for each in (self._own, pairing)]
        sealed = {}
        for other, own, pair in zip(order, *split, strict=True):
            nonce = os.urandom(_NONCE)
            content = _text([own, pair]).encode("ascii")
            box = self._box(other).encrypt(nonce, content, f"{number}>{other}".encode())
            sealed[other] = base64.b64encode(nonce + box).decode("ascii")
        return sealed

    def open(self, sealed: Mapping[int, str]) -> None:
        """Take the shares that others sealed for this client; who sent none takes no part.

        Raises:
            TrainingError: It is not its turn, they are too few, or one was not sealed for it.
        """
        self._next("open")
        n_clients = len(self._pair_keys)
        if len(sealed) < threshold_of(n_clients) or self._number not in sealed:
            raise TrainingError(f"a sum of {len(sealed)} of {n_clients} is not sent")
        for other, text in sealed.items():
            try:
                box = base64.b64decode(text, validate=True)
                content = self._box(other).decrypt(
                    box[:_NONCE], box[_NONCE:], f"{other}>{self._number}".encode()
                )
                self._held[other] = _two(content.decode("ascii"))
            except Exception as error:
                # The library's own for a wrong seal, and those of damaged text.
                raise TrainingError("a share was not sealed for this client") from error

    def mask(self, change: Sequence[Array]) -> Masked:
        """The change as whole numbers under all masks.

        Raises:
            TrainingError: It is not its turn.
        """
        self._next("mask")
        total = _whole(np.concatenate(change)) + _stream(self._own, sum(map(len, change)))
        for other in self._held:
            if other != self._number:
                stream = _stream(self._pair_keys[other], len(total))
                total += _signed(stream, self._number, other)
        return total

    def reveal(self, answered: Sequence[int]) -> dict[int, str]:
        """Of who answered a share of its own seed, of who did not a share of its pairs' key.

        Raises:
            TrainingError: It is not its turn, or too few answered.
        """
        self._next("reveal")
        there, n_clients = set(answered), len(self._pair_keys)
        if len(there) < threshold_of(n_clients) or not there <= set(self._held):
            raise TrainingError(f"the sum of {len(there)} of {n_clients} is not told")
        return {
            other: base64.b64encode(own if other in there else pair).decode("ascii")
            for other, (own, pair) in self._held.items()
        }

    def _next(self, step: str) -> None:
        if next(self._steps, "") != step:
            self._steps = iter(())
            raise TrainingError("the server asks out of turn")

    def _box(self, other: int) -> Any:
        ciphers = flower("cryptography.hazmat.primitives.ciphers.aead")
        return ciphers.ChaCha20Poly1305(self._sealing_keys[other])


def usable_keys(keys: Mapping[int, str]) -> dict[int, str]:
    """The keys without those that no other client could use, and without any given before.

    Two of X25519, of 32 bytes each; not one with which every shared secret is zero (RFC 7748, 6.1).
    """
    x25519 = flower("cryptography.hazmat.primitives.asymmetric.x25519")
    trial = x25519.X25519PrivateKey.generate()
    found: dict[int, str] = {}
    for number, text in keys.items():
        try:
            pair = _two(text)
            for each in pair:
                _pair_key(trial, each)
        except ValueError:
            continue
        if text == _text(pair) and text not in found.values():
            found[number] = text
    return found


def mean_of(
    masked: Mapping[int, Masked],
    keys: Mapping[int, str],
    revealed: Mapping[int, Mapping[int, str]],
) -> Array:
    """The mean of the changes of those who answered, without anybody's mask.

    Args:
        masked: What they sent.
        keys: Of all that were to take part.
        revealed: By client the shares that it told, by whose seed they are.

    Raises:
        TrainingError: Too few tell, or what they tell does not fit: a key that is another one, or
            a sum that so many changes cannot have.
    """
    needed = threshold_of(len(keys))
    shares: dict[int, list[bytes]] = {}
    for told in revealed.values():
        for other, share in told.items():
            shares.setdefault(other, []).append(base64.b64decode(share, validate=True))
    shamir = flower("flwr.common.secure_aggregation.crypto.shamir")
    x25519 = flower("cryptography.hazmat.primitives.asymmetric.x25519")
    total: Masked = np.stack(list(masked.values())).sum(axis=0, dtype=np.uint32)
    # Who took part: those whose shares the others hold.
    for other, of_it in shares.items():
        if len(of_it) < needed:
            raise TrainingError("too few tell of their shares: the sum stays masked")
        seed = shamir.combine_shares(of_it[:needed])
        if other in masked:
            total -= _stream(seed, len(total))
            continue
        gone = x25519.X25519PrivateKey.from_private_bytes(seed)
        if _public(gone) != _two(keys[other])[1]:
            raise TrainingError("shares of a key do not fit: the sum stays masked")
        for there in masked:
            key = _pair_key(gone, _two(keys[there])[1])
            total -= _signed(_stream(key, len(total)), there, other)
    if not set(masked) <= set(shares):
        raise TrainingError("nobody tells of a client that answered: the sum stays masked")
    # A wrong seed of a client's own leaves chance behind, and nothing else would show it.
    if total.max() > len(masked) * _STEPS:
        raise TrainingError("so much cannot be the sum of changes: it stays masked")
    quantization = flower("flwr.common.secure_aggregation.quantization")
    (mean,) = quantization.dequantize([total / len(masked)], RANGE, _STEPS)
    return np.asarray(mean, np.float64)


def as_text(content: Mapping[int, Any]) -> str:
    """By number of client, as it travels."""
    return json.dumps({str(number): each for number, each in content.items()})


def of_text(text: object) -> dict[int, str]:
    """What `as_text` made.

    Raises:
        TrainingError: It is not.
    """
    try:
        content = json.loads(str(text))
        return {int(number): str(each) for number, each in content.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise TrainingError("what came is no part of a secure sum") from error


def _whole(change: Array) -> Masked:
    """Rounded up or down by chance, so that the mean has no lean."""
    quantization = flower("flwr.common.secure_aggregation.quantization")
    (whole,) = quantization.quantize([change], RANGE, _STEPS)
    return np.asarray(whole, np.uint32)


def _signed(stream: Masked, own: int, other: int) -> Masked:
    return stream if own < other else np.uint32(0) - stream


def _stream(key: bytes, count: int) -> Masked:
    """So many numbers of 32 bits that only who has the key can tell from chance."""
    ciphers = flower("cryptography.hazmat.primitives.ciphers")
    # A key is used for one stream alone.
    encryptor = ciphers.Cipher(ciphers.algorithms.ChaCha20(key, bytes(16)), None).encryptor()
    return np.frombuffer(encryptor.update(bytes(4 * count)), "<u4").astype(np.uint32)


def _pair_key(private: Any, public: bytes) -> bytes:
    """What only the two can make.

    Raises:
        ValueError: The public key is none, or any private one would give the same.
    """
    x25519 = flower("cryptography.hazmat.primitives.asymmetric.x25519")
    hashes = flower("cryptography.hazmat.primitives.hashes")
    derivation = flower("cryptography.hazmat.primitives.kdf.hkdf")
    shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    return bytes(derivation.HKDF(hashes.SHA256(), _KEY, None, b"codebuddy").derive(shared))


def _public(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes_raw())


def _text(parts: Sequence[bytes]) -> str:
    return ".".join(base64.b64encode(each).decode("ascii") for each in parts)


def _two(text: str) -> tuple[bytes, bytes]:
    """What `_text` made of two.

    Raises:
        ValueError: It did not make this.
    """
    first, second = (base64.b64decode(each, validate=True) for each in text.split("."))
    return first, second
