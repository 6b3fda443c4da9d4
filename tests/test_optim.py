"""Optimizers against their published update rules, which stand in their rows; convergence; gradient clipping."""

import inspect
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, optim
from tinygrad_np.check.cases import OPTIMIZERS as ROWS
from tinygrad_np.check.cases.optimizers import adam, adamw, rmsprop, sgd
from tinygrad_np.nn import Linear
from tinygrad_np.optim import SGD, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm, clip_grad_value
from tinygrad_np.optim.adam import advance

STEPS = 7
SHAPES = ((2, 3), (4,), ())


RULES: list[tuple[type[Optimizer], Callable[..., float], dict[str, Any]]] = [
    (getattr(optim, name), row.rule, dict(settings))
    for name, row in ROWS.items()
    for settings in row.settings
]
OPTIMIZERS: list[type[Optimizer]] = [getattr(optim, name) for name in ROWS]
every_rule = pytest.mark.parametrize(("optimizer", "rule", "settings"), RULES)
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def after_steps(
    make: Any, settings: dict[str, Any], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray], list[list[np.ndarray]]]:
    """Parameters of several shapes before and after some steps, and the gradients of each step."""
    start = [rng.standard_normal(shape) for shape in SHAPES]
    params = [Tensor(array, requires_grad=True) for array in start]
    gradients = [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]
    optimizer = make(params, **settings)
    for step in gradients:
        for p, g in zip(params, step):
            p.grad = g.copy()
        optimizer.step()
        for p, g in zip(params, step):
            np.testing.assert_array_equal(p.grad, g)  # left as it is
    return start, [p.data for p in params], gradients


def check(make: Any, rule: Callable[..., float], settings: dict[str, Any], rng: np.random.Generator) -> None:
    """Compare an optimizer with its rule, number by number."""
    start, end, gradients = after_steps(make, settings, rng)
    for k, (before, after) in enumerate(zip(start, end)):
        for place in np.ndindex(before.shape):
            gs = [float(step[k][place]) for step in gradients]
            expected = rule(float(before[place]), gs, **settings)
            assert after[place] == pytest.approx(expected, rel=1e-12, abs=1e-14)


@every_rule
def test_update_rule(
    optimizer: type[Optimizer], rule: Callable[..., float], settings: dict[str, Any], rng: np.random.Generator
) -> None:
    check(optimizer, rule, settings, rng)


@every_optimizer
def test_defaults(optimizer: Any) -> None:
    p = Tensor(np.array([0.5]), requires_grad=True)
    opt = optimizer([p])
    for _ in range(2):
        p.grad = np.array([3.0])
        opt.step()
    rule = ROWS[optimizer.__name__].rule
    assert p.data[0] == pytest.approx(rule(0.5, [3.0, 3.0]), rel=1e-13)
    ours, written = (inspect.signature(f).parameters for f in (optimizer, rule))
    defaults = {name: parameter.default for name, parameter in ours.items() if name != "params"}
    if optimizer is not AdamW:
        assert defaults == {name: q.default for name, q in written.items() if name not in ("p", "gs")}


class EpsInsideTheRoot(Adam):
    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        b1, b2 = self.group["betas"]
        t, m, s = advance(self.state[i], (b1, b2), g)
        p -= self.lr * m / (1 - b1**t) / np.sqrt(s / (1 - b2**t) + self.eps)


class NoBiasCorrection(Adam):
    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        _, m, s = advance(self.state[i], self.group["betas"], g)
        p -= self.lr * m / (np.sqrt(s) + self.eps)


class SwappedBetas(Adam):
    def __init__(self, params: Any, **settings: Any):
        super().__init__(params, **settings)
        self.betas = self.betas[::-1]


class DecayIntoTheGradient(Adam):
    def __init__(self, params: Any, weight_decay: float = 1e-2, **settings: Any):
        super().__init__(params, weight_decay=weight_decay, **settings)


