"""
Coded streams: bytes whose values are not equally frequent, in fewer bytes.

Static range asymmetric numeral systems (rANS) of order 0: every symbol has one frequency for the
whole stream, out of 2**14, and takes log2(2**14 / frequency) bits. Lanes, more of them in a longer
stream, take turns with the symbols; each is a coder of its own with a state of 32 bits, and all put
what doesn't fit their states into one sequence of 16-bit words. So numpy's vectors, or independent
instructions that a processor executes at once, work on lanes side by side.

Where coding saves nothing a stream holds its symbols as they are, and where all symbols are one,
this one alone.

Source: Duda 2013, "Asymmetric numeral systems"; Giesen 2014, "Interleaved entropy coders";
format_spec.md, "Coded streams".
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from squadlite.errors import CodecError
from squadlite.native import entropy_kernels

Data = bytes | memoryview
Symbols = NDArray[np.uint8]
States = NDArray[np.uint32]
Words = NDArray[np.uint16]
Frequencies = NDArray[np.int64]  # of 256 symbols

_PLAIN, _CONSTANT, _CODED = range(3)
# Of a coded stream: its kind, and how many bytes follow.
_HEAD = struct.Struct("<BI")

_FREQUENCY_BITS = 14
_TOTAL = 1 << _FREQUENCY_BITS
_WORD_BITS = 16
# States are at least this between two symbols, and where the encoder begins.
_LEAST = np.uint32(1 << 16)
# A state at or above frequency << this would not fit 32 bits with the next symbol in it.
_FULL_SHIFT = np.uint32(32 - _FREQUENCY_BITS)
_SYMBOLS_PER_LANE = 4096
_MAX_LANES = 1024


def encode(symbols: Symbols, *, kernels: bool = True) -> bytes:
    """
    Write symbols as a coded stream: the same bytes on every platform.

    Args:
        symbols: uint8, shape (n,), n at most 2**31 - 1.
        kernels: use machine code where there is some for this processor; else numpy.

    Returns:
        At most n + 1 bytes; none for n = 0.
    """
    if not symbols.size:
        return b""
    symbols = np.ascontiguousarray(symbols)
    counts = np.bincount(symbols, minlength=256).astype(np.int64)
    if np.count_nonzero(counts) == 1:
        return bytes([_CONSTANT, symbols[0]])
    frequencies = quantized_frequencies(counts)
    states = np.full(lanes_for(symbols.size), _LEAST)
    native = entropy_kernels(_FREQUENCY_BITS) if kernels else None
    words = (native.encode if native else encode_lanes)(symbols, frequencies, states)
    body = _frequency_bytes(frequencies) + states.astype("<u4").tobytes()
    body += words.astype("<u2").tobytes()
    if _HEAD.size + len(body) > symbols.size:
        return bytes([_PLAIN]) + symbols.tobytes()
    return _HEAD.pack(_CODED, len(body)) + body


def decode(data: Data, count: int, out: Symbols, *, kernels: bool = True) -> None:
    """
    Read a coded stream.

    Args:
        data: the stream, and nothing behind it.
        count: how many symbols it holds.
        out: C-contiguous uint8 array of shape (count,), filled.
        kernels: use machine code where there is some for this processor; else numpy.

    Raises:
        CodecError: bytes that are no coded stream of `count` symbols.
        ValueError: another kind of `out`.
    """
    if out.shape != (count,) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out: {out.dtype} array of shape {out.shape}, "
            f"expected C-contiguous uint8 of {(count,)}"
        )
    if stream_bytes(data, count) != len(data):
        raise CodecError(
            f"coded stream: {len(data)} bytes, expected {stream_bytes(data, count)} by its head"
        )
    if not count:
        return
    stored = np.frombuffer(data, np.uint8)
    if stored[0] == _PLAIN:
        out[:] = stored[1:]
    elif stored[0] == _CONSTANT:
        out[:] = stored[1]
    else:
        _decode_body(stored[_HEAD.size :], out, kernels)


def stream_bytes(data: Data, count: int) -> int:
    """
    How long the coded stream is with which `data` begins, by its head.

    Args:
        data: the stream, and maybe more.
        count: how many symbols the stream holds.

    Raises:
        CodecError: a head that is unknown or not whole.
    """
    if not count:
        return 0
    kind = data[0] if len(data) else None
    if kind == _PLAIN:
        return 1 + count
    if kind == _CONSTANT:
        return 2
    if kind == _CODED and len(data) >= _HEAD.size:
        return _HEAD.size + int(_HEAD.unpack_from(data)[1])
    raise CodecError(f"coded stream: begins with {bytes(data[: _HEAD.size])!r}, expected a head")


def split(data: Data, counts: Sequence[int]) -> list[memoryview]:
    """
    Take apart coded streams that stand one behind the other.

    Args:
        data: the streams, and nothing behind them.
        counts: how many symbols each holds.

    Returns:
        The bytes of each.

    Raises:
        CodecError: heads that don't fit the data.
    """
    rest = memoryview(data)
    streams = []
    for count in counts:
        size = stream_bytes(rest, count)
        if size > len(rest):
            raise CodecError(f"coded stream: {size} bytes by its head, {len(rest)} are left")
        streams.append(rest[:size])
        rest = rest[size:]
    if rest:
        raise CodecError(f"coded streams: {len(rest)} bytes behind the last, expected none")
    return streams


def quantized_frequencies(counts: NDArray[np.int64]) -> Frequencies:
    """
    Frequencies out of 2**14 in proportion to counts, by integers alone.

    Args:
        counts: int64, shape (256,), sum below 2**31; at least two are not 0.

    Returns:
        Sum 2**14: at least 1 for each symbol that occurs, 0 for others.

    Source: format_spec.md, "Coded streams"; the divisors are those of Webster and Sainte-Laguë.
    """
    frequencies: Frequencies = np.maximum(counts * _TOTAL // counts.sum(), counts > 0)
    scaled = counts << 20
    while (excess := int(frequencies.sum()) - _TOTAL) < 0:
        frequencies[np.argmax(scaled // (2 * frequencies + 1))] += 1
    for _ in range(excess):
        loss = scaled // np.maximum(2 * frequencies - 1, 1)
        loss[frequencies <= 1] = np.iinfo(np.int64).max
        frequencies[np.argmin(loss)] -= 1
    return frequencies


def lanes_for(count: int) -> int:
    """How many lanes a stream of `count` symbols has: a power of two."""
    enough = max(1, count // _SYMBOLS_PER_LANE)
    return min(_MAX_LANES, 1 << (enough.bit_length() - 1))


def _steps(symbols: Symbols, lanes: int) -> Iterator[Symbols]:
    """The symbols of one turn of all lanes after the other; the last may be shorter."""
    return (symbols[at : at + lanes] for at in range(0, symbols.size, lanes))


def encode_lanes(symbols: Symbols, frequencies: Frequencies, states: States) -> Words:
    """
    Code symbols by numpy.

    Args:
        symbols: to code.
        frequencies: above 0 for each of them, and below their total.
        states: one for each lane, 2**16; left as decoding begins.

    Returns:
        The words in the order in which decoding takes them.
    """
    widths = frequencies.astype(np.uint32)
    starts = np.cumsum(frequencies).astype(np.uint32) - widths
    given = [np.empty(0, np.uint16)]
    # What goes in last comes out first.
    for step in reversed(list(_steps(symbols, states.size))):
        width, state = widths[step], states[: step.size]
        full = state >= width << _FULL_SHIFT
        given.append(state[full].astype(np.uint16))
        state[full] >>= np.uint32(_WORD_BITS)
        turns, within = np.divmod(state, width)
        state[:] = (turns << np.uint32(_FREQUENCY_BITS)) + within + starts[step]
    return np.concatenate(given[::-1])


def decode_lanes(states: States, words: Words, frequencies: Frequencies, out: Symbols) -> int:
    """
    Decode symbols by numpy.

    Args:
        states: one for each lane, 2**16 or more; left as encoding begins if all is well.
        words: to take.
        frequencies: their sum is their total.
        out: filled, unless the words don't suffice.

    Returns:
        How many words the symbols take: more than there are if these don't suffice.
    """
    symbol_at = np.repeat(np.arange(256, dtype=np.uint8), frequencies)
    starts = np.cumsum(frequencies) - frequencies
    width_at = frequencies.astype(np.uint32)[symbol_at]
    within_at = (np.arange(_TOTAL) - starts[symbol_at]).astype(np.uint32)
    position = 0
    for step in _steps(out, states.size):
        state = states[: step.size]
        slot = state & np.uint32(_TOTAL - 1)
        np.take(symbol_at, slot, out=step, mode="clip")
        state >>= np.uint32(_FREQUENCY_BITS)
        state *= width_at[slot]
        state += within_at[slot]
        empty = np.flatnonzero(state < _LEAST)
        taken = words[position : position + empty.size]
        position += empty.size
        if taken.size != empty.size:
            break
        state[empty] = (state[empty] << np.uint32(_WORD_BITS)) | taken
    return position


def _decode_body(body: Symbols, out: Symbols, kernels: bool) -> None:
    frequencies, used = _read_frequencies(body)
    word_at = used + 4 * lanes_for(out.size)
    if body.size < word_at or (body.size - word_at) % 2:
        raise CodecError(
            f"coded stream: {body.size} bytes behind its head, "
            f"expected {word_at} and an even number of others"
        )
    states = body[used:word_at].view("<u4").astype(np.uint32)
    words = body[word_at:].view("<u2").astype(np.uint16, copy=False)
    if states.min() < _LEAST:
        raise CodecError(f"coded stream: a state is {states.min()}, expected {_LEAST} or more")
    native = entropy_kernels(_FREQUENCY_BITS) if kernels else None
    taken = (native.decode if native else decode_lanes)(states, words, frequencies, out)
    if taken != words.size or (states != _LEAST).any():
        raise CodecError("coded stream: its words don't end where its symbols do")


def _frequency_bytes(frequencies: Frequencies) -> bytes:
    """The last symbol that occurs, then a frequency for each up to it; format_spec.md."""
    last = int(np.flatnonzero(frequencies)[-1])
    written = bytearray([last])
    zeros = 0
    for frequency in frequencies[: last + 1].tolist():
        if frequency == 0:
            zeros += 1
            continue
        if zeros:
            written += bytes([0, zeros - 1])
            zeros = 0
        if frequency < 128:
            written.append(frequency)
        else:
            written += bytes([128 | frequency & 127, frequency >> 7])
    return bytes(written)


def _read_frequencies(body: Symbols) -> tuple[Frequencies, int]:
    """Frequencies, shape (256,), and how many bytes they take."""
    # A table has at most so many bytes: two for each symbol.
    table = body[: 1 + 2 * 256].tobytes()
    frequencies = np.zeros(256, np.int64)
    try:
        last, at, symbol = table[0], 1, 0
        while symbol <= last:
            first, at = table[at], at + 1
            if first == 0:
                symbol += table[at] + 1
                at += 1
                continue
            if first >= 128:
                first, at = first & 127 | table[at] << 7, at + 1
                if not 128 <= first < _TOTAL:
                    raise CodecError(f"coded stream: frequency {first} in two bytes")
            frequencies[symbol] = first
            symbol += 1
    except IndexError:
        raise CodecError("coded stream: ends within its frequencies") from None
    if frequencies.sum() != _TOTAL or frequencies[last] == 0:
        raise CodecError(
            f"coded stream: frequencies up to symbol {last} with sum {frequencies.sum()}, "
            f"expected {_TOTAL}"
        )
    return frequencies, at
