from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config
from tiny_training import PIECES, write_checkpoint, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.model import QuestionAnsweringModel
from tools.data import Feature, TrainingBatch, make_features, passes
from tools.distill import (
    Distillation,
    DistillationSettings,
    TeacherLogits,
    ask_teacher,
    cached_logits,
    layers_recorded,
    load_teacher,
)
from tools.errors import TrainingError
from tools.folders import load_input
from tools.training import hard_objective

TOKENIZER = Tokenizer(TokenizerSpec(vocab=PIECES))
CPU = torch.device("cpu")


def small_model(seed: int, **changes: int) -> QuestionAnsweringModel:
    config = tiny_config(vocab_size=len(PIECES), max_position_embeddings=48, **changes)
    return random_model(config, seed=seed)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[Feature]:
    path = write_squad(tmp_path_factory.mktemp("data") / "squad.json", 6)
    settings = ReaderSettings(max_seq_length=20, max_question_length=8, doc_stride=4)
    return make_features(load_squad(path), TOKENIZER, settings)


def ask(teacher: QuestionAnsweringModel, features: Sequence[Feature]) -> TeacherLogits:
    logits = ask_teacher(teacher, features, TOKENIZER, device=CPU, max_pass_tokens=60)
    return TeacherLogits(logits, features)


def batch_of(features: Sequence[Feature]) -> TrainingBatch:
    (batch,) = passes(features, 10_000, TOKENIZER)
    return batch


def test_kept_logits_are_the_teachers(features: list[Feature]) -> None:
    teacher = small_model(1)
    batch = batch_of(features[::2])
    with torch.inference_mode():
        expected = teacher(*batch.inputs)
    for kept, own in zip(ask(teacher, features).of(batch), expected, strict=True):
        difference = (kept - own).masked_fill(~batch.attention_mask, 0)
        assert difference.abs().max() < 0.01


def test_a_student_that_copies_its_teacher_has_the_least_loss(features: list[Feature]) -> None:
    teacher = small_model(1)
    settings = DistillationSettings(hard_weight=0)
    objective = Distillation(settings, teacher, ask(teacher, features))
    batch = batch_of(features)
    own = float(objective(teacher, batch).detach())
    assert all(own < float(objective(small_model(seed), batch).detach()) for seed in (2, 3, 4))


def test_weights_of_one_and_a_half_and_none_join_the_losses(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features)
    losses = [
        Distillation(DistillationSettings(hard_weight=weight), teacher)(student, batch)
        for weight in (1.0, 0.5, 0.0)
    ]
    torch.testing.assert_close(losses[0], hard_objective(student, batch))
    torch.testing.assert_close(losses[1], (losses[0] + losses[2]) / 2)


def test_the_loss_is_the_papers_sum_over_tokens(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features[:1])
    objective = Distillation(DistillationSettings(hard_weight=0), teacher)
    expected = sum(
        -(t.softmax(-1) * s.softmax(-1).log()).sum()
        for t, s in zip(teacher(*batch.inputs), student(*batch.inputs), strict=True)
    )
    torch.testing.assert_close(objective(student, batch), expected, atol=1e-4, rtol=1e-4)


def test_hidden_states_are_compared_after_each_executed_layer(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features)
    plain, hidden = (DistillationSettings(hidden_weight=weight) for weight in (0.0, 3.0))
    difference = Distillation(hidden, teacher)(student, batch)
    difference = difference - Distillation(plain, teacher)(student, batch)
    with layers_recorded(teacher) as t, layers_recorded(student) as s:
        teacher(*batch.inputs)
        student(*batch.inputs)
    expected = torch.zeros(())
    for one, other in zip(t, s, strict=True):
        for row, mask in enumerate(batch.attention_mask):
            expected += (one[row, mask] - other[row, mask]).square().mean() / len(t)
    torch.testing.assert_close(difference, 3 * expected)


def test_a_shared_layer_is_recorded_at_each_use() -> None:
    config = tiny_config(num_layers=3, layer_map=(0, 1, 0))
    model = random_model(config)
    with layers_recorded(model) as hidden:
        model(*padded_batch(config))
    assert len(hidden) == 3
    assert not torch.equal(hidden[0], hidden[2])
    model(*padded_batch(config))
    assert len(hidden) == 3


def test_kept_logits_teach_as_the_teacher_itself(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features)
    own = Distillation(DistillationSettings(), teacher)(student, batch)
    kept = Distillation(DistillationSettings(), small_model(3), ask(teacher, features))
    torch.testing.assert_close(kept(student, batch), own, atol=0, rtol=1e-2)


def test_logits_are_computed_once(features: list[Feature], tmp_path: Path) -> None:
    logits = ask_teacher(small_model(1), features, TOKENIZER, device=CPU, max_pass_tokens=60)
    calls = []

    def compute() -> np.ndarray:
        calls.append(1)
        return logits

    batch = batch_of(features)
    first = cached_logits(tmp_path / "cache" / "x.npy", features, compute).of(batch)
    second = cached_logits(tmp_path / "cache" / "x.npy", features, compute).of(batch)
    assert len(calls) == 1
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_damaged_logits_are_refused(
    features: list[Feature], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(TrainingError, match="teacher's logits"):
        cached_logits(tmp_path / "x.npy", features, lambda: np.empty((2, 0), np.float16))


def test_logits_of_other_data_are_refused(features: list[Feature], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float16))
    with pytest.raises(TrainingError, match=r"shape \(2, 3\)"):
        cached_logits(tmp_path / "x.npy", features, lambda: np.empty((2, 0), np.float16))


def test_a_damaged_teacher_is_refused(features: list[Feature]) -> None:
    teacher = small_model(1)
    with torch.no_grad():
        teacher.span_head.bias[0] = torch.nan
    with pytest.raises(TrainingError, match="not finite"):
        ask(teacher, features)


def test_a_teacher_must_fit_its_student(tmp_path: Path) -> None:
    student = load_input(write_checkpoint(tmp_path / "student"))
    wide = load_input(write_checkpoint(tmp_path / "wide", hidden_size=36))
    assert load_teacher(wide, student, DistillationSettings()).config.hidden_size == 36
    with pytest.raises(TrainingError, match="hidden_size 36, expected 24"):
        load_teacher(wide, student, DistillationSettings(hidden_weight=1))
    cased = replace(student, spec=replace(student.spec, lowercase=False))
    with pytest.raises(TrainingError, match="another tokenizer"):
        load_teacher(cased, student, DistillationSettings())


@pytest.mark.parametrize(
    "changes", [{"hard_weight": 1.1}, {"temperature": 0}, {"hidden_weight": -1}]
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        DistillationSettings(**changes)
