"""CRC-32C (Castagnoli), the checksum of journals, 16 bits at a time."""

from __future__ import annotations

import functools
import sys
from array import array

_POLYNOMIAL = 0x82F63B78


@functools.cache
def _tables() -> tuple[list[int], list[int]]:
    bytewise = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        bytewise.append(value)
    # Two steps of the table of bytes at once halve the time.
    pairwise = [0] * 65536
    for low in range(256):
        first = bytewise[low]
        rest, next_byte = first >> 8, first & 0xFF
        for high in range(256):
            pairwise[low | high << 8] = rest ^ bytewise[next_byte ^ high]
    return bytewise, pairwise


def crc32c(data: bytes) -> int:
    """Return the checksum of ``data``."""
    bytewise, pairwise = _tables()
    pairs = array("H", data[: len(data) & ~1])
    if sys.byteorder == "big":
        pairs.byteswap()
    crc = 0xFFFFFFFF
    for pair in pairs:
        crc = (crc >> 16) ^ pairwise[(crc ^ pair) & 0xFFFF]
    if len(data) & 1:
        crc = (crc >> 8) ^ bytewise[(crc ^ data[-1]) & 0xFF]
    return crc ^ 0xFFFFFFFF
