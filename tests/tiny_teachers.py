"""Small random teachers: our own model, and models that transformers loads."""

import string
from functools import partial
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tiny_models import randomize
from tiny_training import PIECES
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from squadlite.answering.tokenizer import Tokenizer
from squadlite.model import QuestionAnsweringModel
from tools.alignment import TeacherTokenizer, same_tokens
from tools.teacher import Teacher

# MPNet's: BERT's pieces behind special tokens of its own, and two separators between the parts.
MPNET_PIECES = ("<s>", "<pad>", "</s>", "<unk>", *PIECES, "<mask>")

_SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 80,
}


def own_teacher(model: QuestionAnsweringModel, tokenizer: Tokenizer) -> Teacher:
    """A teacher of our own kind with its student's tokens."""
    template = TeacherTokenizer.of(tokenizer).template
    return Teacher(
        Path("own"),
        model,
        n_positions=model.config.max_position_embeddings,
        template=template,
        align=partial(same_tokens, template=template),
        device=torch.device("cpu"),
        precision="f32",
    )


def word_piece_backend(pieces: tuple[str, ...], cls: str, sep: str, n_sep: int) -> Any:
    """BERT's way to tokenize, with any pieces and `n_sep` separators between two parts."""
    ids = {piece: number for number, piece in enumerate(pieces)}
    backend = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A:0 " + f"{sep}:0 " * n_sep + f"$B:1 {sep}:1",
        special_tokens=[(cls, ids[cls]), (sep, ids[sep])],
    )
    return backend


def byte_pair_backend(texts: list[str]) -> Any:
    """RoBERTa's way to tokenize, learned from a few texts: a token begins with the space before."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*texts, string.ascii_lowercase], trainer)
    sep, cls = (("</s>", backend.token_to_id("</s>")), ("<s>", backend.token_to_id("<s>")))
    backend.post_processor = processors.RobertaProcessing(sep, cls)
    return backend


def write_teacher(folder: Path, kind: str, texts: list[str], *, seed: int = 0) -> Path:
    """
    Write a random question-answering model of a kind of transformers, as that saves it.

    Args:
        folder: to make.
        kind: "mpnet", "bert" or "roberta".
        texts: that RoBERTa's tokenizer learns from.
        seed: of the weights.
    """
    import transformers

    roles = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "[UNK]"}
    if kind == "mpnet":
        backend = word_piece_backend(MPNET_PIECES, "<s>", "</s>", 2)
    elif kind == "bert":
        backend = word_piece_backend(PIECES, "[CLS]", "[SEP]", 1)
        roles = {name: f"[{name[:3].upper()}]" for name in roles}
    else:
        backend = byte_pair_backend(texts)
        roles["unk_token"] = "<unk>"
    name = {"mpnet": "MPNet", "bert": "Bert", "roberta": "Roberta"}[kind]
    config = getattr(transformers, f"{name}Config")(
        vocab_size=backend.get_vocab_size(),
        pad_token_id=backend.token_to_id(roles["pad_token"]),
        **_SIZES,
    )
    model = getattr(transformers, f"{name}ForQuestionAnswering")(config)
    randomize(model, seed=seed)
    model.save_pretrained(folder)
    types = ["token_type_ids"] if kind == "bert" else []
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=["input_ids", *types, "attention_mask"],
        model_max_length=512,
        **roles,
    ).save_pretrained(folder)
    if kind == "bert":
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder
