"""Several workers give what one gives, and none is left behind, however they end.

The workers run in programs of their own: this file, as ``python -m tests.test_parallel``, in a process group
and with pipes of its own. Its pipes are at their end when the last process that holds them is gone, so that
reading them to their end is also the check that nobody is left.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.sentiment.cli import main
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.encoding import Examples
from models.sentiment.model import SentimentNetwork
from tinygrad_np import parallel
from tinygrad_np.data import Batches
from tinygrad_np.nn import Embedding
from tinygrad_np.optim import Adam
from tinygrad_np.training import fit, sharing
from tinygrad_np.training.loop import Loop

# beside this Python, as the extra `mpi` brings it, or on PATH
FOUND = shutil.which(
    "mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
MPIEXEC = [FOUND or "mpiexec", "-n", "2"]
needs_mpi = pytest.mark.skipif(
    FOUND is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpiexec and mpi4py: pip install 'tinygrad_np[mpi]' brings both",
)
SMALL = ["--train-size", "60", "--test-size", "20", "--epochs", "4", "--hidden", "4"]


def program(*args: str | Path, launcher: list[str] | None = None) -> tuple[int, str]:
    """Run this file's main; its exit status and what it said on stderr, once all its processes are gone."""
    started = subprocess.Popen(
        [*(launcher or []), sys.executable, "-W", "error", "-m", "tests.test_parallel", *map(str, args)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        _, errors = started.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        raise
    return started.returncode, errors


class Unsharded(parallel.ShardedGenerator):
    """A mistake: each worker draws for its own rows alone."""

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]
        return np.random.Generator.random(self, size, dtype)


# --- what the programs do -------------------------------------------------------------------------------


def record(size: int, out: str, how: str) -> None:
    """An epoch in float64 with lengths, dropout and a last batch of one; the gradients of each of its steps."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 9, 21)
    examples = Examples([rng.integers(2, 12, n) for n in lengths], rng.integers(0, 2, 21))
    embedding = Embedding(12, DIMENSIONS, padding_idx=0, rng=rng, dtype=np.float64)
    model = SentimentNetwork(
        Config(hidden=5, word_dropout=0.1, input_dropout=0.1, recurrent_dropout=0.1), embedding, rng
    )
    steps: list[np.ndarray] = []

    class Recorder(Adam):
        def step(self) -> None:
            steps.append(np.concatenate([p.grad.ravel() for p in model.parameters()]))  # type: ignore[union-attr]
            super().step()

    if how == "unsharded":
        sharing.ShardedGenerator = Unsharded  # type: ignore[misc]
    with parallel.workers(size) as team:
        if how == "averaged":
            right = team.all_reduce

            def wrong(arrays: Any) -> None:
                right(arrays)
                if len(arrays) > 2:  # the gradients
                    for array in arrays:
                        array /= team.size

            team.all_reduce = wrong  # type: ignore[method-assign]
        trained = fit(
            model,
            model.loss,
            Batches(examples, 4, shuffle=True, rng=1),
            Batches(examples, 4),
            Recorder(model.parameters(), lr=0.01),
            epochs=1,
            metrics={"accuracy": model.accuracy},
            progress=False,
            team=team,
        )
    assert steps[0].dtype == np.float64
    row = trained.history[0]
    metrics = [row[f"{name}_{metric}"] for name in ("train", "validation") for metric in ("loss", "accuracy")]
    np.savez(out, steps=np.stack(steps), metrics=metrics)


def fall(rank: int, how: str, *command: str) -> int:
    """Train, and after the first step of the third epoch a worker falls as told."""
    whole = Loop.take_step

    def take_step(self: Loop, batches: Any) -> None:
        whole(self, batches)
        if self.training.epoch == 3 and self.team.rank == rank:
            if how == "fails":
                raise KeyError("plötzlich")
            if how == "leaves":
                os._exit(3)
            if how == "Ctrl-C":  # goes to all processes of a terminal
                os.killpg(0, signal.SIGINT)
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    Loop.take_step = take_step  # type: ignore[method-assign]
    return main(["train", "--data", "demo", *SMALL, *command])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
    if sys.argv[1] == "record":
        record(int(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(fall(int(sys.argv[2]), *sys.argv[3:]))


# --- the same numbers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return recorded(tmp_path_factory.mktemp("alone") / "1.npz", 1)


def recorded(
    out: Path, size: int, how: str = "as it is", launcher: list[str] | None = None
) -> dict[str, np.ndarray]:
    assert program("record", str(size), out, how, launcher=launcher) == (0, "")
    with np.load(out) as file:
        return dict(file)


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest difference of gradients, relative to the largest gradient, or of loss and accuracy."""
    assert one["steps"].shape == other["steps"].shape == (6, 12 * 50 + 4 * 5 * (50 + 5 + 2) + 5 + 1)
    gradient = np.abs(one["steps"] - other["steps"]).max() / np.abs(one["steps"]).max()
    return float(max(gradient, np.abs(one["metrics"] - other["metrics"]).max()))


@pytest.mark.parametrize("size", [2, 3])
def test_workers_give_the_gradients_of_one(alone: dict[str, np.ndarray], tmp_path: Path, size: int) -> None:
    assert difference(alone, recorded(tmp_path / "n.npz", size)) < 1e-12


@pytest.mark.parametrize("how", ["averaged", "unsharded"])
def test_that_check_sees_a_wrong_sum_and_other_dropout(
    alone: dict[str, np.ndarray], tmp_path: Path, how: str
) -> None:
    assert difference(alone, recorded(tmp_path / "n.npz", 2, how)) > 0.1


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [5, 2, 0])
def test_a_sharded_generator_draws_the_rows_of_the_whole_batch(size: int, batch_size: int) -> None:
    whole = np.random.default_rng(0)
    first, second = whole.random((batch_size, 3)), whole.random((4, 2), np.float32)
    for rank in range(size):
        team = parallel.Workers()
        team.rank, team.size = rank, size
        own = parallel.ShardedGenerator(np.random.default_rng(0), team)
        assert np.random.default_rng(own) is own  # so a layer takes it as it is
        for batch, dtype in ((first, np.float64), (second, np.float32)):
            own.batch_size = len(batch)
            found = own.random((len(batch[team.shard]), batch.shape[1]), dtype)
            np.testing.assert_array_equal(found, batch[rank::size])
            assert found.dtype == dtype