class DecayAfterTheStep(Adam):
    def decayed(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        return g

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        super().update(i, p, g)
        p *= 1 - self.lr * self.weight_decay


class DampedMomentum(SGD):
    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        super().update(i, p, (1 - self.momentum) * g)


class Nesterov(SGD):
    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        v = self.state[i]["velocity"]
        v[...] = self.momentum * v + g
        p -= self.lr * (g + self.momentum * v)


class RootOfTheSum(RMSprop):
    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        s = self.state[i]["square"]
        s[...] = self.alpha * s + (1 - self.alpha) * g * g
        p -= self.lr * g / np.sqrt(s + self.eps)


@pytest.mark.parametrize(
    ("wrong", "rule", "settings"),
    [
        (EpsInsideTheRoot, adam, {"lr": 0.001}),
        (EpsInsideTheRoot, adam, {"lr": 0.1, "eps": 0.1}),
        (NoBiasCorrection, adam, {"lr": 0.001}),
        (SwappedBetas, adam, {"lr": 0.001}),
        (DecayIntoTheGradient, adamw, {"lr": 0.1}),
        (DecayAfterTheStep, adamw, {"lr": 0.1}),
        (DampedMomentum, sgd, {"lr": 0.1, "momentum": 0.9}),
        (Nesterov, sgd, {"lr": 0.1, "momentum": 0.9}),
        (RootOfTheSum, rmsprop, {"lr": 0.01}),
    ],
)
def test_the_check_tells_wrong_updates_apart(
    wrong: type[Optimizer], rule: Callable[..., float], settings: dict[str, Any], rng: np.random.Generator
) -> None:
    with pytest.raises(AssertionError):
        check(wrong, rule, settings, rng)


# --- what holds for all -------------------------------------------------------------------------------


@every_rule
def test_float32_stays(optimizer: Any, rule: Any, settings: dict[str, Any]) -> None:
    for lr in (settings["lr"], np.float64(settings["lr"])):  # a schedule may well compute a NumPy number
        for shape in SHAPES:
            p = Tensor(np.ones(shape, np.float32), requires_grad=True)
            opt = optimizer([p], **{**settings, "lr": lr})
            for _ in range(3):
                p.grad = np.full(shape, 0.5, np.float32)
                opt.step()
            assert p.dtype == np.float32
            expected = rule(1.0, [0.5] * 3, **settings)
            np.testing.assert_allclose(p.data, np.full(shape, expected), rtol=1e-6)
            kept = [value for value in opt.state[0].values() if isinstance(value, np.ndarray)]
            assert all(array.dtype == np.float32 for array in kept)


@every_optimizer
def test_a_parameter_without_a_gradient_is_left_alone(optimizer: Any) -> None:
    params = [Tensor(np.ones(2), requires_grad=True) for _ in range(3)]
    opt = optimizer(params, lr=0.1)
    params[0].grad = np.ones(2)
    opt.step()
    params[0].grad = None
    params[1].grad = np.ones(2)
    after_first = params[0].data.copy()
    assert (after_first < 1).all()
    opt.step()
    np.testing.assert_array_equal(params[0].data, after_first)  # no momentum carries it on either
    assert (params[1].data < 1).all()
    np.testing.assert_array_equal(params[2].data, [1, 1])


@every_optimizer
def test_a_frozen_parameter_is_left_alone(optimizer: Any) -> None:
    p = Tensor(np.ones(2), requires_grad=True)
    opt = optimizer([p], lr=0.1)
    p.grad = np.ones(2)
    p.requires_grad = False
    opt.zero_grad()
    opt.step()
    np.testing.assert_array_equal(p.data, [1, 1])


@pytest.mark.parametrize(("optimizer", "rule"), [(Adam, adam), (AdamW, adamw)])
def test_a_parameter_that_joins_late_starts_its_own_count(optimizer: Any, rule: Any) -> None:
    params = [Tensor(np.ones(1), requires_grad=True) for _ in range(2)]
    opt = optimizer(params, lr=0.1)
    for step in range(5):
        params[0].grad = np.array([2.0])
        params[1].grad = np.array([2.0]) if step >= 3 else None
        opt.step()
    assert params[0].data[0] == pytest.approx(rule(1.0, [2.0] * 5, lr=0.1), rel=1e-13)
    assert params[1].data[0] == pytest.approx(rule(1.0, [2.0] * 2, lr=0.1), rel=1e-13)


@every_optimizer
def test_the_array_of_the_user_is_not_written_to(optimizer: Any) -> None:
    array = np.ones(3)
    p = Tensor(array, requires_grad=True)
    opt = optimizer([p], lr=0.1)
    (p * p).sum().backward()
    opt.step()
    assert (p.data < 1).all()
    np.testing.assert_array_equal(array, np.ones(3))


@every_optimizer
def test_zero_grad_forgets(optimizer: Any) -> None:
    p = Tensor(np.ones(3), requires_grad=True)
    opt = optimizer([p], lr=0.1)
    (p * p).sum().backward()
    opt.zero_grad()
    assert p.grad is None
    (p * 3).sum().backward()
    np.testing.assert_array_equal(p.grad, [3, 3, 3])


@every_optimizer
def test_zero_grad_fills_with_zeros_when_told(optimizer: Any) -> None:
    p, unused, frozen = (Tensor(np.ones(3), requires_grad=True) for _ in range(3))
    opt = optimizer([p, unused, frozen], lr=0.1)
    (p * p).sum().backward()
    frozen.requires_grad = False
    grad = p.grad
    opt.zero_grad(set_to_none=False)
    assert p.grad is grad
    np.testing.assert_array_equal(p.grad, [0, 0, 0])
    assert unused.grad is None
    opt.zero_grad(set_to_none=True)
    assert p.grad is None


def test_repr_shows_the_settings_as_they_are_now() -> None:
    p = [Tensor([1.0], requires_grad=True)]
    assert repr(SGD(p, lr=0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False)"
    )
    adam = Adam(p, lr=0.01)
    settings = "betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False, maximize=False"
    assert repr(adam) == f"Adam(lr=0.01, {settings}, decoupled_weight_decay=False)"
    adam.lr = 0.5
    assert repr(adam).startswith("Adam(lr=0.5, ")
    assert repr(AdamW(p)) == f"AdamW(lr=0.001, {settings})".replace("decay=0.0", "decay=0.01")
    assert repr(Optimizer(p, lr=0.1)) == "Optimizer(lr=0.1)"

    class Mine(SGD):
        def __init__(self, params: Any, lr: float, decay: float, forgotten: int = 0):
            super().__init__(params, lr)
            self.decay = decay

    assert repr(Mine(p, 0.1, decay=0.5)) == "Mine(lr=0.1, decay=0.5)"
    groups = [{"params": p}, {"params": [Tensor([1.0], requires_grad=True)], "lr": 0.3}]
    assert repr(Mine(groups, 0.1, 0.5)) == "Mine(group 0: lr=0.1, decay=0.5; group 1: lr=0.3, decay=0.5)"


@every_optimizer
def test_the_learning_rate_may_be_set_between_steps(optimizer: Any) -> None:
    p = Tensor(np.ones(1), requires_grad=True)
    opt = optimizer([p], lr=0.1)
    opt.lr = 0.0
    p.grad = np.ones(1)
    opt.step()
    assert p.data[0] == (1 if optimizer is not optim.Rprop else 1 - 1e-6)  # its smallest step
    opt.lr = 0.1
    opt.step()
    assert p.data[0] < 1


@every_optimizer
def test_any_iterable_of_parameters_is_taken(optimizer: Any) -> None:
    p = Tensor(np.ones(1), requires_grad=True)
    opt = optimizer((q for q in [p]), lr=0.1)
    for _ in range(2):
        p.grad = np.ones(1)
        opt.step()
    assert p.data[0] < (0.9 if optimizer is not optim.Adadelta else 1)  # whose first steps are small


@every_optimizer
def test_no_parameters_and_bad_rates_are_refused(optimizer: Any) -> None:
    name = optimizer.__name__
    with pytest.raises(ValueError, match=f"^{name} got no parameters to train$"):
        optimizer([])
    for lr in (-0.1, math.nan):
        with pytest.raises(ValueError, match=f"^{name} takes a finite number from 0 for lr, not {lr}$"):
            optimizer([Tensor([1.0], requires_grad=True)], lr=lr)


@pytest.mark.parametrize("optimizer", [Adam, AdamW])
@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, math.nan)])
def test_bad_betas_are_refused(optimizer: Any, betas: tuple[float, float]) -> None:
    wrong = next(beta for beta in betas if not 0 <= beta < 1)
    says = f"^{optimizer.__name__} takes a finite number from 0 and below 1 for betas, not {wrong}$"
    with pytest.raises(ValueError, match=says):
        optimizer([Tensor([1.0], requires_grad=True)], betas=betas)


