"""
The compressor: every stage is a command that reads a checkpoint folder and writes another one.

    python -m tools.finetune CHECKPOINT OUTPUT --data train.json

Stages:

    add_span_head   a pre-trained encoder becomes a question-answering model
    random_model    a random model and a vocabulary, for trying stages and for sizes
    finetune        fine-tuning on SQuAD data
    share_layers    neighbouring layers become one
    sketch          linear maps become random projections and smaller maps
    prune_vocab     the most frequent word pieces stay
    factorise_embeddings  wide embeddings become narrow ones and a projection
    average         the mean of several models of one beginning
    balance_null    "no answer" put right for single contexts
    export          a checkpoint folder becomes a .sqz file
    fit_search      a .sqz file learns what a cosine is worth beside bm25, on questions over books
    fit_answering   a .sqz file learns how sure to be of its answers, on questions over books
    recipe          all of these in order, from one TOML file (recipe_file)
    tables          the paper's tables for any base model (paper)

Data:

    book_data       questions over books -> passages with and without the answer, by our own search
    assemble_books  books put together again from the passages of question-answering data

What they are made of:

    data            examples -> windows with gold positions -> batches
    plan            all that decides what a fine-tuning makes of a checkpoint
    rows            the model as it is trained: without padding
    losses          what training makes small
    objectives      a plan's parts, made ready
    contrast        the loss of questions' and passages' vectors
    distill         a teacher's part in them
    teacher         models that teach: ours, or of another kind (transformers_teacher)
    mpnet_attention  the attention of transformers' MPNet, fused
    alignment       where a teacher's answers lie in its student's windows
    soft_targets    what matters of a teacher's answers
    teacher_cache   kept on disk
    student_training  a checkpoint fine-tuned
    teacher_training  a teacher of transformers' fine-tuned on its student's windows
    moments         what linear maps are given, to fit sketches to
    quantize        weights as a .sqz file will hold them
    settings        how a model is trained
    schedule        the learning rate, also under a time budget
    dropout         of models in training
    training        the loop
    state           what a training needs to go on after a kill, and its log
    processes       one training in several processes
    evaluation      scores of a model, on disk or in training
    progress        the progress bar
    questions       files of questions over books
    evidence        where in a book the evidence of an answer stands
    measures        what is counted of answers and their scores
    book_questions  questions over whole books, and all that a model finds to them
    conditional_logit  a model that chooses among candidates, fitted
    folders         checkpoint folders, read whole and replaced whole
    command         what the command lines share
    errors          what can go wrong

Training code only: nothing here is needed to answer questions.
"""
