"""
Size and speed of models, beside what people would use instead, on this machine.

    kind        what a runtime is, and why one can't run here
    own         squadlite's own runtimes
    peers/      one module per library that could be used instead
    runtimes    the table of them all
    worker      the process that one runtime lives in

Every runtime has a process of its own, so that thread pools, import times and memory belong to it
alone; only one of them works at a time.
"""
