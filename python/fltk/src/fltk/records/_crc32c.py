"""CRC-32C (Castagnoli), the checksum of journals, eight bytes at a time."""

from __future__ import annotations

import functools
import struct

_POLYNOMIAL = 0x82F63B78


@functools.cache
def _tables() -> tuple[list[int], ...]:
    """Return the table of bytes, and four of pairs of bytes: the first is of the pair that six bytes follow, the last of the one that none follows."""
    bytewise: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        bytewise.append(value)

    def shifted(value: int) -> int:
        value = (value >> 8) ^ bytewise[value & 0xFF]
        return (value >> 8) ^ bytewise[value & 0xFF]

    pairwise = [[shifted(pair) for pair in range(65536)]]
    for _ in range(3):
        last = pairwise[-1]
        # Two more bytes of zeros.
        pairwise.append([(value >> 16) ^ pairwise[0][value & 0xFFFF] for value in last])
    return (bytewise, *reversed(pairwise))


def crc32c(data: bytes) -> int:
    """Return the checksum of ``data``."""
    bytewise, first, second, third, fourth = _tables()
    crc = 0xFFFFFFFF
    whole = len(data) & ~7
    for one, two, three in struct.iter_unpack("<IHH", memoryview(data)[:whole]):
        word = crc ^ one
        crc = first[word & 0xFFFF] ^ second[word >> 16] ^ third[two] ^ fourth[three]
    for byte in data[whole:]:
        crc = (crc >> 8) ^ bytewise[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
