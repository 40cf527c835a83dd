"""
The encoder's second job: vectors of questions and passages that are near where they belong.

A question's vector is compared with those of the passage that answers it, of passages that were
retrieved and don't, and of all other questions' passages of the batch; those that hold the answer's
words are left out, as they may answer it too.

Vectors of a whole batch are compared, whatever fits into the model at once: they are computed
without gradients, the loss's gradient by each vector is taken, and a second pass over the same
texts, part by part, carries it into the weights. Both passes drop the same values.

Source: van den Oord et al. 2018 (InfoNCE); Gao et al. 2021, Scaling Deep Contrastive Learning Batch
Size under Memory Limited Setup.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.windows import batches_by_length
from squadlite.model import QuestionAnsweringModel
from tools.data import Feature, Group
from tools.processes import Processes
from tools.rows import Inputs, last_hidden

_NEVER = -1e4  # a similarity whose exp is 0


@dataclass(frozen=True, kw_only=True)
class ContrastSettings:
    """
    How vectors are trained.

    Args:
        weight: of this loss beside the spans'; both are averages over what they are about.
        temperature: divides cosines.
        negatives: retrieved passages a question brings along at most.

    Raises:
        ValueError: a number out of its range.
    """

    weight: float = 0.1
    temperature: float = 0.05
    negatives: int = 1

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.temperature <= 0:
            raise ValueError(
                f"contrast: found weight {self.weight} and temperature {self.temperature}, "
                "expected more than 0"
            )
        if self.negatives < 0:
            raise ValueError(f"contrast: negatives is {self.negatives}, expected 0 or more")


@dataclass(frozen=True, slots=True)
class _Text:
    # Token ids without special tokens, and the row of the vector among all of the batch.
    row: int
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids) + 2


@dataclass(frozen=True)
class Comparison:
    """
    Q questions and P passages of a batch.

    Args:
        questions, passages: token ids without special tokens.
        own: (Q, P) bool, whether a passage is a question's own.
        compared: (Q, P) bool, whether it may be compared with it.
    """

    questions: list[NDArray[np.int64]]
    passages: list[NDArray[np.int64]]
    own: torch.Tensor
    compared: torch.Tensor


class Contrast:
    """
    The contrastive loss of a batch.

    Args:
        settings: how vectors are trained.
        tokenizer: knows the special tokens.
        processes: this process among its like, which share the texts out.
        max_pass_tokens: tokens that go through the model at once.
        autocast: makes the context that the model computes in.
    """

    def __init__(
        self,
        settings: ContrastSettings,
        tokenizer: Tokenizer,
        processes: Processes,
        *,
        max_pass_tokens: int,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.processes = processes
        self.max_pass_tokens = max_pass_tokens
        self.autocast = autocast

    def compare(self, batch: Sequence[Group]) -> Comparison:
        """
        Choose whose vectors are compared.

        Args:
            batch: groups, the same in all processes. Those of a single passage, and those whose
                passages don't hold the answer, are passed over.
        """
        return _compare(batch, self.settings.negatives)

    def backward(self, model: QuestionAnsweringModel, comparison: Comparison) -> torch.Tensor:
        """
        Add the loss's gradients, of this process's share of the texts, to the model's.

        Args:
            model: in training.
            comparison: of the batch.

        Returns:
            This process's share of the loss, weighed: a scalar.
        """
        device = self.processes.device
        if len(comparison.questions) < 1:
            return torch.zeros((), device=device)
        texts = [
            _Text(row, ids) for row, ids in enumerate([*comparison.questions, *comparison.passages])
        ]
        own = self.processes.share(sorted(texts, key=len, reverse=True))
        seed = int(torch.randint(2**53, ()))
        vectors = torch.zeros(len(texts), model.config.hidden_size, device=device)
        with torch.no_grad():
            for rows, part in self._vectors(model, own, seed):
                vectors[rows] = part
        self.processes.add_up([vectors])
        vectors.requires_grad_(True)
        loss = self.settings.weight * self._loss(vectors, comparison)
        (gradients,) = torch.autograd.grad(loss, vectors)
        for rows, part in self._vectors(model, own, seed):
            (part * gradients[rows]).sum().backward()  # type: ignore[no-untyped-call]
        return loss.detach() / self.processes.size

    def _vectors(
        self, model: QuestionAnsweringModel, texts: Sequence[_Text], seed: int
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        # Pass by pass, the rows of some texts and their vectors; the seed decides what is dropped.
        torch.manual_seed(seed)
        for part in batches_by_length(texts, self.max_pass_tokens):
            yield [text.row for text in part], self._vectors_of(model, part)

    def _vectors_of(self, model: QuestionAnsweringModel, texts: Sequence[_Text]) -> torch.Tensor:
        inputs = self._inputs(texts)
        with self.autocast():
            hidden = last_hidden(model, inputs)
        lengths = torch.tensor([len(text) for text in texts], device=hidden.device)
        return functional.normalize(torch.segment_reduce(hidden.float(), "mean", lengths=lengths))

    def _inputs(self, texts: Sequence[_Text]) -> Inputs:
        tokenizer = self.tokenizer
        shape = len(texts), max(map(len, texts))
        input_ids = np.full(shape, tokenizer.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.bool_)
        for row, text in enumerate(texts):
            input_ids[row, : len(text)] = [tokenizer.cls_id, *text.ids, tokenizer.sep_id]
            mask[row, : len(text)] = True
        ids, attention_mask = torch.from_numpy(input_ids), torch.from_numpy(mask)
        device = self.processes.device
        return ids.to(device), torch.zeros_like(ids, device=device), attention_mask.to(device)

    def _loss(self, vectors: torch.Tensor, comparison: Comparison) -> torch.Tensor:
        n_questions = len(comparison.questions)
        similarities = vectors[:n_questions] @ vectors[n_questions:].T / self.settings.temperature
        own = comparison.own.to(vectors.device)
        compared = similarities.masked_fill(~comparison.compared.to(vectors.device), _NEVER)
        return (compared.logsumexp(dim=1) - similarities[own]).mean()


def _compare(batch: Sequence[Group], negatives: int) -> Comparison:
    questions: list[NDArray[np.int64]] = []
    passages: list[NDArray[np.int64]] = []
    answers: list[str] = []
    owns: list[int] = []
    for positive, others in _telling(batch, negatives):
        window = positive.window
        questions.append(window.question_ids)
        answers.append(_key(_answer(positive)))
        owns.append(len(passages))
        passages += [window.context_ids, *(other.window.context_ids for other in others)]
    keys = [_key(ids) for ids in passages]
    own = torch.zeros(len(questions), len(passages), dtype=torch.bool)
    own[range(len(questions)), owns] = True
    holds = torch.tensor([[answer in key for key in keys] for answer in answers], dtype=torch.bool)
    return Comparison(questions, passages, own, own | ~holds.view_as(own))


def _telling(batch: Sequence[Group], negatives: int) -> Iterator[tuple[Feature, list[Feature]]]:
    for group in batch:
        holding = [feature for feature in group.features if feature.has_answer]
        others = [feature for feature in group.features if not feature.has_answer]
        if holding and others:
            yield holding[0], others[:negatives]


def _answer(feature: Feature) -> NDArray[np.int64]:
    first = feature.window.context_start
    return feature.window.context_ids[feature.start - first : feature.end + 1 - first]


def _key(ids: NDArray[np.int64]) -> str:
    # Ids as characters, so that one list of them is looked for in another.
    return ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
