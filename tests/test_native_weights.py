"""Packed weights, unpacked in plain loops and held to the tensors they were made of."""

import ctypes
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native_kernels import on_every_cpu, on_this_cpu, random_tensors, wide_config
from tiny_models import tiny_config

from squadlite.errors import SquadliteError
from squadlite.native.cpu import LINE, Cpu
from squadlite.native.layout import MAX_TOKENS, Layout, LinearLayout
from squadlite.native.weights import (
    aligned_zeros,
    load_weights,
    pack_biases,
    pack_linear,
    pack_weights,
)

SKETCHED = {"sketch_dims": {"attention.query": 4, "feed_forward.output": 6}}
SHARED = {"num_layers": 5, "layer_map": (1, 0, 1, 1, 0)}


def unpacked(
    packed: np.ndarray, layout: LinearLayout
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes (outputs, inputs), what sums begin with, scales and biases (outputs,)."""
    codes = np.zeros((layout.outputs, layout.inputs), np.int8)
    after = np.zeros((3, layout.outputs), np.float32)
    at = 0
    for panel in range(layout.panels):
        columns = range(panel * layout.columns, (panel + 1) * layout.columns)
        size = layout.cpu.step_inputs
        for start in range(0, layout.inputs, size):
            for column in columns:
                codes[column, start : start + size] = packed[at : at + size].view(np.int8)
                at += size
        for part in after:
            for column in columns:
                part[column] = packed[at : at + 4].copy().view(np.float32)[0]
                at += 4
    assert at == len(packed) == layout.n_bytes
    return codes, after[0].view(np.int32), after[1], after[2]


@on_every_cpu
@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("lowest", [None, 0.0, -0.17])
def test_panels_hold_each_output_in_steps_of_its_own(
    cpu: Cpu, vectors: int, lowest: float | None
) -> None:
    layout = LinearLayout(32, vectors * cpu.lanes, cpu)
    generator = np.random.default_rng(0)
    shape = layout.outputs, layout.inputs
    sizes = 10.0 ** generator.uniform(-6, 6, (layout.outputs, 1))
    weight = (sizes * generator.standard_normal(shape)).astype(np.float32)
    weight[1] = 0
    bias = generator.standard_normal(layout.outputs).astype(np.float32)
    codes, first, scales, biases = unpacked(
        pack_linear(weight, bias, layout, lowest=lowest), layout
    )
    tops = np.abs(weight).max(axis=1)
    np.testing.assert_allclose(scales, np.maximum(tops, 1e-30) / cpu.top_weight, rtol=1e-6)
    assert (np.abs(codes.astype(int)).max(axis=1) == np.where(tops > 0, cpu.top_weight, 0)).all()
    error = np.abs(codes * scales[:, None].astype(np.float64) - weight)
    assert (error <= 0.5001 * scales[:, None]).all()
    sums = codes.astype(int).sum(axis=1)
    if lowest is None:
        np.testing.assert_array_equal(first, -cpu.zero_code * sums)
        np.testing.assert_array_equal(biases, bias)
    else:
        np.testing.assert_array_equal(first, -cpu.lowest_code * sums)
        np.testing.assert_allclose(biases, bias + lowest * sums * scales, rtol=1e-5, atol=1e-6)


@on_this_cpu
def test_the_order_in_memory_changes_nothing(cpu: Cpu) -> None:
    # As of a checkpoint whose weights were transposed when they were saved.
    layout = LinearLayout(32, 2 * cpu.lanes, cpu)
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((layout.outputs, layout.inputs)).astype(np.float32)
    bias = np.zeros(layout.outputs, np.float32)
    np.testing.assert_array_equal(
        pack_linear(np.asfortranarray(weight), bias, layout), pack_linear(weight, bias, layout)
    )


@on_this_cpu
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [*random_tensors(tiny_config(num_layers=1, **SKETCHED))])
def test_weights_that_are_not_numbers_are_refused(cpu: Cpu, name: str, bad: float) -> None:
    config = wide_config(cpu, num_layers=1, **SKETCHED)
    tensors = random_tensors(config)
    tensors[name].flat[3 % tensors[name].size] = bad
    with pytest.raises(SquadliteError, match="damaged"):
        pack_weights(tensors, Layout(config, cpu))


def memory(address: int, n_bytes: int) -> np.ndarray:
    return np.frombuffer(ctypes.string_at(address, n_bytes), np.uint8)


@on_every_cpu
def test_a_layers_block_holds_its_maps(cpu: Cpu) -> None:
    config = wide_config(cpu, **SKETCHED)
    layout, tensors = Layout(config, cpu), random_tensors(config)
    weights = load_weights(tensors, layout, None)
    table = memory(weights.addresses["layers"], 16).view(np.uint64)
    block = memory(int(table[1]), layout.layer["end"])
    prefix, hidden = "layers.1.", config.hidden_size

    def approximate(name: str, linear: LinearLayout) -> np.ndarray:
        packed = block[layout.layer[name] :][: linear.n_bytes]
        codes, _, scales, _ = unpacked(packed, linear)
        return codes * scales[:, None]

    together = approximate("query_key_value", layout.query_key_value)
    multiplied_out = (
        tensors[f"{prefix}attention.query.sketched_weight"]
        @ tensors[f"{prefix}attention.query.sketch"]
    )
    for found, exact in (
        (together[:hidden], multiplied_out),
        (together[hidden : 2 * hidden], tensors[f"{prefix}attention.key.weight"]),
        (together[2 * hidden :], tensors[f"{prefix}attention.value.weight"]),
        (approximate("gather", layout.gather), tensors[f"{prefix}attention.output.weight"]),
        (
            approximate("widen", layout.widen),
            tensors[f"{prefix}feed_forward.intermediate.weight"],
        ),
    ):
        assert np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
    norm = block[layout.layer["norm"] :][: 8 * hidden].view(np.float32)
    np.testing.assert_array_equal(norm[:hidden], tensors[f"{prefix}feed_forward.norm.weight"])
    np.testing.assert_array_equal(norm[hidden:], tensors[f"{prefix}feed_forward.norm.bias"])


@on_every_cpu
def test_positions_end_with_a_whole_tile(cpu: Cpu) -> None:
    # The last tile of the longest window goes on behind its last token.
    positions = cpu.tile_rows + 1
    config = wide_config(cpu, max_position_embeddings=positions)
    tensors, name = random_tensors(config), "embeddings.position.weight"
    expected = np.zeros((2 * cpu.tile_rows, config.hidden_size), np.float32)
    expected[:positions] = tensors[name]
    # What isn't theirs lies behind.
    tensors[name] = np.concatenate([tensors[name], np.full_like(expected, 7)])[:positions]
    weights = load_weights(tensors, Layout(config, cpu), None)
    found = memory(weights.addresses["positions"], expected.nbytes).view(np.float32)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@on_this_cpu
def test_a_shared_layer_is_stored_once(cpu: Cpu) -> None:
    config = wide_config(cpu, **SHARED)
    weights = load_weights(random_tensors(config), Layout(config, cpu), None)
    table = memory(weights.addresses["layers"], 8 * config.num_layers).view(np.uint64).tolist()
    assert [table.index(address) for address in table] == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("n_bytes", [1, 63, 64, 1000])
def test_memory_is_aligned_and_empty(n_bytes: int) -> None:
    found = aligned_zeros(n_bytes)
    assert found.size == n_bytes
    assert found.ctypes.data % LINE == 0
    assert not found.any()


@on_this_cpu
def test_biases_stand_by_the_distance_of_a_key_from_its_query(cpu: Cpu) -> None:
    config = wide_config(cpu, relative_position_buckets=32)
    tensors = random_tensors(config)
    biases = pack_biases(tensors)
    weight = tensors["relative_position_bias.weight"]
    for place, bucket in ((0, 0), (1, 17), (-1, 1), (7, 23), (8, 24), (-12, 9), (511, 31)):
        octaves = weight[bucket] * np.log2(np.e)
        np.testing.assert_allclose(biases[:, MAX_TOKENS + place], octaves, rtol=1e-6)


class Packing:
    """A model's weights, and a cache to keep them in."""

    def __init__(self, cpu: Cpu, cache: Path) -> None:
        self.config = wide_config(cpu, **SHARED)
        self.layout, self.cache = Layout(self.config, cpu), cache
        self.tensors = random_tensors(self.config)
        self.image = pack_weights(self.tensors, self.layout)

    def load(self, digest: str = "of the model") -> bool:
        """Load them and see that they are right; tell whether they came from the cache."""
        asked = []

        class Tensors(dict[str, np.ndarray]):
            def __getitem__(self, name: str) -> np.ndarray:
                asked.append(name)
                return super().__getitem__(name)

        weights = load_weights(Tensors(self.tensors), self.layout, digest, self.cache)
        found = memory(weights.addresses["words"], len(self.image))
        np.testing.assert_array_equal(found, self.image)
        return not asked

    @property
    def file(self) -> Path:
        """The only one in the cache."""
        (found,) = self.cache.iterdir()
        return found


@pytest.fixture
def packing(cpu: Cpu, tmp_path: Path) -> Packing:
    return Packing(cpu, tmp_path / "cache")


@on_this_cpu
def test_weights_are_packed_once(packing: Packing) -> None:
    assert not packing.load()
    written = packing.file.stat()
    assert packing.load()
    assert packing.load()
    assert packing.file.stat().st_mtime_ns == written.st_mtime_ns


@on_this_cpu
@pytest.mark.parametrize("place", [0, 5000, -33, -1])
def test_damaged_weights_are_packed_anew(packing: Packing, place: int) -> None:
    packing.load()
    content = bytearray(packing.file.read_bytes())
    content[place] ^= 1
    packing.file.write_bytes(content)
    assert not packing.load()
    assert packing.load()


@on_this_cpu
@pytest.mark.parametrize("size", [0, 31, -1, -1000, 1, 64])
def test_weights_of_another_size_are_packed_anew(packing: Packing, size: int) -> None:
    packing.load()
    whole = packing.file.stat().st_size
    os.truncate(packing.file, whole + size if size in {-1, -1000, 1, 64} else size)
    assert not packing.load()
    assert packing.load()


@on_this_cpu
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_weights_that_others_could_have_written_are_packed_anew(packing: Packing) -> None:
    packing.load()
    packing.file.chmod(0o666)
    assert not packing.load()
    assert packing.load()


@on_this_cpu
def test_each_model_and_each_processor_has_its_own_weights(cpu: Cpu, packing: Packing) -> None:
    assert not packing.load()
    assert not packing.load("of another")
    packing.layout = Layout(packing.config, replace(cpu, features="+others"))
    assert not packing.load()
    assert len(list(packing.cache.iterdir())) == 3


@on_this_cpu
def test_weights_that_nobody_has_read_for_a_month_are_removed(packing: Packing) -> None:
    packing.load("of a former version")
    former, month = packing.file, 30 * 24 * 3600
    for days, stays in ((-1, True), (1, False)):
        read = time.time() - month - days * 24 * 3600
        os.utime(former, (read, read - month))
        packing.load(f"of version {days}")
        assert former.exists() is stays
    assert packing.load("of version 1")


@on_this_cpu
def test_without_a_cache_that_can_be_written_weights_are_packed_each_time(
    packing: Packing,
) -> None:
    packing.cache.write_text("a file where the folder should be")
    assert not packing.load()
    assert not packing.load()


@on_this_cpu
@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is in use")
def test_weights_packed_by_several_at_once_are_whole(packing: Packing) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(packing.load) for _ in range(32)]:
            done.result()
    assert packing.file.suffix == ".bin"  # and nothing that was begun is left
    assert packing.load()


@on_this_cpu
@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is in use")
def test_weights_in_use_outlive_their_file(packing: Packing) -> None:
    packing.load()
    weights = load_weights({}, packing.layout, "of the model", packing.cache)
    packing.file.unlink()
    found = memory(weights.addresses["words"], len(packing.image))
    np.testing.assert_array_equal(found, packing.image)
