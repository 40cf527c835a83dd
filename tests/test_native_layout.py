"""Shapes that kernels and packed weights agree about, and models that have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_kernels import on_every_cpu, wide_config

from squadlite.native.cpu import LINE, Cpu
from squadlite.native.layout import (
    MAX_HEAD_WIDTH,
    MAX_TOKENS,
    Layout,
    LinearLayout,
    supports,
)


@on_every_cpu
def test_models_whose_widths_fill_vectors_are_supported(cpu: Cpu) -> None:
    assert supports(wide_config(cpu), cpu)
    assert supports(wide_config(cpu, hidden_size=6 * cpu.unit), cpu)
    assert supports(wide_config(cpu, max_position_embeddings=MAX_TOKENS), cpu)


@on_every_cpu
@pytest.mark.parametrize(
    "changes",
    [
        {"num_heads": 1, "hidden_size": 20},
        {"num_heads": 6},  # half a vector each
        {"intermediate_size": 36},
        {"max_position_embeddings": MAX_TOKENS + 1},
    ],
)
def test_other_models_are_not(cpu: Cpu, changes: dict[str, int]) -> None:
    if cpu.unit == 4:
        pytest.skip("vectors so narrow that these widths fill them")
    assert not supports(wide_config(cpu, **changes), cpu)


@on_every_cpu
def test_a_model_whose_heads_would_take_long_to_compile_is_not_supported(cpu: Cpu) -> None:
    assert supports(wide_config(cpu, hidden_size=2 * MAX_HEAD_WIDTH, num_heads=2), cpu)
    assert not supports(wide_config(cpu, hidden_size=2 * MAX_HEAD_WIDTH, num_heads=1), cpu)


@on_every_cpu
def test_a_model_so_wide_that_its_sums_might_overflow_is_not_supported(cpu: Cpu) -> None:
    largest_product = 255 * cpu.top_weight
    widest = (2**31 - 1) // largest_product // cpu.unit * cpu.unit
    assert supports(wide_config(cpu, intermediate_size=widest), cpu)
    assert not supports(wide_config(cpu, intermediate_size=widest + cpu.unit), cpu)


@on_every_cpu
@given(inputs=st.integers(1, 50).map(lambda n: 16 * n), vectors=st.integers(1, 40))
def test_panels_hold_all_outputs_once(cpu: Cpu, inputs: int, vectors: int) -> None:
    layout = LinearLayout(inputs, vectors * cpu.lanes, cpu)
    assert layout.panels * layout.columns == layout.outputs
    assert layout.columns == layout.vectors * cpu.lanes
    assert layout.vectors == max(n for n in range(1, cpu.tile_vectors + 1) if vectors % n == 0)
    # Codes of a byte, and for each output three numbers of four.
    assert layout.n_bytes == layout.outputs * (inputs + 12)


@on_every_cpu
def test_parts_begin_on_lines_of_the_cache_and_do_not_overlap(cpu: Cpu) -> None:
    layout = Layout(wide_config(cpu), cpu)
    narrow = Layout(wide_config(cpu, embedding_size=32), cpu)
    for offsets in (layout.layer, layout.ends, layout.scratch, narrow.ends, narrow.scratch):
        places = list(offsets.values())
        assert places == sorted(set(places))
        assert all(place % LINE == 0 for place in places)
    maps = [layout.query_key_value, layout.gather, layout.widen, layout.narrow]
    assert layout.layer["end"] >= sum(each.n_bytes for each in maps) + 4 * 4 * layout.hidden


@on_every_cpu
def test_kernels_are_others_where_the_model_is(cpu: Cpu) -> None:
    shape = Layout(wide_config(cpu), cpu).shape
    for changes in (
        {"hidden_size": 6 * cpu.unit},
        {"num_heads": 1},
        {"num_layers": 3},
        {"intermediate_size": cpu.unit},
        {"layer_norm_eps": 1e-5},
        {"hidden_act": "relu"},
    ):
        assert Layout(wide_config(cpu, **changes), cpu).shape != shape
    # What is looked up in tables while kernels run is no part of them.
    same = {"vocab_size": 99, "max_position_embeddings": 30, "type_vocab_size": 0}
    assert Layout(wide_config(cpu, **same, layer_map=(0, 0)), cpu).shape == shape
