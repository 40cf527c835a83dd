import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.vocabulary import read_corpus
from squadlite.container import Uniform, open_sqz
from squadlite.convert import convert
from squadlite.errors import CodecError, ConfigError, DatasetError, QuantizationError
from squadlite.model import Checkpoint, ModelConfig, load_model, save_checkpoint
from squadlite.quantization import MeasuredModel
from squadlite.quantization.allocation import COARSEST_STEP, FINEST_STEP, Sensitivity, find_steps
from squadlite.quantization.calibration import CalibrationText, read_calibration, weight_moments
from squadlite.quantization.divergence import SpanDivergence, expected_divergences
from squadlite.quantization.rounding import ErrorFeedback, codec_within_range, row_exponents

SPEC = tiny_spec()
QUESTIONS = ("who was the traveller", "what did the lever do", "where is the machine")
CONTEXTS = ("the white machine", "the traveller pulled the ivory lever", "time, and the traveller")


def squad_file(path: Path, contexts: tuple[str, ...] = CONTEXTS) -> Path:
    paragraphs = [
        {
            "context": context,
            "qas": [
                {"id": f"{i}-{j}", "question": question, "answers": []}
                for j, question in enumerate(QUESTIONS)
            ],
        }
        for i, context in enumerate(contexts)
    ]
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    return path


def config_of(**changes: Any) -> ModelConfig:
    return tiny_config(**{"vocab_size": len(SPEC.vocab), "max_position_embeddings": 64} | changes)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    return squad_file(tmp_path / "train.json")


@pytest.fixture
def text(text_file: Path) -> CalibrationText:
    return read_calibration([text_file], SPEC, config_of())


def folder_of(path: Path, **changes: Any) -> Path:
    config = config_of(**changes)
    save_checkpoint(path, Checkpoint(config, random_model(config).state_dict()))
    (path / "vocab.txt").write_text("\n".join(SPEC.vocab) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "tiny-squad2")


def random_moments(generator: np.random.Generator, size: int) -> torch.Tensor:
    """Of inputs that depend on one another, as those of a model do."""
    inputs = generator.normal(size=(4 * size, size)) @ generator.normal(size=(size, size))
    return torch.from_numpy(inputs.T @ inputs / len(inputs)).float()


def cost(error: np.ndarray, moments: torch.Tensor) -> float:
    return float(np.trace(error @ moments.double().numpy() @ error.T))


class TestCalibrationText:
    def test_every_word_of_the_text_is_counted(
        self, text: CalibrationText, text_file: Path
    ) -> None:
        counts = np.zeros(len(SPEC.vocab), np.int64)
        for ids in Tokenizer(SPEC).encode_ids(read_corpus(text_file)):
            np.add.at(counts, ids, 1)
        special = np.flatnonzero(counts != text.piece_counts)
        assert {SPEC.vocab[i] for i in special} == {"[CLS]", "[SEP]"}

    def test_windows_are_those_that_a_reader_reads(self, text: CalibrationText) -> None:
        assert text.num_windows == len(QUESTIONS) * len(CONTEXTS)
        assert text.position_counts(64)[0] == text.num_windows
        longest = max(batch.input_ids.shape[1] for batch in text.batches)
        assert text.position_counts(64)[longest - 1] > 0 == text.position_counts(64)[longest]

    def test_no_more_windows_are_read_than_asked_for(self, text_file: Path) -> None:
        assert read_calibration([text_file], SPEC, config_of(), num_windows=4).num_windows == 4

    def test_a_text_without_words_is_refused(self, tmp_path: Path) -> None:
        blank = squad_file(tmp_path / "blank.json", (" ",))
        with pytest.raises(DatasetError, match=r"blank\.json: found no context with words"):
            read_calibration([blank], SPEC, config_of())


