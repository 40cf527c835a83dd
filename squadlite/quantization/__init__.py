"""
How a model's weights become codes: by a rule, or so that its answers move least for a size.

    Quantization       the rule: bits, and what shares a range; SameAs: as a file has it
    read_calibration   text -> windows, and how often each word is used
    weight_moments     windows -> what errors of each matrix cost
    Matrix             a matrix, its scales and how its errors are made good; any step -> values
    SpanDivergence     how far the model's answers move; expected_divergences: for many changes
    find_steps         each matrix's step, under a budget
    MeasuredModel      all of that by measurement, ready to be rounded to any size

Source: Frantar et al. 2022 (GPTQ); format_spec.md, "uniform".
"""

from squadlite.quantization.codec_choice import Quantization, SameAs
from squadlite.quantization.measured import (
    MeasuredModel,
    QuantizedModel,
    RoundedTensors,
    coded_bytes,
)

__all__ = [
    "MeasuredModel",
    "Quantization",
    "QuantizedModel",
    "RoundedTensors",
    "SameAs",
    "coded_bytes",
]
