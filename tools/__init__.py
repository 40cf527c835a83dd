"""
The compressor: every stage is a command that reads a checkpoint folder and writes another one.

    python -m tools.finetune CHECKPOINT OUTPUT --data train.json

    finetune        fine-tuning on SQuAD data
    data            examples -> windows with gold positions -> batches
    losses          what training makes small
    schedule        the learning rate, also under a time budget
    training        the loop
    state           what a training needs to go on after a kill, and its log
    processes       one training in several processes
    evaluation      scores of a model in training
    folders         checkpoint folders, read whole and replaced whole
    command         what the command lines share

Training code only: nothing here is needed to answer questions.
"""
