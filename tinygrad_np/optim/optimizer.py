"""The base of all optimizers: groups of parameters with settings of their own, and what is kept of each parameter.

An optimizer writes the arrays of its parameters in place. A parameter whose gradient is None is left alone. A
subclass defines `update`, the rule for one array, and `start`, what it keeps of it from step to step.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tinygrad_np.errors import describe_argument
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tensor import Tensor

# Tensors, pairs of a name and a Tensor, or groups: dicts with such "params", and settings of their own.
Parameters: TypeAlias = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class Optimizer:
    """The base of all optimizers: it holds the parameters, and calls `update` for each that has a gradient.

    Each setting, such as ``lr``, is also an attribute: it is read where all groups agree, and set in all of them.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        What to train: ``layer.parameters()`` or ``layer.named_parameters()``; or groups, each a dict with its
        ``"params"`` and the settings that differ.
    lr : float
        The learning rate. May be set between steps.
    **settings
        Those of a subclass, by name: numbers from 0, pairs of them, and bools.

    Attributes
    ----------
    param_groups : list of dict
        Of each group its ``"params"`` and all settings, which may be set between steps; ``"param_names"`` if given.
    params : list of Tensor
        Those of all groups, one after another: `i` is a place in this list.
    state : list of dict
        What is kept of each parameter: arrays and numbers, by name. Empty before its first step.
    group : dict
        In a step, the group whose turn it is.
    """

    below_one: ClassVar[tuple[str, ...]] = ()  # settings that are a share of something
    takes_rows: ClassVar[bool] = False  # whether a row whose gradient is 0 stays as it is

    def __init__(self, params: Parameters, lr: float, **settings: Any):
        self.group: dict[str, Any] = {}
        self.param_groups: list[dict[str, Any]] = []
        self.params: list[Tensor] = []
        self.state: list[dict[str, Any]] = []
        self.kinds: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        parameters = inspect.signature(type(self)).parameters
        self._examples = {  # a value of each setting that is of the right kind
            name: parameters[name].default if name in parameters else value
            for name, value in settings.items()
        }
        self.defaults = {"lr": lr, **settings}  # from here on these names are settings
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__} takes a list of Tensors, such as layer.parameters(), not one"
            )
        given: list[Any] = list(params)
        if not given:
            raise ValueError(f"{type(self).__name__} got no parameters to train")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Train more parameters too: a dict with its ``"params"``, and the settings that differ.

        Raises
        ------
        TypeError, ValueError
            Something among them is no Tensor, frozen, no leaf, or trained already; a setting is unknown, or wrong.
        """
        kind = type(self).__name__
        if not (isinstance(param_group, Mapping) and "params" in param_group):
            raise TypeError(f"{kind} takes a group as a dict with its 'params', not {param_group!r}")
        if unknown := sorted(param_group.keys() - {"params", *self.defaults}):
            raise ValueError(f"{kind} has no setting {', '.join(unknown)}; it has {', '.join(self.defaults)}")
        given = param_group["params"]
        given = [given] if isinstance(given, Tensor) else list(given)
        names = [pair[0] for pair in given if isinstance(pair, tuple) and len(pair) == 2]
        if names:
            if len(names) < len(given) or not all(isinstance(name, str) for name in names):
                raise TypeError(f"{kind} takes a name for all parameters of a group, or for none")
            given = [p for _, p in given]
        seen = {id(p) for p in self.params}
        for i, p in enumerate(given, start=len(self.params)):
            if not isinstance(p, Tensor):
                raise TypeError(f"{kind} takes Tensors, such as layer.parameters(), not {p!r}")
            where = f"{kind} got parameter {i}, of shape {p.shape},"
            if not p.is_leaf:
                raise ValueError(
                    f"{where} that is the result of an operation; make it a Tensor of its own with "
                    "requires_grad=True"
                )
            if not p.requires_grad:
                raise ValueError(f"{where} that is frozen")
            if id(p) in seen:
                raise ValueError(f"{where} twice")
            seen.add(id(p))
        settings = {**self.defaults, **{key: param_group[key] for key in self.defaults if key in param_group}}
        group = {"params": given, **{name: self.checked(name, value) for name, value in settings.items()}}
        self.check_group(group)
        if names:
            group["param_names"] = names
        self.param_groups.append(group)
        self.params += given
        self.state += [{} for _ in given]
        self.kinds += [(p.data.shape, p.data.dtype) for p in given]

    # --- settings ---

    def checked(self, name: str, value: Any) -> Any:
        """A setting, if it is of the kind of its default: a bool, a number from 0, or a pair of them.

        Raises
        ------
        ValueError
            It is not.
        """
        kind, example = type(self).__name__, self._examples.get(name)
        if isinstance(example, tuple):
            if not (isinstance(value, tuple | list) and len(value) == 2):
                raise ValueError(f"{kind} takes a pair of numbers for {name}, not {value!r}")
            return tuple([self._number(name, one) for one in value])
        if isinstance(example, bool):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{kind} takes True or False for {name}, not {value!r}")
            return bool(value)
        return self._number(name, value)

    def _number(self, name: str, value: Any) -> Any:
        """A finite number from 0, and below 1 if it is a share."""
        bound = 1 if name in self.below_one else math.inf
        if not (isinstance(value, numbers.Real) and 0 <= float(value) < bound):
            limit = "" if bound == math.inf else " and below 1"
            raise ValueError(
                f"{type(self).__name__} takes a finite number from 0{limit} for {name}, not {value!r}"
            )
        return value.item() if isinstance(value, np.generic) else value  # a NumPy number would widen float32

    def check_group(self, group: Mapping[str, Any]) -> None:
        """Refuse settings that do not go together, with a ValueError; see `SGD`."""

    def __getattr__(self, name: str) -> Any:
        """A setting: of the group whose turn it is, and outside of a step of all groups."""
        if name not in vars(self).get("defaults", ()):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        values = [group[name] for group in ([self.group] if self.group else self.param_groups)]
        if any(value != values[0] for value in values):
            raise AttributeError(
                f"the groups of this {type(self).__name__} differ in {name}: see param_groups[i][{name!r}]"
            )
        return values[0]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self).get("defaults", ()):
            super().__setattr__(name, value)
            return
        value = self.checked(name, value)
        for group in self.param_groups:
            group[name] = value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.defaults]

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows: what the constructor takes, as it is now, group after group."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "params"]
        parts = []
        for group in self.param_groups:
            values = {**vars(self), **group}
            parts.append(", ".join(f"{name}={values[name]!r}" for name in names if name in values))
        return (
            parts[0] if len(parts) == 1 else "; ".join(f"group {k}: {part}" for k, part in enumerate(parts))
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    # --- steps ---

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with `set_to_none` False, fill them with zeros instead."""
        for p in self.params:
            if p.grad is None:  # of a frozen one too
                continue
            if set_to_none:
                p.grad = None
            else:
                p.grad.fill(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter once.

        Parameters
        ----------
        closure : callable, optional
            Called first: computes the gradients anew, and returns the loss, which is returned.

        Raises
        ------
        ValueError
            A gradient is of another shape or dtype than its parameter, whose ``data`` was replaced.
        """
        loss = None if closure is None else closure()
        i = -1
        try:
            for group in self.param_groups:
                self.group = group
                for p in group["params"]:
                    i += 1
                    g = p.grad
                    if g is None:
                        continue
                    data, kind = p.data, self.kinds[i]
                    if (getattr(data, "shape", None), getattr(data, "dtype", None)) != kind or (
                        g.shape,
                        g.dtype,
                    ) != kind:
                        shape, dtype = kind
                        raise ValueError(
                            f"{type(self).__name__}: parameter {i} was {dtype}{list(shape)}, and is now "
                            f"{describe_argument(data)} with a gradient {describe_argument(g)}: its data was "
                            "replaced by another kind of array; make a new Tensor of it, and a new optimizer"
                        )
                    if not self.state[i]:
                        self.state[i] = self.start(data)
                    if type(g) is RowGrad:
                        self.update_rows(i, data, g)
                    else:
                        self.update(i, data, self.decayed(data, g))
        finally:
            self.group = {}
        return loss

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """What is kept of a parameter, before its first step: arrays of its shape, and numbers."""
        return {}

    def decayed(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient that the rule is given: negated to maximize, and with weight decay.

        Where that is decoupled the weight decays by itself: p -= lr weight_decay p (Loshchilov and Hutter, 2019).
        """
        group = self.group
        if group.get("maximize"):
            g = -g
        if decay := group.get("weight_decay"):
            if group.get("decoupled_weight_decay"):
                p *= 1 - group["lr"] * decay
            else:
                g = g + decay * p
        return g

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """Update `p`, the array of parameter number `i`, in place, by its gradient `g`, left as it is.

        Settings are in ``self.group``, what is kept of it in ``self.state[i]``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def update_rows(self, i: int, p: np.ndarray, g: RowGrad) -> None:
        """Update the rows of `p` that `g` has, and what is kept of them, and touch no others.

        Raises
        ------
        TypeError
            The rule moves rows without a gradient too.
        """
        if not self.takes_rows or self.group.get("momentum") or self.group.get("weight_decay"):
            raise TypeError(
                f"{type(self).__name__}: parameter {i} has a gradient of few rows, and this rule moves all of "
                "them; use SparseAdam, Adagrad or SGD, without momentum and weight_decay, or make an array of it "
                "with p.grad = p.grad.to_dense()"
            )
        rows, kept = g.rows, self.state[i]
        part = p[rows]
        self.state[i] = {name: a[rows] if isinstance(a, np.ndarray) else a for name, a in kept.items()}
        self.update(i, part, self.decayed(part, g.values))
        p[rows] = part
        for name, value in self.state[i].items():
            if isinstance(value, np.ndarray):
                kept[name][rows] = value
            else:
                kept[name] = value
        self.state[i] = kept

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """All settings and a copy of all that is kept, under dotted names: arrays, numbers and pairs of numbers.

        `weights.save_weights` writes it as it is.
        """
        state: dict[str, Any] = {}
        for k, group in enumerate(self.param_groups):
            state[f"param_groups.{k}.size"] = len(group["params"])
            state |= {f"param_groups.{k}.{name}": group[name] for name in self.defaults}
        for i, kept in enumerate(self.state):
            for name, value in kept.items():
                state[f"state.{i}.{name}"] = value.copy() if isinstance(value, np.ndarray) else value
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all settings, and what was kept of each parameter, from a `state_dict`, copied.

        Steps go on as they would have gone without the interruption.

        Raises
        ------
        ValueError
            It is of another kind of optimizer, or of other parameters: all that does not fit is listed, and
            nothing is loaded.
        """
        problems: list[str] = []
        expected: set[str] = set()

        def take(key: str, convert: Callable[[Any], Any]) -> Any:
            expected.add(key)
            if key not in state:
                problems.append(f"missing {key}")
                return None
            try:
                return convert(state[key])
            except (TypeError, ValueError) as error:
                problems.append(f"{key}: {error}")
                return None

        groups: list[dict[str, Any]] = []
        for k, group in enumerate(self.param_groups):
            size, prefix = len(group["params"]), f"param_groups.{k}"
            if take(f"{prefix}.size", int) not in (size, None):
                problems.append(f"{prefix} has {state[f'{prefix}.size']} parameters and should have {size}")
            settings = {name: take(f"{prefix}.{name}", partial(self._loaded, name)) for name in self.defaults}
            groups.append({**group, **settings})
        kept: list[dict[str, Any]] = []
        stepped = {key.rpartition(".")[0] for key in state}  # "state.0" of "state.0.mean"
        for group in [] if problems else groups:
            for p in group["params"]:
                prefix = f"state.{len(kept)}"
                self.group = group
                fresh = self.start(p.data) if prefix in stepped else {}
                self.group = {}
                kept.append({name: take(f"{prefix}.{name}", partial(_like, a)) for name, a in fresh.items()})
        unknown = problems and not kept  # settings do not fit: what is kept by them is not known
        problems += [
            f"unexpected {key}"
            for key in state
            if key not in expected and not (unknown and key.startswith("state."))
        ]
        if problems:
            raise ValueError(f"the state does not fit {type(self).__name__}: {'; '.join(problems)}")
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self.state = kept

    def _loaded(self, name: str, value: Any) -> Any:
        """A setting, of what was saved of it."""
        return self.checked(name, np.asarray(value).tolist())


def _like(start: Any, value: Any) -> Any:
    """What was saved, as the kind of thing that it starts as."""
    array = np.asarray(value)
    if array.shape != np.shape(start):
        raise ValueError(f"is {array.shape} and should be {np.shape(start)}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"holds {array.dtype}, and no numbers")
    return np.array(array, start.dtype) if isinstance(start, np.ndarray) else array.item()
