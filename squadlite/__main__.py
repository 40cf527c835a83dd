"""`python -m squadlite` is the `squadlite` command."""

from squadlite.cli import main

main()
