"""
transformers' question-answering pipeline as one would write it down first, pair by pair.

Its classes tokenize and compute; what the pipeline of version 4.57 made of that is written here
anew, from its documentation and from its answers.
"""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer


class ReferencePipeline:
    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()

    def __call__(
        self,
        question: str,
        context: str,
        *,
        top_k: int = 1,
        doc_stride: int = 128,
        max_answer_len: int = 15,
        max_seq_len: int = 384,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> Any:
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=max_seq_len,
            stride=doc_stride,
            return_overflowing_tokens=True,
        )
        answers: list[dict[str, Any]] = []
        null_scores = []
        for window in encoded.encodings:
            starts, ends = self.chances(window)
            null_scores.append(starts[0] * ends[0])
            inside = [token for token in range(len(starts)) if window.sequence_ids[token] == 1]
            spans = [
                (starts[first] * ends[last], first, last)
                for first in inside
                for last in inside
                if first <= last < first + max_answer_len
            ]
            spans.sort(key=lambda span: -span[0])
            for score, first, last in spans[: 2 * top_k + 10 if align_to_words else top_k]:
                start, end = window.offsets[first][0], window.offsets[last][1]
                if align_to_words:
                    start = window.word_to_chars(window.token_to_word(first), 1)[0]
                    end = window.word_to_chars(window.token_to_word(last), 1)[1]
                text = context[start:end]
                for answer in answers:
                    if answer["answer"].lower() == text.lower():
                        answer["score"] += score
                        break
                else:
                    answers.append({"score": score, "start": start, "end": end, "answer": text})
        if handle_impossible_answer:
            answers.append({"score": min(null_scores), "start": 0, "end": 0, "answer": ""})
        answers.sort(key=lambda answer: -answer["score"])
        answers = answers[:top_k]
        return answers[0] if len(answers) == 1 else answers

    def chances(self, window: Any) -> tuple[list[float], list[float]]:
        """Of each token that it is the start and the end; 0 outside the context, but for [CLS]."""
        inputs = {
            "input_ids": window.ids,
            "attention_mask": window.attention_mask,
            "token_type_ids": window.type_ids,
        }
        with torch.inference_mode():
            output = self.model(**{name: torch.tensor([ids]) for name, ids in inputs.items()})
        found = []
        for logits in (output.start_logits[0].tolist(), output.end_logits[0].tolist()):
            allowed = [
                math.exp(logit) if token == 0 or window.sequence_ids[token] == 1 else 0.0
                for token, logit in enumerate(logits)
            ]
            total = sum(allowed)
            found.append([value / total for value in allowed])
        return found[0], found[1]
