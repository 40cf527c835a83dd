"""What a model file tells of itself before it is run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import random_model, tiny_config

from squadlite.bench.subject import describe_model
from squadlite.bench.system import size_of
from squadlite.container import Raw, write_sqz
from squadlite.errors import HeaderError, SquadliteError
from squadlite.model import Checkpoint, save_checkpoint


def write_model(path: Path, metadata: dict[str, Any]) -> Path:
    # The header alone is read: the tensors needn't be the model's.
    tensors = [("a", np.zeros(1, np.float32), Raw("f32"))]
    model = tiny_config().to_dict()
    write_sqz(path, model=model, tokenizer={}, metadata=metadata, tensors=tensors)
    return path


def test_a_sqz_file_states_its_score(tmp_path: Path) -> None:
    scores = {"F1": 66.5, "data": "a dev set"}
    path = write_model(tmp_path / "a.sqz", {"scores": scores})
    subject = describe_model(path)
    assert (subject.f1, subject.scored_on) == (66.5, "a dev set")
    assert subject.size == path.stat().st_size
    assert subject.config == tiny_config()


@pytest.mark.parametrize("scores", [None, 7, [], {}, {"F1": "good"}, {"F1": True, "data": 3}])
def test_metadata_of_another_shape_is_no_score(tmp_path: Path, scores: object) -> None:
    subject = describe_model(write_model(tmp_path / "a.sqz", {"scores": scores}))
    assert (subject.f1, subject.scored_on) == (None, None)


def test_a_folder_is_described_too(tmp_path: Path) -> None:
    config = tiny_config()
    save_checkpoint(tmp_path, Checkpoint(config, random_model(config).state_dict()))
    subject = describe_model(tmp_path)
    assert subject.config == config
    assert subject.size == size_of(tmp_path)


def test_a_configuration_that_no_model_has_is_an_error_with_the_file_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sqz"
    tensors = [("a", np.zeros(1, np.float32), Raw("f32"))]
    write_sqz(path, model={"hidden_size": 2}, tokenizer={}, metadata={}, tensors=tensors)
    with pytest.raises(HeaderError, match=r"a\.sqz: model config"):
        describe_model(path)


def test_what_is_no_model_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.sqz").write_bytes(b"nothing")
    with pytest.raises(SquadliteError):
        describe_model(tmp_path / "a.sqz")
