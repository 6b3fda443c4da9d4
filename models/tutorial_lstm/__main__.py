"""``python -m models.tutorial_lstm``: see `models.tutorial_lstm.cli`."""

import sys

from models.tutorial_lstm.cli import main

sys.exit(main())
