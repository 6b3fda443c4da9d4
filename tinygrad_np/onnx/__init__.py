"""A model as an ONNX file, which other programs run: `export_onnx`.

Needs the extra ``onnx``: ``pip install tinygrad_np[onnx]``.
"""

from tinygrad_np.onnx.export import OPSET, export_onnx

__all__ = ["OPSET", "export_onnx"]
