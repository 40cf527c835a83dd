"""Kernels of coded streams, held to numpy; compiled once, and done without where there are none."""

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding
from native_kernels import on_this_cpu

from squadlite import native
from squadlite.container.codecs import rans
from squadlite.native import entropy
from squadlite.native.cpu import Cpu, cpu_with
from squadlite.native.entropy import EntropyKernels, compile_entropy

LEAST = 2**16


@pytest.fixture
def fresh() -> Iterator[None]:
    """Kernels are loaded anew, in this test and after it."""
    native.entropy_kernels.cache_clear()
    yield
    native.entropy_kernels.cache_clear()


@functools.cache
def loaded(cpu: Cpu) -> EntropyKernels:
    return EntropyKernels(cpu, 14)


def case(lanes: int, spread: float, count: int = 901) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    symbols = np.random.default_rng(lanes).normal(50, spread, count).round().astype(np.uint8)
    symbols[:2] = 0, 255
    frequencies = rans.quantized_frequencies(np.bincount(symbols, minlength=256))
    return symbols, frequencies, np.full(lanes, LEAST, np.uint32)


@on_this_cpu
@settings(deadline=None)  # the first compiles
@given(lanes=st.sampled_from([1, 2, 16, 1024]), spread=st.floats(0, 30))
def test_kernels_do_what_numpy_does(cpu: Cpu, lanes: int, spread: float) -> None:
    symbols, frequencies, states = case(lanes, spread)
    kernels, numpy_states = loaded(cpu), states.copy()
    words = kernels.encode(symbols, frequencies, states)
    np.testing.assert_array_equal(words, rans.encode_lanes(symbols, frequencies, numpy_states))
    np.testing.assert_array_equal(states, numpy_states)
    out = np.empty_like(symbols)
    assert kernels.decode(states, words, frequencies, out) == words.size
    np.testing.assert_array_equal(out, symbols)
    assert (states == LEAST).all()


@on_this_cpu
@pytest.mark.parametrize("n_words", [0, 1, 500])
def test_decoding_stops_where_words_do_not_suffice(cpu: Cpu, n_words: int) -> None:
    symbols, frequencies, states = case(2, 20, count=2**20)
    kernels = loaded(cpu)
    words = kernels.encode(symbols, frequencies, states)[:n_words]
    out = np.zeros_like(symbols)
    taken = kernels.decode(states, words, frequencies, out)
    # No more than the spare words behind them.
    assert n_words < taken <= n_words + 1024
    assert not out[10_000:].any()


@on_this_cpu
def test_kernels_are_compiled_once(
    cpu: Cpu, tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUADLITE_CACHE", str(tmp_path))
    first = native.entropy_kernels(14)
    assert isinstance(first, EntropyKernels)
    assert native.entropy_kernels(14) is first
    assert len(list(tmp_path.glob("kernels-*"))) == 1
    monkeypatch.delattr(entropy, "compile_entropy")
    EntropyKernels(cpu, 14)


@pytest.mark.parametrize("missing", ["llvmlite", "instructions"])
def test_streams_are_coded_where_there_are_no_kernels(
    missing: str, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols, _, _ = case(1, 2)
    stream = rans.encode(symbols)
    native.entropy_kernels.cache_clear()
    if missing == "llvmlite":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr("squadlite.native.cpu.this_cpu", lambda: None)
    assert native.entropy_kernels(14) is None
    assert rans.encode(symbols) == stream
    out = np.empty_like(symbols)
    rans.decode(stream, symbols.size, out)
    np.testing.assert_array_equal(out, symbols)


@pytest.mark.parametrize(
    "triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin23.1.0", "aarch64-pc-windows-msvc"]
)
def test_kernels_compile_for_arm_processors(triple: str) -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    cpu = cpu_with(triple, "generic", binding.FeatureMap(dotprod=True))
    assert cpu is not None
    image = compile_entropy(cpu, 14)
    assert all(name in image for name in (b"decode", b"encode"))
    assert compile_entropy(cpu, 14) == image
