"""The command line as its users meet it: what is printed, exit codes, no traceback ever."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from pdfs import Pdf, lines
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader
from squadlite.cli import run, squadlite
from squadlite.cli.answers import SURENESS
from squadlite.errors import MissingModelError
from squadlite.library.book import open_book
from squadlite.model import Checkpoint, save_checkpoint
from squadlite.models import MODELS

BOOK = """# The Ivory Lever

The traveller built a machine of white ivory. The lever was the only thing that moved, and it
moved so easily that a child might have pressed it by mistake. He kept the machine in his
laboratory under a sheet, and the key of the laboratory on a string about his neck, and nobody
but the housekeeper had ever seen the one or the other before the evening of the dinner.

# The Dinner

At dinner the traveller was late. He asked for mutton, and for nothing else, until his plate
was empty; then he asked what day it was. The doctor said that it was Thursday. The editor
wished to know where he had been, and the traveller, who was limping, answered that he had been
here the whole time, in this very house, and that none of them would believe a word of it.
"""
QUESTION = "What was the machine made of?"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SQUADLITE_CACHE", str(folder))
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "ivory.md"
    path.write_text(BOOK, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny-squad2"
    vocab = tiny_spec().vocab
    config = tiny_config(vocab_size=len(vocab), max_position_embeddings=128)
    save_checkpoint(folder, Checkpoint(config, random_model(config).state_dict()))
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Path:
    path = checkpoint.parent / "tiny.sqz"
    assert run(["convert", str(checkpoint), "-o", str(path), "--json"]) == 0
    return path


def printed_json(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def all_commands() -> list[tuple[str, click.Command]]:
    context = click.Context(squadlite)
    commands = {
        name: squadlite.get_command(context, name) for name in squadlite.list_commands(context)
    }
    for name, group in dict(commands).items():
        if isinstance(group, click.Group):
            del commands[name]
            commands |= {f"{name} {within}": command for within, command in group.commands.items()}
    return sorted(commands.items())


@pytest.mark.parametrize(("name", "command"), all_commands())
def test_every_command_has_help_with_an_example_and_json(name: str, command: click.Command) -> None:
    assert command.help is not None
    assert "Example" in command.help
    assert f"squadlite {name}" in command.help
    assert not command.get_short_help_str(65).endswith("...")  # beside it in the list of commands
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    assert all(getattr(p, "help", "") for p in command.params if isinstance(p, click.Option))


PEOPLE_BOOK = """# The Inn

It was raining on the roof of the inn when Orla came from Sundby, and nobody was in the house but
the keeper. “The road to Sundby is under water,” said Orla, and the keeper laughed at that. He set
bread and soup before her, hung her wet coat beside the fire, and wished to know what anybody could
want on such a road in such a night, with the bridges gone and the ferry on the other bank.

# The Road

