"""
A .sqz file as other programs read it.

    onnx_files      the files that an export writes
    onnx_graph      the model as a graph for ONNX Runtime

Nothing here imports torch; onnx, which is an extra, is imported by `onnx_graph` alone.
"""

from squadlite.export.onnx_files import SUFFIX, OnnxExport, export_onnx

__all__ = ["SUFFIX", "OnnxExport", "export_onnx"]
