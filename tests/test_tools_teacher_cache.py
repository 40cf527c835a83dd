from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_teachers import own_teacher
from tiny_training import PIECES, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import WordPieceSpec
from tools import teacher_cache
from tools.data import Feature, make_features, passes
from tools.errors import TrainingError
from tools.processes import Processes
from tools.soft_targets import SoftTargets
from tools.teacher import Teacher
from tools.teacher_cache import RECORD, fill_cache, read_cache

TOKENIZER = Tokenizer(WordPieceSpec(vocab=PIECES))
ALONE = Processes(0, 1, torch.device("cpu"))
PART_WINDOWS = 8


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_cache, "PART_WINDOWS", PART_WINDOWS)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> list[Feature]:
    path = write_squad(tmp_path_factory.mktemp("data") / "squad.json", 6)
    narrow = ReaderSettings(max_seq_length=20, max_question_length=8, doc_stride=4)
    return make_features(load_squad(path), TOKENIZER, narrow)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    config = tiny_config(vocab_size=len(PIECES), max_position_embeddings=48)
    return own_teacher(random_model(config, seed=1), TOKENIZER)


def fill(folder: Path, features: Sequence[Feature], teacher: Teacher, **options: object) -> None:
    values = {"temperature": 1.0, "max_pass_tokens": 60, "processes": ALONE, **options}
    fill_cache(folder, features, lambda: teacher, **values)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_kept_is_what_the_teacher_says(
    features: list[Feature], teacher: Teacher, tmp_path: Path
) -> None:
    fill(tmp_path / "cache", features, teacher)
    kept = read_cache(tmp_path / "cache", features)
    (batch,) = passes(features[::2], 10_000, TOKENIZER)
    found, expected = kept(batch), teacher.ask(batch.features, temperature=1.0)
    torch.testing.assert_close(
        found.log_probs.exp(), expected.log_probs.exp(), atol=1e-3, rtol=2e-3
    )
    same = found.positions == expected.positions
    assert same[..., 0].all()
    assert same.float().mean() > 0.99  # but for near ties


def test_a_window_takes_a_tenth_of_two_logits_a_token() -> None:
    mean_length = 185  # of the training data's windows
    assert 10 * RECORD.itemsize <= mean_length * 2 * np.dtype(np.float16).itemsize


def test_a_full_cache_asks_nobody(
    features: list[Feature], teacher: Teacher, tmp_path: Path
) -> None:
    fill(tmp_path / "cache", features, teacher)

    def load() -> Teacher:
        raise AssertionError("the teacher was loaded")

    fill_cache(
        tmp_path / "cache", features, load, temperature=1.0, max_pass_tokens=60, processes=ALONE
    )


class Killed(Exception):
    pass


class DyingTeacher:
    """A teacher that is killed in the middle of its third part."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.n_parts = 0

    def ask_by_length(
        self, features: Sequence[Feature], *, temperature: float, max_pass_tokens: int
    ) -> Iterator[tuple[list[Feature], SoftTargets]]:
        self.n_parts += 1
        for answer in self.teacher.ask_by_length(
            features, temperature=temperature, max_pass_tokens=max_pass_tokens
        ):
            yield answer
            if self.n_parts == 3:
                raise Killed


def test_an_asking_that_was_killed_goes_on_and_ends_alike(
    features: list[Feature], teacher: Teacher, tmp_path: Path
) -> None:
    fill(tmp_path / "whole", features, teacher)
    with pytest.raises(Killed):
        fill(tmp_path / "cut", features, DyingTeacher(teacher))  # type: ignore[arg-type]
    before = contents(tmp_path / "cut")
    assert sorted(before) == ["00000.bin", "00001.bin"]
    with pytest.raises(TrainingError, match=r"00002\.bin: can't be read"):
        read_cache(tmp_path / "cut", features)
    shares: list[float] = []
    fill(tmp_path / "cut", features, teacher, report=lambda share, speed: shares.append(share))
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_processes_ask_about_a_share_each(
    features: list[Feature], teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "alone", features, teacher)
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    shares = []
    for rank in range(2):
        folder = tmp_path / f"rank {rank}"
        fill(folder, features, teacher, processes=Processes(rank, 2, torch.device("cpu")))
        shares.append(contents(folder))
    assert not shares[0].keys() & shares[1].keys()
    assert shares[0] | shares[1] == contents(tmp_path / "alone")


def test_the_longest_windows_come_first(
    features: list[Feature], teacher: Teacher, tmp_path: Path
) -> None:
    asked: list[int] = []

    class Listener(DyingTeacher):
        def ask_by_length(
            self, features: Sequence[Feature], *, temperature: float, max_pass_tokens: int
        ) -> Iterator[tuple[list[Feature], SoftTargets]]:
            for some, targets in self.teacher.ask_by_length(
                features, temperature=temperature, max_pass_tokens=max_pass_tokens
            ):
                asked.extend(map(len, some))
                yield some, targets

    fill(tmp_path / "cache", features, Listener(teacher))  # type: ignore[arg-type]
    assert asked == sorted(asked, reverse=True)


@pytest.fixture(scope="module")
def one_part(
    features: list[Feature], teacher: Teacher, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "cache"
    fill(folder, features[:PART_WINDOWS], teacher)
    return folder / "00000.bin"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_read_or_refused(
    features: list[Feature], one_part: Path, data: st.DataObject
) -> None:
    whole = bytearray(one_part.read_bytes())
    damaged = data.draw(
        st.one_of(
            st.binary(max_size=200),
            st.integers(0, len(whole) - 1).map(lambda length: bytes(whole[:length])),
            st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)).map(
                lambda change: bytes(
                    change[1] if place == change[0] else byte for place, byte in enumerate(whole)
                )
            ),
        )
    )
    folder = one_part.parent.with_name("damaged")
    folder.mkdir(exist_ok=True)
    (folder / "00000.bin").write_bytes(damaged)
    try:
        kept = read_cache(folder, features[:PART_WINDOWS])
    except TrainingError as error:
        assert "00000.bin" in str(error)
    else:
        (batch,) = passes(features[:PART_WINDOWS], 10_000, TOKENIZER)
        assert (kept(batch).positions < batch.attention_mask.sum(dim=1)[:, None]).all()


def test_the_answers_to_other_windows_are_refused(features: list[Feature], one_part: Path) -> None:
    with pytest.raises(TrainingError, match="found 576 bytes, expected 216"):
        read_cache(one_part.parent, features[:3])
