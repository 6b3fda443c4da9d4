"""PyTorch on the CPU: its own LSTM, and one written out in its eager primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.peers.shared import ROWS, Arrays, Job, again, chained, lstm_last_state, ops, part, reviews


def start(threads: int) -> str:
    torch.set_num_threads(threads)
    blas = "MKL" if torch.backends.mkl.is_available() else "BLAS"
    kernel = torch.backends.cpu.get_cpu_capability()
    return (
        f"PyTorch {torch.__version__} (its own {blas}, built in; kernel {kernel}, "
        f"threads {torch.get_num_threads()})"
    )


def tensors(arrays: Arrays) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def gradients(parameters: dict[str, Any]) -> Arrays:
    return {name: p.grad.numpy() for name, p in parameters.items()}


def lstm(arrays: Arrays, head: str) -> Job:
    """Forward, back through time, and the weights' gradients."""
    weights = part(arrays, "lstm.")
    layer = torch.nn.LSTM(arrays["x"].shape[2], weights["weight_hh_l0"].shape[1], batch_first=True)
    layer.load_state_dict(tensors(weights))
    x, cotangent = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["cotangent"])
    parameters = dict(layer.named_parameters())

    def job() -> Arrays:
        layer.zero_grad()
        output, (h, _) = layer(x)
        loss = ((h[0] if head == "last" else output.mean(dim=1)) * cotangent).sum()
        loss.backward()
        return {"loss": loss.detach().numpy(), **gradients(parameters)}

    return job


def eager_lstm(arrays: Arrays) -> Job:
    """The same, op by op."""
    weights = {name: w.requires_grad_() for name, w in tensors(part(arrays, "lstm.")).items()}
    x = torch.from_numpy(arrays["x"]).transpose(0, 1).contiguous()
    cotangent = torch.from_numpy(arrays["cotangent"])
    zeros = torch.zeros_like(cotangent)

    def job() -> Arrays:
        for w in weights.values():
            w.grad = None
        h = lstm_last_state(
            x,
            weights["weight_ih_l0"],
            weights["weight_hh_l0"],
            weights["bias_ih_l0"] + weights["bias_hh_l0"],
            zeros,
            torch.sigmoid,
            torch.tanh,
            lambda gates: gates.chunk(4, dim=1),
        )
        loss = (h * cotangent).sum()
        loss.backward()
        return {"loss": loss.detach().numpy(), **gradients(weights)}

    return job


def conv(arrays: Arrays, below: bool) -> Job:
    """A convolution there and back; `below` says whether the gradient goes on to the images."""
    given = tensors(arrays)
    cotangent = given.pop("cotangent")
    asked = {name: t.requires_grad_() for name, t in given.items() if name != "x" or below}

    def job() -> Arrays:
        for t in asked.values():
            t.grad = None
        y = torch.nn.functional.conv2d(given["x"], given["weight"], given["bias"])
        y.backward(cotangent)
        return {"y": y.detach().numpy(), **gradients(asked)}

    return job


def op(arrays: Arrays, name: str, calls: int, backward: bool) -> Job:
    """One op on four numbers: forward alone, again and again, or there and back along a chain."""
    rows, nothing = torch.from_numpy(ROWS), torch.zeros((), dtype=torch.float64)
    f = {
        **ops(torch, torch.sigmoid),
        "maximum(x, 0.0)": lambda x: torch.maximum(x, nothing),
        "x @ matrix": lambda x: x @ rows,
        "sum(x, keepdims=True)": lambda x: torch.sum(x, 0, keepdim=True),
    }[name]
    x = torch.from_numpy(arrays["x"]).requires_grad_()

    def forward() -> Arrays:
        return {"value": again(f, x, calls).detach().numpy()}

    def both() -> Arrays:
        x.grad = None
        y = chained(f, x, calls)
        y.backward(torch.ones_like(y))
        return {"value": y.detach().numpy(), "gradient": x.grad.numpy()}

    return both if backward else forward


class Reader(torch.nn.Module):  # type: ignore[misc]
    """Frozen word vectors, an LSTM, and one number of its last state or of the mean of its outputs."""

    def __init__(self, arrays: Arrays, head: str, packed: bool):
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(
            torch.from_numpy(arrays["vectors"]), padding_idx=0
        )
        inputs, hidden = arrays["vectors"].shape[1], arrays["head.weight"].shape[1]
        self.lstm = torch.nn.LSTM(inputs, hidden, batch_first=True)
        self.head = torch.nn.Linear(hidden, 1)
        self.of, self.packed = head, packed
        self.restart(arrays)

    def restart(self, arrays: Arrays) -> None:
        """Take the initial weights."""
        self.lstm.load_state_dict(tensors(part(arrays, "lstm.")))
        self.head.load_state_dict(tensors(part(arrays, "head.")))

    def forward(self, numbers: Any, lengths: Any) -> Any:
        x = self.embedding(numbers)
        if self.packed:
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, (h, _) = self.lstm(x)
            return self.head(h[0])[:, 0]
        output, _ = self.lstm(x)
        if self.of == "last":
            seen = output[torch.arange(len(output)), lengths - 1]
        else:
            running = torch.arange(output.shape[1]) < lengths[:, None]
            seen = (output * running[:, :, None]).sum(dim=1) / lengths[:, None]
        return self.head(seen)[:, 0]


def torch_reviews(arrays: Arrays) -> list[tuple[Any, ...]]:
    return [tuple(map(torch.from_numpy, batch)) for batch in reviews(arrays)]


def train(arrays: Arrays, head: str, lr: float, packed: bool, flush: bool) -> Job:
    """A step of Adam for each batch, from the initial weights; subnormal numbers flushed to 0, or not."""
    torch.set_flush_denormal(flush)  # before the first op: its threads take it over when they start
    model = Reader(arrays, head, packed)
    batches = torch_reviews(arrays)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    loss_of: Callable[..., Any] = torch.nn.functional.binary_cross_entropy_with_logits

    def job() -> Arrays:
        model.restart(arrays)
        optimizer = torch.optim.Adam(parameters.values(), lr=lr)
        first: Arrays = {}
        losses = []
        for numbers, lengths, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(model(numbers, lengths), labels)
            loss.backward()
            first = first or {name: g.copy() for name, g in gradients(parameters).items()}
            optimizer.step()
            losses.append(loss.item())
        return {"loss": np.array(losses[0]), "losses": np.array(losses), **first}

    return job


def predict(arrays: Arrays, head: str) -> Job:
    """The logits of all reviews."""
    model = Reader(arrays, head, packed=False)
    batches = torch_reviews(arrays)

    def job() -> Arrays:
        with torch.inference_mode():
            logits = torch.cat([model(numbers, lengths) for numbers, lengths, _ in batches])
        return {"logits": logits.numpy()}

    return job
