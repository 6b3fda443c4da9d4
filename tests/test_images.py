"""Convolution, pooling, normalisation, attention: what is refused, dtypes, running means, masks, copies."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn, no_grad

X = np.arange(2.0 * 3 * 5 * 5).reshape(2, 3, 5, 5) / 8


def zeros(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape))


# --- what is refused ----------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: F.conv2d(X, zeros(4, 2, 3, 3)),
        r"^conv2d takes an input \(batch, in, \*lengths\) of 2 lengths.*groups=1$",
    ),
    (
        lambda: F.conv2d(X, zeros(4, 3, 3, 3), zeros(3)),
        r"^conv2d makes 4 channels, and takes a bias \(4,\), not \(3,\)$",
    ),
    (lambda: F.conv2d(X, zeros(4, 3, 9, 9)), r"a window of \[9, 9\] does not fit into \[5, 5\]"),
    (lambda: F.conv2d(X, zeros(4, 3, 3, 3), stride=0), "^conv2d takes a whole number from 1 for stride"),
    (lambda: F.conv2d(X, zeros(4, 3, 3, 3), stride=(1, 2, 3)), "one for each of its 2 axes"),
    (
        lambda: F.conv2d(X, zeros(4, 3, 3, 3), stride=2, padding="same"),
        "with padding='same' takes a stride of 1",
    ),
    (lambda: F.conv2d(X, zeros(4, 3, 3, 3), padding="full"), "takes 'same', 'valid' or whole numbers"),
    (
        lambda: F.conv_transpose1d(zeros(1, 2, 3), zeros(2, 1, 2), output_padding=1),
        "output_padding below the stride",
    ),
    (lambda: F.conv_transpose1d(zeros(1, 2, 1), zeros(2, 1, 2), padding=1), "give it less padding"),
    (lambda: F.max_pool2d(X, 2, padding=2), "a padding of at most half of the window"),
    (lambda: F.max_pool2d(zeros(3), 2), r"^max_pool2d takes \(batch, channels, \*lengths\) of 2 lengths"),
    (lambda: F.avg_pool2d(X, 2, divisor_override=0), "divides by divisor_override, which is 0"),
    (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), "takes 2 numbers for output_size"),
    (lambda: F.interpolate(X, 3, mode="linear"), "a mode that is for so many lengths"),
    (
        lambda: F.interpolate(X, 3, mode="nearest", align_corners=True),
        "takes align_corners with a linear or cubic mode",
    ),
    (lambda: F.interpolate(X), "takes either size or scale_factor"),
    (lambda: F.interpolate(X, 3, antialias=True), "has no antialias"),
    (lambda: F.fold(zeros(1, 4, 5), 3, 2), r"^fold to \[3, 3\] takes \(batch, channels \* 4, 4\)"),
    (lambda: F.batch_norm(zeros(1, 3), None, None, training=True), "more than one number of each channel"),
    (lambda: F.batch_norm(X, None, None), "outside of training takes a running_mean"),
    (
        lambda: F.batch_norm(X, zeros(2), zeros(2)),
        r"^batch_norm of 3 channels takes weights and running ones \(3,\)",
    ),
    (lambda: F.layer_norm(X, 4), r"^layer_norm over \[4\] takes an input that ends so, not \[2, 3, 5, 5\]$"),
    (lambda: F.group_norm(X, 2), "group_norm in 2 groups takes a multiple of them of channels, not 3"),
    (lambda: F.scaled_dot_product_attention(zeros(2, 3), zeros(2, 4), zeros(2, 3)), "takes query"),
    (
        lambda: F.scaled_dot_product_attention(
            *[zeros(2, 3)] * 3, attn_mask=np.ones((2, 2), bool), is_causal=True
        ),
        "takes attn_mask or is_causal, and not both",
    ),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "in 2 groups takes multiples of them, not 3, 4"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "for padding_mode, not 'mirror'"),
    (
        lambda: nn.ConvTranspose1d(1, 1, 2, stride=2, rng=0)(zeros(1, 1, 3), [9]),
        r"makes lengths from \[6\] to \[7\]",
    ),
    (lambda: nn.BatchNorm2d(3)(zeros(2, 3, 4)), "^BatchNorm2d takes an input of 4 axes and 3 channels"),
    (lambda: nn.MaxPool2d(2, strides=1), r"^MaxPool2d\(kernel_size, stride=None"),
    (lambda: nn.ZeroPad2d((1, 2, 3)), r"^ZeroPad2d takes a whole number or 4 of them"),
    (lambda: nn.MultiheadAttention(5, 2), "cuts embed_dim 5 into heads, and 2 is no divisor"),
    (lambda: nn.PositionalEncoding(4, 3)(zeros(5, 4)), r"of up to 3 steps, not \[5, 4\]"),
    (
        lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
        "takes 'relu', 'gelu' or a function for activation",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- values that no row shows -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, bool])
def test_dtypes_are_kept_and_whole_numbers_become_floats(dtype: Any) -> None:
    x = (X > 4).astype(dtype)
    expected = np.result_type(dtype, np.float16 if dtype == np.float16 else np.float32)
    for y in (
        F.max_pool2d(x, 2),
        F.avg_pool2d(x, 2),
        F.layer_norm(x, 5),
        F.interpolate(x, 7, mode="bilinear"),
    ):
        assert y.dtype == expected


def test_a_norm_of_large_numbers_in_half_precision_is_finite() -> None:
    x = Tensor(np.array([[-1000.0, 1000.0, 500.0]]), dtype=np.float16, requires_grad=True)
    y = F.layer_norm(x, 3)
    y.backward(np.ones((1, 3)))
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.data.astype(float), [[-1.3728, 0.9806, 0.3922]], atol=2e-3)
    assert x.grad is not None
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize(
    "settings", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1}]
)
def test_indices_of_a_pool_are_where_its_largest_elements_stand(settings: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6))
    largest, places = F.max_pool2d(x, **settings, ceil_mode=True, return_indices=True)
    flat = x.reshape(2, 3, 42)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, places.reshape(2, 3, -1), -1), largest.data.reshape(2, 3, -1)
    )


def test_windows_share_memory_and_cannot_be_written_to() -> None:
    x = Tensor(X)
    windows = F.convolution.im2col(x, kernel=(2, 2), stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)))
    assert np.shares_memory(windows.data, X)
    assert not windows.data.flags.writeable


# --- running mean and variance ------------------------------------------------------------------------


def test_running_ones_move_in_training_alone_and_without_momentum_to_the_mean_of_all() -> None:
    layer = nn.BatchNorm1d(2, momentum=None, dtype=np.float64)
    batches = [np.random.default_rng(i).standard_normal((4, 2)) for i in range(3)]
    for batch in batches:
        with no_grad():
            layer(Tensor(batch))
    assert layer.running_mean is not None
    assert layer.running_var is not None
    np.testing.assert_allclose(layer.running_mean.data, np.mean([b.mean(0) for b in batches], 0))
    np.testing.assert_allclose(layer.running_var.data, np.mean([b.var(0, ddof=1) for b in batches], 0))
    before = layer.state_dict()
    layer.eval()
    y = layer(Tensor(batches[0]))
    np.testing.assert_allclose(
        y.data, (batches[0] - before["running_mean"]) / np.sqrt(before["running_var"] + 1e-5)
    )
    layer.train()(zeros(0, 2))  # nothing comes in
    np.testing.assert_array_equal(layer.running_mean.data, before["running_mean"])
    assert list(layer.named_parameters().keys()) == ["weight", "bias"]
    assert list(before) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


# --- attention ----------------------------------------------------------------------------------------


def test_a_query_that_may_attend_to_nothing_gets_the_bias_alone() -> None:
    layer = nn.MultiheadAttention(4, 2, rng=0, dtype=np.float64)
    x = Tensor(np.random.default_rng(0).standard_normal((1, 3, 4)), requires_grad=True)
    out, weights = layer(x, x, x, attn_mask=np.array([[False] * 3, [True] * 3, [False] * 3]))
    np.testing.assert_array_equal(out.data[0, 1], 0)
    assert weights is not None
    np.testing.assert_allclose(weights.data.sum(-1), [[1, 0, 1]])
    out.sum().backward()
    assert np.isfinite(x.grad).all()


def test_a_causal_mask_is_made_where_none_is_given() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 3, 0.0, rng=0, dtype=np.float64)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 5, 4)))
    late = np.triu(np.ones((5, 5), bool), 1)
    np.testing.assert_array_equal(layer(x, is_causal=True).data, layer(x, late).data)
    np.testing.assert_allclose(layer(x[:, :2], is_causal=True).data, layer(x, is_causal=True).data[:, :2])


def test_copies_in_an_encoder_have_the_same_weights_and_draw_different_numbers() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, 0.5, rng=0), 2)
    first, second = encoder.layers
    np.testing.assert_array_equal(first.linear1.weight.data, second.linear1.weight.data)
    assert first.linear1.weight is not second.linear1.weight
    assert first.dropout.rng is first.dropout1.rng is first.self_attn.rng  # as in what was copied
    assert first.dropout.rng.random() != second.dropout.rng.random()
    again = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, 0.5, rng=0), 2)
    again.layers[0].dropout.rng.random()
    assert first.dropout.rng.random() == again.layers[0].dropout.rng.random()


def test_places_are_sines_and_cosines() -> None:
    weight = nn.PositionalEncoding(4, 6, dtype=np.float64).weight
    t = np.arange(6)
    np.testing.assert_allclose(
        weight.data, np.stack([np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)], 1)
    )
    assert not weight.requires_grad
    assert nn.PositionalEncoding(4, 6, learned=True, rng=0).weight.requires_grad
