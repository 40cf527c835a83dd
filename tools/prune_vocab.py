"""
A smaller vocabulary before fine-tuning: the most frequent word pieces of a corpus stay.

    python -m tools.prune_vocab CHECKPOINT OUTPUT --corpus train.json --share 0.25

`squadlite convert --vocab-size` does the same at the end, without training afterwards.

Source: Deng & Looi 2020, section 3.4.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from squadlite.answering.tokenizer_spec import (
    ByteBPESpec,
    TokenizerSpec,
    UnigramSpec,
    WordPieceSpec,
)
from squadlite.answering.vocabulary import choose_pieces, count_pieces, read_corpus
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError
from squadlite.source import keep_rows
from tools.command import checkpoint_argument, existing_file, output_argument, run
from tools.folders import load_input, write_json, write_output


@click.command()
@checkpoint_argument
@output_argument
@click.option(
    "--corpus", type=existing_file, required=True, multiple=True, help="Text, or a SQuAD file."
)
@click.option("--size", type=click.IntRange(min=1), help="Word pieces to keep.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="The same as a share.")
def main(
    checkpoint: Path,
    output: Path,
    corpus: tuple[Path, ...],
    size: int | None,
    share: float | None,
) -> None:
    """
    Prune the vocabulary of the model in CHECKPOINT and write it to OUTPUT.

    \b
    Example:
      python -m tools.prune_vocab bert-base pruned --corpus train.json --share 0.25
    """
    if (size is None) == (share is None):
        raise click.UsageError("One of --size and --share is needed.")
    start = load_input(checkpoint)
    if size is None:
        size = round((share or 0) * len(start.spec.vocab))
    texts = [text for path in corpus for text in read_corpus(path)]
    kept = choose_pieces(start.spec, count_pieces(start.spec, texts), size)
    stage = {"stage": "prune_vocab", "corpus": [digest_of(path) for path in corpus], "size": size}
    with write_output(
        output, keep_rows(start.checkpoint, kept), stage, source=start.folder
    ) as folder:
        write_pruned_tokenizer(folder, start.spec, kept)
    click.echo(f"{output}: {len(start.spec.vocab):,} word pieces -> {size:,}")


def write_pruned_tokenizer(folder: Path, spec: TokenizerSpec, kept: Sequence[int]) -> None:
    """
    Turn the tokenizer files in `folder` into those of a pruned vocabulary.

    Args:
        folder: holds the files of the tokenizer as it was.
        spec: that tokenizer.
        kept: its ids that stay, ascending.

    Raises:
        CheckpointError: a part that the spec has nothing of can't be renumbered.
    """
    pruned = spec.keep(kept)
    write_json(folder / "kept_ids.json", pruned.kept_ids)
    ids = {piece: new_id for new_id, piece in enumerate(pruned.vocab)}
    if isinstance(pruned, WordPieceSpec):
        _write_lines(folder / "vocab.txt", pruned.vocab)
    if isinstance(pruned, ByteBPESpec) and (folder / "merges.txt").is_file():
        write_json(folder / "vocab.json", ids)
        _write_lines(folder / "merges.txt", ["#version: 0.2", *map(" ".join, _merges(pruned))])
    for name, renumber in (
        ("tokenizer.json", partial(_renumber_tokenizer, pruned)),
        ("tokenizer_config.json", _renumber_config),
    ):
        path = folder / name
        if path.is_file():
            content = json.loads(path.read_bytes())
            try:
                renumber(content, ids)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                # In what only decodes or pads, which reading the tokenizer doesn't look at.
                raise CheckpointError(f"{path}: can't be renumbered ({error!r:.80})") from error
            write_json(path, content)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def _merges(spec: ByteBPESpec) -> list[list[str]]:
    return [[spec.vocab[left], spec.vocab[right]] for left, right in spec.merges]


def _renumber_tokenizer(
    pruned: TokenizerSpec, content: dict[str, Any], ids: dict[str, int]
) -> None:
    match pruned:
        case UnigramSpec():
            scored = zip(pruned.vocab, pruned.scores, strict=True)
            content["model"]["vocab"] = [list(entry) for entry in scored]
            content["model"]["unk_id"] = ids[pruned.unk_token]
        case ByteBPESpec():
            content["model"] |= {"vocab": ids, "merges": _merges(pruned)}
        case _:
            content["model"]["vocab"] = ids
    content["added_tokens"] = [
        {**token, "id": ids[token["content"]]}
        for token in content.get("added_tokens") or []
        if token["content"] in ids
    ]
    if content.get("padding"):
        content["padding"]["pad_id"] = ids[content["padding"]["pad_token"]]
    processor = content.get("post_processor") or {}
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [ids[piece] for piece in token["tokens"]]
    for role in {"cls", "sep"} & processor.keys():
        piece, _ = processor[role]
        processor[role] = [piece, ids[piece]]


def _renumber_config(content: dict[str, Any], ids: dict[str, int]) -> None:
    decoder = content.get("added_tokens_decoder")
    if decoder:
        content["added_tokens_decoder"] = {
            str(ids[token["content"]]): token
            for token in decoder.values()
            if token["content"] in ids
        }


if __name__ == "__main__":
    run(main)