def test_an_optimizer_without_update_says_so() -> None:
    p = Tensor([1.0], requires_grad=True)
    p.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match=r"^Optimizer defines no update$"):
        Optimizer([p], lr=0.1).step()


@every_rule
def test_a_step_keeps_nothing_and_needs_four_arrays_at_most(
    optimizer: Any, rule: Any, settings: dict[str, Any]
) -> None:
    params = [Tensor(np.ones(100_000, np.float32), requires_grad=True) for _ in range(3)]
    opt = optimizer(params, **settings)
    for p in params:
        p.grad = np.ones_like(p.data)
    opt.step()
    tracemalloc.start()
    try:
        opt.step()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000
    assert peak < 4 * params[0].data.nbytes + 10_000


# --- convergence --------------------------------------------------------------------------------------

TUNED: list[tuple[type[Optimizer], dict[str, Any], dict[str, Any]]] = [
    # for a quadratic with curvatures 1 to 10; for Rosenbrock's valley
    (SGD, {"lr": 0.1}, {"lr": 1.8e-3}),
    (SGD, {"lr": 0.02, "momentum": 0.9}, {"lr": 2e-4, "momentum": 0.95}),
    (RMSprop, {"lr": 0.1}, {"lr": 0.01}),
    (Adam, {"lr": 0.1}, {"lr": 0.05}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.0}, {"lr": 0.05, "weight_decay": 0.0}),
]