class TestWeightMoments:
    def test_an_error_of_a_map_costs_the_square_of_what_it_does_to_the_outputs(
        self, text: CalibrationText
    ) -> None:
        model = random_model(config_of()).requires_grad_(False)
        linear = model.get_submodule("layers.1.feed_forward.output")
        outputs: list[torch.Tensor] = []
        linear.register_forward_hook(lambda *call: outputs.append(call[2][mask].clone()))
        error = torch.randn(linear.weight.shape, generator=torch.Generator().manual_seed(1))
        for change in (0, error):
            linear.weight += change
            for batch in text.batches:
                mask = torch.from_numpy(batch.attention_mask)
                model(
                    torch.from_numpy(batch.input_ids), torch.from_numpy(batch.token_type_ids), mask
                )
        before, after = torch.cat(outputs).chunk(2)
        linear.weight -= error
        moments = weight_moments(model, text.batches)["layers.1.feed_forward.output.weight"]
        measured = float((after - before).square().sum(dim=1).mean())
        assert cost(error.numpy(), moments) == pytest.approx(measured, rel=1e-3)

    def test_a_small_error_of_embeddings_moves_answers_as_far_as_the_moments_say(
        self, text: CalibrationText
    ) -> None:
        model = random_model(config_of()).requires_grad_(False)
        # One probe a window is noisy, so that many are averaged.
        moments = weight_moments(model, text.batches * 200)["embeddings.word.weight"]
        divergence = SpanDivergence(model, text.batches)
        weights = model.embeddings.word.weight
        tokens = sum(int(batch.attention_mask.sum()) for batch in text.batches)
        measured, expected = 0.0, 0.0
        for seed in range(20):
            noise = torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed))
            error = 1e-3 * noise
            measured += divergence.of({"embeddings.word.weight": (weights + error).numpy()})
            expected += 1e-6 * float(moments.trace()) / 2 * tokens / text.num_windows
        assert measured == pytest.approx(expected, rel=0.5)

    def test_shared_and_sketched_layers_have_their_moments(self, text: CalibrationText) -> None:
        config = config_of(num_layers=3, layer_map=(0, 0, 1), sketch_dims={"attention.value": 4})
        model = random_model(config).requires_grad_(False)
        moments = weight_moments(model, text.batches)
        parameters = dict(model.named_parameters())
        matrices = {name for name, values in parameters.items() if values.ndim == 2}
        assert moments.keys() == matrices - {"embeddings.token_type.weight", "span_head.weight"}
        for name, moment in moments.items():
            assert moment.shape == 2 * (parameters[name].shape[1],)
            assert torch.linalg.eigvalsh(moment.double()).min() > -1e-3 * moment.trace()


class TestErrorFeedback:
    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(0.1, 1.5))
    def test_errors_cost_less_than_those_of_the_nearest_codes(
        self, seed: int, columns: int, step: float
    ) -> None:
        generator = np.random.default_rng(seed)
        moments = random_moments(generator, columns)
        weights = generator.normal(size=(200, columns)).astype(np.float32)
        spacing = np.full((1, 1), step, np.float32)
        rounded = ErrorFeedback(moments).rounded(weights, spacing)
        nearest = np.rint(weights / spacing) * spacing
        assert cost(rounded - weights, moments) < 1.02 * cost(nearest - weights, moments)

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["rows", "columns"]))
    def test_what_is_rounded_is_stored_exactly(self, seed: int, scales: str) -> None:
        generator = np.random.default_rng(seed)
        feedback = ErrorFeedback(random_moments(generator, 9))
        weights = generator.normal(size=(30, 9)).astype(np.float32)
        exponents = generator.integers(-20, 20, 30 if scales == "rows" else 9).astype(np.int8)
        codec = codec_within_range(Uniform(0.4, scales, exponents=exponents), weights)
        rounded = feedback.rounded(weights, codec.spacing)
        stored, data = codec.stored(rounded)
        np.testing.assert_array_equal(stored.decode(data, weights.shape), rounded)

    def test_columns_that_matter_more_are_finer(self) -> None:
        moments = torch.diag(torch.tensor([1.0, 100.0, 10000.0]))
        first, second, third = ErrorFeedback(moments).exponents.tolist()
        assert first > second > third

    def test_inputs_that_are_always_zero_do_no_harm(self) -> None:
        weights = np.ones((2, 3), np.float32)
        for moments in (torch.zeros(3, 3), torch.diag(torch.tensor([0.0, 1.0, 0.0]))):
            feedback = ErrorFeedback(moments)
            assert np.isfinite(feedback.exponents).all()
            assert np.isfinite(feedback.rounded(weights, np.full((1, 1), 0.3, np.float32))).all()


