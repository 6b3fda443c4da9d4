"""``python -m models.sentiment``: see `models.sentiment.cli`."""

import sys

from models.sentiment.cli import main

sys.exit(main())