def minimise(loss: Callable[[Tensor], Tensor], x: Tensor, opt: Optimizer, steps: int) -> None:
    """Take steps, with a learning rate that falls to 0, as RMSprop needs it."""
    lr = opt.lr
    for step in range(steps):
        opt.lr = lr * (1 - step / steps)
        opt.zero_grad()
        loss(x).backward()
        opt.step()


@pytest.mark.parametrize(("optimizer", "settings", "_"), TUNED)
def test_a_quadratic_is_minimised(optimizer: Any, settings: dict[str, Any], _: Any) -> None:
    target = np.array([3.0, -2.0, 0.5])
    x = Tensor(np.zeros(3), requires_grad=True)
    minimise(
        lambda x: (np.array([1, 3, 10]) / 2 * (x - target) ** 2).sum(), x, optimizer([x], **settings), 300
    )
    np.testing.assert_allclose(x.data, target, atol=1e-3)


@pytest.mark.parametrize(("optimizer", "_", "settings"), TUNED)
def test_rosenbrock_is_minimised(optimizer: Any, _: Any, settings: dict[str, Any]) -> None:
    x = Tensor(np.array([-1.0, 1.0]), requires_grad=True)
    loss = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    before = loss(x).item()
    minimise(loss, x, optimizer([x], **settings), 3000)
    assert before == 4
    assert loss(x).item() < 0.04  # along the valley, around its bend, to near (1, 1)
    np.testing.assert_allclose(x.data, [1, 1], atol=0.4)


# --- clipping -----------------------------------------------------------------------------------------


def with_gradients(*gradients: Any, dtype: Any = np.float64) -> dict[str, Tensor]:
    """Parameters a, b, ... with these gradients; None for none."""
    params = {}
    for name, g in zip("abcdef", gradients):
        g = None if g is None else np.array(g, dtype=dtype)
        params[name] = Tensor(np.zeros(1 if g is None else g.shape, dtype), requires_grad=True)
        params[name].grad = g
    return params


def test_clipping_scales_to_the_norm_and_keeps_the_direction() -> None:
    params = with_gradients([3.0, 0.0], None, [[0.0, 4.0], [12.0, 0.0]], 84.0)
    data = {name: p.data.copy() for name, p in params.items()}
    assert clip_grad_norm(params, 8.5) == 85.0
    np.testing.assert_allclose(params["a"].grad, [0.3, 0.0], rtol=1e-14)
    assert params["b"].grad is None
    np.testing.assert_allclose(params["c"].grad, [[0.0, 0.4], [1.2, 0.0]], rtol=1e-14)
    np.testing.assert_allclose(params["d"].grad, 8.4, rtol=1e-14)
    assert clip_grad_norm(params, 100.0) == pytest.approx(8.5, rel=1e-14)
    for name, p in params.items():
        np.testing.assert_array_equal(p.data, data[name])


