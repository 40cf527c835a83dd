"""The model in the wheel: what it is, and that it answers."""

import json
from pathlib import Path

import pytest

from squadlite.answering.metrics import token_f1
from squadlite.answering.reader import Reader
from squadlite.ask import ask
from squadlite.container import open_sqz
from squadlite.convert import convert
from squadlite.library.index import BookIndex
from squadlite.models import DEFAULT_MODEL

BOOK = Path(__file__).with_name("books") / "the-salt-road.epub"
FACTS = Path(__file__).parents[1] / "tools" / "default_model.json"
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
    assert DEFAULT_MODEL.stat().st_size <= 16_000_000
    assert metadata["base"]["licence"] == "Apache-2.0"
    assert all({"name", "licence"} <= data.keys() for data in metadata["data"])
    assert metadata["source"]["sha256"].keys() == {"config.json", "model.safetensors", "vocab.txt"}
    assert {"EM", "F1"} <= metadata["scores"].keys()


def test_converting_the_checkpoint_gives_it_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    with open_sqz(DEFAULT_MODEL) as file:
        recipe = file.metadata["recipe"]
    corpus = recipe.pop("vocab_corpus")["name"]
    convert(
        shared / "checkpoints" / "minilm-l6-squad2",
        tmp_path / "model.sqz",
        vocab_corpus=shared / "data" / corpus,
        metadata=json.loads(FACTS.read_text(encoding="utf-8")),
        **recipe,
    )
    assert (tmp_path / "model.sqz").read_bytes() == DEFAULT_MODEL.read_bytes()


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
