"""``python -m models.sentiment``: see `models.sentiment.cli`."""

from models.commands import start

start("models.sentiment.cli")
