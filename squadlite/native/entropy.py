"""
Static range asymmetric numeral systems, as the container's coded streams use them.

What the kernels compute is format_spec.md's, "Coded streams"; `squadlite.container.codecs.rans` has
the same in numpy. Lanes don't depend on each other, so that a processor is at work on several
symbols at once. Nothing branches on data: no processor foresees when a state is in need of a word.
"""

from collections.abc import Callable, Mapping
from ctypes import c_int64, c_void_p
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.machine_code import compile_module, load_cached
from squadlite.native.operands import BYTE, INDEX, INT, POINTER, SHORT, Value

Symbols = NDArray[np.uint8]
States = NDArray[np.uint32]
Words = NDArray[np.uint16]
Frequencies = NDArray[np.int64]

_WORD_BITS = 16
_LEAST = 1 << _WORD_BITS  # what states are kept at or above
# Words behind the last: decoding looks whether there are words left before so many symbols only.
_SPARE_WORDS = 1024

_SHARED = {
    "states": POINTER,
    "n_lanes": INDEX,
    "words": POINTER,
    "ranges": POINTER,
    "symbols": POINTER,
    "n_symbols": INDEX,
    "position": POINTER,  # written: of the first word, or behind the last
}
_ENCODE = _SHARED
_DECODE = {**_SHARED, "n_words": INDEX, "symbol_at": POINTER}


class EntropyKernels:
    """
    Encoding and decoding by machine code.

    Args:
        cpu: that we run on.
        frequency_bits: symbols' frequencies add up to 2 to this.
    """

    def __init__(self, cpu: Cpu, frequency_bits: int) -> None:
        self._library = load_cached(
            f"entropy {frequency_bits}", lambda: compile_entropy(cpu, frequency_bits), cpu
        )
        self._encode = self._function("encode", _ENCODE)
        self._decode = self._function("decode", _DECODE)

    def encode(self, symbols: Symbols, frequencies: Frequencies, states: States) -> Words:
        """See `squadlite.container.codecs.rans.encode_lanes`; the arrays are C-contiguous."""
        words = np.empty(symbols.size, np.uint16)
        position = np.zeros(1, np.int64)
        self._encode(
            states.ctypes,
            states.size,
            words.ctypes,
            _ranges(frequencies).ctypes,
            symbols.ctypes,
            symbols.size,
            position.ctypes,
        )
        return words[position[0] :]

    def decode(self, states: States, words: Words, frequencies: Frequencies, out: Symbols) -> int:
        """See `squadlite.container.codecs.rans.decode_lanes`; the arrays are C-contiguous."""
        spared = np.zeros(words.size + _SPARE_WORDS, np.uint16)
        spared[: words.size] = words
        position = np.zeros(1, np.int64)
        self._decode(
            states.ctypes,
            states.size,
            spared.ctypes,
            _ranges(frequencies).ctypes,
            out.ctypes,
            out.size,
            position.ctypes,
            words.size,
            np.repeat(np.arange(256, dtype=np.uint8), frequencies).ctypes,
        )
        return int(position[0])

    def _function(self, name: str, parameters: Mapping[str, Any]) -> Callable[..., None]:
        kinds = (c_void_p if kind is POINTER else c_int64 for kind in parameters.values())
        return self._library.function(name, *kinds)


def compile_entropy(cpu: Cpu, frequency_bits: int) -> bytes:
    """Write `decode` and `encode` and compile them to an object file."""
    module = ir.Module("entropy")
    module.triple = cpu.triple
    _write_decode(Code(module, "decode", _DECODE, cpu), frequency_bits)
    _write_encode(Code(module, "encode", _ENCODE, cpu), frequency_bits)
    return compile_module(str(module), cpu)


def _write_decode(code: Code, frequency_bits: int) -> None:
    with code:
        n_symbols, words = code["n_symbols"], code["words"]
        end = code["n_words"] + _SPARE_WORDS
        done, position = code.variable(code.index(0)), code.variable(code.index(0))
        # A symbol takes one word at most: as many symbols as there are words can't read beyond.
        with code.loop_while(
            lambda: (done.get() < n_symbols) & (position.get() < code["n_words"] + 1)
        ):
            stop = n_symbols.min(done.get() + (end - position.get()))
            with code.loop(done.get(), stop) as i:
                place, state = _state(code, i)
                slot = state & ((1 << frequency_bits) - 1)
                symbol = code.load(code["symbol_at"] + slot, BYTE)
                code.store(code["symbols"] + i, symbol)
                start, frequency = _range(code, symbol)
                state = (state >> frequency_bits) * frequency + (slot - start)
                is_small = state < _LEAST
                word = code.load(words + position.get() * 2, SHORT).widen(INDEX)
                position.set(position.get() + is_small.widen(INDEX))
                state = is_small.choose((state << _WORD_BITS) | word, state)
                code.store(place, state.low_bits(INT))
            done.set(stop)
        code.store(code["position"], position.get())


def _write_encode(code: Code, frequency_bits: int) -> None:
    with code:
        n_symbols = code["n_symbols"]
        position = code.variable(n_symbols)
        with code.loop(0, n_symbols) as count:
            i = n_symbols - 1 - count
            place, state = _state(code, i)
            start, frequency = _range(code, code.load(code["symbols"] + i, BYTE))
            fits = state < (frequency << (32 - frequency_bits))
            before = position.get() - 1
            code.store(code["words"] + before * 2, state.low_bits(SHORT))
            position.set(fits.choose(position.get(), before))
            state = fits.choose(state, state >> _WORD_BITS)
            # Of 32 bits, which all processors divide faster.
            turns = (state.low_bits(INT) // frequency.low_bits(INT)).widen(INDEX)
            within = state - turns * frequency
            state = (turns << frequency_bits) + within + start
            code.store(place, state.low_bits(INT))
        code.store(code["position"], position.get())


def _state(code: Code, i: Value) -> tuple[Value, Value]:
    # Where the state of a symbol's lane is, and the state.
    place = code["states"] + (i & (code["n_lanes"] - 1)) * 4
    return place, code.load(place, INT).widen(INDEX)


def _range(code: Code, symbol: Value) -> tuple[Value, Value]:
    packed = code.load(code["ranges"] + symbol.widen(INDEX) * 4, INT).widen(INDEX)
    return packed & 0xFFFF, packed >> 16


def _ranges(frequencies: Frequencies) -> NDArray[np.uint32]:
    # Each symbol's first slot, and in the upper half how many it has.
    starts = np.cumsum(frequencies) - frequencies
    return (starts | frequencies << 16).astype(np.uint32)