def test_a_sharded_generator_is_told_the_size_of_each_batch() -> None:
    team = parallel.Workers()
    team.rank, team.size = 1, 2
    own = parallel.ShardedGenerator(np.random.default_rng(0), team)
    for size, shape in ((2, r"\(2,\)"), ((2, 3), r"\(2, 3\)"), ((), r"\(\)")):
        for draw in (own.random, own.standard_normal):
            with pytest.raises(ValueError, match=rf"shape {shape} .* of a batch of 0 this worker has 0 rows"):
                draw(size)


DRAWS: list[Any] = [
    lambda rng, shape: rng.uniform(-1, [1, 2, 3], shape),
    lambda rng, shape: rng.normal([0, 1, 2], 2.0, shape),
    lambda rng, shape: rng.standard_normal(shape, np.float32),
    lambda rng, shape: rng.integers([5, 6, 7], size=shape),
    lambda rng, shape: rng.integers(2, 9, shape),
    lambda rng, shape: rng.random(),  # one number for all
    lambda rng, shape: rng.random(shape),
]


@pytest.mark.parametrize("rank", range(3))
def test_whatever_a_sharded_generator_draws_is_that_of_the_rows(rank: int) -> None:
    team = parallel.Workers()
    team.rank, team.size = rank, 3
    own, whole = parallel.ShardedGenerator(np.random.default_rng(0), team), np.random.default_rng(0)
    own.batch_size = 7
    rows = len(range(7)[team.shard])
    for draw in DRAWS:
        found, expected = draw(own, (rows, 3)), draw(whole, (7, 3))
        assert np.array_equal(found, expected if np.ndim(expected) == 0 else expected[team.shard])
    for name in ("permutation", "exponential", "shuffle", "choice"):
        with pytest.raises(AttributeError, match=f"a ShardedGenerator has no {name}, which would draw other"):
            getattr(own, name)


