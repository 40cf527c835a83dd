"""
Size and speed of models, beside what people would use instead, on this machine.

    kind        what a runtime is, and why one can't run here
    own         squadlite's own runtimes
    peers/      one module per library that could be used instead
    runtimes    the table of them all
    worker      the process that one runtime lives in
    processes   workers as their owner sees them
    reading     texts to answers around a runtime that has logits alone
    measure     turns, and samples as a median with its spread
    limits      the fastest matrix products and reads of this machine, measured
    floor       the least time that a forward pass can take within those limits
    energy      what the processor draws, where the machine counts it
    machine     what the machine is
    system      memory held, files forgotten, sizes
    subject     a model file, its shape and score
    agreement   whether answers are the same
    trial       all that is measured of one model
    settings    what to measure
    run         the benchmark over all models
    report      its result as tables
    plot        and as a picture

Every runtime has a process of its own, so that thread pools, import times and memory belong to it
alone; only one of them works at a time. docs/benchmark.md says what each figure means.
"""
