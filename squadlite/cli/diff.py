"""`squadlite diff`: two model files side by side."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from squadlite.cli.output import (
    EXPECTED_ERRORS,
    compute_option,
    existing_file,
    format_bytes,
    json_option,
    one_line,
    print_json,
    print_table,
    progress_bar,
    threads_option,
)

if TYPE_CHECKING:
    from squadlite.config import Compute
    from squadlite.container import TensorInfo
    from squadlite.diff.files import Deviation, FileDiff, TensorDiff, VocabularyDiff
    from squadlite.diff.predictions import Agreement, Predictions

_EXIT_DIFFERENT = 1
_MAX_PIECES = 8
_MAX_VALUE_LENGTH = 40
_SCORES = ("exact", "f1")
_NOTHING = "-"


class _Trouble(click.ClickException):
    # As of diff: 1 says that there are differences.
    exit_code = 2


@click.command()
@click.argument("a", type=existing_file)
@click.argument("b", type=existing_file)
@click.option(
    "--data", type=existing_file, help="Compare what both answer to the questions here too: SQuAD."
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Ask only N questions, spread over the data."
)
@compute_option("f32")
@threads_option
@json_option
@click.pass_context
def diff(
    context: click.Context,
    a: Path,
    b: Path,
    data: Path | None,
    limit: int | None,
    compute: "Compute",
    threads: int | None,
    as_json: bool,
) -> None:
    """
    Compare the models in the .sqz files A and B.

    Compared are configuration, tokenizer, vocabulary, metadata, tensors and sizes. A tensor's error
    is the root mean square of B - A over that of A; word embeddings are compared piece by piece.
    With --data also what they answer, at threshold 0.

    Exit codes: 0 where the models are the same in all that matters to their use, also where they
    are stored otherwise or say other things to people; 1 where they differ; 2 for errors.

    \b
    Examples:
      squadlite diff default.sqz smaller.sqz
      squadlite diff default.sqz smaller.sqz --data dev-v2.0.json --limit 500
    """
    if limit is not None and data is None:
        raise click.UsageError("--limit needs --data.")
    try:
        found, predictions = _compare(a, b, data, limit, compute, threads)
    except EXPECTED_ERRORS as error:
        raise _Trouble(one_line(error)) from error
    if as_json:
        print_json(_as_json(a, b, found, predictions))
    else:
        _print(a, b, found, predictions)
    if found.differing:
        context.exit(_EXIT_DIFFERENT)


def _compare(
    a: Path,
    b: Path,
    data: Path | None,
    limit: int | None,
    compute: "Compute",
    threads: int | None,
) -> "tuple[FileDiff, tuple[Predictions, Predictions] | None]":
    from squadlite.diff.files import diff_files

    with progress_bar("Comparing") as progress:
        found = diff_files(a, b, progress=progress)
    if data is None:
        return found, None
    from squadlite.answering.squad import load_squad
    from squadlite.diff.predictions import predict

    examples = load_squad(data)

    def ask(title: str, model: Path) -> "Predictions":
        with progress_bar(title) as progress:
            return predict(
                model, examples, limit=limit, threads=threads, compute=compute, progress=progress
            )

    return found, (ask("Asking A", a), ask("Asking B", b))


def _as_json(
    a: Path, b: Path, found: "FileDiff", predictions: "tuple[Predictions, Predictions] | None"
) -> dict[str, Any]:
    vocabulary = found.vocabulary
    result: dict[str, Any] = {
        "a": {"file": str(a), "n_bytes": a.stat().st_size},
        "b": {"file": str(b), "n_bytes": b.stat().st_size},
        "differing": found.differing,
        "model": found.model,
        "tokenizer": found.tokenizer,
        "vocabulary": {
            "n_pieces": dict(zip("ab", vocabulary.n_pieces, strict=True)),
            "removed": list(vocabulary.removed),
            "added": list(vocabulary.added),
            "same_order": vocabulary.same_order,
            "same_kept_ids": vocabulary.same_kept_ids,
        },
        "metadata": found.metadata,
        "tensors": [_tensor_json(tensor) for tensor in found.tensors],
        "parts": [
            {"name": name, "a": part_a and part_a.n_bytes, "b": part_b and part_b.n_bytes}
            for name, (part_a, part_b) in found.parts.items()
        ],
    }
    if predictions is not None:
        agreement = _agreement(predictions)
        result["predictions"] = {
            "questions": agreement.n_questions,
            "same_answers": agreement.same_answers,
            "same_decisions": agreement.same_decisions,
            "divergence": agreement.divergence,
            **{
                side: {name: of_side.result.scores[name] for name in _SCORES}
                for side, of_side in zip("ab", predictions, strict=True)
            },
        }
    return result


def _agreement(predictions: "tuple[Predictions, Predictions]") -> "Agreement":
    from squadlite.diff.predictions import agreement

    return agreement(*predictions)


def _tensor_json(tensor: "TensorDiff") -> dict[str, Any]:
    deviation = tensor.deviation
    return {
        "name": tensor.name,
        "a": _info_json(tensor.a),
        "b": _info_json(tensor.b),
        "same_values": tensor.same_values,
        "relative_error": deviation and deviation.relative,
        "largest_error": deviation and deviation.largest,
    }


def _info_json(info: "TensorInfo | None") -> dict[str, Any] | None:
    if info is None:
        return None
    return {
        "shape": list(info.shape),
        "codec": info.codec.to_header(),
        "bits_per_value": info.bits_per_value,
        "n_bytes": info.n_bytes,
    }


def _print(
    a: Path, b: Path, found: "FileDiff", predictions: "tuple[Predictions, Predictions] | None"
) -> None:
    for side, path in (("A", a), ("B", b)):
        click.echo(f"{side}: {path}, {format_bytes(path.stat().st_size)}")
    _print_fields("model", found.model)
    _print_fields("tokenizer", found.tokenizer)
    _print_vocabulary(found.vocabulary)
    _print_fields("metadata", found.metadata)
    _print_tensors(found.tensors)
    click.secho("\nsize", bold=True)
    _print_parts(found)
    if predictions is not None:
        _print_predictions(predictions)
    click.echo(f"\n{_summary(found)}")


def _print_section(title: str, text: str) -> None:
    click.echo("\n" + click.style(title, bold=True) + f": {text}")


def _print_fields(title: str, fields: Mapping[str, Mapping[str, Any]]) -> None:
    if not fields:
        _print_section(title, "equal")
        return
    _print_section(title, f"{len(fields)} fields differ")
    rows = [
        [field, *(_shown(values[side]) if side in values else _NOTHING for side in "ab")]
        for field, values in fields.items()
    ]
    print_table(["Field", "A", "B"], rows)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[: _MAX_VALUE_LENGTH - 3]}..."


def _print_vocabulary(vocabulary: "VocabularyDiff") -> None:
    in_a, in_b = vocabulary.n_pieces
    if vocabulary.equal:
        _print_section("vocabulary", f"equal, {in_a:,} pieces")
        return
    _print_section("vocabulary", f"{in_a:,} pieces in A, {in_b:,} in B")
    for side, pieces in (("A", vocabulary.removed), ("B", vocabulary.added)):
        if pieces:
            more = ", ..." if len(pieces) > _MAX_PIECES else ""
            named = ", ".join(pieces[:_MAX_PIECES])
            click.echo(f"  {len(pieces):,} in {side} alone: {named}{more}")
    if not vocabulary.same_order:
        click.echo("  the pieces of both stand in another order")
    if not vocabulary.same_kept_ids:
        click.echo("  their ids in the full vocabulary differ")


def _print_tensors(tensors: "Sequence[TensorDiff]") -> None:
    differing = [tensor for tensor in tensors if not (tensor.same_values and tensor.same_storage)]
    if not differing:
        _print_section("tensors", f"equal, {len(tensors)}")
        return
    in_values = sum(not tensor.same_values for tensor in differing)
    text = f"{len(differing)} of {len(tensors)} differ, {in_values} of them in their values"
    _print_section("tensors", text)
    headings = ["Name", "Shape", "Codec", "Bits A", "Bits B", "Bytes A", "Bytes B"]
    rows = [_tensor_row(tensor) for tensor in differing]
    print_table([*headings, "Error", "Largest"], rows)


def _tensor_row(tensor: "TensorDiff") -> list[str]:
    infos = (tensor.a, tensor.b)
    there = [info for info in infos if info is not None]
    return [
        tensor.name,
        _changed("x".join(map(str, info.shape)) for info in there),
        _changed(info.codec.name for info in there),
        *(f"{info.bits_per_value:.2f}" if info else _NOTHING for info in infos),
        *(f"{info.n_bytes:,}" if info else _NOTHING for info in infos),
        *_deviation_cells(tensor.deviation),
    ]


def _changed(values: Iterable[str]) -> str:
    # One text where all are equal.
    return " → ".join(dict.fromkeys(values))


def _deviation_cells(deviation: "Deviation | None") -> list[str]:
    if deviation is None:
        return [_NOTHING, _NOTHING]
    relative = _NOTHING if deviation.relative is None else f"{deviation.relative:.2%}"
    return [relative, f"{deviation.largest:.4g}"]


def _print_parts(found: "FileDiff") -> None:
    sizes = {
        name: [part.n_bytes if part else 0 for part in pair] for name, pair in found.parts.items()
    }
    sizes["total"] = [sum(column) for column in zip(*sizes.values(), strict=True)]
    rows = [
        [name, f"{of_a:,}", f"{of_b:,}", f"{of_b / of_a:.1%}" if of_a else _NOTHING]
        for name, (of_a, of_b) in sizes.items()
    ]
    print_table(["Part", "Bytes A", "Bytes B", "B of A"], rows)


def _print_predictions(predictions: "tuple[Predictions, Predictions]") -> None:
    agreement = _agreement(predictions)
    _print_section("predictions", f"{agreement.n_questions:,} questions")
    rows = [
        [name, *(f"{of_side.result.scores[name]:.2f}" for of_side in predictions)]
        for name in _SCORES
    ]
    print_table(["Score", "A", "B"], rows)
    click.echo(f"equal answers: {agreement.same_answers:.1%}")
    click.echo(f"equal decisions whether to answer: {agreement.same_decisions:.1%}")
    if agreement.divergence is not None:
        click.echo(f"divergence of B's spans from A's: {agreement.divergence:.4f} nats a window")


def _summary(found: "FileDiff") -> str:
    if found.differing:
        return f"The models differ: {', '.join(found.differing)}."
    same_storage = all(tensor.same_storage for tensor in found.tensors)
    if same_storage and not found.metadata:
        return "The models are equal."
    return "The models are equal in all that matters to their use."