@needs_mpi
def test_ranks_of_mpi_give_the_gradients_of_one(alone: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert difference(alone, recorded(tmp_path / "n.npz", 1, launcher=MPIEXEC)) < 1e-12


# --- how they end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("is killed", "worker 2 of 2 was killed by SIGKILL"),
        ("leaves", "worker 2 of 2 ended with exit status 3"),
        ("fails", "worker 2 of 2 failed: KeyError: 'plötzlich'"),
    ],
)
def test_a_lost_worker_ends_the_run_and_a_checkpoint_stays(tmp_path: Path, how: str, said: str) -> None:
    status, errors = program("fall", "1", how, "--workers", "2", "--out", tmp_path)
    assert status == 1
    last = errors.splitlines()[-1]
    assert last == (
        f"error: {said}; {tmp_path} keeps 2 whole epochs, and the checkpoint of step 4: the same command with "
        "--resume goes on from there"
    )
    assert len((tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2
    assert main(["evaluate", "--run", str(tmp_path)]) == 0


def test_workers_do_not_outlive_the_first(tmp_path: Path) -> None:
    status, _ = program("fall", "0", "is killed", "--workers", "3", "--out", tmp_path)
    assert status == -signal.SIGKILL


def test_an_error_of_the_first_worker_is_its_own(tmp_path: Path) -> None:
    status, errors = program("fall", "0", "fails", "--workers", "2", "--out", tmp_path)
    assert status == 1
    assert "KeyError: 'plötzlich'" in errors
    assert "worker" not in errors.splitlines()[-1]


@pytest.mark.parametrize("launcher", [None, pytest.param(MPIEXEC, marks=needs_mpi, id="mpiexec")])
def test_ctrl_c_keeps_the_whole_epochs(tmp_path: Path, launcher: list[str] | None) -> None:
    command = [] if launcher else ["--workers", "2"]
    status, errors = program("fall", "0", "Ctrl-C", *command, "--out", tmp_path, launcher=launcher)
    assert (status, "error" in errors) == (130, False)
    assert f"interrupted; {tmp_path} keeps 2 whole epochs, and the checkpoint of step 5: the same" in errors
    command = ["train", "--data", "demo", *SMALL, "--out", str(tmp_path), "--resume"]
    assert main(command) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["epochs"], metrics["workers"]) == (4, 1)


@needs_mpi
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_failing_rank_of_mpi_ends_the_others(tmp_path: Path, rank: str) -> None:
    status, errors = program("fall", rank, "fails", "--out", tmp_path, launcher=MPIEXEC)
    assert status == 1
    said = {"0": "KeyError: 'plötzlich'", "1": "error: worker 2 of 2 failed: KeyError: 'plötzlich'"}[rank]
    assert said in errors
    assert len((tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2


@needs_mpi
def test_a_killed_rank_of_mpi_ends_the_others(tmp_path: Path) -> None:
    status, _ = program("fall", "1", "is killed", "--out", tmp_path, launcher=MPIEXEC)
    assert status != 0
    assert main(["evaluate", "--run", str(tmp_path)]) == 0


# --- bad input ------------------------------------------------------------------------------------------


def test_bad_numbers_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(os, "fork")
        with pytest.raises(ValueError, match=r"3 workers need fork, which .* lacks"):
            parallel.workers(3)
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.raises(ValueError, match="mpiexec says how many workers there are: leave out the 3"):
        parallel.workers(3)


def test_a_sum_that_is_larger_than_start_was_told() -> None:
    with pytest.raises(ValueError, match="a sum of 3 numbers, and start was told of 2 at most"):
        parallel._pack([np.zeros(1), np.zeros(2)], np.zeros(2))


def test_mpi_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(ModuleNotFoundError, match=r"tinygrad_np\[mpi\]"):
        parallel.workers(1)


@pytest.mark.parametrize("team", [2, pytest.param("ranks", marks=needs_mpi)])
def test_a_sum_before_start_is_refused(team: Any) -> None:
    if team == "ranks":
        program = (
            "from tinygrad_np.parallel import Ranks; import numpy as np; Ranks().all_reduce([np.ones(1)])"
        )
        command = [*MPIEXEC, sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0
        assert f"RuntimeError: {parallel.NOT_STARTED}" in done.stderr
    else:
        with pytest.raises(RuntimeError, match="not been started: call start"):
            parallel.workers(team).all_reduce([np.ones(1)])


# --- what killed ranks leave ----------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_shared_memory_of_dead_ranks_is_swept_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "MPI_MEMORY", f"{tmp_path}/mpich_shm_*")
    dead, living, new = (tmp_path / f"mpich_shm_{name}" for name in ("dead", "living", "new"))
    for path in (dead, living, new):
        path.write_bytes(b"0" * 4096)
        os.utime(path, (0, 0) if path != new else None)
    mapped = np.memmap(living, np.uint8, "r")
    os.utime(living, (0, 0))
    parallel._sweep_mpi_memory()
    assert set(tmp_path.iterdir()) == {living, new}
    del mapped