def test_clipping_takes_a_layers_parameters_by_name_or_in_a_list_or_one_tensor() -> None:
    layer = Linear(2, 1, bias=False, rng=0, dtype=np.float64)
    for given in (
        layer.named_parameters(),
        dict(layer.named_parameters()),
        layer.parameters(),
        (p for p in layer.parameters()),
        layer.weight,
    ):
        layer.weight.grad = np.array([[3.0, 4.0]])
        assert clip_grad_norm(given, 1.0) == 5.0
        np.testing.assert_allclose(layer.weight.grad, [[0.6, 0.8]], rtol=1e-15)
    params = with_gradients([1.0], [np.nan], [np.inf]).values()
    with pytest.raises(ValueError, match=r"^the gradient of parameter 1, parameter 2 is not finite$"):
        clip_grad_norm(list(params), 1.0)
    layer.weight.grad = np.array([[np.nan, 0.0]])
    with pytest.raises(ValueError, match=r"^the gradient of weight is not finite$"):
        clip_grad_norm(layer.named_parameters(), 1.0)
    says = (
        r"^clip_grad_norm takes Tensors, such as layer\.named_parameters\(\) or layer\.parameters\(\), and "
    )
    with pytest.raises(TypeError, match=says + r"parameter 1 is 3$"):
        clip_grad_norm([layer.weight, 3], 1.0)  # type: ignore[list-item]
    with pytest.raises(TypeError, match=says + r"a is None$"):
        clip_grad_norm({"a": None}, 1.0)  # type: ignore[dict-item]


@pytest.mark.parametrize("limit", [5.0, 5.1, math.inf])
def test_up_to_the_limit_nothing_changes(limit: float) -> None:
    params = with_gradients([3.0], [4.0])
    assert clip_grad_norm(params, limit) == 5.0
    assert [params[name].grad.tolist() for name in "ab"] == [[3.0], [4.0]]  # type: ignore[union-attr]