There had been no rain in Sundby for a year. “Nor will there be,” said Orla. The keeper of the inn
said no more to Orla that night, and Jory, who had heard it all, went out to the mule. “Come,” said
Jory to the mule, and the mule of Jory came. They were seen at the ford before the sun was up, and
at the mill when it was high, and after that nobody saw them again until the first of the snow.
"""


def test_people_are_told_with_their_first_place_and_up_to_a_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inn.md"
    path.write_text(PEOPLE_BOOK, encoding="utf-8")
    assert run(["people", str(path), "--json"]) == 0
    told = printed_json(capsys)
    assert [(person["name"], person["kind"], person["count"]) for person in told] == [
        ("Orla", "person", 4),
        ("Sundby", "place", 3),
        ("Jory", "person", 3),
    ]
    for person in told:
        assert list(person) == ["name", "kind", "count", "first", "names"]
        chapter = open_book(path).chapters[person["first"]["chapter"]]
        assert chapter.text[person["first"]["offset"] :].startswith(person["name"])
    assert run(["people", str(path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        ["4", "Orla", "person", "The", "Inn"],
        ["3", "Sundby", "place", "The", "Inn"],
        ["3", "Jory", "person", "The", "Road"],
    ]
    assert run(["people", str(path), "--until", "The Inn", "--json"]) == 0
    assert "Jory" not in capsys.readouterr().out
    assert run(["people", str(path), "--until", "Chapter 9"]) == 1


def test_ask_prints_one_object_whose_offsets_are_the_chapters_text(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(book), QUESTION, "--model", str(model), "--json"]) == 0
    (reply,) = printed_json(capsys)
    assert list(reply) == [
        "id",
        "question",
        "answer",
        "score",
        "answers",
        "null_score",
        "passages_read",
        "timing",
    ]
    assert reply["id"] is None
    assert reply["question"] == QUESTION
    assert reply["timing"].keys() == {"load_ms", "index_ms", "retrieve_ms", "read_ms"}
    assert 1 <= len(reply["answers"]) <= 5
    chapters = open_book(book).chapters
    scores = [answer["score"] for answer in reply["answers"]]
    assert scores == sorted(scores, reverse=True)
    assert reply["answer"] in (None, reply["answers"][0]["text"])
    for answer in reply["answers"]:
        chapter = chapters[answer["chapter"]["index"]]
        passage = answer["passage"]
        assert answer["chapter"]["title"] == chapter.title
        assert chapter.text[answer["start"] : answer["end"]] == answer["text"]
        assert chapter.text[passage["start"] : passage["end"]] == passage["text"]
        assert passage["start"] <= answer["start"] <= answer["end"] <= passage["end"]
        best = answer["places"][0]
        assert best == {name: answer[name] for name in best}
        for place in answer["places"]:
            text = chapters[place["chapter"]["index"]].text
            assert text[place["start"] : place["end"]] == place["text"]


def test_ask_prints_the_place_for_a_person(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(book), QUESTION, "--model", str(model), "--top-k", "2"]) == 0
    output = capsys.readouterr().out
    assert "doesn't say" in output or re.search(r"\((a guess|.* sure), \d+%\)", output)
    assert "The Ivory Lever" in output or "The Dinner" in output


def test_ask_says_the_page_of_a_book_with_pages(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    salt = lines(["The carrier of salt slept under the bridge until the moon had gone."])
    labels = "/PageLabels<</Nums[0<</S/r/St 7>>]>>"
    path = Pdf([salt], catalog=labels, info={"Title": "Salt"}).write(tmp_path / "book.pdf")
    arguments = ["ask", str(path), "Who slept?", "--model", str(model), "--min-score", "0"]
    assert run([*arguments, "--json"]) == run(arguments) == 0
    first, *shown = capsys.readouterr().out.splitlines()
    assert {answer["page"] for answer in json.loads(first)["answers"]} == {"vii"}
    assert "Salt, Salt p. vii  (" in shown[1]


def test_min_score_is_how_sure_an_answer_must_be(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ask", str(book), QUESTION, "--model", str(model), "--json", "--min-score"]
    assert run([*arguments, "0"]) == run([*arguments, "1"]) == 0
    answered, withheld = printed_json(capsys)
    assert answered["answer"] == answered["answers"][0]["text"]
    assert withheld["answer"] is None
    assert withheld["answers"] == answered["answers"]


def test_until_keeps_all_that_stands_behind_to_itself(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "Where was the traveller?"
    arguments = ["ask", str(book), question, "--model", str(model), "--top-k", "99"]
    assert run([*arguments, "--json"]) == run([*arguments, "--json", "--until", "Chapter 1"]) == 0
    everything, known = printed_json(capsys)
    assert {answer["chapter"]["title"] for answer in known["answers"]} == {"The Ivory Lever"}
    assert "The Dinner" in {answer["chapter"]["title"] for answer in everything["answers"]}
    assert run([*arguments, "--until", "the ivory lever", "--min-score", "1"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("The Ivory Lever doesn't say up to there.")
    assert "Dinner" not in output
    assert run([*arguments, "--until", "0%"]) == 0
    assert capsys.readouterr().out == "The Ivory Lever doesn't say up to there.\n"


def test_a_place_to_read_until_that_is_not_there_is_told_in_one_line(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(book), QUESTION, "--model", str(model), "--until", "page 7"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: 'page 7': found no such place in the book, expected a")
    assert printed.err.count("\n") == 1


def test_every_answer_is_shown_with_how_sure_it_is_and_its_chapters(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ask", str(book), QUESTION, "--model", str(model), "--min-score", "0"]
    assert run([*arguments, "--json"]) == run(arguments) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    best, *others = json.loads(first)["answers"]
    assert re.search(rf"{best['chapter']['title']}  \(.+, {best['score']:.0%}\)", lines[1])
    text = " ".join("\n".join(lines).split())
    for answer in others:
        assert f"{answer['score']:.0%} {' '.join(answer['text'].split())} (" in text


@pytest.mark.parametrize(
    ("name", "value", "is_plain"),
    [("NO_COLOR", "1", True), ("TERM", "dumb", True), ("TERM", "xterm", False)],
)
def test_a_terminal_gets_no_colours_that_it_does_not_want(  # noqa: PLR0917
    name: str,
    value: str,
    is_plain: bool,
    book: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["ask", str(book), QUESTION, "--model", str(model), "--min-score", "0"]) == 0
    assert ("\x1b" not in capsys.readouterr().out) == is_plain


def test_a_long_answer_goes_on_below_itself(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    arguments = ["ask", str(book), QUESTION, "--model", str(model), "--min-score", "1"]
    assert run(arguments) == 0
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert all(re.match(r"  [ \d]{3}%  \S|        \S", line) for line in lines)


def test_the_page_says_how_sure_an_answer_is_in_the_same_words() -> None:
    script = files("squadlite.server").joinpath("static", "js", "answers.js").read_text("utf-8")
    for least, words, _ in SURENESS:
        assert (
            f'{least} ? "{words.capitalize()}"' in script or f': "{words.capitalize()}"' in script
        )


def test_top_k_bounds_the_answers(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ask", str(book), QUESTION, "--model", str(model), "--json", "--top-k", "1"]
    assert run(arguments) == 0
    (reply,) = printed_json(capsys)
    assert len(reply["answers"]) == 1


def test_a_file_of_questions_gives_a_line_for_each(
    book: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": "a", "question": "Who?"}\n\n{"id": 2, "question": "?"}\n')
    assert run(["ask", str(book), "--questions", str(questions), "--model", str(model)]) == 0
    assert [reply["id"] for reply in printed_json(capsys)] == ["a", "2"]


def test_a_question_of_a_file_may_hold_any_line_end_but_its_own(
    book: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        '{"question": "Who\u2028 was\x85 late?"}\r\n', encoding="utf-8", newline=""
    )
    assert run(["ask", str(book), "--questions", str(questions), "--model", str(model)]) == 0
    asked = [json.loads(line)["question"] for line in capsys.readouterr().out.split("\n")[:-1]]
    assert asked == ["Who\u2028 was\x85 late?"]


@pytest.mark.parametrize(
    "line", ["{", '"text"', "{}", '{"question": 3}', '{"question": " "}', "[" * 100_000]
)
def test_a_broken_line_of_questions_is_named(
    line: str, book: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Who?"}\n' + line)
    assert run(["ask", str(book), "--questions", str(questions), "--model", str(model)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Error: {questions}: line 2: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "{book}", "Who?", "--questions", "{book}"],
        ["ask", "no such book", "Who?"],
        ["ask", "{book}", "Who?", "--top-k", "0"],
        ["ask", "{book}", "Who?", "--min-score", "70"],
        ["ask", "{book}", "Who?", "--min-score", "nan"],
        ["ask", "{book}", ""],
        ["ask", "{book}", " \n"],
        ["convert", "{book}"],
        ["convert", "{book}", "-o", "{book}/no/such/folder/x.sqz"],
        ["convert", "{book}", "-o", "x.sqz", "--vocab-size", "5"],
        ["eval", "{book}", "{book}", "--predictions", "{book}/no/such/folder/x.json"],
        ["convert", "{book}", "-o", "x.sqz", "--bits", "17"],
        ["convert", "{book}", "-o", "x.sqz", "--bits", "3.5"],
        ["convert", "{book}", "-o", "x.sqz", "--bits", "nan"],
        ["eval", "{book}", "{book}", "--threshold", "nan"],
        ["eval", "{book}", "{book}", "--threshold", "inf"],
        ["convert", "{book}", "-o", "x.sqz", "--target-size", "8MB"],
        ["convert", "{book}", "-o", "x.sqz", "--calibration", "{book}"],
        ["convert", "{book}", "-o", "x.sqz", "--calibration", "{book}", "--target-size", "8 bytes"],
        ["convert", "{book}", "-o", "x.sqz", "--calibration", "{book}", "--target-size", "0"],
        ["nonsense"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([argument.replace("{book}", str(book)) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error: " in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "{broken}", "Who?"],
        ["ask", "{folder}", "Who?"],
        ["ask", "{book}", "Who?", "--model", "{book}"],
        ["ask", "{book}", "Who?", "--model", "{folder}"],
        ["text", "{broken}"],
        ["convert", "{folder}", "-o", "{folder}/x.sqz"],
        ["convert", "{book}", "-o", "{folder}/x.sqz"],
        ["inspect", "{book}"],
        ["verify", "{book}"],
        ["eval", "{model}", "{book}"],
        ["eval", "{book}", "{data}"],
    ],
)
def test_errors_are_one_line_and_exit_1(  # noqa: PLR0917
    arguments: list[str],
    book: Path,
    checkpoint: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    broken = tmp_path / "broken.epub"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    places = {
        "book": book,
        "checkpoint": checkpoint,
        "model": model,
        "folder": folder,
        "broken": broken,
        "data": write_squad(tmp_path / "data.json"),
    }
    assert run([argument.format(**places) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_text_prints_the_chapters_that_offsets_count_in(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["text", str(book), "--json"]) == 0
    chapters = printed_json(capsys)
    assert [chapter["title"] for chapter in chapters] == ["The Ivory Lever", "The Dinner"]
    assert [chapter["text"] for chapter in chapters] == [c.text for c in open_book(book).chapters]
    assert run(["text", str(book)]) == 0
    assert "The traveller built a machine" in capsys.readouterr().out


def test_convert_says_what_each_part_costs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.sqz"
    arguments = ["convert", str(checkpoint), "-o", str(path), "--bits", "6", "--per", "row"]
    assert run([*arguments, "--json"]) == 0
    (report,) = printed_json(capsys)
    assert report["n_bytes"] == path.stat().st_size == sum(p["n_bytes"] for p in report["parts"])
    assert run(arguments) == 0
    output = capsys.readouterr().out
    assert "word embeddings" in output
    assert f"{path.stat().st_size:,}" in output


def test_convert_says_what_rounding_costs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, path = tmp_path / "train.json", tmp_path / "model.sqz"
    question = {"id": "1", "question": "who built the machine", "answers": []}
    paragraph = {"context": "the traveller built a machine", "qas": [question]}
    train.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    arguments = ["convert", str(checkpoint), "-o", str(path), "--calibration", str(train)]
    assert run([*arguments, "--bits", "3.5", "--json"]) == 0
    (report,) = printed_json(capsys)
    assert report["divergence"] > 0
    assert report["divergences"]["word embeddings"] > 0
    assert run([*arguments, "--target-size", "9.5 kB"]) == 0
    output = capsys.readouterr().out
    assert "Bits a value" in output
    assert "nats a window" in output
    assert path.stat().st_size <= 9500
    assert run([*arguments, "--target-size", "1kB"]) == 1
    assert "target size: found 1000 bytes, expected at least" in capsys.readouterr().err


def test_convert_keeps_the_metadata_given(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"licence": "CC BY-SA 4.0"}')
    path = tmp_path / "model.sqz"
    assert run(["convert", str(checkpoint), "-o", str(path), "--metadata", str(facts)]) == 0
    capsys.readouterr()
    assert run(["inspect", str(path), "--json"]) == 0
    (summary,) = printed_json(capsys)
    assert summary["metadata"]["licence"] == "CC BY-SA 4.0"
    assert summary["metadata"]["recipe"] == {"bits": 10, "per": "tensor"}


@pytest.mark.parametrize(("choice", "version"), [("1", "1.0"), ("2", "2.0")])
def test_convert_writes_the_version_asked_for(
    choice: str, version: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.sqz"
    assert run(["convert", str(checkpoint), "-o", str(path), "--format", choice]) == 0
    capsys.readouterr()
    assert run(["inspect", str(path), "--tensors"]) == 0
    output = capsys.readouterr().out
    assert f".sqz version {version}" in output
    assert ("coding=deflate" in output) == (choice == "2")
    assert "coded_bytes" not in output
    assert run(["verify", str(path)]) == 0


def test_a_model_of_our_own_is_asked_by_its_name(
    book: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(MODELS, "large", tmp_path / "large.sqz")
    arguments = ["ask", str(book), QUESTION, "--model", "large", "--json"]
    assert run(arguments) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Error: model 'large': not shipped with this squadlite yet")
    with pytest.raises(MissingModelError):
        Reader.load("large")
    shutil.copyfile(model, tmp_path / "large.sqz")
    assert run(arguments) == 0
    named = json.loads(capsys.readouterr().out)
    assert run([*arguments[:4], str(model), "--json"]) == 0
    assert named["answers"] == json.loads(capsys.readouterr().out)["answers"]
    assert Reader.load("large").scorer.config == Reader.load(model).scorer.config


def test_inspect_lists_every_tensor(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(model), "--tensors", "--json"]) == 0
    (summary,) = printed_json(capsys)
    names = [tensor["name"] for tensor in summary["tensors"]]
    assert "layers.1.attention.query.weight" in names
    assert run(["inspect", str(model), "--tensors"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in names)
    assert "linear" in output


def test_verify_names_the_damage(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(model)]) == 0
    assert "intact" in capsys.readouterr().out
    damaged = tmp_path / "damaged.sqz"
    content = bytearray(model.read_bytes())
    content[200] ^= 1
    damaged.write_bytes(content)
    assert run(["verify", str(damaged)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {damaged}: ")
    assert "digest" in error


def write_squad(path: Path) -> Path:
    context = "The traveller built a machine of white ivory."
    questions = [
        {
            "id": "1",
            "question": QUESTION,
            "answers": [{"text": "white ivory", "answer_start": context.index("white ivory")}],
            "is_impossible": False,
        },
        {"id": "2", "question": "Who fell?", "answers": [], "is_impossible": True},
    ]
    paragraphs = [{"context": context, "qas": questions}]
    path.write_text(
        json.dumps({"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]})
    )
    return path


def test_eval_prints_the_official_scores_and_keeps_predictions(
    checkpoint: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_squad(tmp_path / "data.json")
    predictions = tmp_path / "predictions.json"
    for path in (model, checkpoint):
        arguments = ["eval", str(path), str(data), "--predictions", str(predictions), "--json"]
        assert run(arguments) == 0
        (scores,) = printed_json(capsys)
        assert scores["total"] == 2
        assert {"exact", "f1", "HasAns_f1", "NoAns_f1", "best_f1_thresh"} <= scores.keys()
        assert json.loads(predictions.read_text()).keys() == {"1", "2"}
    assert run(["eval", str(model), str(data)]) == 0
    assert "HasAns_exact" in capsys.readouterr().out


def test_the_module_is_the_command(book: Path) -> None:
    command = [sys.executable, "-m", "squadlite", "text", str(book), "--json"]
    finished = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert len(finished.stdout.splitlines()) == 2


def test_a_question_that_is_not_text_is_printed_as_json_writes_it(
    book: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = os.fsdecode(b"What was \xff made of?")
    assert run(["ask", str(book), question, "--model", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["question"] == "What was \udcff made of?"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_whose_output_is_closed_does_its_work(book: Path, closed: str) -> None:
    command = [sys.executable, "-m", "squadlite", "text", str(book)]
    finished = subprocess.run(
        f"{shlex.join(command)} {closed}", check=True, shell=True, capture_output=True, text=True
    )
    assert finished.stderr == ""
    assert ("ivory" in finished.stdout) == closed.startswith("2")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_exits_with_130_and_one_line(book: Path, model: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Who?"}\n' * 100_000)
    command = [sys.executable, "-m", "squadlite", "ask", str(book), "--model", str(model)]
    with subprocess.Popen(
        [*command, "--questions", str(questions)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == "\nInterrupted.\n"
    assert process.returncode == 130


def test_a_reader_that_goes_away_ends_the_command_quietly(book: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "squadlite", "text", str(book)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_whose_output_is_closed_runs_to_its_end(book: Path, stream: str) -> None:
    closed = {"stdout": ">&-", "stderr": "2>&-"}[stream]
    command = f'"$0" -m squadlite text "$1" {closed}; echo "exit code $?"'
    arguments = ["sh", "-c", command, sys.executable, str(book)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.endswith("exit code 0\n")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_or_a_question_that_is_not_utf_8_does_no_harm(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    Path(os.fsdecode(path)).write_text("The ferry was late.", encoding="utf-8")
    command = [sys.executable, "-m", "squadlite", "text"]
    for options in ([], ["--json"]):
        done = subprocess.run([*command, path, *options], capture_output=True, check=True)
        assert "caf\ufffd" in done.stdout.decode()
    ask = [*command[:-1], "ask", path, b"Who was at the caf\xe9?", "--json"]
    done = subprocess.run(ask, capture_output=True, check=True)
    assert json.loads(done.stdout)["question"] == "Who was at the caf\udce9?"
    missing = subprocess.run([*command, path + b"/"], capture_output=True, check=False)
    assert missing.returncode == 2
    assert b"Traceback" not in missing.stderr
