"""The settings of one training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """The settings of one training, kept in its ``config.json``. A size of None is all there is."""

    data: str
    data_dir: str | None
    embeddings: str
    train_size: int | None
    test_size: int | None
    epochs: int
    hidden: int
    batch_size: int
    lr: float
    seed: int


DEFAULTS = {  # where the command line says nothing
    "demo": {"embeddings": "learned", "epochs": 14, "hidden": 32, "lr": 1e-2},
    "imdb": {"embeddings": "glove", "epochs": 6, "hidden": 64, "lr": 3e-3},
}
