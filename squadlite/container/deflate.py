"""DEFLATE without a wrapper, and never more out of it than was asked for. Source: RFC 1951."""

import zlib

_RAW = -15  # zlib's word for no wrapper and the largest window
_BEST, _MOST_MEMORY = 9, 9


def deflated(data: bytes) -> bytes:
    """Compress; the bytes depend on the zlib that Python is built with."""
    compressor = zlib.compressobj(_BEST, zlib.DEFLATED, _RAW, _MOST_MEMORY)
    return compressor.compress(data) + compressor.flush()


def inflated(data: bytes, n_bytes: int, *, at_most: bool = False) -> bytes:
    """
    Decompress one whole DEFLATE stream.

    Args:
        data: the stream, of any content, and nothing behind it.
        n_bytes: how many bytes it must hold; no more are ever made.
        at_most: take fewer as well.

    Raises:
        ValueError: no such stream.
    """
    inflater = zlib.decompressobj(_RAW)
    try:
        # One byte of room more: with none left zlib may not reach the end of the stream.
        result = inflater.decompress(data, n_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"not DEFLATE data ({error})") from error
    if len(result) > n_bytes or (len(result) < n_bytes and not at_most):
        limit = "at most " if at_most else ""
        raise ValueError(f"inflates to {len(result)} bytes or more, expected {limit}{n_bytes}")
    if not inflater.eof:
        raise ValueError(f"DEFLATE data ends before its last block, after {len(data)} bytes")
    if inflater.unused_data:
        raise ValueError(f"{len(inflater.unused_data)} bytes behind DEFLATE data, expected none")
    return result
