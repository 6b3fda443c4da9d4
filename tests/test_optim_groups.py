"""Optimizers with groups of parameters and their settings; their state saved, loaded, and gone on from."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, nn, optim
from tinygrad_np.check.cases import OPTIMIZERS as ROWS
from tinygrad_np.optim import SGD, Adam, AdamW
from tinygrad_np.weights import load_weights, save_weights

CASES = [(getattr(optim, name), dict(settings)) for name, row in ROWS.items() for settings in row.settings]
every_case = pytest.mark.parametrize(("optimizer", "settings"), CASES)
every_optimizer = pytest.mark.parametrize("optimizer", [getattr(optim, name) for name in ROWS])


def leaves(*shapes: Any, dtype: Any = np.float64) -> list[Tensor]:
    return [Tensor(np.linspace(-1, 2, int(np.prod(s))).reshape(s), True, dtype) for s in shapes]


def take_steps(optimizer: Any, steps: int, seed: int = 0) -> None:
    """Steps by gradients that are always the same ones; a parameter without one once."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        for i, p in enumerate(optimizer.params):
            g = rng.standard_normal(p.shape).astype(p.dtype)
            p.grad = None if (i, step) == (1, 1) else g
        optimizer.step()


# --- groups -------------------------------------------------------------------------------------------


@every_optimizer
def test_each_group_is_stepped_with_its_own_settings(optimizer: Any) -> None:
    together, a, b = leaves((2,), (3,)), leaves((2,)), leaves((3,))
    a_grad, b_grad = np.array([0.5, -1.0]), np.array([2.0, 1.0, -0.1])
    one = optimizer([{"params": together[0]}, {"params": [together[1]], "lr": 0.3}], lr=0.1)
    two = [optimizer(a, lr=0.1), optimizer(b, lr=0.3)]
    for _ in range(3):
        together[0].grad, together[1].grad, a[0].grad, b[0].grad = a_grad, b_grad, a_grad, b_grad
        for opt in (one, *two):
            opt.step()
    np.testing.assert_array_equal(together[0].data, a[0].data)
    np.testing.assert_array_equal(together[1].data, b[0].data)
    assert [group["lr"] for group in one.param_groups] == [0.1, 0.3]
    assert one.group == {}


def test_a_group_may_join_later_and_settings_be_set_between_steps() -> None:
    p, q = leaves((2,), (2,))
    opt = SGD([p], lr=0.1)
    opt.add_param_group({"params": [q], "lr": 0.5, "momentum": 0.9})
    assert opt.params == [p, q] or [x is y for x, y in zip(opt.params, [p, q])] == [True, True]
    opt.param_groups[1]["lr"] = 0.0
    before = q.data.copy(), p.data.copy()
    p.grad = q.grad = np.ones(2)
    opt.step()
    np.testing.assert_array_equal(q.data, before[0])
    np.testing.assert_allclose(p.data, before[1] - 0.1)
    opt.zero_grad()
    assert p.grad is None
    assert q.grad is None


