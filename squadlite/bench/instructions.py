"""By which instructions a runtime multiplies matrices, as far as its library tells."""

import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# A line for each product: its kind, then the implementation, which names the instructions.
_ONEDNN = re.compile(r"^onednn_verbose,.*,exec,cpu,(?:matmul|inner_product),([^,]+),")
_MKL_HEAD = re.compile(r"^MKL_VERBOSE oneMKL .* for Intel\(R\) 64 architecture (.+), \w+ [\d.]+GHz")
_MKL_PRODUCT = re.compile(r"^MKL_VERBOSE \w*GEMM\w*\(")
_MOST = 2  # names


def torch_instructions(run: Callable[[], object]) -> str | None:
    """
    Name what torch multiplies matrices by.

    Args:
        run: makes a forward pass.

    Returns:
        oneDNN's or oneMKL's words; None where neither had a part in it.
    """
    import torch

    backends: Any = torch.backends  # parts of it have no types
    lines: list[str] = []
    with _printed(lines), ExitStack() as stack:
        if backends.mkldnn.is_available():
            stack.enter_context(backends.mkldnn.verbose(backends.mkldnn.VERBOSE_ON))
        if backends.mkl.is_available():
            stack.enter_context(backends.mkl.verbose(backends.mkl.VERBOSE_ON))
        run()
    return most_frequent(_products(lines))


def most_frequent(names: Iterable[str]) -> str | None:
    """The names that come most often, one or two; None where there are none."""
    found = [name for name, _ in Counter(names).most_common(_MOST)]
    return ", ".join(found) or None


def _products(lines: Iterable[str]) -> Iterator[str]:
    # A name for each product that the libraries' lines tell of.
    mkl = "oneMKL"
    for line in lines:
        if match := _ONEDNN.match(line):
            yield f"oneDNN {match[1]}"
        elif match := _MKL_HEAD.match(line):
            # Of other makers' processors it says no more than that they are processors.
            mkl = f"oneMKL {match[1].replace('(R)', '')}"
        elif _MKL_PRODUCT.match(line):
            yield mkl


@contextmanager
def _printed(lines: list[str]) -> Iterator[None]:
    # Fills in what libraries print meanwhile: not by way of Python, but to the file below.
    sys.stdout.flush()
    own = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            _flush_c()
            os.dup2(own, 1)
            os.close(own)
        file.seek(0)
        lines += file.read().decode(errors="replace").splitlines()


def _flush_c() -> None:
    # C keeps what it prints to a file until there is much of it.
    import ctypes

    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)
