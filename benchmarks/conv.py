"""A convolution of images there and back: 32 of them, kernels of 5 x 5, float32.

Forward, and the gradients of weight and bias; and of the images too, where a network has layers below. The loss is
the dot product of the result with a fixed random array.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.harness import Contender, Options, Row, check, measure, milliseconds, start

PEERS = {
    "ours": ("ours", 1),
    "PyTorch, 1 thread": ("pytorch", 1),
    "PyTorch, 2 threads": ("pytorch", 2),
    "MyGrad": ("mygrad", 1),
}
BATCH, KERNEL = 32, 5
LAYERS = [
    (1, 28, 8, False),
    (1, 28, 16, False),
    (8, 12, 16, True),
]  # channels, length, channels out, gradient of x
TOLERANCE = 2e-5
WHY = "float32: thousands of products, added up in another order"


def inputs(channels: int, length: int, out: int, batch: int = BATCH) -> dict[str, np.ndarray]:
    """A job's arrays: images, weight, bias, and the array of the loss."""
    rng = np.random.default_rng(0)
    left = length - KERNEL + 1
    shapes = {
        "x": (batch, channels, length, length),
        "weight": (out, channels, KERNEL, KERNEL),
        "bias": (out,),
        "cotangent": (batch, out, left, left),
    }
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def run(options: Options) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        peers = start(stack, PEERS)
        for channels, length, out, below in LAYERS:
            arrays = inputs(channels, length, out)
            for peer in peers.values():
                peer.prepare("conv", arrays, below=below)
            check([(name, peer.results()) for name, peer in peers.items()], TOLERANCE, WHY)
            contenders = [Contender(name, [peer]) for name, peer in peers.items()]
            what = f"{channels} x {length} x {length} to {out} channels{', and back to x' * below}"
            rows += measure("conv", what, contenders, options.repeats, "ms", milliseconds)
    return rows