def test_a_setting_is_an_attribute_where_all_groups_agree() -> None:
    p, q = leaves((2,), (2,))
    opt = SGD([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=0.1, momentum=0.9)
    assert opt.momentum == 0.9
    with pytest.raises(AttributeError, match=r"^the groups of this SGD differ in lr: see param_groups\[i\]"):
        _ = opt.lr
    opt.lr = 0.2
    assert opt.lr == 0.2
    assert [group["lr"] for group in opt.param_groups] == [0.2, 0.2]
    with pytest.raises(ValueError, match=r"^SGD takes a finite number from 0 for lr, not nan$"):
        opt.lr = float("nan")
    with pytest.raises(AttributeError, match=r"^SGD has no attribute 'learning_rate'$"):
        _ = opt.learning_rate
    assert "momentum" in dir(opt)


def test_named_parameters_are_taken() -> None:
    layer = nn.Linear(2, 3, rng=0)
    for opt in (SGD(layer.named_parameters()), SGD([{"params": list(layer.named_parameters())}])):
        assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
        assert all(p is q for p, q in zip(opt.params, layer.parameters()))


REFUSED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "SGD has no setting rate; it has lr, momentum, dampening, weight_decay, nesterov, maximize": lambda p, q: (
        SGD([{"params": [p], "rate": 1}])
    ),
    "SGD takes a group as a dict with its 'params', not {'lr': 0.1}": lambda p, q: SGD([{"lr": 0.1}]),
    "SGD takes a group as a dict with its 'params', not 3": lambda p, q: SGD([{"params": [p]}, 3]),  # type: ignore[list-item]
    "SGD takes a finite number from 0 for lr, not -1": lambda p, q: SGD([{"params": [p], "lr": -1}]),
    "SGD got parameter 1, of shape (2,), twice": lambda p, q: SGD([{"params": [p]}, {"params": [p]}]),
    "SGD got parameter 2, of shape (2,), twice": lambda p, q: SGD([{"params": [p]}, {"params": [q, q]}]),
    "SGD takes Tensors, such as layer.parameters(), not 3": lambda p, q: SGD([p, 3]),  # type: ignore[list-item]
    "SGD takes a list of Tensors, such as layer.parameters(), not one": lambda p, q: SGD(p),
    "SGD takes a name for all parameters of a group, or for none": lambda p, q: SGD([("p", p), q]),  # type: ignore[list-item]
    "SGD with nesterov takes a momentum above 0, and no dampening": lambda p, q: SGD([p], nesterov=True),
    "SGD takes True or False for nesterov, not 1": lambda p, q: SGD([p], nesterov=1),  # type: ignore[arg-type]
    "Adam takes a pair of numbers for betas, not 0.9": lambda p, q: Adam([p], betas=0.9),  # type: ignore[arg-type]
    "Rprop takes the smallest and largest size for step_sizes, not (2, 1)": lambda p, q: optim.Rprop(
        [p], step_sizes=(2, 1)
    ),
    "Rprop takes a factor from 0 to 1 and one above 1 for etas, not (0.5, 0.9)": lambda p, q: optim.Rprop(
        [p], etas=(0.5, 0.9)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_wrong_with_a_group_is_said_in_a_sentence(message: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        REFUSED[message](*leaves((2,), (2,)))
    assert str(caught.value) == message


def test_a_refused_group_changes_nothing() -> None:
    p, q = leaves((2,), (2,))
    opt = SGD([p], lr=0.1)
    for group in ({"params": [q], "lr": -1}, {"params": [q, p]}, {"params": [q], "nesterov": True}):
        with pytest.raises(ValueError, match="SGD"):
            opt.add_param_group(group)
    assert (len(opt.params), len(opt.param_groups), len(opt.state)) == (1, 1, 1)


def test_a_closure_computes_the_gradients_and_its_loss_is_returned() -> None:
    (p,) = leaves((2,))
    opt = SGD([p], lr=0.1)

    def closure() -> Tensor:
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    before = p.data.copy()
    loss = opt.step(closure)
    assert loss.item() == (before**2).sum()
    np.testing.assert_allclose(p.data, 0.8 * before)
    assert opt.step() is None


def test_a_step_that_fails_leaves_no_group_behind() -> None:
    (p,) = leaves((2,))
    opt = optim.Optimizer([p], lr=0.1)
    p.grad = np.ones(2)
    with pytest.raises(NotImplementedError):
        opt.step()
    assert opt.group == {}


# --- state --------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("way", ["as it is", "safetensors", "JSON", "copied", "pickled"])
def test_resumed_steps_are_those_that_would_have_been(
    optimizer: Any, settings: dict[str, Any], way: str, tmp_path: Path
) -> None:
    def make() -> Any:
        p, q, r = leaves((2, 3), (4,), (), dtype=np.float32)
        return optimizer([{"params": [p]}, {"params": [q, r], "lr": 0.03}], **settings)

    opt = make()
    take_steps(opt, 3)
    state = opt.state_dict()
    if way in ("copied", "pickled"):
        resumed = copy.deepcopy(opt) if way == "copied" else pickle.loads(pickle.dumps(opt))
    else:
        resumed = make()
        resumed.param_groups[0]["lr"] = 7.0
        for p, q in zip(resumed.params, opt.params):
            p.data = q.data.copy()
        if way == "safetensors":
            pytest.importorskip("safetensors")
            save_weights(tmp_path / "state.safetensors", state)
            state = load_weights(tmp_path / "state.safetensors")
        elif way == "JSON":
            state = json.loads(json.dumps({key: np.asarray(value).tolist() for key, value in state.items()}))
        resumed.load_state_dict(state)
    for one in (opt, resumed):
        take_steps(one, 3, seed=1)
    for p, q in zip(opt.params, resumed.params):
        np.testing.assert_array_equal(p.data, q.data)
    assert repr(opt) == repr(resumed)
    for kept, other in zip(opt.state, resumed.state):
        assert kept.keys() == other.keys()
        for name in kept:
            assert type(kept[name]) is type(other[name])
            assert not (isinstance(kept[name], np.ndarray) and np.shares_memory(kept[name], other[name]))


def test_a_state_before_the_first_step_is_loaded_too() -> None:
    opt, other = Adam(leaves((2,)), lr=0.3), Adam(leaves((2,)))
    take_steps(other, 2)
    other.load_state_dict(opt.state_dict())
    assert other.lr == 0.3
    assert other.state == [{}]


def test_a_state_is_a_copy_of_what_is_kept() -> None:
    opt = Adam(leaves((2,)), lr=0.1)
    take_steps(opt, 1)
    state = opt.state_dict()
    mean = state["state.0.mean"].copy()
    take_steps(opt, 1)
    np.testing.assert_array_equal(state["state.0.mean"], mean)
    assert state["param_groups.0.betas"] == (0.9, 0.999)
    assert (state["state.0.step"], state["param_groups.0.size"], opt.state[0]["step"]) == (1, 1, 2)


def test_what_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    opt = Adam(leaves((2, 3), (4,)), lr=0.1)
    take_steps(opt, 1)
    fits = opt.state_dict()

    def refused(state: Any, optimizer: Any = opt) -> str:
        before = optimizer.state_dict()
        with pytest.raises(ValueError, match="the state does not fit") as caught:
            optimizer.load_state_dict(state)
        after = optimizer.state_dict()
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[key], after[key]) for key in before)
        assert optimizer.group == {}
        return str(caught.value)

    def without(*keys: str) -> dict[str, Any]:
        return {key: value for key, value in fits.items() if key not in keys}

    says = "the state does not fit Adam: "
    assert refused(without("param_groups.0.lr")) == says + "missing param_groups.0.lr"
    assert (
        refused(without("state.1.mean", "state.1.step"))
        == says + "missing state.1.step; missing state.1.mean"
    )
    assert (
        refused({**fits, "state.0.mean": np.ones(3)}) == says + "state.0.mean: is (3,) and should be (2, 3)"
    )
    assert refused({**fits, "state.0.mean": np.full((2, 3), "x")}) == (
        says + "state.0.mean: holds <U1, and no numbers"
    )
    assert (
        refused({**fits, "state.2.mean": 1, "more": 2}) == says + "unexpected state.2.mean; unexpected more"
    )
    assert refused({**fits, "param_groups.0.lr": -1}) == (
        says + "param_groups.0.lr: Adam takes a finite number from 0 for lr, not -1"
    )
    one = Adam(leaves((2, 3)))
    assert "param_groups.0 has 2 parameters and should have 1" in refused(fits, one)
    assert "unexpected param_groups.0.betas" in refused(fits, SGD(leaves((2, 3), (4,))))
    assert "missing param_groups.1.size" in refused(fits, Adam([{"params": p} for p in leaves((2, 3), (4,))]))
    amsgrad = AdamW(leaves((2, 3), (4,)), amsgrad=True)
    amsgrad.load_state_dict(fits)  # the settings are the state's
    assert amsgrad.amsgrad is False
