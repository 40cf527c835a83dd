"""Two model files side by side."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from model_files import WORDS, model_config, random_arrays, write_model_file
from tiny_tokenizers import tiny_spec

from squadlite.answering.tokenizer_spec import WordPieceSpec
from squadlite.container import Linear, open_sqz
from squadlite.diff import files
from squadlite.diff.files import FileDiff, diff_files
from squadlite.errors import DigestError, SquadliteError, TokenizerError


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    return random_arrays(model_config())


def diff_with(folder: Path, values: dict[str, np.ndarray], **changes: Any) -> FileDiff:
    a = write_model_file(folder / "a.sqz", arrays=values)
    b = write_model_file(folder / "b.sqz", **{"arrays": values, **changes})
    return diff_files(a, b)


@st.composite
def pairs_of_values(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(array_shapes(max_dims=2, max_side=9))
    finite = st.floats(width=32, min_value=-(2.0**60), max_value=2.0**60)
    one, other = (draw(arrays(np.float32, shape, elements=finite)) for _ in range(2))
    return one, draw(st.sampled_from([one, other, np.zeros_like(one)]))


@given(pairs_of_values(), st.integers(1, 20))
def test_deviation_is_that_of_all_values_together(
    pair: tuple[np.ndarray, np.ndarray], chunk: int
) -> None:
    a, b = (part.astype(np.float64) for part in pair)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_CHUNK_VALUES", chunk)
        found = files._deviation(*pair)
    assert found.largest == np.abs(b - a).max()
    if np.array_equal(a, b):
        assert found.relative == 0
    elif not a.any():
        assert found.relative is None
    else:
        expected = np.sqrt(np.square(b - a).mean()) / np.sqrt(np.square(a).mean())
        assert found.relative == pytest.approx(expected)


def test_a_file_is_equal_to_itself(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    found = diff_with(tmp_path, values)
    assert found.differing == ()
    assert all(tensor.same_storage for tensor in found.tensors)
    assert [tensor.name for tensor in found.tensors] == list(values)
    assert all(part_a == part_b for part_a, part_b in found.parts.values())
    assert list(found.parts)[-1] == "header and padding"


def test_tensors_stored_otherwise_are_the_same_model(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    packed = write_model_file(tmp_path / "packed.sqz", arrays=values, codec=Linear(4))
    with open_sqz(packed) as file:
        decoded = {name: file.read(name) for name in values}
    plain = write_model_file(tmp_path / "plain.sqz", arrays=decoded)
    found = diff_files(packed, plain)
    assert found.differing == ()
    assert not any(tensor.same_storage for tensor in found.tensors)
    packed_part, plain_part = found.parts["word embeddings"]
    assert packed_part is not None
    assert plain_part is not None
    assert plain_part.n_bytes > 7 * packed_part.n_bytes


def test_the_tensor_that_differs_is_found(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    name = "layers.1.attention.key.weight"
    changed = values[name].copy()
    changed[2, 3] += 0.5
    found = diff_with(tmp_path, values, arrays=values | {name: changed})
    assert found.differing == ("tensors",)
    (tensor,) = (tensor for tensor in found.tensors if not tensor.same_values)
    assert tensor.name == name
    assert tensor.deviation is not None
    assert tensor.deviation.largest == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"num_layers": 1, "layer_map": (0,)}, (16, 0, 0)),
        ({"sketch_dims": {"attention.key": 4}}, (2, 4, 0)),
        ({"max_position_embeddings": 32}, (0, 0, 1)),
    ],
)
def test_models_of_other_shapes_are_compared_as_far_as_they_go(
    changes: dict[str, Any],
    counts: tuple[int, int, int],
    tmp_path: Path,
    values: dict[str, np.ndarray],
) -> None:
    config = model_config(**changes)
    found = diff_with(tmp_path, values, arrays=random_arrays(config), config=config)
    assert set(found.differing) == {"model", "tensors"}
    assert found.model.keys() >= {name.split(".")[0] for name in changes} - {"sketch_dims"}
    only_in_a = sum(tensor.b is None for tensor in found.tensors)
    only_in_b = sum(tensor.a is None for tensor in found.tensors)
    shapes = [(t.a.shape, t.b.shape, t.deviation) for t in found.tensors if t.a and t.b]
    assert (only_in_a, only_in_b, sum(a != b for a, b, _ in shapes)) == counts
    assert all((deviation is None) == (a != b) for a, b, deviation in shapes)


def test_word_embeddings_are_compared_piece_by_piece(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    spec = tiny_spec()
    kept = [i for i in range(len(spec.vocab)) if i not in (20, 100)]
    pruned = values | {WORDS: values[WORDS][kept]}
    found = diff_with(tmp_path, values, arrays=pruned, spec=spec.keep(kept))
    assert found.vocabulary.removed == (spec.vocab[20], spec.vocab[100])
    assert found.vocabulary.added == ()
    assert found.vocabulary.same_order
    assert not found.vocabulary.same_kept_ids
    words = found.tensors[0]
    assert words.deviation is not None
    assert words.deviation.largest == 0
    assert not words.same_values
    assert set(found.differing) == {"model", "vocabulary", "tensors"}


def test_embeddings_of_other_pieces_are_not_the_same_values(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    spec = tiny_spec()
    other = replace(spec, vocab=(*spec.vocab[:-1], "another"))
    changed = values[WORDS].copy()
    changed[-1] += 1
    found = diff_with(tmp_path, values, arrays=values | {WORDS: changed}, spec=other)
    words = found.tensors[0]
    assert words.deviation is not None
    assert words.deviation.largest == 0  # of the pieces that both have
    assert not words.same_values
    assert set(found.differing) == {"vocabulary", "tensors"}


def test_pieces_in_another_order_are_told(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    spec = tiny_spec()
    order = [*range(len(spec.vocab) - 2), len(spec.vocab) - 1, len(spec.vocab) - 2]
    turned = replace(spec, vocab=tuple(spec.vocab[i] for i in order))
    found = diff_with(tmp_path, values, arrays=values | {WORDS: values[WORDS][order]}, spec=turned)
    assert found.differing == ("vocabulary",)
    assert not found.vocabulary.same_order


@pytest.mark.parametrize(
    ("metadata", "fields", "differing"),
    [
        ({"name": "x", "by": {"whom": [1], "when": None}}, ["by.when", "by.whom", "name"], ()),
        ({"embedding": {"pooling": "mean", "weight": 1.0}}, None, ("metadata",)),
        ({"answering": {"bias": 1}}, ["answering.bias"], ("metadata",)),
        ({"answer": {}}, ["answer"], ()),
    ],
)
def test_only_metadata_of_use_make_another_model(
    metadata: dict[str, Any],
    fields: list[str] | None,
    differing: tuple[str, ...],
    tmp_path: Path,
    values: dict[str, np.ndarray],
) -> None:
    found = diff_with(tmp_path, values, metadata=metadata)
    assert found.differing == differing
    if fields is not None:
        assert list(found.metadata) == fields
    assert all(sides.keys() == {"b"} for sides in found.metadata.values())


def test_values_of_another_type_differ(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    a = write_model_file(tmp_path / "a.sqz", arrays=values, metadata={"x": 1, "y": 1, "z": None})
    b = write_model_file(tmp_path / "b.sqz", arrays=values, metadata={"x": True, "y": 1.0})
    assert diff_files(a, b).metadata == {
        "x": {"a": 1, "b": True},
        "y": {"a": 1, "b": 1.0},
        "z": {"a": None},
    }


def test_settings_of_the_tokenizer_differ(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    found = diff_with(tmp_path, values, spec=replace(tiny_spec(), lowercase=False))
    assert found.tokenizer == {"lowercase": {"a": True, "b": False}}
    assert found.differing == ("tokenizer",)


def test_errors_name_the_file(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    good = write_model_file(tmp_path / "good.sqz", arrays=values)
    damaged = tmp_path / "damaged.sqz"
    content = bytearray(good.read_bytes())
    content[200] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DigestError, match=rf"^{damaged}: tensor '{WORDS}'"):
        diff_files(good, damaged)
    spec = WordPieceSpec(vocab=(*tiny_spec().vocab, "more"))
    unfit = write_model_file(tmp_path / "unfit.sqz", arrays=values, spec=spec)
    with pytest.raises(TokenizerError, match=rf"^{unfit}: vocabulary has"):
        diff_files(unfit, good)
    with pytest.raises(SquadliteError, match=r"golden.tiny\.sqz: "):
        diff_files(good, Path(__file__).parent / "golden" / "tiny.sqz")
