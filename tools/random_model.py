"""
A random model and a vocabulary for it: for trying stages, and for sizes, which need no training.

    python -m tools.random_model OUTPUT --corpus train.json --hidden-size 32
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import torch
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import nn

from squadlite.answering.tokenizer_spec import SPECIAL_FIELDS, WordPieceSpec
from squadlite.answering.vocabulary import read_corpus
from squadlite.digests import digest_of
from squadlite.model import Checkpoint, ModelConfig, QuestionAnsweringModel
from tools.command import existing_file, output_argument, run, seed_option
from tools.folders import write_output

INITIAL_STD = 0.02
SPECIAL_PIECES = tuple(str(getattr(WordPieceSpec, name)) for name in SPECIAL_FIELDS)  # BERT's


def random_checkpoint(config: ModelConfig, *, seed: int) -> Checkpoint:
    """
    Make a model as BERT is before its training.

    Args:
        config: any.
        seed: of the weights.

    Source: Devlin et al. 2018; the code published with it.
    """
    torch.manual_seed(seed)
    model = QuestionAnsweringModel(config)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(std=INITIAL_STD)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
    return Checkpoint(config, dict(model.state_dict()))


def make_vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """
    Make lower-cased word pieces: each character, and the most frequent words whole.

    Args:
        texts: the corpus.
        size: pieces at most, but no fewer than there are characters.
    """
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        split = splitter.pre_tokenize_str(normalizer.normalize_str(text))
        words.update(word for word, _ in split)
    characters = sorted(set("".join(words)))
    pieces = [*SPECIAL_PIECES, *characters, *(f"##{character}" for character in characters)]
    # Among equals in the order of the alphabet: the same corpus makes the same vocabulary.
    frequent = sorted(words.keys() - set(pieces), key=lambda word: (-words[word], word))
    return (*pieces, *frequent[: max(0, size - len(pieces))])


@click.command()
@output_argument
@click.option("--corpus", type=existing_file, required=True, help="Text, or a SQuAD file.")
@click.option("--vocab-size", type=int, default=500, show_default=True)
@click.option("--hidden-size", type=int, default=32, show_default=True)
@click.option("--num-layers", type=int, default=6, show_default=True)
@click.option("--num-heads", type=int, default=4, show_default=True)
@click.option("--intermediate-size", type=int, default=64, show_default=True)
@click.option("--max-position-embeddings", type=int, default=128, show_default=True)
@seed_option
def main(output: Path, corpus: Path, vocab_size: int, seed: int, **sizes: Any) -> None:
    """
    Write a random model, and a vocabulary made from a corpus, to OUTPUT.

    \b
    Example:
      python -m tools.random_model tiny --corpus train.json --num-layers 4
    """
    vocab = make_vocabulary(read_corpus(corpus), vocab_size)
    config = ModelConfig(
        vocab_size=len(vocab),
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        hidden_act="gelu",
        layer_map=tuple(range(sizes["num_layers"])),
        **sizes,
    )
    stage = {"stage": "random_model", "corpus": digest_of(corpus), "seed": seed}
    checkpoint = random_checkpoint(config, seed=seed)
    with write_output(output, checkpoint, stage) as folder:
        text = "\n".join(vocab) + "\n"
        (folder / "vocab.txt").write_text(text, encoding="utf-8", newline="")
    click.echo(f"{output}: {config.num_parameters:,} values")


if __name__ == "__main__":
    run(main)
