"""A run can be trusted: damaged, mixed, killed, started twice or stopped, it is whole or says what is wrong.

These are the short forms; `tests.run_faults` has what harms the runs, with a count and a seed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.run_faults as faults
from models import commands
from models.sentiment.config import ALLOWED, Config
from models.sentiment.run import Run
from tests.run_faults import ROOT, SMALL, TEXT, Outcome, ask, sign, sound_run, training
from tinygrad_np import files
from tinygrad_np.files import atomic_write, locked, sweep_parts
from tinygrad_np.weights import load_weights, save_weights

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two sound runs of other seeds."""
    directory = tmp_path_factory.mktemp("runs")
    return sound_run(directory / "one", "--seed", "1"), sound_run(directory / "two", "--seed", "2")


@pytest.fixture
def run(runs: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of a sound run, to harm."""
    for path in runs[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def python(program: str, *args: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    """A program of its own: what forks or is killed may not have the threads of other tests."""
    command = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **more)


def failed(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.passed]


# --- damaged and mixed files --------------------------------------------------------------------------


def test_a_damaged_run_is_refused_or_says_so(runs: tuple[Path, Path]) -> None:
    outcomes = faults.damage_runs(*runs, 150)
    assert failed(outcomes) == []
    assert len({outcome.what.split()[0] for outcome in outcomes}) == len(set(faults.DAMAGES))


def test_that_check_sees_a_run_that_nothing_vouches_for(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def signed(run: Path, *more: Any) -> None:
        faults.reverse_words(run, *more)
        sign(run)

    monkeypatch.setattr(faults, "DAMAGES", [signed])
    assert len(failed(faults.damage_runs(*runs, 3))) == 3


def test_an_older_run_is_to_be_trained_again(run: Path) -> None:
    (run / "run.json").unlink()
    status, _, errors = ask("predict", "--run", run, TEXT)
    assert status == 1
    assert "holds no run.json, so nothing says that its files belong together" in errors
    assert "train again" in errors


@pytest.mark.parametrize("kind", sorted(faults.WRONG_NUMBERS))
def test_wrong_weights_are_refused_by_the_name_of_the_parameter(run: Path, kind: str) -> None:
    state = load_weights(run / "weights.safetensors")
    for name in state:
        wrong = state | {name: faults.WRONG_NUMBERS[kind](state[name])}
        save_weights(run / "weights.safetensors", wrong)
        sign(run)
        status, _, errors = ask("predict", "--run", run, TEXT)
        assert (status, errors.count("\n")) == (1, 1)
        if kind == "another shape" and name == "reader.embedding.weight":
            name = "reader.network"  # vectors may be of any length, and those that read them fit no more
        assert f"weights.safetensors: the state does not fit SentimentNetwork: {name}" in errors or (
            f"weights.safetensors: {name} holds {kind} and should hold float32" in errors
        )


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", sorted(ALLOWED))
def test_a_wrong_setting_in_the_file_is_refused_by_its_name(run: Path, field: str) -> None:
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    refused = 0
    for value in faults.WRONG_SETTINGS:
        (run / "config.json").write_text(json.dumps(config | {field: value}), encoding="utf-8")
        sign(run)
        status, _, errors = ask("evaluate", "--run", run)
        assert status in (0, 1), errors
        if status and "has to be" in errors:
            assert f"config.json: {field} is " in errors
            assert errors.count("\n") == 1
            refused += 1
    assert refused >= 10  # a few of these are right for some


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--lr", "inf", "lr is inf; it has to be a finite number above 0"),
        ("--lr", "nan", "lr is nan"),
        ("--lr", "-1", "lr is -1.0"),
        ("--lr", "0", "lr is 0.0"),
        ("--seed", "-1", "seed is -1; it has to be a whole number from 0"),
        ("--seed", "1" + "0" * 30, "seed is 1000"),
        (
            "--epochs",
            "1" + "0" * 12,
            "epochs is 1000000000000; it has to be a whole number from 1 to 1,000,000",
        ),
        ("--batch-size", "1" + "0" * 12, "batch_size is "),
        ("--train-size", "1" + "0" * 12, "train_size is "),
        ("--test-size", "1" + "0" * 12, "test_size is "),
        ("--data-dir", "", "data_dir is ''; it has to be the path of a directory"),
        ("--hidden", "1" + "0" * 12, "hidden is 1000000000000; it has to be a whole number from 1"),
        ("--hidden", "1" + "0" * 9, "hidden is 1000000000: to train so many units takes 59,604,647,875 GiB"),
    ],
)
def test_a_wrong_setting_on_the_command_line_is_refused(
    tmp_path: Path, option: str, value: str, said: str
) -> None:
    status, _, errors = ask("train", *SMALL, option, value, "--out", tmp_path / "run")
    assert (status, errors.count("\n")) == (1, 1)
    assert errors.startswith(f"error: {said}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 7 TiB"), "there is not enough memory: Unable to allocate 7 TiB"),
        (MemoryError(), "there is not enough memory: the system has no more"),
        (OverflowError("int too large"), "a number is too large: int too large"),
        (ValueError("ab" * 9000), f"{'ab' * 350} ... {'ab' * 350}"),
    ],
)
def test_memory_overflow_and_long_errors_are_sentences(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(args: Any) -> None:
        raise error

    assert commands.execute(commands.argparse.Namespace(command=command)) == 1
    assert capsys.readouterr().err == f"error: {said}\n"


def test_config_is_checked_wherever_it_is_made() -> None:
    with pytest.raises(
        ValueError, match=r"^hidden is True; it has to be a whole number from 1 to 1,000,000,000$"
    ):
        Config(hidden=True)


# --- one writer ---------------------------------------------------------------------------------------


def begun(directory: Path, *more: str, name: str = "run.json") -> "subprocess.Popen[str]":
    """A long training of which a file is there."""
    process = training(directory, "--epochs", "500", *more)
    end = time.monotonic() + 30
    while not (directory / name).exists() or not (directory / name).stat().st_size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit status and errors of a training that ends."""
    errors = process.communicate(timeout=30)[1]
    assert faults.group_ends(process.pid), "its workers outlive it"
    return process.returncode, errors


@needs_fork
def test_a_second_training_into_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = begun(tmp_path, "--workers", "2")
    try:
        status, _, errors = ask("train", *SMALL, "--out", tmp_path)
        assert status == 1
        assert (
            f"run.lock is held by process {first.pid} of {files.socket.gethostname()}, which still runs"
            in errors
        )
        assert ask("evaluate", "--run", tmp_path)[0] == 0  # whoever reads does not wait
    finally:
        first.kill()
        ended(first)
    status, _, errors = ask("train", *SMALL, "--out", tmp_path)
    assert f"note: process {first.pid} of " in errors
    assert "taken over" in errors
    assert "holds a training that has not finished" in errors
    shutil.rmtree(tmp_path / "checkpoints")
    status, _, errors = ask("train", *SMALL, "--out", tmp_path)
    assert status == 0
    assert "taken over" not in errors


def test_a_lock_of_another_machine_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 3 of elsewhere", encoding="utf-8")
    with (
        pytest.raises(BlockingIOError, match=r"held by process 3 of elsewhere, .* remove the file"),
        locked(tmp_path / "lock"),
    ):
        pass
    assert (tmp_path / "lock").read_text(encoding="utf-8") == "process 3 of elsewhere"


def test_a_lock_is_let_go_after_an_error_and_says_who_holds_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "lock") as before:  # noqa: PT012
            assert before == ""
            with (
                pytest.raises(BlockingIOError, match=f"held by process {os.getpid()} of"),
                locked(tmp_path / "lock"),
            ):
                pass
            raise KeyError


