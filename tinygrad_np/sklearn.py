"""A network as an estimator of scikit-learn: `Classifier` and `Regressor`, around any layer.

They keep scikit-learn's conventions, so that they go into its pipelines, grid searches and cross-validations. What
they add to a layer is little: X and y are checked as scikit-learn checks them, the module is built,
`tinygrad_np.training.fit` trains it, and its outputs become classes, probabilities or numbers.

Needs the extra ``sklearn``: ``pip install tinygrad_np[sklearn]``.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_np import Tensor, nn, optim
from tinygrad_np import functional as F
from tinygrad_np.data import Batches
from tinygrad_np.extras import import_optional
from tinygrad_np.nn.layer import check_sizes, named_settings
from tinygrad_np.training import fit, predict

base = import_optional("sklearn.base")
BaseEstimator: Any = base.BaseEstimator
ClassifierMixin: Any = base.ClassifierMixin
RegressorMixin: Any = base.RegressorMixin
model_selection = import_optional("sklearn.model_selection")
metaestimators = import_optional("sklearn.utils.metaestimators")
multiclass = import_optional("sklearn.utils.multiclass")
checks = import_optional("sklearn.utils.validation")

PREFIXES = ("module__", "criterion__", "optimizer__")  # module__hidden is the setting hidden of the module

PROBABILITIES: dict[Any, Callable[[Tensor], Tensor]] = {  # of the outputs that a loss takes
    F.cross_entropy: lambda z: F.softmax(z, axis=-1),
    F.nll_loss: lambda log_p: log_p.exp(),
    F.binary_cross_entropy_with_logits: F.sigmoid,
}


class MLP(nn.Layer):
    """What is trained unless a module is given: a layer of units with ReLU, and a linear layer.

    Parameters
    ----------
    in_features, out_features : int
        Columns of X; classes, or columns of y.
    hidden : int
        Units.
    rng : numpy.random.Generator, int or None
        Draws the initial weights.
    dtype : dtype
        Of the weights: float64, as scikit-learn's own numbers are.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int = 32,
        *,
        rng: Any = None,
        dtype: Any = np.float64,
    ):
        rng = np.random.default_rng(rng)
        self.hidden = nn.Linear(in_features, hidden, rng=rng, dtype=dtype)
        self.output = nn.Linear(hidden, out_features, rng=rng, dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        """(rows, in_features) to (rows, out_features)."""
        return self.output(F.relu(self.hidden(x)))


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What `Classifier` and `Regressor` share: settings, the checks of X, building, training.

    A subclass says what y and the outputs of the module are. `_learn_targets` and `_known_targets` make targets of
    y, `_width` is how many outputs a row has, and `_aligned` gives outputs the shape that the criterion takes.
    """

    _default_criterion: ClassVar[Any]
    _checks_of_y: ClassVar[dict[str, Any]] = {}
    _stratified: ClassVar[bool] = False  # whether the rows for validation have the targets in the same shares

    def __init__(
        self,
        module: Any = MLP,
        *,
        criterion: Any = None,
        optimizer: Any = optim.Adam,
        lr: float = 0.01,
        max_epochs: int = 50,
        batch_size: int = 128,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        callbacks: Sequence[Callable[[Any], Any]] = (),
        dtype: Any = None,
        random_state: Any = None,
        verbose: bool = False,
        **settings: Any,
    ):
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose
        self.__dict__.update(settings)  # scikit-learn wants no error here: `fit` refuses what is no setting

    # --- settings ---

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All settings by name, those with a prefix that were given among them."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_") and not k.endswith("_")}

    def set_params(self, **params: Any) -> Self:
        """Change settings by name; a new one with a prefix too."""
        prefixed = {name: value for name, value in params.items() if name.startswith(PREFIXES)}
        super().set_params(**{name: value for name, value in params.items() if name not in prefixed})
        self.__dict__.update(prefixed)
        return self

    def _settings(self, prefix: str) -> dict[str, Any]:
        """Those that were given with a prefix."""
        return {k.removeprefix(prefix): v for k, v in vars(self).items() if k.startswith(prefix)}

    # --- training ---

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Build the module, and train it for `max_epochs`.

        Parameters
        ----------
        X : array_like
            (rows, columns), or with more axes: (rows, time, features), (rows, channels, height, width).
        y : array_like
            (rows,); for a `Regressor` also (rows, columns).
        sample_weight : array_like, optional
            (rows,): how much a row counts, from 0. One of weight 2 counts as two rows.

        Raises
        ------
        ValueError
            scikit-learn refuses X or y: NaN, lengths that differ, one class; or the outputs do not fit y.
        TypeError
            The module, the criterion or the optimizer does not take its settings.
        """
        check_sizes(type(self).__name__, 1, max_epochs=self.max_epochs)
        X, y = checks.validate_data(self, X, y, allow_nd=True, **self._checks_of_y)
        targets = self._learn_targets(y)
        self._build(X, targets)
        self.history_ = self._train(X, targets, sample_weight, self.max_epochs, *self._split(targets))
        return self

    def _one_epoch(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """`partial_fit`: one epoch over these rows, from where the last training ended."""
        before = getattr(self, "history_", [])
        X, y = checks.validate_data(self, X, y, reset=not before, allow_nd=True, **self._checks_of_y)
        if before:
            targets = self._known_targets(y)
        else:
            targets = self._learn_targets(y, classes)
            self._build(X, targets)
        row = self._train(X, targets, sample_weight, 1, np.arange(len(targets)), None)[0]
        if before:
            row = {**row, "epoch": before[-1]["epoch"] + 1, "step": before[-1]["step"] + row["step"]}
        self.history_ = [*before, row]
        return self

    def _split(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows to train on, and those to validate on."""
        rows, fraction = np.arange(len(targets)), self.validation_fraction
        if not 0 <= fraction < 1:
            raise ValueError(f"validation_fraction is {fraction!r}; it has to be a number from 0 to below 1")
        if fraction:
            seed = int(self._rng.integers(2**31))
            strata = targets if self._stratified else None
            trained, held_out = model_selection.train_test_split(
                rows, test_size=fraction, random_state=seed, stratify=strata
            )
            return trained, held_out
        if self.patience is not None:
            raise ValueError(
                "patience counts the epochs in which the validation loss does not fall, "
                "so it needs a validation_fraction above 0"
            )
        return rows, None

    def _build(self, X: np.ndarray, y: np.ndarray) -> None:
        """A new module, with its optimizer, for data of this kind."""
        known = self._get_param_names()
        for name in self.get_params():
            if name not in known and not name.startswith(PREFIXES):
                raise TypeError(
                    f"{type(self).__name__} has no setting {name!r}; those of what it builds are written "
                    f"{', '.join(f'{prefix}{name}' for prefix in PREFIXES)}"
                )
        self._rng = as_generator(self.random_state)
        settings = self._settings("module__")
        if isinstance(self.module, nn.Layer):
            _refuse_settings("module", self.module, settings)
            self.module_ = copy.deepcopy(self.module)  # each training starts from the module as it was given
        else:
            offered = {
                "in_features": X.shape[-1],
                "out_features": self._width(y),
                "rng": self._rng.spawn(1)[0],
            }
            taken = inspect.signature(self.module).parameters
            settings = {name: value for name, value in offered.items() if name in taken} | settings
            self.module_ = _called("module", self.module, settings)
            if not isinstance(self.module_, nn.Layer):
                raise TypeError(f"module has to give a Layer, and gave {type(self.module_).__name__}")
        settings = {"lr": self.lr, **self._settings("optimizer__")}
        self.optimizer_ = _called("optimizer", partial(self.optimizer, self.module_.parameters()), settings)

    def _train(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        sample_weight: Any,
        epochs: int,
        rows: np.ndarray,
        held_out: np.ndarray | None,
    ) -> list[dict[str, Any]]:
        """Train the module on some rows, validate it on others, and return the history."""
        inputs, weighted = self._as_input(X), sample_weight is not None
        if weighted:
            targets = _beside(targets, _checked_weights(sample_weight, X))
        training = fit(
            self.module_,
            self._loss(weighted),
            Batches((inputs[rows], targets[rows]), self.batch_size, shuffle=True, rng=self._rng),
            None if held_out is None else Batches((inputs[held_out], targets[held_out]), self.batch_size),
            self.optimizer_,
            epochs=epochs,
            metrics=self._metrics(weighted),
            patience=None if held_out is None else self.patience,
            callbacks=self.callbacks,
            progress=bool(self.verbose),
        )
        self.module_.eval()
        return training.history

    def _loss(self, weighted: bool) -> Callable[[Tensor, np.ndarray], Tensor]:
        """The criterion as a function of the module's outputs and a batch of targets."""
        criterion, settings = self._criterion(), self._settings("criterion__")
        if isinstance(criterion, nn.Layer):
            _refuse_settings("criterion", criterion, settings)
        if weighted:
            settings["reduction"] = "none"  # a loss for each row
        if isinstance(criterion, nn.Layer):
            criterion = copy.copy(criterion)
            vars(criterion).update(settings)
        elif isinstance(criterion, type):
            criterion = _called("criterion", criterion, settings)
        else:
            criterion = partial(criterion, **settings)
        if not weighted:
            return lambda outputs, y: criterion(self._aligned(outputs), y)

        def weighted_loss(outputs: Tensor, targets: np.ndarray) -> Tensor:
            losses: Tensor = criterion(self._aligned(outputs), targets["y"])
            if losses.shape[:1] != targets.shape:
                raise ValueError("sample_weight needs a criterion with reduction='none': a loss for each row")
            weight = targets["weight"].astype(losses.dtype)
            mean: Tensor = (losses * weight.reshape(-1, *[1] * (losses.ndim - 1))).mean()
            return mean

        return weighted_loss

    def _metrics(self, weighted: bool) -> dict[str, Callable[[Tensor, np.ndarray], float]]:
        """What stands in the history beside the loss."""
        return {}

    def _criterion(self) -> Any:
        """The one that was given, or the default."""
        return self._default_criterion if self.criterion is None else self.criterion

    # --- prediction ---

    def _outputs(self, X: Any) -> Tensor:
        """What the module gives for the rows of X."""
        checks.check_is_fitted(self, "history_")
        inputs = self._as_input(checks.validate_data(self, X, reset=False, allow_nd=True))
        outputs: Tensor = self._aligned(Tensor(predict(self.module_, Batches(inputs, self.batch_size))))
        return outputs

    def _as_input(self, X: np.ndarray) -> np.ndarray:
        """X in `dtype`, or in that of the weights.

        Raises
        ------
        ValueError
            A number of it is none of that dtype.
        """
        dtype = np.dtype(self.module_.parameters()[0].dtype if self.dtype is None else self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            converted = X.astype(dtype, copy=False)
        lost = ~np.isfinite(converted) if dtype.kind == "f" else converted != X
        if lost.any():
            raise ValueError(f"X holds {X[lost][0]}, which is no {dtype}")
        return converted


def _called(what: str, function: Any, settings: dict[str, Any]) -> Any:
    """A function called with settings; those that it has not are told in one sentence."""
    inner = function.func if isinstance(function, partial) else function
    named_settings(f"{what} {getattr(inner, '__name__', inner)}", inspect.signature(function), (), settings)
    return function(**settings)


def _refuse_settings(what: str, layer: nn.Layer, settings: dict[str, Any]) -> None:
    """Refuse settings of a layer that is built already."""
    if settings:
        raise TypeError(
            f"{what} is a {type(layer).__name__} that is built already, so it takes no "
            f"{', '.join(f'{what}__{name}' for name in settings)}; give its class instead"
        )


def as_generator(random_state: Any) -> np.random.Generator:
    """What scikit-learn takes for a `random_state`, as a Generator."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31)
    return np.random.default_rng(random_state)


def _checked_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Weights of rows, scaled to a mean of 1.

    Raises
    ------
    ValueError
        They are not one finite number from 0 for each row, or all are zero.
    """
    weight: np.ndarray = checks.check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (len(X),):
        raise ValueError(f"sample_weight has shape {weight.shape}, and X has {len(X)} rows")
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight has to be numbers from 0 that are not all zero")
    scaled: np.ndarray = weight / weight.mean()
    return scaled


def _beside(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Targets and weights as fields of one array, so that they are shuffled and cut together."""
    targets = np.empty(len(y), [("y", y.dtype, y.shape[1:]), ("weight", weight.dtype)])
    targets["y"], targets["weight"] = y, weight
    return targets


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A layer that tells classes apart, as an estimator of scikit-learn.

    Parameters
    ----------
    module : type, callable or Layer
        A class of layers, or a function that makes one, called with the settings ``module__...``. Where it takes
        ``in_features`` (the length of X's last axis), ``out_features`` (classes; 1 for BCEWithLogitsLoss) or
        ``rng`` (a Generator), it gets them unless they are among the settings. Of a layer that is built already,
        each training takes a copy.
    criterion : type, callable or Layer, optional
        The loss of outputs (rows, classes) and classes as whole numbers: a class of `nn` such as CrossEntropyLoss,
        which it is unless given, with settings ``criterion__...``; or a function. BCEWithLogitsLoss takes one logit
        a row, for two classes.
    optimizer : type or callable
        Called with the parameters, `lr`, and the settings ``optimizer__...``.
    lr : float
        The learning rate.
    max_epochs, batch_size : int
        How often `fit` goes through the rows, and rows a step.
    validation_fraction : float
        The share of the rows, drawn with the classes in equal shares, on which each epoch is validated and which
        `fit` does not train on. 0 for none.
    patience : int, optional
        Stop after so many epochs without a smaller validation loss, and take the weights of the best one.
    callbacks : sequence of callable
        Called with the state of the training after each epoch; see `tinygrad_np.training.fit`.
    dtype : dtype, optional
        Of X as the module gets it: that of the weights unless given. ``int`` for token ids.
    random_state : int, numpy.random.RandomState or numpy.random.Generator, optional
        Shuffles, splits, and is the module's `rng`. None draws anew each time.
    verbose : bool
        Show the progress.

    Attributes
    ----------
    classes_ : ndarray
        The labels of y, sorted.
    module_ : Layer
        The trained module.
    optimizer_ : Optimizer
        As it is after the last step.
    history_ : list of dict
        A row an epoch: losses and accuracies.
    n_features_in_ : int
        Columns of X; and ``feature_names_in_`` where it was a data frame.
    """

    _default_criterion = nn.CrossEntropyLoss
    _stratified = True

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over these rows, from where the last training ended.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes : array_like, optional
            All labels that there will be, in the first call; without it they are those of the first y.

        Raises
        ------
        ValueError
            A label is none of the classes, and as `fit`.
        """
        fitted = hasattr(self, "history_")
        if fitted and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {list(classes)}, and at first were {self.classes_.tolist()}")
        return self._one_epoch(X, y, sample_weight, classes)

    def _learn_targets(self, y: np.ndarray, classes: Any = None) -> np.ndarray:
        multiclass.check_classification_targets(y)
        self.classes_ = np.unique(y if classes is None else classes)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Classifier needs two classes to tell apart, and y has one class: {self.classes_.tolist()}"
            )
        if self._loss_function() is F.binary_cross_entropy_with_logits and len(self.classes_) > 2:
            raise ValueError(
                f"a criterion of yes and no tells two classes apart, and there are {len(self.classes_)}: "
                "take CrossEntropyLoss"
            )
        return self._known_targets(y)

    def _known_targets(self, y: np.ndarray) -> np.ndarray:
        """Labels as the places of their classes."""
        multiclass.check_classification_targets(y)
        if unknown := np.setdiff1d(y, self.classes_).tolist():
            raise ValueError(f"y has labels that are none of the classes {self.classes_.tolist()}: {unknown}")
        return np.searchsorted(self.classes_, y)

    def _loss_function(self) -> Any:
        """The function of the criterion, be that a class, a layer or the function itself."""
        criterion = self._criterion()
        return getattr(criterion, "function", criterion)

    def _width(self, y: np.ndarray) -> int:
        return 1 if self._loss_function() is F.binary_cross_entropy_with_logits else len(self.classes_)

    def _aligned(self, outputs: Tensor) -> Tensor:
        n = len(self.classes_)
        if self._loss_function() is F.binary_cross_entropy_with_logits:
            if outputs.shape[1:] not in ((), (1,)):
                raise ValueError(f"the module gives {outputs.shape}, and its criterion takes a logit a row")
            return outputs.reshape(-1)
        if outputs.shape[1:] != (n,):
            raise ValueError(
                f"the module gives {outputs.shape}, and there are {n} classes: it has to give (rows, {n})"
            )
        return outputs

    def _metrics(self, weighted: bool) -> dict[str, Callable[[Tensor, np.ndarray], float]]:
        def accuracy(outputs: Tensor, targets: np.ndarray) -> float:
            found = _places(_scores(self._aligned(outputs).data))
            right = (found == targets["y"]) * targets["weight"] if weighted else found == targets
            return float(right.mean())

        return {"accuracy": accuracy}

    def decision_function(self, X: Any) -> np.ndarray:
        """The outputs of the module, (rows, classes); of two classes the second less the first, (rows,)."""
        return _scores(self._outputs(X).data)

    @metaestimators.available_if(lambda self: self._loss_function() in PROBABILITIES)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (rows, classes), where the criterion is one of probabilities."""
        p = PROBABILITIES[self._loss_function()](self._outputs(X)).data
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        places = _places(self.decision_function(X))
        labels: np.ndarray = self.classes_[places]
        return labels


def _scores(outputs: np.ndarray) -> np.ndarray:
    """What scikit-learn calls a decision: a number for each class; of two classes one, above 0 for the second."""
    return outputs[:, 1] - outputs[:, 0] if outputs.shape[1:] == (2,) else outputs


def _places(scores: np.ndarray) -> np.ndarray:
    """The class that scores tell, as its place among the classes."""
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.int64)


def _more(shape: tuple[int, ...]) -> str:
    """What follows the number of rows in a shape."""
    return "".join(f", {n}" for n in shape) or ","


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A layer that gives numbers, as an estimator of scikit-learn; y may have several columns.

    Settings and attributes are those of `Classifier`, without classes: the criterion is MSELoss unless given, and
    `out_features` the columns of y, 1 where it is (rows,).
    """

    _default_criterion = nn.MSELoss
    _checks_of_y: ClassVar[dict[str, Any]] = {"y_numeric": True, "multi_output": True}

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over these rows, from where the last training ended. See `fit`."""
        return self._one_epoch(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _learn_targets(self, y: np.ndarray, classes: Any = None) -> np.ndarray:
        self._shape = y.shape[1:]
        return y

    def _known_targets(self, y: np.ndarray) -> np.ndarray:
        if y.shape[1:] != self._shape:
            raise ValueError(f"y has the shape {y.shape}, and at first it was (rows{_more(self._shape)})")
        return y

    def _width(self, y: np.ndarray) -> int:
        return y.shape[1] if y.ndim == 2 else 1

    def _aligned(self, outputs: Tensor) -> Tensor:
        if not self._shape and outputs.shape[1:] == (1,):
            outputs = outputs.reshape(-1)
        if outputs.shape[1:] != self._shape:
            raise ValueError(f"the module gives {outputs.shape}, and y is (rows{_more(self._shape)})")
        return outputs

    def predict(self, X: Any) -> np.ndarray:
        """The numbers that the module gives: (rows,), or (rows, columns) as y had them."""
        return self._outputs(X).data
