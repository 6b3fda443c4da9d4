"""Learning rates step by step, against PyTorch's and by hand; schedules combined, saved and gone on from."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, optim
from tinygrad_np.optim import schedules
from tinygrad_np.weights import load_weights, save_weights

STEPS = 100
BASES = (0.5, 0.02)  # the rates of two groups


def ours(kind: Any = optim.SGD, **settings: Any) -> Any:
    groups = [{"params": Tensor(np.ones(2), requires_grad=True), "lr": lr} for lr in BASES]
    return kind(groups, **settings)


MAKERS: dict[str, Callable[[Any, Any], Any]] = {  # of a module of schedules and an optimizer
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "LambdaLR, two": lambda s, o: s.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1.0]),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "StepLR, defaults": lambda s, o: s.StepLR(o, step_size=30),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [30, 5, 5, 60], gamma=0.3),
    "MultiStepLR from 0": lambda s, o: s.MultiStepLR(o, [0, 10]),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR, longer": lambda s, o: s.ConstantLR(o, factor=0.1, total_iters=40),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR, down": lambda s, o: s.LinearLR(o, 1.0, 0.0, 50),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o),
    "PolynomialLR, curved": lambda s, o: s.PolynomialLR(o, total_iters=80, power=2.5),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 100),
    "CosineAnnealingLR, back": lambda s, o: s.CosineAnnealingLR(o, T_max=15, eta_min=0.001),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10),
    "CosineAnnealingWarmRestarts, longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.7, 101),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(
        o, [0.7, 0.1], epochs=11, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.4
    ),
    "OneCycleLR, three": lambda s, o: s.OneCycleLR(
        o,
        max_lr=0.7,
        total_steps=120,
        three_phase=True,
        base_momentum=[0.5, 0.6],
        max_momentum=0.9,
        div_factor=10,
        final_div_factor=100,
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 101)]
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, schedulers=[s.LinearLR(o, 0.1, total_iters=20), s.CosineAnnealingLR(o, 80, 0.001)], milestones=[20]
    ),
    "SequentialLR, three": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9), s.StepLR(o, 3)], milestones=[20, 50]
    ),
    "a Sequential in a Chained": lambda s, o: s.ChainedScheduler(
        [s.StepLR(o, 40, 0.5), s.SequentialLR(o, [s.LinearLR(o, 0.1), s.ExponentialLR(o, 0.9)], [5])]
        if s is schedules
        else [s.LambdaLR(o, lambda t: 0.5 ** (t // 40) * (0.1 + 0.9 * t / 5 if t < 5 else 0.9 ** (t - 5)))]
    ),
}
every_schedule = pytest.mark.parametrize("name", MAKERS)


# --- rates --------------------------------------------------------------------------------------------


@pytest.mark.oracle
@every_schedule
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_rates_are_pytorchs(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    mine = ours(getattr(optim, kind))
    groups = [{"params": [torch.ones(2, requires_grad=True)], "lr": lr} for lr in BASES]
    other = getattr(torch.optim, kind)(groups)
    schedule, theirs = MAKERS[name](schedules, mine), MAKERS[name](torch.optim.lr_scheduler, other)
    for _ in range(STEPS):
        for a, b in zip(mine.param_groups, other.param_groups):
            for key in ("lr", "momentum", "betas"):
                if key in a:
                    np.testing.assert_allclose(a[key], b[key], rtol=1e-10, atol=1e-16)
        np.testing.assert_allclose(schedule.get_last_lr(), theirs.get_last_lr(), rtol=1e-10, atol=1e-16)
        assert schedule.get_last_lr() == [group["lr"] for group in mine.param_groups]
        mine.step()
        other.step()
        schedule.step()
        theirs.step()


PLATEAUS: list[dict[str, Any]] = [
    {},
    {"mode": "max", "factor": 0.5, "patience": 2},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 3},
    {"mode": "max", "patience": 0, "threshold": 0.1, "threshold_mode": "abs", "min_lr": [0.1, 0.001]},
    {"patience": 3, "eps": 0.01, "min_lr": 0.005},
]


@pytest.mark.oracle
@pytest.mark.parametrize("settings", PLATEAUS)
def test_rates_on_a_plateau_are_pytorchs(settings: dict[str, Any], rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    mine = ours()
    groups = [{"params": [torch.ones(2, requires_grad=True)], "lr": lr} for lr in BASES]
    other = torch.optim.SGD(groups)
    schedule = schedules.ReduceLROnPlateau(mine, **settings)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **settings)
    for step in range(STEPS):
        metric = float(np.round(math.exp(-step / 10) + rng.normal() / 10, 2))
        schedule.step(metric if step % 2 else Tensor(metric))
        theirs.step(metric)
        np.testing.assert_allclose(schedule.get_last_lr(), [g["lr"] for g in other.param_groups], rtol=1e-12)
    assert schedule.get_last_lr()[0] < BASES[0]


@pytest.mark.oracle
@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith("a ")])
def test_arguments_by_position_are_pytorchs(name: str) -> None:
    import inspect

    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    kind = name.partition(",")[0].partition(" ")[0]
    mine, theirs = (
        list(inspect.signature(getattr(m, kind)).parameters) for m in (schedules, torch.optim.lr_scheduler)
    )
    assert mine == theirs[: len(mine)]


def rates(schedule: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.step()
    return found


def test_some_rates_by_hand() -> None:
    make = lambda: ours(optim.SGD)
    assert rates(schedules.StepLR(make(), 2, 0.5), 5) == [0.5, 0.5, 0.25, 0.25, 0.125]
    assert rates(schedules.LinearLR(make(), 0.5, total_iters=2), 4) == [0.25, 0.375, 0.5, 0.5]
    assert rates(schedules.LinearLR(make(), 0.5, total_iters=0), 2) == [0.5, 0.5]
    assert rates(schedules.PolynomialLR(make(), 2), 3) == [0.5, 0.25, 0]
    np.testing.assert_allclose(rates(schedules.CosineAnnealingLR(make(), 2), 5), [0.5, 0.25, 0, 0.25, 0.5])
    restarts = schedules.CosineAnnealingWarmRestarts(make(), 2, 2)
    np.testing.assert_allclose(rates(restarts, 5)[:3], [0.5, 0.25, 0.5])
    restarts.step(1.0)  # of epochs
    np.testing.assert_allclose(restarts.get_last_lr(), [0.25, 0.01])
    restarts.step(2.0 + 4 / 3)
    np.testing.assert_allclose(restarts.get_last_lr()[0], 0.375)


def test_a_cycle_may_begin_at_its_top_and_its_last_step_is_followed_by_one() -> None:
    found = rates(schedules.OneCycleLR(ours(), 0.5, 4, pct_start=0.25), 4)
    np.testing.assert_allclose(found, [0.5, 0.375 + 5e-7, 0.125 + 1.5e-6, 2e-6])


def test_chained_schedules_make_their_rates_of_one_another_through_0_too() -> None:
    optimizer = ours()
    parts = [schedules.CosineAnnealingLR(optimizer, 2), schedules.ExponentialLR(optimizer, 0.5)]
    found = rates(schedules.ChainedScheduler(parts), 5)
    np.testing.assert_allclose(found, [0.5, 0.125, 0, 0.25 / 8, 0.5 / 16])


def test_two_schedules_and_the_user_change_one_rate() -> None:
    optimizer = ours()
    one, two = schedules.ExponentialLR(optimizer, 0.5), schedules.StepLR(optimizer, 2, 0.1)
    for step in range(1, 5):
        one.step()
        two.step()
        np.testing.assert_allclose(optimizer.param_groups[0]["lr"], 0.5 * 0.5**step * 0.1 ** (step // 2))
    optimizer.param_groups[0]["lr"] = 0.3
    one.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.15)


def test_a_schedule_that_goes_on_is_told_how_far_it_is() -> None:
    optimizer = ours()
    schedules.ExponentialLR(optimizer, 0.5)
    assert schedules.ExponentialLR(optimizer, 0.5, last_epoch=2).get_last_lr() == [0.5**4, 0.02 * 0.5**3]


# --- saved and gone on from ---------------------------------------------------------------------------


@every_schedule
@pytest.mark.parametrize("way", ["as it is", "safetensors", "JSON"])
def test_a_schedule_goes_on_from_its_state(name: str, way: str, tmp_path: Path) -> None:
    one, two = (MAKERS[name](schedules, ours()) for _ in range(2))
    for _ in range(23):
        one.step()
    state = one.state_dict()
    if way == "safetensors":
        pytest.importorskip("safetensors")
        save_weights(tmp_path / "state.safetensors", state)
        state = load_weights(tmp_path / "state.safetensors")
    elif way == "JSON":
        state = json.loads(json.dumps(state))
    two.load_state_dict(state)
    for _ in range(50):
        assert one.get_last_lr() == two.get_last_lr()
        assert [g["lr"] for g in two.optimizer.param_groups] == two.get_last_lr()
        assert [g["momentum"] for g in one.optimizer.param_groups] == [
            g["momentum"] for g in two.optimizer.param_groups
        ]
        one.step()
        two.step()


def test_a_plateau_goes_on_from_its_state(rng: np.random.Generator) -> None:
    one, two = (schedules.ReduceLROnPlateau(ours(), patience=2, cooldown=1) for _ in range(2))
    metrics = rng.random(30)
    for metric in metrics[:12]:
        one.step(metric)
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for metric in metrics[12:]:
        one.step(metric)
        two.step(metric)
        assert one.get_last_lr() == two.get_last_lr() == [g["lr"] for g in two.optimizer.param_groups]
    assert one.get_last_lr()[0] < 0.5


def test_a_state_that_does_not_fit_is_refused_and_nothing_is_loaded() -> None:
    optimizer = ours()
    schedule = schedules.SequentialLR(
        optimizer, [schedules.LinearLR(optimizer), schedules.StepLR(optimizer, 2)], [5]
    )
    state = schedule.state_dict()
    other = {"last_epoch": 7, "from_lrs": [1.0], "gamma": 1}
    with pytest.raises(ValueError, match="the state") as caught:
        schedule.load_state_dict(other)
    assert str(caught.value) == (
        "the state does not fit SequentialLR: missing base_lrs; unexpected gamma; "
        "from_lrs is (1,) and should be (2,)"
    )
    assert schedule.state_dict() == state


# --- what is refused ----------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[Any], Any]] = {
    "LambdaLR takes one lr_lambda, or one for each of the 2 groups, not 1": lambda o: schedules.LambdaLR(
        o, [abs]
    ),
    "StepLR takes a step_size from 1, not 0": lambda o: schedules.StepLR(o, 0),
    "CosineAnnealingLR takes a T_max above 0, not 0": lambda o: schedules.CosineAnnealingLR(o, 0),
    "CosineAnnealingWarmRestarts takes a T_0 above 0 and a T_mult from 1, not 2 and 0": lambda o: (
        schedules.CosineAnnealingWarmRestarts(o, 2, 0)
    ),
    "OneCycleLR takes total_steps, or epochs and steps_per_epoch": lambda o: schedules.OneCycleLR(
        o, 0.1, epochs=2
    ),
    "OneCycleLR takes 'cos' or 'linear' for anneal_strategy, not 'line'": lambda o: schedules.OneCycleLR(
        o,
        0.1,
        5,
        anneal_strategy="line",  # type: ignore[arg-type]
    ),
    "OneCycleLR takes one max_lr, or one for each of the 2 groups, not 3": lambda o: schedules.OneCycleLR(
        o, [1] * 3, 5
    ),
    "OneCycleLR cycles momentum or betas, and Adagrad has neither; give it cycle_momentum=False": lambda o: (
        schedules.OneCycleLR(ours(optim.Adagrad), 0.1, 5)
    ),
    "OneCycleLR has 2 steps, and this is number 3": lambda o: rates(schedules.OneCycleLR(o, 0.1, 2), 3),
    "ReduceLROnPlateau takes a factor below 1, not 1.0": lambda o: schedules.ReduceLROnPlateau(o, factor=1.0),
    "ReduceLROnPlateau takes 'min' or 'max' for mode and 'rel' or 'abs' for threshold_mode, not 'best' and 'rel'": (
        lambda o: schedules.ReduceLROnPlateau(o, "best")  # type: ignore[arg-type]
    ),
    "ChainedScheduler got no schedules": lambda o: schedules.ChainedScheduler([]),
    "ChainedScheduler takes schedules of one optimizer, and these have several": lambda o: (
        schedules.ChainedScheduler([schedules.StepLR(o, 1), schedules.StepLR(ours(), 1)])
    ),
    "ChainedScheduler takes no ReduceLROnPlateau, which asks for a metric at each step": lambda o: (
        schedules.ChainedScheduler([schedules.ReduceLROnPlateau(o)])
    ),
    "SequentialLR takes a milestone between two schedules, and got 1 for 1": lambda o: schedules.SequentialLR(
        o, [schedules.StepLR(o, 1)], [3]
    ),
    "SGD takes a finite number from 0 for lr, not nan": lambda o: schedules.LambdaLR(o, lambda t: math.nan),
    "LRScheduler defines no rate": lambda o: schedules.LRScheduler(o),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_wrong_is_said_in_a_sentence(message: str) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as caught:
        REFUSED[message](ours())
    assert str(caught.value) == message


def test_a_group_that_joined_later_is_told_of() -> None:
    optimizer = ours()
    schedule = schedules.StepLR(optimizer, 1)
    optimizer.add_param_group({"params": Tensor([1.0], requires_grad=True)})
    says = "^StepLR was made for 2 groups of parameters, and there are 3 now; make a new one$"
    with pytest.raises(ValueError, match=says):
        schedule.step()


def test_every_schedule_is_tried() -> None:
    tried = {name.partition(",")[0].partition(" ")[0] for name in MAKERS}
    public = {
        name
        for name, thing in vars(schedules).items()
        if isinstance(thing, type) and issubclass(thing, schedules.LRScheduler)
    }
    assert public - tried == {"LRScheduler", "Combined", "ReduceLROnPlateau"}