class TestScales:
    def test_rows_that_are_used_more_are_finer(self) -> None:
        counts = np.array([0, 10, 1_000_000, 10])
        exponents = row_exponents(counts)
        assert exponents[0] > exponents[1] == exponents[3] > exponents[2]

    @given(st.floats(300, 3e6), st.sampled_from(["rows", "columns"]))
    def test_scales_are_widened_where_one_weight_is_far_larger_than_the_others(
        self, outlier: float, scales: str
    ) -> None:
        weights = np.ones((4, 5), np.float32)
        weights[2, 3] = outlier
        codec = Uniform(1.0, scales, exponents=np.zeros(4 if scales == "rows" else 5, np.int8))
        widened = codec_within_range(codec, weights)
        assert widened.exponents is not None
        wide = np.flatnonzero(widened.exponents)
        assert wide.tolist() == [2 if scales == "rows" else 3]
        rounded = np.rint(weights / widened.spacing) * widened.spacing
        stored, data = widened.stored(rounded)
        np.testing.assert_array_equal(stored.decode(data, weights.shape), rounded)
        assert abs(rounded[2, 3] - outlier) < 0.005 * outlier


def test_no_change_is_no_divergence_and_the_model_stays_as_it_was(text: CalibrationText) -> None:
    model = random_model(config_of()).requires_grad_(False)
    divergence = SpanDivergence(model, text.batches)
    name = "layers.0.attention.query.weight"
    weights = model.get_parameter(name).clone()
    assert divergence.of({}) == 0
    assert divergence.of({name: (2 * weights).numpy()}) > 0
    assert torch.equal(model.get_parameter(name), weights)
    assert divergence.of({}) == 0


def test_gradients_foresee_what_a_small_change_does(text: CalibrationText) -> None:
    model = random_model(config_of(layer_map=(0, 1, 0), num_layers=3)).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    changes = {
        name: (values + 1e-4 * torch.randn(values.shape, generator=generator)).numpy()
        for name, values in model.named_parameters()
        if values.ndim == 2
    }
    divergence = SpanDivergence(model, text.batches)
    # One direction a window is noisy, so that many are taken.
    windows = list(text.windows(100 * text.num_windows))
    foreseen = expected_divergences(model, windows, changes)
    for name, values in changes.items():
        assert foreseen[name] == pytest.approx(divergence.of({name: values}), rel=0.3)
    assert not any(parameter.requires_grad for parameter in model.parameters())


