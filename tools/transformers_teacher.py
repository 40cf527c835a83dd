"""Teachers that the library `transformers` loads: any extractive question-answering model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from squadlite.answering.tokenizer import encodable
from squadlite.answering.windows import Template
from tools.alignment import TeacherTokenizer
from tools.errors import TrainingError
from tools.mpnet_attention import fuse_attention


class LoadedTeacher(NamedTuple):
    """
    What `transformers` made of a folder.

    Args:
        model: (input_ids, token_type_ids, attention_mask) -> start and end logits, (B, T) each.
        tokenizer: its tokenizer.
        n_positions: tokens of the longest window that it can read.
    """

    model: "SpanModel"
    tokenizer: TeacherTokenizer
    n_positions: int


def load_transformers_teacher(folder: Path) -> LoadedTeacher:
    """
    Load a checkpoint folder by `AutoModelForQuestionAnswering` and `AutoTokenizer`.

    Nothing is fetched from elsewhere, and no code in the folder is run.

    Args:
        folder: in Hugging Face's layout.

    Raises:
        TrainingError: transformers isn't installed or can't load the folder, a model without a
            trained span head, or a tokenizer that doesn't tell characters or has no token for
            "no answer".
    """
    try:
        import transformers  # noqa: PLC0415 - only such teachers need it
    except ImportError as error:
        raise TrainingError(
            f"teacher {folder}: needs transformers, which is not installed: "
            "pip install 'squadlite[train]'"
        ) from error
    model, report, tokenizer, pair = _load(transformers, folder)
    missing = sorted(report["missing_keys"])
    if missing:
        raise TrainingError(
            f"teacher {folder}: found no weights {missing[0]!r}, expected a model trained to "
            "answer questions"
        )
    _check_tokenizer(folder, tokenizer, model.get_input_embeddings().num_embeddings)
    template = _find_template(folder, pair, tokenizer.pad_token_id or 0)
    takes_types = "token_type_ids" in tokenizer.model_input_names
    if model.config.model_type == "mpnet":
        fuse_attention(model)
    return LoadedTeacher(
        SpanModel(folder, model.float(), takes_types=takes_types),
        TeacherTokenizer(Encoder(tokenizer.backend_tokenizer), template),
        _count_positions(model, tokenizer),
    )


def _load(library: Any, folder: Path) -> tuple[Any, Any, Any, Any]:
    # The model, what was missing for it, the tokenizer, and a pair of texts as it encodes it.
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        model, report = library.AutoModelForQuestionAnswering.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        pair = tokenizer("a", "a", truncation=False, padding=False)
    # What its parts happen to raise is not of one kind: tokenizers raises bare exceptions.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TrainingError(f"teacher {folder}: transformers can't load it: {reason}") from error
    return model, report, tokenizer, pair


def _check_tokenizer(folder: Path, tokenizer: Any, n_embeddings: int) -> None:
    if not tokenizer.is_fast:
        raise TrainingError(
            f"teacher {folder}: found a tokenizer without character offsets, expected a fast one"
        )
    # Where its files are missing, some kinds of tokenizer are made of special tokens alone.
    n_special, n_pieces = len(tokenizer.all_special_ids), len(tokenizer)
    if not n_special < n_pieces <= n_embeddings:
        raise TrainingError(
            f"teacher {folder}: found a tokenizer of {n_pieces} pieces, expected more than "
            f"{n_special} special ones and at most {n_embeddings}, the model's"
        )


@dataclass(frozen=True, slots=True)
class _Tokens:
    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Encoder:
    """
    Texts -> tokens without special ones, however long.

    Args:
        backend: a `tokenizers.Tokenizer`, changed to take special tokens' names for plain text.
    """

    def __init__(self, backend: Any) -> None:
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self.backend = backend

    def __call__(self, texts: Sequence[str]) -> list[_Tokens]:
        """Tokenize texts; one result per text, in order."""
        encodings = self.backend.encode_batch(encodable(texts), add_special_tokens=False)
        return [
            _Tokens(
                np.array(encoding.ids, dtype=np.int64),
                np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
            )
            for encoding in encodings
        ]


class SpanModel(nn.Module):
    """
    One of transformers' models, called as ours are.

    Args:
        folder: where it comes from, for errors.
        model: what transformers made of it.
        takes_types: whether it looks at token types.
    """

    def __init__(self, folder: Path, model: Any, *, takes_types: bool) -> None:
        super().__init__()
        self.folder = folder
        self.model = model
        self.takes_types = takes_types

    def save(self, folder: Path) -> None:
        """Write the model, without its tokenizer, into a folder as transformers does."""
        self.model.save_pretrained(folder)

    def forward(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Start and end logits, (B, T) each, of inputs of that shape."""
        types = {"token_type_ids": token_type_ids} if self.takes_types else {}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask.long(), **types)
        logits = tuple(output.get(name) for name in ("start_logits", "end_logits"))
        for part in logits:
            if part is None or part.shape != input_ids.shape:
                raise TrainingError(
                    f"teacher {self.folder}: found no start and end logits of every token in what "
                    f"{type(self.model).__name__} returns"
                )
        return logits


def _find_template(folder: Path, pair: Any, pad_id: int) -> Template:
    # Which special tokens stand around a pair is seen best in one.
    ids, parts = pair["input_ids"], pair.sequence_ids()
    if sorted(set(parts) - {None}) != [0, 1]:
        raise TrainingError(f"teacher {folder}: its tokenizer makes no tokens of the letter 'a'")
    types = pair.get("token_type_ids", [0] * len(ids))
    question_end, context = len(parts) - parts[::-1].index(0), parts.index(1)
    context_end = len(parts) - parts[::-1].index(1)
    before, between, after = ids[: parts.index(0)], ids[question_end:context], ids[context_end:]
    if not before or not between or not after:
        raise TrainingError(
            f"teacher {folder}: found {len(before)}, {len(between)}, {len(after)} special tokens "
            "before, between and after question and context, expected one each at least: the "
            "first stands for 'no answer'"
        )
    return Template(
        before=tuple(before),
        between=tuple(between),
        after=tuple(after),
        context_type=types[context],
        pad_id=pad_id,
    )


def _count_positions(model: nn.Module, tokenizer: Any) -> int:
    config: Any = model.config
    counts = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    # RoBERTa's kind leaves the positions up to that of padding unused.
    counts += [
        module.num_embeddings - module.padding_idx - 1
        for name, module in model.named_modules()
        if name.endswith("position_embeddings")
        and isinstance(module, nn.Embedding)
        and module.padding_idx is not None
    ]
    return min(count for count in counts if isinstance(count, int) and count > 0)
