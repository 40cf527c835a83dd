import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import NAMES, PIECES, PLACES, WORDS, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import GoldAnswer, SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec, WordPieceSpec
from squadlite.errors import DatasetError
from tools.data import (
    Feature,
    Group,
    alone,
    count_batches,
    epoch_batches,
    group_features,
    group_passes,
    make_features,
    passes,
    take_share,
)

TOKENIZER = Tokenizer(WordPieceSpec(vocab=PIECES))
WIDE = ReaderSettings(max_seq_length=48, max_question_length=16)
NARROW = ReaderSettings(max_seq_length=20, max_question_length=8, doc_stride=4)


def example(context: str, answer: GoldAnswer | None) -> SquadExample:
    answers = () if answer is None else (answer,)
    return SquadExample("q", "who keeps the lighthouse?", context, answers, "")


def text_of(feature: Feature) -> str:
    first, last = (place - feature.window.context_start for place in (feature.start, feature.end))
    return " ".join(PIECES[i] for i in feature.window.context_ids[first : last + 1])


@given(
    words=st.lists(st.sampled_from(PLACES + NAMES + WORDS[:9]), min_size=1, max_size=60),
    places=st.tuples(st.integers(0, 59), st.integers(0, 3)),
)
def test_a_window_with_the_whole_answer_points_at_it_and_any_other_at_cls(
    words: list[str], places: tuple[int, int]
) -> None:
    first = places[0] % len(words)
    last = min(first + places[1], len(words) - 1)
    start = len(" ".join(words[:first])) + (first > 0)
    answer = " ".join(words[first : last + 1])
    features = make_features(
        [example(" ".join(words), GoldAnswer(answer, start))], TOKENIZER, NARROW
    )
    for feature in features:
        window = feature.window
        held = window.first_token <= first
        held &= last < window.first_token + len(window.context_ids)
        assert feature.has_answer == held
        if held:
            assert text_of(feature) == answer
        else:
            assert (feature.start, feature.end) == (0, 0)
    assert any(feature.has_answer for feature in features) or last - first + 1 > 4


def test_an_answer_inside_a_word_takes_the_whole_word() -> None:
    (feature,) = make_features([example("the lighthouse", GoldAnswer("light", 4))], TOKENIZER, WIDE)
    assert text_of(feature) == "lighthouse"


def test_an_unanswerable_question_points_at_cls() -> None:
    (feature,) = make_features([example("ada keeps the lighthouse", None)], TOKENIZER, WIDE)
    assert (feature.start, feature.end) == (0, 0)


@pytest.mark.parametrize(
    ("context", "answer", "message"),
    [
        ("ada keeps", GoldAnswer("bo", 0), "expected 'bo'"),
        ("ada keeps", GoldAnswer("ada", -1), "expected 'ada'"),
        ("ada \u200b keeps", GoldAnswer("\u200b", 4), "no token"),
        ("\u200b", None, "no context with words"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(
    context: str, answer: GoldAnswer | None, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        make_features([example(context, answer)], TOKENIZER, WIDE)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[Feature]:
    path = write_squad(tmp_path_factory.mktemp("data") / "squad.json", 50)
    return make_features(load_squad(path), TOKENIZER, NARROW)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("article_run", [1, 8])
def test_an_epoch_holds_every_group_once(
    features: list[Feature], batch_size: int, article_run: int
) -> None:
    groups = alone(features)
    batches = epoch_batches(groups, batch_size=batch_size, seed=1, epoch=0, article_run=article_run)
    assert len(batches) == count_batches(len(groups), batch_size)
    assert all(len(batch) <= batch_size for batch in batches)
    numbers = sorted(group.features[0].number for batch in batches for group in batch)
    assert numbers == list(range(len(features)))


def test_the_order_follows_from_seed_and_epoch_alone(features: list[Feature]) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = epoch_batches(alone(features), batch_size=4, seed=seed, epoch=epoch)
        return [group.features[0].number for batch in batches for group in batch]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_groups_of_an_article_stand_together_in_runs(features: list[Feature]) -> None:
    groups = [Group(f"article {feature.number % 5}", (feature,)) for feature in features[:80]]
    (batch,) = epoch_batches(groups, batch_size=80, seed=1, epoch=0, article_run=8)
    assert len({group.title for group in batch}) == 5
    batches = epoch_batches(groups, batch_size=8, seed=1, epoch=0, article_run=8)
    assert all(len({group.title for group in batch}) == 1 for batch in batches)


def make_group(n_holding: int, n_others: int) -> Group:
    window = make_features([example("ada keeps it", None)], TOKENIZER, WIDE)[0].window
    starts = [window.context_start] * n_holding + [0] * n_others
    return Group("", tuple(Feature(n, window, at, at) for n, at in enumerate(starts)))


@given(st.integers(0, 6), st.integers(0, 9), st.integers(2, 8), st.integers(0, 3))
def test_of_a_large_group_others_are_drawn_each_epoch_with_an_answer_among_them(
    n_holding: int, n_others: int, most: int, seed: int
) -> None:
    group = make_group(max(n_holding, int(n_others == 0)), n_others)
    ((drawn,),) = epoch_batches([group], batch_size=1, seed=seed, epoch=1, max_windows=most)
    numbers = [feature.number for feature in drawn.features]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == min(most, len(group.features))
    holding = sum(feature.has_answer for feature in drawn.features)
    assert (holding > 0) == (n_holding > 0 or n_others == 0)
    assert holding <= max(most // 2, most - n_others) or len(group.features) <= most
    draws = {
        tuple(feature.number for feature in part.features)
        for epoch in range(40)
        for batch in epoch_batches([group], batch_size=1, seed=seed, epoch=epoch, max_windows=most)
        for part in batch
    }
    covered = {number for numbers in draws for number in numbers}
    assert len(group.features) > 8 or covered == set(range(len(group.features)))


def test_a_question_of_several_passages_is_one_group() -> None:
    def ask(context: str, title: str) -> SquadExample:
        return dataclasses.replace(example(context, None), title=title)

    examples = [ask("ada", "one"), ask("bo", "two"), ask("cy", "one")]
    features = make_features(examples, TOKENIZER, WIDE)
    together = group_features(features, examples, together=True)
    assert [[f.number for f in group.features] for group in together] == [[0, 2], [1]]
    assert [group.title for group in together] == ["one", "two"]
    apart = group_features(features, examples, together=False)
    assert [[f.number for f in group.features] for group in apart] == [[0], [1], [2]]


def test_a_pass_says_which_group_each_window_belongs_to(features: list[Feature]) -> None:
    groups = [Group("", tuple(features[:3])), Group("", tuple(features[3:5]))]
    (part,) = group_passes(groups, 10_000, TOKENIZER)
    sizes = torch.bincount(part.groups).tolist()
    assert sorted(sizes) == [2, 3]
    assert part.groups.tolist() == sorted(part.groups.tolist())
    first = [feature.number for feature in part.features[: sizes[0]]]
    assert first in ([0, 1, 2], [3, 4])


def test_the_last_pattern_that_fits_says_how_many_questions_are_taken() -> None:
    examples = [
        SquadExample(str(number), f"who is {number}?", "ada", (), title)
        for title in ("book/a", "book/b", "wiki")
        for number in range(400)
    ]
    taken = take_share(examples, [("book/*", 0.25), ("*/b", 0.0)])
    counts = {title: sum(e.title == title for e in taken) for title in ("book/a", "book/b", "wiki")}
    assert counts["book/b"] == 0
    assert counts["wiki"] == 400
    assert 60 < counts["book/a"] < 140
    assert taken == take_share(taken, [("book/*", 0.25), ("*/b", 0.0)])


def test_passes_hold_a_batch_within_the_budget(features: list[Feature]) -> None:
    seen = []
    for part in passes(features, 100, TOKENIZER):
        assert part.input_ids.numel() <= 100
        assert part.input_ids.shape == part.attention_mask.shape == part.token_type_ids.shape
        for row, feature in enumerate(part.features):
            assert part.attention_mask[row].sum() == len(feature)
            window = feature.window
            place = window.context_start
            ids = part.input_ids[row, place : place + len(window.context_ids)]
            np.testing.assert_array_equal(ids.numpy(), window.context_ids)
            assert (part.starts[row], part.ends[row]) == (feature.start, feature.end)
            seen.append(feature.number)
    assert sorted(seen) == [feature.number for feature in features]


def test_a_batch_moves_as_a_whole(features: list[Feature]) -> None:
    (part,) = passes(features[:2], 1000, TOKENIZER)
    moved = part.to(torch.device("meta"))
    tensors = [getattr(moved, field.name) for field in dataclasses.fields(moved)[1:]]
    assert all(tensor.device.type == "meta" for tensor in tensors)


def test_the_real_training_data_has_a_token_for_every_answer(shared: Path) -> None:
    examples = load_squad(shared / "data" / "cs224n-dev-v2.0.json")[::10]
    folder = shared / "checkpoints" / "minilm-l6-squad2"
    tokenizer = Tokenizer(TokenizerSpec.from_folder(folder))
    features = make_features(examples, tokenizer, ReaderSettings())
    answered = {feature.window.pair for feature in features if feature.has_answer}
    assert answered == {pair for pair, e in enumerate(examples) if e.has_answer}