class TestFindSteps:
    SENSITIVITIES: Mapping[str, Sensitivity] = {
        "fragile": Sensitivity(1000, 0.1, 1.0),
        "sturdy": Sensitivity(1000, 5.0, 0.01),
        "large": Sensitivity(20_000, 1.0, 0.5),
        "without effect": Sensitivity(100, 1.0, 0.0),
    }

    def size_of(self, steps: Mapping[str, float]) -> int:
        """As codes of a normal distribution with a header beside them."""
        size = 700.0
        for name, step in steps.items():
            of = self.SENSITIVITIES[name]
            bits = 2.05 + math.log2(of.deviation / step)
            size += of.num_values * math.log2(1 + 2**bits) / 8
        return int(size)

    @given(st.integers(7000, 18_000))
    def test_sizes_are_met_from_below(self, target: int) -> None:
        _, size = find_steps(self.SENSITIVITIES, target, self.size_of)
        assert 0.999 * target <= size <= target

    def test_the_divergence_of_a_value_is_the_same_everywhere(self) -> None:
        steps, _ = find_steps(self.SENSITIVITIES, 10_000, self.size_of)
        each = [
            of.divergence_at(steps[name]) / of.num_values
            for name, of in self.SENSITIVITIES.items()
            if of.divergence
        ]
        assert each == pytest.approx([each[0]] * len(each))

    def test_steps_stay_within_their_limits(self) -> None:
        for target, limit in ((10, COARSEST_STEP), (10**9, FINEST_STEP)):
            steps, size = find_steps(self.SENSITIVITIES, target, self.size_of)
            for name, of in self.SENSITIVITIES.items():
                if of.divergence:
                    assert steps[name] == pytest.approx(limit * of.deviation)
            assert size == self.size_of(steps)


