from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config
from tiny_teachers import own_teacher
from tiny_training import PIECES, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import WordPieceSpec
from squadlite.model import QuestionAnsweringModel
from tools.data import Feature, TrainingBatch, make_features, passes
from tools.distill import Distillation, DistillationSettings, layers_recorded
from tools.plan import Teaching
from tools.training import hard_objective

TOKENIZER = Tokenizer(WordPieceSpec(vocab=PIECES))


def small_model(seed: int, **changes: int) -> QuestionAnsweringModel:
    config = tiny_config(vocab_size=len(PIECES), max_position_embeddings=48, **changes)
    return random_model(config, seed=seed)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[Feature]:
    path = write_squad(tmp_path_factory.mktemp("data") / "squad.json", 6)
    settings = ReaderSettings(max_seq_length=20, max_question_length=8, doc_stride=4)
    return make_features(load_squad(path), TOKENIZER, settings)


def batch_of(features: Sequence[Feature]) -> TrainingBatch:
    (batch,) = passes(features, 10_000, TOKENIZER)
    return batch


def distillation(
    teacher: QuestionAnsweringModel, *, own_hidden: bool = False, **settings: float
) -> Distillation:
    asked = own_teacher(teacher, TOKENIZER)
    temperature = settings.get("temperature", 1.0)
    return Distillation(
        DistillationSettings(**settings),
        [lambda batch: asked.ask(batch.features, temperature=temperature)],
        teacher if own_hidden else None,
    )


def test_a_student_that_copies_its_teacher_has_the_least_loss(features: list[Feature]) -> None:
    teacher = small_model(1)
    objective = distillation(teacher, hard_weight=0)
    batch = batch_of(features)
    own = float(objective(teacher, batch).detach())
    assert all(own < float(objective(small_model(seed), batch).detach()) for seed in (2, 3, 4))


def test_weights_of_one_and_a_half_and_none_join_the_losses(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features)
    losses = [
        distillation(teacher, hard_weight=weight)(student, batch) for weight in (1.0, 0.5, 0.0)
    ]
    torch.testing.assert_close(losses[0], hard_objective(student, batch))
    torch.testing.assert_close(losses[1], (losses[0] + losses[2]) / 2)


def test_hidden_states_are_compared_after_each_executed_layer(features: list[Feature]) -> None:
    teacher, student, batch = small_model(1), small_model(2), batch_of(features)
    difference = distillation(teacher, own_hidden=True, hidden_weight=3.0)(student, batch)
    difference = difference - distillation(teacher)(student, batch)
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


@pytest.mark.parametrize(
    "changes", [{"hard_weight": 1.1}, {"temperature": 0}, {"hidden_weight": -1}]
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        DistillationSettings(**changes)


def test_two_teachers_teach_the_average_of_what_each_alone_does(features: list[Feature]) -> None:
    student, batch = small_model(0), batch_of(features)
    each = [distillation(small_model(seed)) for seed in (1, 2)]
    both = Distillation(each[0].settings, [ask for one in each for ask in one.asks])
    losses = [float(one(student, batch).detach()) for one in each]
    assert float(both(student, batch).detach()) == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_hidden_states_are_those_of_one_teacher() -> None:
    with pytest.raises(ValueError, match="found 2 teachers, expected one"):
        Teaching(teachers=[Path("a"), Path("b")], settings=DistillationSettings(hidden_weight=1.0))
