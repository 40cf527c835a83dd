"""
Reading: a question and its contexts become answers with character offsets and scores.

    tokenizer_spec  what a tokenizer is made of, from a checkpoint folder or a .sqz file
    tokenizer_folder  what a checkpoint folder's files say of it
    charsmap        SentencePiece's table of characters
    tokenizer       text -> token ids and character offsets
    vocabulary      fewer pieces: count them over a corpus, keep the most frequent
    windows         token ids -> windows the model can read, batched by length
    spans           logits -> the best answer spans and their scores
    origin          where a loaded model comes from
    scorer          what scores tokens and embeds texts: our own kernels, or torch
    workers         batches shared out among threads
    metadata        what a model says of its use
    embedder        texts -> vectors
    related         words that mean nearly the same, by the model's embeddings
    question_kind   what shape of answer a question asks for
    candidates      what is known of every span found for a question, in numbers
    confidence      those numbers -> how sure each answer is, as the model's file says
    reader          all of it together: Reader.read(question, contexts)
    squad           SQuAD files
    metrics         the official SQuAD 2.0 scores
    evaluate        a reader over a dataset

Nothing here imports torch but `scorer`, where it is needed.
"""