class TestConvert:
    def test_files_are_as_large_as_asked_for(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "model.sqz"
        coarse, fine = (
            convert(folder, output, bits=bits, calibration=text_file).n_bytes for bits in (2.5, 5)
        )
        target = (coarse + fine) // 2
        report = convert(folder, output, target_size=target, calibration=text_file)
        assert 0.98 * target < report.n_bytes <= target
        assert output.stat().st_size == report.n_bytes

    def test_larger_files_answer_more_as_the_checkpoint_does(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        coarse, middle, fine = (
            convert(folder, tmp_path / "model.sqz", bits=bits, calibration=text_file)
            for bits in (2, 3, 5)
        )
        assert coarse.n_bytes < middle.n_bytes < fine.n_bytes
        assert coarse.divergence is not None
        assert middle.divergence is not None
        assert fine.divergence is not None
        assert coarse.divergence > 2 * middle.divergence > 4 * fine.divergence > 0
        assert set(middle.divergences) <= {part.name for part in middle.parts}

    def test_the_same_input_gives_the_same_bytes(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        files = [tmp_path / "one.sqz", tmp_path / "other.sqz"]
        for file in files:
            convert(folder, file, bits=3.3, calibration=[text_file])
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_a_model_that_was_measured_makes_the_same_file(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        files = [tmp_path / "one.sqz", tmp_path / "other.sqz"]
        config = config_of()
        checkpoint = Checkpoint(config, random_model(config).state_dict())
        measured = MeasuredModel.measure(checkpoint, SPEC, [text_file])
        convert(folder, files[0], bits=4, calibration=measured)
        convert(folder, files[1], bits=4, calibration=text_file)
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_what_was_measured_of_another_model_is_refused(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        config = config_of()
        other = Checkpoint(config, random_model(config, seed=1).state_dict())
        measured = MeasuredModel.measure(other, SPEC, [text_file])
        with pytest.raises(ValueError, match="another model measured"):
            convert(folder, tmp_path / "model.sqz", bits=4, calibration=measured)

    def test_a_model_with_too_few_positions_is_refused(
        self, text_file: Path, tmp_path: Path
    ) -> None:
        folder = folder_of(tmp_path / "short", max_position_embeddings=6)
        with pytest.raises(ConfigError, match="6 positions"):
            convert(folder, tmp_path / "model.sqz", bits=4, calibration=text_file)

    def test_a_file_says_how_it_was_made(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "model.sqz"
        convert(folder, output, target_size=9500, calibration=text_file)
        with open_sqz(output) as file:
            recipe = file.metadata["recipe"]
            codecs = {name: info.codec for name, info in file.tensors.items()}
        assert recipe["target_size"] == 9500
        assert [entry["name"] for entry in recipe["calibration"]] == ["train.json"]
        assert isinstance(codecs["embeddings.word.weight"], Uniform)
        assert codecs["embeddings.word.weight"].scales == "rows"
        assert isinstance(codecs["layers.0.feed_forward.output.weight"], Uniform)
        assert codecs["layers.0.feed_forward.output.weight"].scales == "columns"

    def test_a_size_that_cannot_be_reached_is_refused_with_the_smallest_that_can(
        self, folder: Path, text_file: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "model.sqz"
        with pytest.raises(QuantizationError, match="found 100 bytes, expected at least") as caught:
            convert(folder, output, target_size=100, calibration=text_file)
        assert not output.exists()
        smallest = int(str(caught.value).split("at least ")[1].split(",")[0])
        # Its own number stands in the file.
        report = convert(folder, output, target_size=smallest + 10, calibration=text_file)
        assert report.n_bytes <= smallest + 10
        with pytest.raises(QuantizationError, match=r"found 0\.01 a value, expected at least"):
            convert(folder, output, bits=0.01, calibration=text_file)

    def test_a_file_can_be_made_smaller(self, tmp_path: Path, text_file: Path) -> None:
        folder = folder_of(tmp_path / "tiny", sketch_dims={"attention.value": 4})
        (folder / "squadlite.json").write_text(
            '{"embedding": {"pooling": "mean", "weight": 1}, "licence": "MIT"}'
        )
        large, small = tmp_path / "large.sqz", tmp_path / "small.sqz"
        convert(folder, large, bits=8, per="row")
        before = large.read_bytes()
        report = convert(large, small, bits=2.5, calibration=text_file)
        assert report.n_bytes < len(before)
        assert large.read_bytes() == before
        assert load_model(small).config == load_model(large).config
        with open_sqz(large) as file, open_sqz(small) as other:
            for name in ("embedding", "licence", "name"):
                assert other.metadata[name] == file.metadata[name]
            assert other.metadata["source"]["name"] == "large.sqz"
            assert other.metadata["source"]["recipe"] == file.metadata["recipe"]
            assert other.metadata["source"]["source"] == file.metadata["source"]
            np.testing.assert_array_equal(
                other.read("tokenizer.vocab"), file.read("tokenizer.vocab")
            )

    def test_matrices_of_zeros_stay_so(self, tmp_path: Path, text_file: Path) -> None:
        config = config_of()
        tensors = dict(random_model(config).state_dict())
        name = "layers.1.attention.output.weight"
        tensors[name] = torch.zeros_like(tensors[name])
        folder = folder_of(tmp_path / "tiny")
        save_checkpoint(folder, Checkpoint(config, tensors))
        output = tmp_path / "model.sqz"
        convert(folder, output, bits=3, calibration=text_file)
        assert not load_model(output).get_parameter(name).any()

    def test_weights_that_are_not_finite_are_named(self, tmp_path: Path, text_file: Path) -> None:
        config = config_of()
        tensors = dict(random_model(config).state_dict())
        name = "layers.1.attention.output.weight"
        tensors[name] = torch.full_like(tensors[name], math.nan)
        folder = folder_of(tmp_path / "tiny")
        save_checkpoint(folder, Checkpoint(config, tensors))
        with pytest.raises(CodecError, match=name):
            convert(folder, tmp_path / "model.sqz", bits=3, calibration=text_file)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({}, "neither of bits and target_size"),
            ({"bits": 3, "target_size": 9000}, "both of bits and target_size"),
            ({"bits": 3, "format_version": 1}, "format_version 1"),
            ({"target_size": 0}, "target_size: found 0"),
            ({"bits": 0}, "bits: found 0"),
            ({"bits": math.inf}, "bits: found inf"),
            ({"target_size": 9000, "calibration": None}, "found no calibration"),
        ],
    )
    def test_settings_that_do_not_go_together_are_refused(
        self, changes: dict[str, Any], message: str, folder: Path, text_file: Path
    ) -> None:
        with pytest.raises(ValueError, match=message):
            convert(folder, "model.sqz", **{"calibration": text_file} | changes)
