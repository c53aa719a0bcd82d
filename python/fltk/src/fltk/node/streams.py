"""The random streams of a run, draw for draw those of the program: named by purpose and indices, never by the order of calls.

`crates/fltk-core/src/seed.rs` defines them: ChaCha8, keyed with SHA-256 over a label, the seed, the purpose and the indices.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

_MASK = 0xFFFF_FFFF
_LABEL = b"fltk-stream-1\0"
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_DOUBLE_ROUNDS = 4


class Stream:
    """The random numbers for a purpose, at some indices such as client, round and epoch."""

    def __init__(self, seed: int, purpose: str, indices: Sequence[int] = ()) -> None:
        text = _LABEL + struct.pack("<Q", seed) + purpose.encode() + b"\0" + b"".join(struct.pack("<Q", index) for index in indices)
        self._key = struct.unpack("<8I", hashlib.sha256(text).digest())
        self._words = self._generate()

    def next_u32(self) -> int:
        """Returns the next 32 bits."""
        return next(self._words)

    def next_u64(self) -> int:
        """Returns the next 64 bits."""
        low = next(self._words)
        return low | next(self._words) << 32

    def below(self, bound: int) -> int:
        """Returns a number of `0..bound`, for a bound of at most 32 bits, as `rand` draws it."""
        product = self.next_u32() * bound
        result, low = product >> 32, product & _MASK
        if low > (1 << 32) - bound:
            result += low + (self.next_u32() * bound >> 32) > _MASK
        return result

    def shuffle(self, values: list[int]) -> None:
        """Brings values into a random order, as `rand` does: several indices come of one draw."""
        if len(values) <= 1:
            return
        chunk, remaining = 0, 1
        for index in range(len(values)):
            size = index + 1
            if remaining == 0:
                bound, remaining = _bound(size)
                chunk = self.below(bound)
            remaining -= 1
            if remaining == 0:
                other = chunk
            else:
                chunk, other = divmod(chunk, size)
            values[index], values[other] = values[other], values[index]

    def _generate(self) -> Iterator[int]:
        counter = 0
        while True:
            yield from _block(self._key, counter)
            counter += 1


def _bound(first: int) -> tuple[int, int]:
    """Returns the largest product `first * (first + 1) * ...` below 2^32, and its number of factors."""
    product, following = first, first + 1
    while product * following <= _MASK:
        product *= following
        following += 1
    return product, following - first


def _block(key: Sequence[int], counter: int) -> list[int]:
    """Returns the 16 words of a block of ChaCha8, whose nonce is zero."""
    start = [*_CONSTANTS, *key, counter & _MASK, counter >> 32, 0, 0]
    x = list(start)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        x[a] = (x[a] + x[b]) & _MASK
        mixed = x[d] ^ x[a]
        x[d] = (mixed << 16 | mixed >> 16) & _MASK
        x[c] = (x[c] + x[d]) & _MASK
        mixed = x[b] ^ x[c]
        x[b] = (mixed << 12 | mixed >> 20) & _MASK
        x[a] = (x[a] + x[b]) & _MASK
        mixed = x[d] ^ x[a]
        x[d] = (mixed << 8 | mixed >> 24) & _MASK
        x[c] = (x[c] + x[d]) & _MASK
        mixed = x[b] ^ x[c]
        x[b] = (mixed << 7 | mixed >> 25) & _MASK

    for _ in range(_DOUBLE_ROUNDS):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return [(mixed + began) & _MASK for mixed, began in zip(x, start, strict=True)]
