"""
Unsigned integers of 1 to 16 bits, packed tight into one little-endian bit stream.

Code i takes bits i*bits .. (i+1)*bits - 1 of the stream, its lowest bit first; bit k of the stream
is bit k % 8 of byte k // 8. The bits that fill up the last byte are zero.

Eight codes take `bits` bytes, whatever `bits` is. Both directions work on such octets, column by
column: the first four codes always lie within the octet's first 8 bytes and the last four within
its last 8, so that two 64-bit words reach all of them.

Source: format_spec.md, "Bit streams".
"""

import numpy as np

from squadlite.errors import CodecError


def packed_bytes(count: int, bits: int) -> int:
    """How many bytes `count` codes of `bits` bits take."""
    return (count * bits + 7) // 8


def pack(codes: np.ndarray, bits: int) -> bytes:
    """
    Write codes as a bit stream.

    Args:
        codes: unsigned integers, shape (n,), each below 2**bits (not checked).
        bits: width of a code, 1..16.

    Returns:
        packed_bytes(n, bits) bytes.
    """
    octets = -(-codes.size // 8)
    lanes = np.zeros((octets, 8), np.uint64)
    lanes.reshape(-1)[: codes.size] = codes
    width = np.uint64(bits)
    low = np.zeros(octets, np.uint64)
    high = np.zeros(octets, np.uint64)
    for lane in range(4):
        low |= lanes[:, lane] << (width * np.uint64(lane))
        high |= lanes[:, lane + 4] << (width * np.uint64(lane))
    # `low` and `high` are the two halves of the octet, 4 * bits bits each: join them byte by byte.
    half = np.uint64(4 * bits)
    packed = np.empty((octets, bits), np.uint8)
    if bits == 16:
        packed[:, :8] = _bytes_of(low)
        packed[:, 8:] = _bytes_of(high)
    elif bits <= 8:
        packed[:] = _bytes_of(low | high << half)[:, :bits]
    else:
        packed[:, :8] = _bytes_of(low | high << half)
        packed[:, 8:] = _bytes_of(high >> (np.uint64(64) - half))[:, : bits - 8]
    return packed.tobytes()[: packed_bytes(codes.size, bits)]


def unpack(data: np.ndarray, bits: int, out: np.ndarray) -> None:
    """
    Read codes from the start of a bit stream.

    Args:
        data: uint8 array, shape (packed_bytes(n, bits) or more,).
        bits: width of a code, 1..16.
        out: uint16 array, shape (n,), filled with the codes.
    """
    if bits == 8:
        out[:] = data[: out.size]
    elif bits == 16:
        out[:] = data[: 2 * out.size].view("<u2")
    else:
        if octets := _whole_octets(data.size, bits, out.size):
            _unpack_octets(data, bits, out[: octets * 8].reshape(octets, 8))
        if rest := out.size - octets * 8:
            _unpack_rest(data[octets * bits :], bits, out[-rest:])


def check_padding(data: np.ndarray, bits: int, count: int) -> None:
    """
    Check that the bits after the last code are zero.

    Raises:
        CodecError: one of them is set.
    """
    used = count * bits % 8
    if used and data[-1] >> used:
        raise CodecError(f"last byte is {data[-1]:#04x}, expected zero above its {used} used bits")


def _whole_octets(n_bytes: int, bits: int, count: int) -> int:
    """How many octets can be read as 8-byte words without running over the end of the data."""
    readable = (n_bytes - max(8 - bits, 0)) // bits
    return max(0, min(count // 8, readable))


def _unpack_rest(data: np.ndarray, bits: int, out: np.ndarray) -> None:
    """The last codes, which 8-byte words would read past: the same on a copy with zeros behind."""
    octets = -(-out.size // 8)
    padded = np.zeros(octets * bits + 8, np.uint8)
    padded[: min(data.size, padded.size)] = data[: padded.size]
    codes = np.empty((octets, 8), np.uint16)
    _unpack_octets(padded, bits, codes)
    out[:] = codes.reshape(-1)[: out.size]


def _unpack_octets(data: np.ndarray, bits: int, lanes: np.ndarray) -> None:
    """Octets (n, bits) of bytes into (n, 8) codes, a column at a time."""
    mask = np.uint64(2**bits - 1)
    low = _words(data, bits, len(lanes), at=0)
    high_at = max(bits - 8, 0)
    high = _words(data, bits, len(lanes), at=high_at) if high_at else low
    shifted = np.empty_like(low)
    for lane in range(8):
        word, skipped = (low, 0) if lane < 4 else (high, 8 * high_at)
        np.right_shift(word, np.uint64(lane * bits - skipped), out=shifted)
        np.bitwise_and(shifted, mask, out=shifted)
        lanes[:, lane] = shifted


def _words(data: np.ndarray, bits: int, octets: int, *, at: int) -> np.ndarray:
    """Eight bytes from byte `at` of each octet on, as native 64-bit words."""
    view = np.ndarray((octets,), "<u8", data, at, (bits,))
    return np.array(view, np.uint64)


def _bytes_of(words: np.ndarray) -> np.ndarray:
    """64-bit words (n,) as their little-endian bytes (n, 8)."""
    return words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
