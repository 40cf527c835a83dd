"""From a folder as transformers saves it to answers on the command line, for every family."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.example_folders import EXAMPLES
from squadlite.answering.tokenizer_spec import METASPACE, TokenizerSpec
from squadlite.bench.peers.weights import save_for_transformers
from squadlite.cli import run
from squadlite.families import FAMILIES
from squadlite.library.book import open_book
from squadlite.model import load_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

QUESTIONS = ("Who keeps the lighthouse?", "What is the lever of?", "What did they say?")
CONTEXTS = (
    "The old miller, who was seldom seen without his dog, explained the matter to the travellers.",
    "Her small brown hands were never still, and the lamp beside her window burned all night long.",
    "The lighthouse keeper keeps the north lighthouse; the lever of the machine is white ivory.",
    "We said that they had won. The keeper was sure that he would agree, and the matter was so.",
)
MAX_ANSWER_LENGTH = 30
ROUNDING = 0.01  # of logits: the file has 16 bits a value


@dataclass(frozen=True)
class Converted:
    """A family's folder, what transformers loads from it, and the .sqz file made of it."""

    name: str
    folder: Path
    file: Path
    model: Any
    tokenizer: Any

    def best_answers(self, question: str, context: str) -> tuple[set[str], float]:
        """
        The best span's words, and those of any as good but for rounding, and its logits less those
        of no answer; by transformers alone.
        """
        inputs = self.tokenizer(
            question,
            context,
            return_tensors="pt",
            return_offsets_mapping=True,
            # transformers 5 forgets them for ALBERT, which was trained with them.
            return_token_type_ids=getattr(self.model.config, "type_vocab_size", 0) > 1,
        )
        sequences = inputs.sequence_ids(0)
        offsets = inputs.pop("offset_mapping")[0].tolist()
        output = self.model(**inputs)
        starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
        spans = [
            (starts[first] + ends[last], first, last)
            for first in range(len(starts))
            for last in range(first, min(first + MAX_ANSWER_LENGTH, len(ends)))
            if sequences[first] == sequences[last] == 1
        ]
        best, *_ = max(spans)
        words = {
            self._words(context, offsets, inputs.tokens(), first, last)
            for score, first, last in spans
            if score > best - ROUNDING
        }
        return words, best - starts[0] - ends[0]

    def _words(
        self, context: str, offsets: Any, tokens: Sequence[str], first: int, last: int
    ) -> str:
        start, end = offsets[first][0], offsets[last][1]
        if tokens[last] == METASPACE:
            end = offsets[last][0]  # a space alone, laid on the next word's first character
        while start > 0 and context[start - 1 : start + 1].isalnum():
            start -= 1
        while context[end - 1 : end + 1].isalnum() and end < len(context):
            end += 1
        return context[start:end].strip()


