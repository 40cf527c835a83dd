"""The model in the wheel: what it is, and that it answers."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from squadlite.answering.metrics import token_f1
from squadlite.answering.reader import Reader
from squadlite.asking import ask
from squadlite.container import open_sqz
from squadlite.convert import convert
from squadlite.library.index import BookIndex
from squadlite.models import DEFAULT_MODEL

BOOK = Path(__file__).with_name("books") / "the-salt-road.epub"
# Of the tensors that `test_a_checkpoint_becomes_the_same_tensors_everywhere` converts.
DIGEST = "9d9b0c967fd3b418c9b46489e31a4de1a3ee417e98ef8e7cae74cbe17ef8feb8"
QUESTIONS = [
    json.loads(line) for line in BOOK.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load(DEFAULT_MODEL)


def test_it_is_whole_small_and_says_where_it_comes_from() -> None:
    with open_sqz(DEFAULT_MODEL) as file:
        file.verify()
        metadata = file.metadata
    assert DEFAULT_MODEL.stat().st_size <= 8_000_000
    assert metadata["base"]["licence"] == "Apache-2.0"
    assert all({"name", "licence"} <= data.keys() for data in metadata["data"])
    converted = metadata["source"]
    assert converted["source"]["sha256"].keys() == {"config.json", "model.safetensors", "vocab.txt"}
    assert {"embedding", "answering"} <= metadata.keys()
    assert [stage["stage"] for stage in metadata["stages"]] == [
        "prune_vocab",
        "finetune",
        "balance_null",
    ]


def test_a_checkpoint_becomes_the_same_tensors_everywhere(shared: Path, tmp_path: Path) -> None:
    convert(
        shared / "checkpoints" / "minilm-l6-squad2",
        tmp_path / "model.sqz",
        bits=4,
        per="group",
        group_size=64,
        format_version=1,
        vocab_size=15_261,
        vocab_corpus=shared / "data" / "train-mix-v2.0.json",
        metadata={"name": "the base"},
    )
    with open_sqz(tmp_path / "model.sqz") as file:
        digests = "".join(info.digest for info in file.tensors.values())
    assert sha256(digests.encode()).hexdigest() == DIGEST


def test_it_answers_the_sample_book(reader: Reader, tmp_path: Path) -> None:
    scores = []
    with BookIndex.open(BOOK, cache_dir=tmp_path) as index:
        for record in QUESTIONS:
            reply = ask(record["question"], index, reader, passages=8)
            for answer in reply.answers:
                text = index.chapter(answer.chapter.index).text
                assert text[answer.start : answer.end] == answer.text
            if record["answers"]:
                found = [answer.text for answer in reply.answers[:3]]
                scores.append(
                    max(token_f1(gold, text) for gold in record["answers"] for text in found)
                )
    assert sum(score > 0.5 for score in scores) >= 0.7 * len(scores)
