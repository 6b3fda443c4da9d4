"""``python -m models.tutorial_lstm``: see `models.tutorial_lstm.cli`."""

from models.commands import start

start("models.tutorial_lstm.cli")