@pytest.fixture(scope="module", params=EXAMPLES)
def converted(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Converted:
    transformers = pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    folder = tmp_path_factory.mktemp("families") / request.param
    EXAMPLES[request.param].save(folder, seed=5)
    file = folder.with_suffix(".sqz")
    assert run(["convert", str(folder), "-o", str(file), "--bits", "16"]) == 0
    return Converted(
        request.param,
        folder,
        file,
        transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval(),
        transformers.AutoTokenizer.from_pretrained(folder),
    )


def test_evaluated_answers_are_those_of_transformers(converted: Converted, tmp_path: Path) -> None:
    expected = {
        f"{n}.{m}": converted.best_answers(question, context)
        for n, context in enumerate(CONTEXTS)
        for m, question in enumerate(QUESTIONS)
    }
    middle = sorted(margin for _, margin in expected.values())[len(expected) // 2]
    paragraphs = [
        {
            "context": context,
            "qas": [
                {"id": f"{n}.{m}", "question": question, "answers": []}
                for m, question in enumerate(QUESTIONS)
            ],
        }
        for n, context in enumerate(CONTEXTS)
    ]
    data, predictions = tmp_path / "data.json", tmp_path / "predictions.json"
    data.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    for model in (converted.folder, converted.file):
        arguments = ["eval", str(model), str(data), "--predictions", str(predictions)]
        # So half of the questions have no answer.
        assert run([*arguments, "--threads", "1", "--threshold", str(-middle)]) == 0
        found = json.loads(predictions.read_text())
        assert found.keys() == expected.keys()
        for key, (words, margin) in expected.items():
            if margin > middle + ROUNDING:
                assert found[key] in words
            elif margin < middle - ROUNDING:
                assert found[key] == ""


def test_a_book_is_asked_as_transformers_would_answer(
    converted: Converted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.md"
    book.write_text(f"# The Ivory Lever\n\n{' '.join(CONTEXTS[2:])}\n", encoding="utf-8")
    (chapter,) = open_book(book).chapters
    arguments = ["ask", str(book), QUESTIONS[0], "--model", str(converted.file), "--json"]
    capsys.readouterr()
    assert run([*arguments, "--compute", "f32", "--threads", "1"]) == 0
    reply = json.loads(capsys.readouterr().out)
    expected, _ = converted.best_answers(QUESTIONS[0], chapter.text)
    # Not always the first: the question's words count too.
    assert expected & {answer["text"] for answer in reply["answers"]}


def test_a_file_becomes_a_folder_that_transformers_reads(
    converted: Converted, tmp_path: Path
) -> None:
    import transformers

    back = save_for_transformers(converted.file, tmp_path)
    assert TokenizerSpec.from_folder(back) == TokenizerSpec.load(converted.file)
    tokenizer = transformers.AutoTokenizer.from_pretrained(back)
    pairs = [(question, context) for question in QUESTIONS for context in CONTEXTS]
    for pair in pairs:
        assert tokenizer(*pair)["input_ids"] == converted.tokenizer(*pair)["input_ids"]
    batch = tokenizer(*zip(*pairs, strict=True), padding=True)["input_ids"]
    assert max(map(max, batch)) < load_model(converted.file).config.vocab_size
    again = transformers.AutoModelForQuestionAnswering.from_pretrained(back).eval()
    read_back = Converted(converted.name, back, converted.file, again, tokenizer)
    for pair in pairs:
        expected, margin = converted.best_answers(*pair)
        found, found_margin = read_back.best_answers(*pair)
        assert found & expected
        assert found_margin == pytest.approx(margin, abs=ROUNDING)


def test_the_conversion_says_what_it_found(
    converted: Converted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    arguments = ["convert", str(converted.folder), "-o", str(tmp_path / "model.sqz")]
    assert run(arguments) == run([*arguments, "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    lines = lines[: lines.index("")]  # behind them it says what each part costs
    found = json.loads(last)["found"]
    config = converted.model.config
    assert found["family"] == converted.name
    assert found["model"]["hidden_size"] == config.hidden_size
    assert found["model"]["num_layers"] == config.num_hidden_layers
    assert found["tokenizer"]["vocab_size"] == len(converted.tokenizer)
    assert found["no_answer"] == converted.tokenizer.cls_token
    stored = 1 if converted.name == "ALBERT" else config.num_hidden_layers
    ids = converted.tokenizer("question", "context")["input_ids"]
    names = converted.tokenizer.convert_ids_to_tokens(ids)
    special = [name for name in names if name in converted.tokenizer.all_special_tokens]
    rows = {line.split("  ")[0]: line for line in lines}
    assert rows["family"].endswith(converted.name)
    assert f"{config.num_hidden_layers} executed, {stored} stored; 64 wide" in rows["layers"]
    positions = 128 if converted.name in ("RoBERTa", "MPNet") else 130
    width = getattr(config, "embedding_size", config.hidden_size)
    assert f"{width} wide; {positions} positions" in rows["embeddings"]
    assert f"{len(converted.tokenizer):,} pieces" in rows["tokenizer"]
    assert [part for part in rows["window"].split() if part in special] == special
    assert rows["no answer"].endswith(f"start and end at {converted.tokenizer.cls_token}")


def test_every_family_has_an_example_and_stands_in_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [family.name for family in FAMILIES.values()] == list(EXAMPLES)
    capsys.readouterr()
    assert run(["convert", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Families: {', '.join(EXAMPLES)}" in printed
