"""The search for settings: Optuna tries some, learns from their validation loss, and ends hopeless trainings early.

A study is a directory with a journal of all trials, to which any number of processes may write at the same time:
the same command again joins the search, or goes on with it. The test reviews are never looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import report
from models.sentiment.config import Config, configured
from models.sentiment.sources import load_train
from models.sentiment.train import train_model
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.parallel import Workers
from tinygrad_np.training import Training

SPACE: dict[str, Callable[[Any, str], Any]] = {  # of each setting that is searched: how a trial chooses
    "hidden": lambda trial, name: trial.suggest_categorical(name, [16, 32, 64, 128]),
    "layers": lambda trial, name: trial.suggest_int(name, 1, 2),
    "bidirectional": lambda trial, name: trial.suggest_categorical(name, [False, True]),
    "pooling": lambda trial, name: trial.suggest_categorical(name, ["mean", "max", "mean-max", "attention"]),
    "norm": lambda trial, name: trial.suggest_categorical(name, ["none", "batch", "layer"]),
    "init": lambda trial, name: trial.suggest_categorical(name, ["default", "xavier", "orthogonal"]),
    "dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.6),
    "input_dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.4),
    "recurrent_dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.4),
    "word_dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.3),
    "lr": lambda trial, name: trial.suggest_float(name, 3e-4, 3e-2, log=True),
    "weight_decay": lambda trial, name: trial.suggest_float(name, 1e-4, 1e-1, log=True),
    "schedule": lambda trial, name: trial.suggest_categorical(name, ["constant", "cosine"]),
}
STUDY = "sentiment"
PLOTS = ("optimization_history", "intermediate_values", "param_importances")
FEWEST = 2  # trials without which nothing can be said of importance


def tune(directory: Path, given: dict[str, Any], trials: int) -> tuple[dict[str, Any], float]:
    """Search until a study has so many trials, and draw it; the settings of the best one, and its loss.

    Parameters
    ----------
    directory : Path
        Of the study, which goes on if it is there.
    given : dict
        Settings that are not searched, ``data`` among them.
    trials : int
        How many there shall be, those of earlier commands and of other processes included.

    Raises
    ------
    ValueError
        The study was begun with other settings; or no trial has come to its end.
    """
    for extra in ("plotly", "matplotlib.pyplot", "sklearn.ensemble"):
        import_optional(extra)  # one that is missing is told before the work
    study = open_study(directory, given)
    train, validation = load_train(configured(given))

    def objective(trial: Any) -> float:
        chosen = {name: choose(trial, name) for name, choose in SPACE.items() if name not in given}
        config = configured(given | chosen)
        return validation_loss(trial, config, train, validation)

    states = import_optional("optuna.trial").TrialState
    ended = (states.COMPLETE, states.PRUNED)
    if len(study.get_trials(deepcopy=False, states=ended)) < trials:
        enough = import_optional("optuna.study").MaxTrialsCallback(trials, states=ended)
        study.optimize(objective, callbacks=[enough])
    if len(study.get_trials(deepcopy=False, states=(states.COMPLETE,))) < FEWEST:
        raise ValueError(
            f"fewer than {FEWEST} trials of {directory} have come to their end: ask for more --trials"
        )
    draw(study, directory)
    return given | study.best_trial.params, study.best_value


def open_study(directory: Path, given: dict[str, Any]) -> Any:
    """The study of a directory, made if it is not there."""
    optuna = import_optional("optuna")
    journal = import_optional("optuna.storages.journal")
    directory.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(directory / "study.journal")))
    study = optuna.create_study(
        storage=storage,
        study_name=STUDY,
        load_if_exists=True,
        direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )
    # a process that joins draws other trials than the first one did
    study.sampler = optuna.samplers.TPESampler(
        seed=given.get("seed", 0) + len(study.get_trials(deepcopy=False))
    )
    fixed = {name: value for name, value in given.items() if name != "data_dir"}
    if study.user_attrs.setdefault("given", fixed) != fixed:
        raise ValueError(
            f"the study in {directory} was begun with {described(study.user_attrs['given'])}, and this command "
            f"says {described(fixed)}: go on as it was begun, or take another directory"
        )
    study.set_user_attr("given", fixed)
    return study


def described(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))


def validation_loss(trial: Any, config: Config, train: Any, validation: Any) -> float:
    """Train with the settings of a trial; the smallest validation loss of its epochs.

    Raises
    ------
    optuna.TrialPruned
        It is worse than half of the trials before it were at this epoch; or its loss became infinite.
    """
    pruned = import_optional("optuna").TrialPruned

    def report(training: Training) -> None:
        trial.report(training.history[-1]["validation_loss"], training.epoch)
        training.stop = trial.should_prune()

    try:
        trained = train_model(config, train, validation, {}, Workers(), progress=False, callbacks=[report])
    except ValueError as error:
        if "the loss became" not in str(error):
            raise
        raise pruned(str(error)) from error
    if trial.should_prune():
        raise pruned
    best = min(trained.history, key=lambda row: float(row["validation_loss"]))
    trial.set_user_attr("validation_accuracy", best["validation_accuracy"])
    trial.set_user_attr("best_epoch", best["epoch"])
    return float(best["validation_loss"])


def draw(study: Any, directory: Path) -> None:
    """The plots of a study as PNG, and in `study.html`, which needs no other file, with those of the settings."""
    import_optional("matplotlib").use("agg")  # no windows
    pyplot = import_optional("matplotlib.pyplot")
    interactive, still = (import_optional(f"optuna.visualization{kind}") for kind in ("", ".matplotlib"))
    figures = [getattr(interactive, f"plot_{name}")(study) for name in (*PLOTS, "slice")]
    for name in PLOTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls its use of matplotlib experimental
            axes = getattr(still, f"plot_{name}")(study)
        if name == "intermediate_values":
            axes.get_legend().remove()  # it names every trial
        report.save(axes.figure, directory / f"{name}.png")
        pyplot.close(axes.figure)
    parts = [figure.to_html(full_html=False, include_plotlyjs=figure is figures[0]) for figure in figures]
    page = f'<!doctype html>\n<meta charset="utf-8">\n<title>Search</title>\n{"".join(parts)}\n'
    with atomic_write(directory / "study.html") as part:
        part.write_text(page, encoding="utf-8")
