"""
A small random model of every family with a trained tokenizer, in folders as transformers saves
them: what benchmarks and tests convert in place of checkpoints that only some machines have.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.example_tokenizers import CHARSMAP, byte_bpe, unigram, word_pieces
from squadlite.answering.charsmap import compile_charsmap

# Small, but wide enough for the 8-bit kernels.
SIZES: Mapping[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 130,
}


@dataclass(frozen=True)
class Example:
    """
    A family's example.

    Args:
        model_type: transformers' name of the family.
        make_tokenizer: makes its tokenizer, an object of transformers.
        changes: what its config.json says beside SIZES.
    """

    model_type: str
    make_tokenizer: Callable[[], Any]
    changes: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path, *, seed: int = 0) -> Any:
        """
        Write a folder with config.json, weights and tokenizer, all by transformers.

        Args:
            folder: made if it isn't there.
            seed: of the weights.

        Returns:
            The model, an object of transformers.
        """
        import transformers  # noqa: PLC0415 (torch comes with it)

        tokenizer = self.make_tokenizer()
        config = transformers.AutoConfig.for_model(
            self.model_type, vocab_size=len(tokenizer), **{**SIZES, **self.changes}
        )
        kind: Any = transformers.AutoModelForQuestionAnswering
        model = kind.from_config(config).eval()
        _randomize(model, seed)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return model


def _randomize(model: Any, seed: int) -> None:
    # As wide as in trained models: logits of about 1, and no attention that looks at one token.
    import torch  # noqa: PLC0415

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            std = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.2
            parameter.normal_(std=std, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1)


def _word_pieces(tokenizer_class: str, **names: str) -> Any:
    import transformers  # noqa: PLC0415

    names = names or {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    vocab = {piece: number for number, piece in enumerate(word_pieces(tuple(names.values())))}
    return getattr(transformers, tokenizer_class)(vocab=vocab, **names)


def _mpnet_pieces() -> Any:
    # In this order: positions are counted from padding, which is token 1.
    return _word_pieces(
        "MPNetTokenizer",
        cls_token="<s>",
        pad_token="<pad>",
        sep_token="</s>",
        unk_token="[UNK]",
        mask_token="<mask>",
    )


def _byte_bpe() -> Any:
    import transformers  # noqa: PLC0415

    model = json.loads(byte_bpe())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    kind: Any = transformers.RobertaTokenizer  # whose annotations know of files alone
    return kind(vocab=model["vocab"], merges=merges)


def _unigram() -> Any:
    import transformers  # noqa: PLC0415

    vocab = [(piece, score) for piece, score in json.loads(unigram("albert"))["model"]["vocab"]]
    charsmap = compile_charsmap(CHARSMAP)
    kind: Any = transformers.AlbertTokenizer  # whose annotations know of files alone
    return kind(vocab=vocab, _spm_precompiled_charsmap=charsmap)


# By the names that `squadlite.families` gives them.
EXAMPLES: Mapping[str, Example] = {
    "BERT": Example("bert", lambda: _word_pieces("BertTokenizer")),
    "DistilBERT": Example(
        "distilbert",
        lambda: _word_pieces("DistilBertTokenizer"),
        {"dim": 64, "n_layers": 3, "n_heads": 2, "hidden_dim": 128},
    ),
    "RoBERTa": Example("roberta", _byte_bpe, {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "MPNet": Example("mpnet", _mpnet_pieces, {"layer_norm_eps": 1e-5}),
    "ELECTRA": Example("electra", lambda: _word_pieces("ElectraTokenizer"), {"embedding_size": 32}),
    "ALBERT": Example("albert", _unigram, {"embedding_size": 32, "pad_token_id": 0}),
}
