import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_teachers import write_teacher

from tools.errors import TrainingError
from tools.transformers_teacher import load_transformers_teacher

transformers = pytest.importorskip("transformers", reason="comes with squadlite[train]")
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


def change(folder: Path, name: str, **values: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | values))


def damage_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no tensors")


def take_tokenizer_away(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def damage_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')


def take_head_away(folder: Path) -> None:
    import safetensors.torch

    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("qa_")}
    safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def take_special_tokens_away(folder: Path) -> None:
    change(folder, "tokenizer.json", post_processor=None)


def add_a_piece(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["more"] = len(content["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(content))


def name_a_kind_without_spans(folder: Path) -> None:
    change(folder, "config.json", model_type="vit")


def name_another_kind(folder: Path) -> None:
    change(folder, "config.json", model_type="no such kind")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_weights, "can't load it"),
        (take_tokenizer_away, "can't load it"),
        (damage_tokenizer, "can't load it"),
        (take_head_away, r"found no weights 'qa_outputs\.bias'"),
        (take_special_tokens_away, "found 0, 0, 0 special tokens"),
        (add_a_piece, "of 42 pieces, expected more than 4 special ones and at most 41"),
        (name_a_kind_without_spans, "can't load it"),
        (name_another_kind, "can't load it"),
    ],
)
def test_a_folder_that_cannot_teach_is_refused_in_one_line(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = write_teacher(tmp_path / "teacher", "mpnet", [])
    damage(folder)
    with pytest.raises(TrainingError, match=message) as refused:
        load_transformers_teacher(folder)
    assert str(refused.value).startswith(f"teacher {folder}: ")
    assert "\n" not in str(refused.value)


def test_a_missing_extra_prints_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrainingError, match=r"pip install 'squadlite\[train\]'"):
        load_transformers_teacher(tmp_path)


def test_positions_up_to_paddings_are_not_counted_where_they_are_unused(tmp_path: Path) -> None:
    positions = {
        kind: load_transformers_teacher(write_teacher(tmp_path / kind, kind, [])).n_positions
        for kind in ("mpnet", "bert", "roberta")
    }
    assert positions == {"mpnet": 78, "bert": 80, "roberta": 78}


def test_mpnets_fused_attention_gives_its_own_logits(tmp_path: Path) -> None:
    folder = write_teacher(tmp_path / "teacher", "mpnet", [])
    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    fused = load_transformers_teacher(folder).model.eval()
    ids = torch.randint(4, 40, (3, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(20)[None] < torch.tensor([20, 13, 4])[:, None]
    for rows in (slice(0, 3), slice(0, 1)):
        with torch.no_grad():
            expected = plain(input_ids=ids[rows], attention_mask=mask[rows].long())
            starts, ends = fused(ids[rows], torch.zeros_like(ids[rows]), mask[rows])
        shown = mask[rows]
        torch.testing.assert_close(starts[shown], expected.start_logits[shown])
        torch.testing.assert_close(ends[shown], expected.end_logits[shown])


@pytest.mark.parametrize(
    ("kind", "template"),
    [("mpnet", ((0,), (2, 2), (2,), 0, 1)), ("bert", ((2,), (3,), (3,), 1, 0))],
)
def test_special_tokens_and_types_are_the_tokenizers(
    tmp_path: Path, kind: str, template: tuple[Any, ...]
) -> None:
    found = load_transformers_teacher(write_teacher(tmp_path / kind, kind, [])).tokenizer.template
    assert (found.before, found.between, found.after) == template[:3]
    assert (found.context_type, found.pad_id) == template[3:]
