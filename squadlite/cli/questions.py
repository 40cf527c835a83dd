"""Questions as the commands that ask are given them: one, a file of them, or typed one by one."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from squadlite.cli.output import Command, FiniteRange, existing_file, model_option
from squadlite.errors import DatasetError

_OPTIONS = (
    click.option(
        "--questions",
        type=existing_file,
        help="Ask every question of a JSON-lines file with `id` and `question`; implies --json.",
    ),
    model_option,
    click.option(
        "--top-k",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        help="How many answers to give at most.",
    ),
    click.option(
        "--passages",
        type=click.IntRange(min=1),
        help="How many passages of the book to read at most: more is slower and misses less.",
    ),
    click.option(
        "--min-score",
        type=FiniteRange(0, 1),
        help="Give an answer only if it is surer than this, 0 to 1; else the book doesn't say.  "
        "[default: the model's own]",
    ),
)

_PROMPT = "> "


@dataclass(frozen=True)
class Question:
    """A question as it is asked, and what the file it comes from calls it."""

    id: str | None
    text: str


def question_options(command: Command) -> Command:
    """The options that say what is asked, of which model, and how much of the replies is shown."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_questions(question: str | None, questions: Path | None) -> list[Question] | None:
    """
    Gather the questions that a command was given.

    Args:
        question: the one asked, or None.
        questions: the file of --questions, or None.

    Returns:
        The questions; None where there are none, so that they will be typed.

    Raises:
        UsageError: both, or a question without words; or neither, and no standard input to type
            them into.
        DatasetError: a file that doesn't hold what it should.
    """
    if question is not None and questions is not None:
        raise click.UsageError("Give either a QUESTION or --questions FILE, not both.")
    if question is not None:
        if not question.strip():
            raise click.UsageError(f"QUESTION: found {question!r}, expected words.")
        return [Question(None, question)]
    if questions is not None:
        return list(_parse_questions(questions))
    if sys.stdin is None:  # closed by who started the command
        raise click.UsageError("Give a QUESTION or --questions FILE: there is no standard input.")
    return None


def _parse_questions(path: Path) -> Iterator[Question]:
    try:
        # Not `splitlines`: JSON strings may hold line ends of other kinds as they are.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: {error.reason} at byte {error.start}, expected UTF-8"
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}: line {number}: {error}, expected a JSON object") from None
        question = record.get("question") if isinstance(record, dict) else None
        if not isinstance(question, str) or not question.strip():
            raise DatasetError(f"{path}: line {number}: no `question` text, expected one")
        identifier = record.get("id")
        yield Question(None if identifier is None else str(identifier), question)


def typed_questions(title: str, *, as_json: bool) -> Iterator[Question]:
    """
    Questions from standard input, one a line, each when the reply to the one before is printed.

    A person is asked for them. Elsewhere each is printed before its reply, so that what comes out
    reads like what a person sees.

    Args:
        title: of what is asked.
        as_json: whether replies are printed as JSON, and nothing beside them.

    Raises:
        DatasetError: what comes in isn't text.
    """
    is_person = sys.stdin.isatty()
    if is_person:
        click.echo(f"{title}: what would you like to know? (Ctrl-D ends)", err=True)
    for line in _typed_lines() if is_person else _piped_lines():
        if text := line.strip():
            if not (is_person or as_json):
                click.secho(f"{_PROMPT}{text}", dim=True)
            yield Question(None, text)
            if not as_json:
                click.echo()


def _typed_lines() -> Iterator[str]:
    with suppress(ImportError):  # on Windows the terminal does as much
        # A line can be edited, and earlier ones come back.
        import readline  # noqa: F401
    # Python's own prompt goes to stdout, where it would stand among replies that go to a file.
    prompts = sys.stdout.isatty()
    while True:
        if not prompts:
            click.echo(_PROMPT, nl=False, err=True)
        try:
            yield input(_PROMPT if prompts else "")
        except EOFError:
            click.echo(err=True)
            return
        except UnicodeDecodeError as error:
            raise DatasetError(f"standard input: {error.reason}, expected text") from None


def _piped_lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"standard input: line {number}: {error.reason} at byte {error.start}, "
                "expected UTF-8"
            ) from None
