# The two commands of the README, and what CI runs. Each makes the virtual environment that it needs.

PYTHON ?= python3
BIN = .venv/bin
# The matrices here are small: a second BLAS thread costs more than it gains.
export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test thorough faults lint clean

demo: .venv/demo
	$(BIN)/python -m models.sentiment train --data demo --out runs/demo --resume
	$(BIN)/python -m models.sentiment predict --run runs/demo \
	  "The plot was not good here and the music was really dull to me." \
	  "The plot was good here and the music was not really dull to me." \
	  "The opening was dull overall but the ending was wonderful to me." \
	  "The opening was wonderful overall but the ending was dull to me."
	@echo "learning curves: runs/demo/loss.png"

test: .venv/test
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

# Other random examples each time: 1,300 for each derivative of each primitive, first and second, over 100,000.
thorough: .venv/test
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -q tests/test_rows.py
	$(BIN)/python -m tinygrad_np.gradcheck --cases 2000

# Random calls, damaged files, killed trainings, forks: in under ten minutes; docs/reliability.md says what has to hold.
faults: .venv/test
	$(BIN)/python -m tests.faults

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file a set of extras marks that it is installed, until pyproject.toml changes.
.venv/%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv .venv-oracle runs build *.egg-info
