"""
The tokenizer of a checkpoint folder: what its files say, in the words of `tokenizer_spec`.

    base            the files, and the checks that all types share
    template        how the special tokens stand around a question and a context
    word_piece, byte_bpe, unigram  what makes each type's tokens
    folder          all of it together: read_tokenizer(folder)

Of a tokenizer.json every part that makes other tokens is understood or refused with its name; what
only decodes tokens, pads or cuts is not looked at.
"""

from squadlite.answering.tokenizer_folder.base import TOKENIZER_FILES
from squadlite.answering.tokenizer_folder.folder import FolderTokenizer, read_tokenizer

__all__ = ["TOKENIZER_FILES", "FolderTokenizer", "read_tokenizer"]