def test_a_training_whose_run_was_replaced_does_not_write(tmp_path: Path) -> None:
    faults.write_run(tmp_path, [1, 2], 0)
    first = Run(tmp_path)
    first.load()
    faults.write_run(tmp_path, [3, 4], 1)
    with pytest.raises(OSError, match="does not hold this run any more"):
        first.finish([{"epoch": 1, "validation_loss": 0.1}], {}, "")
    assert not Run(tmp_path).notes()


# --- kills --------------------------------------------------------------------------------------------


@needs_fork
def test_a_run_that_is_killed_at_any_step_of_its_writing_is_whole(tmp_path: Path) -> None:
    program = "import sys, pathlib, tests.run_faults as f\n"
    program += "sys.exit(f.print_outcomes(f.kill_at_each_step(pathlib.Path(sys.argv[1]))))"
    done = python(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert int(done.stdout.split()[0]) > 50


@needs_fork
@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_is_killed_leaves_one_whole_epoch_or_the_old_run(workers: int) -> None:
    assert failed(faults.kill_trainings(2, workers, workers)) == []


def test_a_training_that_fails_at_once_leaves_the_old_run(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with np.errstate(all="ignore"):
        status, _, errors = ask("train", *SMALL, "--lr", "1e38", "--out", run)
    assert status == 1
    assert errors.splitlines()[-1].endswith(f"try a smaller lr; {run} is as it was")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@needs_fork
@pytest.mark.parametrize(
    ("workers", "number", "whole_group"),
    [
        ("1", signal.SIGINT, False),
        ("1", signal.SIGTERM, False),
        ("2", signal.SIGTERM, False),
        ("2", signal.SIGTERM, True),
    ],
)
def test_ctrl_c_and_sigterm_end_a_training_with_its_whole_epochs(
    tmp_path: Path, workers: str, number: int, whole_group: bool
) -> None:
    process = begun(tmp_path, "--workers", workers)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    status, errors = ended(process)
    assert status == 130, errors
    assert "Traceback" not in errors
    assert (said := re.search(r"keeps (\d+) whole epochs?, and the checkpoint of step", errors)), errors
    status, _, errors = ask("evaluate", "--run", tmp_path)
    assert status == 0
    assert f"did not finish, or has not yet: it has {said[1]} of 500 epochs" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_so(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.signal(n, signal.default_int_handler) for n in commands.STOPPING]
    try:
        args = commands.argparse.Namespace(command=lambda args: signal.raise_signal(number))
        assert commands.execute(args) == 130
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        for n, handler in zip(commands.STOPPING, before):
            signal.signal(n, handler)
    assert capsys.readouterr().err == "interrupted\n"


def test_ctrl_c_inside_a_finalizer_is_not_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """Python prints and forgets what is raised in a `__del__`, and a training is in one now and then."""

    class Buffers:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def command(args: Any) -> None:
        buffers = Buffers()
        del buffers
        time.sleep(10)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert commands.execute(commands.argparse.Namespace(command=command)) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted\n"


@needs_fork
def test_ctrl_c_during_the_imports_leaves_no_traceback() -> None:
    """The program gets Ctrl-C when its nth import begins."""
    program = """if True:
        import os, signal, sys, runpy
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import models.commands
        count = 0
        def hook(event, args):
            global count
            if event == "import":
                count += 1
                if count == int(sys.argv[1]):
                    os.kill(os.getpid(), signal.SIGINT)
        sys.addaudithook(hook)
        runpy.run_module("models.sentiment", run_name="__main__", alter_sys=False)
    """
    for moment in np.random.default_rng(0).integers(4, 300, 5):
        done = python(program, str(moment))
        assert (done.returncode, done.stderr) == (130, "interrupted\n"), moment


# --- parts and full disks -----------------------------------------------------------------------------


@needs_fork
def test_parts_of_dead_writers_are_swept_and_no_others(tmp_path: Path) -> None:
    program = """if True:
        import os, sys
        from tinygrad_np.files import atomic_write
        with atomic_write(sys.argv[1]) as part:
            part.write_text("half")
            os.kill(os.getpid(), 9)
    """
    python(program, tmp_path / "a.txt")
    (dead,) = tmp_path.iterdir()
    foreign = tmp_path / dead.name.replace(files.socket.gethostname(), "elsewhere")
    foreign.write_text("half", encoding="utf-8")
    (tmp_path / "mine.part").write_text("not of ours", encoding="utf-8")
    with atomic_write(tmp_path / "b.txt") as part:
        part.write_text("half", encoding="utf-8")
        sweep_parts(tmp_path)
        assert set(tmp_path.iterdir()) == {foreign, tmp_path / "mine.part", part}


LIMITED = """if True:
    import resource, signal, sys
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
"""


@needs_fork
def test_a_full_disk_names_the_file_and_what_was_kept(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    program = LIMITED + "    from models.sentiment.cli import main\n    sys.exit(main(sys.argv[2:]))"
    done = python(program, "5000", "train", *SMALL, "--out", run)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"{run / 'weights.safetensors'}.next could not be written: File too large" in last
    assert last.endswith(f"{run} is as it was")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    done = python(program, "0", "train", *SMALL, "--out", run)  # not even the lock can be written
    assert done.stderr.splitlines()[-1].endswith(f"{run / 'run.lock'} could not be written: File too large")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    # later on it keeps the epochs that are there
    done = python(program, "30000", "train", *SMALL, "--out", run)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"{run / 'checkpoints' / 'step-'}" in last
    assert (
        f"could not be written: File too large; there is no such file now; {run} keeps 1 whole epoch" in last
    )
    assert ask("evaluate", "--run", run)[0] == 0


@needs_fork
def test_numpys_own_words_on_a_full_disk_become_a_sentence(tmp_path: Path) -> None:
    program = (
        LIMITED
        + """
    import numpy as np
    from tinygrad_np.files import atomic_write
    try:
        with atomic_write(sys.argv[2]) as part, open(part, "wb") as file:
            np.save(file, np.zeros(100_000))
    except OSError as error:
        print(error)
    """
    )
    done = python(program, "4096", tmp_path / "a.npy")
    assert done.stdout.strip() == (
        f"{tmp_path / 'a.npy'} could not be written: the disk took only a part of it; it may be full; "
        "there is no such file now"
    ), done
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("", encoding="utf-8")
    with (
        pytest.raises(NotADirectoryError, match=r"b could not be written: Not a directory; there is no such"),
        atomic_write(tmp_path / "a" / "b") as part,
    ):
        part.write_text("", encoding="utf-8")


# --- forks --------------------------------------------------------------------------------------------


@needs_fork
def test_a_forked_child_has_new_locks_whatever_the_threads_of_its_parent_held() -> None:
    """All locks of the library are held by another thread when the child is made."""
    program = """if True:
        import importlib, os, pkgutil, sys, threading, types
        import tinygrad_np
        kinds = (type(threading.Lock()), type(threading.RLock()))
        def locks():
            for name, module in sorted(sys.modules.items()):
                if name.partition(".")[0] in ("tinygrad_np", "datasets", "models"):
                    for where in (module, *(v for v in vars(module).values() if isinstance(v, type))):
                        for key, value in list(vars(where).items()):
                            if isinstance(value, kinds):
                                yield f"{name} {getattr(where, '__name__', '')}.{key}", value
        for package in ("tinygrad_np", "datasets", "models"):
            for info in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
                if "__main__" not in info.name:
                    importlib.import_module(info.name)
        held, forked = threading.Event(), threading.Event()
        def hold():
            for _, lock in locks():
                lock.acquire(timeout=5)
            held.set()
            forked.wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        found = dict(locks())
        print(len(found))
        sys.stdout.flush()
        if os.fork() == 0:
            print([name for name, lock in locks() if not lock.acquire(timeout=0.2)])
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        os._exit(0)
    """
    done = python(program)
    assert done.returncode == 0, done
    number, stuck = done.stdout.splitlines()
    assert int(number) >= 2
    assert stuck == "[]"


@needs_fork
def test_forks_under_load_do_not_hang() -> None:
    """Children run an LSTM and its gradients while two threads of the parent do so."""
    program = """if True:
        import os, signal, sys, threading, warnings
        import numpy as np
        from tinygrad_np import Tensor
        from tinygrad_np.nn import LSTM
        warnings.simplefilter("ignore")
        shared = LSTM(4, 5, rng=0)
        def work(times):
            for _ in range(times):
                shared(Tensor(np.ones((2, 3, 4), np.float32)))[0].sum().backward()
        threads = [threading.Thread(target=work, args=(10**9,), daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        hung = 0
        for _ in range(60):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                work(3)
                os._exit(0)
            hung += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
        print(hung, flush=True)
        os._exit(0)
    """
    done = python(program)
    assert (done.returncode, done.stdout) == (0, "0\n"), done