def test_clipping_of_nothing_and_of_zeros() -> None:
    assert clip_grad_norm({}, 1.0) == 0
    assert clip_grad_norm(with_gradients(None), 1.0) == 0
    params = with_gradients([0.0, 0.0])
    assert clip_grad_norm(params, 1.0) == 0
    np.testing.assert_array_equal(params["a"].grad, [0, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_are_named_and_nothing_is_scaled(bad: float) -> None:
    params = with_gradients([3e9, 1.0], [1.0, bad], None, [bad])
    with pytest.raises(ValueError, match=r"^the gradient of b, d is not finite$"):
        clip_grad_norm(params, 1.0)
    np.testing.assert_array_equal(params["a"].grad, [3e9, 1.0])
    np.testing.assert_array_equal(params["b"].grad, [1.0, bad])


def test_clipping_of_large_float32_gradients_does_not_overflow() -> None:
    params = with_gradients([3e30, 0.0], [0.0, 4e30], dtype=np.float32)
    assert clip_grad_norm(params, 1.0) == pytest.approx(5e30, rel=1e-6)
    for name, expected in (("a", [0.6, 0.0]), ("b", [0.0, 0.8])):
        assert params[name].grad.dtype == np.float32  # type: ignore[union-attr]
        np.testing.assert_allclose(params[name].grad, expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1e-145, 1e-139, 1e-30, 1e150, 1e200, 4e307])
def test_clipping_of_float64_gradients_whose_squares_leave_its_range(scale: float) -> None:
    params = with_gradients([0.6 * scale, 0.0], [0.0, 0.8 * scale], [1e-320])
    rel = 1e-14 if scale > 1e-307 else 1e-10  # numbers below 2e-308 have fewer digits
    assert clip_grad_norm(params, scale / 4) == pytest.approx(scale, rel=rel, abs=0)
    np.testing.assert_allclose(params["a"].grad, [0.15 * scale, 0.0], rtol=rel)
    np.testing.assert_allclose(params["b"].grad, [0.0, 0.2 * scale], rtol=rel)


@pytest.mark.parametrize("scale", [1e-30, 1e-36])
def test_clipping_of_small_float32_gradients_keeps_their_squares(scale: float) -> None:
    params = with_gradients([3 * scale], [4 * scale], dtype=np.float32)
    assert clip_grad_norm(params, scale) == pytest.approx(5 * scale, rel=1e-6, abs=0)
    np.testing.assert_allclose(params["b"].grad, [0.8 * scale], rtol=1e-6)


def test_clipping_each_gradient_on_its_own_would_be_told_apart() -> None:
    params = with_gradients([3.0], [4.0])
    for p in params.values():
        clip_grad_norm({"one": p}, 1.0)
    joint = with_gradients([3.0], [4.0])
    clip_grad_norm(joint, 1.0)
    assert [p.grad.tolist() for p in params.values()] == [[1.0], [1.0]]  # type: ignore[union-attr]
    np.testing.assert_allclose([p.grad for p in joint.values()], [[0.6], [0.8]], rtol=1e-15)


@pytest.mark.parametrize("norm_type", [1, 1.5, 2, 3.0, math.inf])
def test_clipping_by_another_norm(norm_type: float) -> None:
    params = with_gradients([3.0, 0.0], None, [[0.0, -4.0], [12.0, 0.0]], dtype=np.float32)
    norm = float(np.linalg.norm([3.0, 4.0, 12.0], norm_type))
    assert clip_grad_norm(params, 4.0, norm_type) == pytest.approx(norm, rel=1e-6)
    np.testing.assert_allclose(params["c"].grad, 4 / norm * np.array([[0, -4], [12, 0]]), rtol=1e-6)
    assert clip_grad_norm(params, 4.0 + 1e-4, norm_type=norm_type) == pytest.approx(4.0, rel=1e-6)
    params["a"].grad = np.array([np.inf, 0], np.float32)
    with pytest.raises(ValueError, match=r"^the gradient of a is not finite$"):
        clip_grad_norm(params, 1.0, norm_type)
    with pytest.raises(ValueError, match=r"^clip_grad_norm takes a norm_type above 0, not 0$"):
        clip_grad_norm(params, 1.0, 0)


def test_clipping_by_value() -> None:
    params = with_gradients([3.0, -0.5], None, [[np.inf, -4.0], [0.2, 1.0]], 2.0, dtype=np.float32)
    clip_grad_value(params, 1.0)
    assert params["a"].grad.tolist() == [1.0, -0.5]  # type: ignore[union-attr]
    assert params["c"].grad.tolist() == [[1.0, -1.0], [np.float32(0.2), 1.0]]  # type: ignore[union-attr]
    assert params["d"].grad == 1.0
    assert params["a"].grad.dtype == np.float32  # type: ignore[union-attr]
    params["d"].grad = np.array(np.nan, np.float32)
    with pytest.raises(ValueError, match=r"^the gradient of d has NaN in it$"):
        clip_grad_value(params, 0.1)
    assert params["a"].grad.tolist() == [1.0, -0.5]  # type: ignore[union-attr]
    for value in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"^clip_grad_value takes a value above 0, not {value}$"):
            clip_grad_value(params, value)
    with pytest.raises(TypeError, match=r"^clip_grad_value takes Tensors, such as .* and parameter 0 is 3$"):
        clip_grad_value([3], 1.0)  # type: ignore[list-item]


def test_refuses_frozen_and_repeated_parameters() -> None:
    p = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"parameter 1, of shape \(2,\), that is frozen"):
        SGD([p, Tensor([1.0, 2.0])])
    with pytest.raises(ValueError, match=r"parameter 1, of shape \(2,\), twice"):
        Adam([p, p])
    for limit in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="norm above 0"):
            clip_grad_norm({"p": p}, limit)


def test_an_array_given_to_a_tensor_that_is_trained_later_is_not_written_to() -> None:
    array = np.ones(2)
    p = Tensor(array)
    p.requires_grad = True
    (p * p).sum().backward()
    SGD([p], lr=0.1).step()
    np.testing.assert_array_equal(array, [1.0, 1.0])
    np.testing.assert_allclose(p.data, [0.8, 0.8])
