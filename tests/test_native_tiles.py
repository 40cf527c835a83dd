"""Matrix instructions: the vector kernels' bits, and machine code that has them."""

from collections import Counter

import numpy as np
import pytest
from llvmlite import binding
from native_kernels import AVX512, CPUS, on_every_matrix_cpu, random_tensors, wide_config

from squadlite.native.cpu import Cpu, cpu_with
from squadlite.native.layout import Layout
from squadlite.native.network import Network
from squadlite.native.scorer import NativeScorer

TILES = AVX512 | {"avx512f": True, "amx-tile": True, "amx-int8": True}
LINUX = "x86_64-unknown-linux-gnu"


@on_every_matrix_cpu
@pytest.mark.parametrize(
    "changes",
    [
        {"num_heads": 1, "relative_position_buckets": 32},
        # Sizes count units: several turns of products, panels of one vector and of two.
        {"embedding_size": 1, "hidden_size": 8, "num_heads": 2, "intermediate_size": 7},
    ],
    ids=str,
)
def test_logits_are_those_of_vectors_bit_by_bit(cpu: Cpu, changes: dict[str, int]) -> None:
    # What adds up floats differs with the width of vectors alone.
    vectors = next(p.values[0] for p in CPUS if p.values[0].lanes == cpu.lanes)
    sizes = {
        name: value * cpu.unit if name.endswith("_size") else value
        for name, value in changes.items()
    }
    config = wide_config(cpu, max_position_embeddings=80, **sizes)
    tensors = random_tensors(config)
    matrix, vector = (NativeScorer(Layout(config, each), tensors) for each in (cpu, vectors))
    generator = np.random.default_rng(0)
    for length in (1, 15, 16, 33, 80):
        ids = generator.integers(0, config.vocab_size, (1, length))
        window = ids, np.zeros_like(ids), np.ones(ids.shape, np.bool_)
        found, expected = (np.stack(each(*window, threads=2)) for each in (matrix, vector))
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(found, expected)


def assembly_of(layout: Layout) -> list[str]:
    """Names of a model's machine instructions."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    cpu = layout.cpu
    target = binding.Target.from_triple(cpu.triple)
    machine = target.create_target_machine(cpu=cpu.name, features=cpu.features, opt=3)
    text = machine.emit_assembly(binding.parse_assembly(str(Network(layout).module)))
    return [line.split()[0] for line in text.splitlines() if line.startswith("\t")]


def test_machine_code_multiplies_by_tiles() -> None:
    cpu = cpu_with(LINUX, "sapphirerapids", binding.FeatureMap(TILES))
    assert cpu is not None
    found = Counter(assembly_of(Layout(wide_config(cpu, hidden_size=6 * cpu.lanes), cpu)))
    # Four maps' tiles: two of rows by two of columns, or by one where an odd number of vectors
    # makes up the map, and one of rows less for the last rows; two of scores, and for each vector
    # of a head's columns two halves of weights by two of values.
    widths = [2, 2, 1, 2]  # query, key and value; gather; widen; narrow
    maps = sum(3 * width for width in widths)
    assert found["tdpbusd"] == maps + 2 + 2 * 4
    assert found["tilestored"] == found["tilezero"] == found["tdpbusd"]
    assert found["ldtilecfg"] == len(widths) + 1
    assert found["tilerelease"] >= found["ldtilecfg"]
    assert not {"vpdpbusd", "vpdpwssd"} & found.keys()
