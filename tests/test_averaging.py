"""The exponential moving average of weights."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_np import Tensor, nn
from tinygrad_np.optim import SGD, ExponentialMovingAverage
from tinygrad_np.weights import load_weights, save_weights


def train(layer: nn.Layer, average: ExponentialMovingAverage, steps: int) -> list[list[np.ndarray]]:
    """Steps of training; the weights after each."""
    optimizer = SGD(layer.parameters(), lr=0.1)
    seen = []
    for step in range(steps):
        optimizer.zero_grad()
        (layer(Tensor(np.full((2, 3), step + 1.0, np.float32))) ** 2).mean().backward()
        optimizer.step()
        average.update()
        seen.append([p.data.copy() for p in layer.parameters()])
    return seen


def test_it_is_the_average_of_the_weights_in_which_older_ones_fade() -> None:
    layer = nn.Linear(3, 2, rng=0)
    average = ExponentialMovingAverage(layer.named_parameters(), decay=0.75)
    for mean, p in zip(average.averages, layer.parameters()):
        np.testing.assert_array_equal(mean, p.data)
    seen = train(layer, average, 4)
    for i, mean in enumerate(average.averages):
        expected = seen[0][i]
        for weights in seen[1:]:
            expected = 0.75 * expected + 0.25 * weights[i]
        np.testing.assert_allclose(mean, expected, rtol=1e-6)
        assert mean.dtype == np.float32
    assert repr(average) == "ExponentialMovingAverage(2 parameters, decay=0.75)"


def test_a_ramp_forgets_the_first_weights_sooner() -> None:
    layer = nn.Linear(3, 2, rng=0)
    average = ExponentialMovingAverage(layer.parameters(), decay=0.3, ramp=True)
    seen = train(layer, average, 5)
    for i, mean in enumerate(average.averages):
        expected = seen[0][i]
        for decay, weights in zip((2 / 11, 3 / 12, 0.3, 0.3), seen[1:], strict=True):  # 4 / 13 is above 0.3
            expected = decay * expected + (1 - decay) * weights[i]
        np.testing.assert_allclose(mean, expected, rtol=1e-6)
    assert repr(average) == "ExponentialMovingAverage(2 parameters, decay=0.3, ramp=True)"


@pytest.mark.oracle
def test_it_is_pytorchs(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    swa = torch.optim.swa_utils
    mine, theirs = nn.Linear(3, 2, rng=0, dtype=np.float64), torch.nn.Linear(3, 2).double()
    average = ExponentialMovingAverage(mine.parameters(), 0.9)
    other = swa.AveragedModel(theirs, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
    for _ in range(5):
        for p, q in zip(mine.parameters(), theirs.parameters()):
            p.data = rng.standard_normal(p.shape)
            q.data = torch.from_numpy(p.data.copy())
        average.update()
        other.update_parameters(theirs)
    for mean, q in zip(average.averages, other.module.parameters()):
        np.testing.assert_allclose(mean, q.detach().numpy(), rtol=1e-13)


def test_inside_of_applied_the_parameters_have_the_averages_and_after_an_error_no_more() -> None:
    layer = nn.Linear(3, 2, rng=0)
    average = ExponentialMovingAverage(layer.parameters(), 0.5)
    train(layer, average, 3)
    trained, means = layer.state_dict(), [a.copy() for a in average.averages]
    with average.applied():
        for p, mean in zip(layer.parameters(), means):
            np.testing.assert_array_equal(p.data, mean)
        for name in ("update", "state_dict"):
            with pytest.raises(RuntimeError, match=f"^{name}: inside of applied"):
                getattr(average, name)()
        with pytest.raises(RuntimeError, match=r"^applied: inside of applied"), average.applied():
            pass
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.data, trained[name])
    for mean, before in zip(average.averages, means):
        np.testing.assert_array_equal(mean, before)
    train(layer, average, 1)  # its arrays can be trained on


def test_it_goes_on_from_its_state(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    layers = [nn.Linear(3, 2, rng=0) for _ in range(2)]
    one, two = (ExponentialMovingAverage(layer.parameters(), 0.5) for layer in layers)
    train(layers[0], one, 2)
    layers[1].load_state_dict(layers[0].state_dict())
    save_weights(tmp_path / "average.safetensors", one.state_dict())
    two.load_state_dict(load_weights(tmp_path / "average.safetensors"))
    for layer, average in zip(layers, (one, two)):
        train(layer, average, 2)
    assert one.updates == two.updates == 4
    for a, b in zip(one.averages, two.averages):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype == np.float32
    with pytest.raises(ValueError, match="the state") as caught:
        two.load_state_dict({"averages.0": np.ones(3), "averages.1": np.ones(2), "more": 1})
    assert str(caught.value) == (
        "the state does not fit ExponentialMovingAverage: missing updates; unexpected more; "
        "averages.0 is (3,) and should be (2, 3)"
    )


def test_counts_are_kept_as_they_are_and_what_is_no_tensor_is_refused() -> None:
    count = Tensor(np.array([1, 2]))
    average = ExponentialMovingAverage([count])
    count.data = np.array([3, 4])
    average.update()
    average.update()
    np.testing.assert_array_equal(average.averages[0], [3, 4])
    with pytest.raises(
        ValueError, match=r"^ExponentialMovingAverage takes a decay from 0 to below 1, not 1$"
    ):
        ExponentialMovingAverage([count], 1)
    with pytest.raises(TypeError, match=r"^ExponentialMovingAverage takes Tensors, such as .*, not 3$"):
        ExponentialMovingAverage([3])  # type: ignore[list-item]
