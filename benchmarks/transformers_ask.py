"""
What `squadlite ask` does, done as people do it with transformers and torch.

    python -m benchmarks.transformers_ask book.epub "Who keeps the lighthouse?" FOLDER

The passages are the same, from the same index and the same search. The rest is the usual recipe: a
tokenizer that cuts a long passage into overlapping windows, a question-answering model in float32,
batches padded to their longest window, and the best start and end by numpy. Prints the answer, or
null, and where the time went, as one line of JSON.

FOLDER is a checkpoint folder that transformers loads, as `save_for_transformers` writes it.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from squadlite.answering.related import RelatedWords
from squadlite.cli.output import existing_path, print_json
from squadlite.library.index import BookIndex
from squadlite.library.query import Query, query_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

PASSAGES = 30  # as many as `squadlite ask` reads where it isn't sure sooner
BATCH_SIZE = 8
MAX_LENGTH = 384
OVERLAP = 128
N_BEST = 20
MAX_ANSWER_LENGTH = 30


@click.command()
@click.argument("book", type=existing_path)
@click.argument("question")
@click.argument("folder", type=existing_path)
def main(book: Path, question: str, folder: Path) -> None:
    """Answer QUESTION from BOOK with the model in FOLDER."""
    clock = _Clock()
    with BookIndex.open(book) as index:
        clock.lap("index_ms")
        # Both are imported late, to be timed each alone.
        import torch  # noqa: F401, PLC0415

        clock.lap("torch_ms")
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer  # noqa: PLC0415

        clock.lap("transformers_ms")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
        clock.lap("load_ms")
        passages = _search(index, question, tokenizer, model)
        clock.lap("retrieve_ms")
        answer = _read(question, passages, tokenizer, model)
        clock.lap("read_ms")
    print_json({"question": question, "answer": answer, "timing": clock.laps})


class _Clock:
    """Milliseconds from each lap to the next."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a lap."""
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1000, 3)
        self._last = now


def _search(index: BookIndex, question: str, tokenizer: Any, model: Any) -> list[str]:
    embeddings = model.get_input_embeddings().weight.detach().numpy()
    vocab = tokenizer.convert_ids_to_tokens(range(len(embeddings)))
    related = RelatedWords(vocab, embeddings).of(query_words(question))
    return [passage.text for passage in index.search(Query(question, related=related), PASSAGES)]


def _read(question: str, passages: list[str], tokenizer: Any, model: Any) -> str | None:
    windows = tokenizer(
        [question] * len(passages),
        passages,
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=OVERLAP,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    best_text, best_margin = None, 0.0
    for first in range(0, len(windows["input_ids"]), BATCH_SIZE):
        rows = range(first, min(first + BATCH_SIZE, len(windows["input_ids"])))
        for row, logits in zip(rows, _logits(windows, rows, tokenizer, model), strict=True):
            span = _best_span(logits, windows.sequence_ids(row))
            if span is not None and span[0] > best_margin:
                best_margin, start, end = span
                offsets = windows["offset_mapping"][row]
                passage = passages[windows["overflow_to_sample_mapping"][row]]
                best_text = passage[offsets[start][0] : offsets[end][1]]
    return best_text


def _logits(windows: Any, rows: range, tokenizer: Any, model: Any) -> "NDArray[np.float32]":
    # (rows, 2, T): start and end logits
    import torch  # noqa: PLC0415

    names = [name for name in tokenizer.model_input_names if name in windows]
    features = {name: [windows[name][row] for row in rows] for name in names}
    batch = tokenizer.pad(features, padding="longest", return_tensors="pt")
    with torch.inference_mode():
        output = model(**batch)
    logits: NDArray[np.float32] = torch.stack([output.start_logits, output.end_logits], 1).numpy()
    return logits


def _best_span(
    logits: "NDArray[np.float32]", sequence_ids: list[int | None]
) -> tuple[float, int, int] | None:
    # Its logits less those of [CLS], its first and its last token.
    starts, ends = (part[: len(sequence_ids)].copy() for part in logits)
    null_score = float(starts[0] + ends[0])
    outside = np.array(sequence_ids) != 1
    starts[outside] = ends[outside] = -np.inf
    candidates = [
        (float(starts[start] + ends[end]) - null_score, int(start), int(end))
        for start in np.argsort(-starts)[:N_BEST]
        for end in np.argsort(-ends)[:N_BEST]
        if start <= end < start + MAX_ANSWER_LENGTH
    ]
    return max(candidates, default=None)


if __name__ == "__main__":
    main()
