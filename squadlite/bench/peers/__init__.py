"""
What people would use in squadlite's place, each on the very weights that squadlite runs.

One module per library, which it imports inside its functions. Each offers `KINDS`, a tuple of
`RuntimeKind`, and has a line in `squadlite.bench.runtimes`.
"""
