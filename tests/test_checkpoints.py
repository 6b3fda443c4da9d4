"""Checkpoints: any state comes back to the bit, the right ones are kept, damaged ones are not used in silence."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tinygrad_np import nn
from tinygrad_np.training import Checkpoints, states

safetensors = pytest.importorskip(
    "safetensors", reason="checkpoints need safetensors: pip install 'tinygrad_np[weights]'"
)
ROOT = Path(__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def same(one: Any, other: Any) -> bool:
    """Whether two states are the same to the bit, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | np.generic):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return repr(one) == repr(other)  # of a float all its digits, and the sign of a zero


# --- any state ----------------------------------------------------------------------------------------

DTYPES = ["?", "i1", "u8", "<i4", ">i4", "f2", "<f4", ">f8", "c8", "c16", "U3", "S2", "M8[s]", "m8[ns]"]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text()
    | st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=3))
    )
    | st.sampled_from([np.float32(1 / 3), np.int8(-1), np.True_, np.str_("é"), np.complex128(1j)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["$array", "$$tuple", "a/b", "~1", "__metadata__"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(state=st.dictionaries(st.text(max_size=3), anything, max_size=4))
def test_any_state_comes_back_to_the_bit(state: dict[str, Any]) -> None:
    about = {"step": 3, "sha256": states.UNSEALED}
    assert same((state, about), states.unpack(states.pack(state, about)))


def test_no_two_arrays_get_the_same_name() -> None:
    state = {"a/b": np.ones(1), "a": {"b": np.zeros(2)}, "a~1b": np.ones(3), "a~0": {"1b": np.ones(4)}}
    assert same(state, states.unpack(states.pack(state, None))[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[(0.0, -0.0), (1, 1.0), (True, 1), ((1,), [1]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ("", None)],
        *[(np.zeros(2), np.zeros(2, "f4")), (np.zeros(2), -np.zeros(2)), (np.zeros(()), np.float64(0))],
    ],
)
def test_that_comparison_can_fail(one: Any, other: Any) -> None:
    assert same([one], [one])
    assert not same([one], [other])


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_a_generator_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    rng = np.random.Generator(getattr(np.random, kind)(7))
    rng.integers(10, size=3, dtype=np.int32)  # half of a number is left over
    Checkpoints(tmp_path).save({"rng": rng.bit_generator.state}, 1)
    expected = rng.integers(2**31, size=5, dtype=np.int32), rng.standard_normal(5)
    other = np.random.Generator(getattr(np.random, kind)(8))
    other.bit_generator.state = Checkpoints(tmp_path).load()["rng"]
    assert same(expected, (other.integers(2**31, size=5, dtype=np.int32), other.standard_normal(5)))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a": [1, {"b": object()}]}, "the state holds a object at /a/1/b: it takes"),
        (
            {"w": nn.Linear(1, 1, rng=0).weight},
            "the state holds a Tensor at /w: it takes .*of a Tensor its data",
        ),
        ({"r": np.random.default_rng(0)}, r"a Generator at /r: .* of a Generator its bit_generator\.state"),
        ({"b": b"x"}, "the state holds a bytes at /b"),
        ({"a": {1: 2}}, "the state has the key 1 in /a, and keys have to be strings"),
        ({1: 2}, "the state has the key 1 in /, and keys have to be strings"),
        ({"o": np.array([None])}, "an array of object at /o, which cannot be kept"),
        ({"v": np.zeros(1, [("x", "f4")])}, "an array of .* at /v, which cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_place(tmp_path: Path, state: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Checkpoints(tmp_path).save(state, 1)
    assert Checkpoints(tmp_path).steps() == []


def test_any_tool_for_safetensors_reads_it(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save({"model": {"weight": np.arange(3.0)}, "epoch": 2}, 12)
    with safetensors.safe_open(tmp_path / "step-000000012.safetensors", "numpy") as file:
        assert file.get_tensor("/model/weight").tolist() == [0, 1, 2]
        assert json.loads(file.metadata()["state"])["epoch"] == 2


# --- which are kept -----------------------------------------------------------------------------------


def save(checkpoints: Checkpoints, steps: Any, best: Any = ()) -> None:
    for step in steps:
        checkpoints.save({"mark": float(step)}, step, is_best=step in best)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.suffix != ".lock")


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    save(checkpoints, [1, 2, 3], best=[1, 2])
    assert names(tmp_path) == ["step-000000002-best.safetensors", "step-000000003.safetensors"]
    save(checkpoints, [4, 5], best=[4])
    assert names(tmp_path) == ["step-000000004-best.safetensors", "step-000000005.safetensors"]
    save(checkpoints, [6, 7, 8])
    assert (checkpoints.steps(), checkpoints.best_step()) == ([4, 7, 8], 4)
    assert checkpoints.load() == {"mark": 8.0}
    assert checkpoints.load(4) == {"mark": 4.0}


def test_one_alone_is_called_the_best(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, keep=3), [1, 2, 3], best=[1, 2])
    assert names(tmp_path) == [f"step-00000000{n}.safetensors" for n in ("1", "2-best", "3")]


def test_the_best_step_stays_the_best_when_it_is_saved_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, [5, 5], best=[5])
    checkpoints.save({"mark": -5.0}, 5)  # as an interrupt does behind the end of an epoch
    save(checkpoints, [6])
    assert names(tmp_path) == ["step-000000005-best.safetensors", "step-000000006.safetensors"]
    assert checkpoints.load(5) == {"mark": -5.0}


def test_of_a_step_with_two_files_the_best_is_the_later(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, [5])
    plain = (tmp_path / "step-000000005.safetensors").read_bytes()
    checkpoints.save({"mark": -5.0}, 5, is_best=True)
    (tmp_path / "step-000000005.safetensors").write_bytes(plain)  # killed before it was removed
    assert (checkpoints.steps(), checkpoints.load()) == ([5], {"mark": -5.0})
    save(checkpoints, [5])
    assert names(tmp_path) == ["step-000000005-best.safetensors"]


@pytest.mark.parametrize("settings", [{"every_steps": 0}, {"every_steps": 1.5}, {"keep": 0}, {"keep": True}])
def test_wrong_settings_are_refused(tmp_path: Path, settings: Any) -> None:
    with pytest.raises(ValueError, match=r"takes a whole number from 1 for (every_steps|keep), not "):
        Checkpoints(tmp_path, **settings)
    with pytest.raises(ValueError, match="every_seconds, not nan"):
        Checkpoints(tmp_path, every_seconds=float("nan"))


def test_when_one_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    by_steps, by_time = (
        Checkpoints(tmp_path / "s", every_steps=3),
        Checkpoints(tmp_path / "t", every_seconds=5),
    )
    assert [by_steps.is_due(step) for step in range(1, 7)] == [False, False, True, False, False, True]
    assert not Checkpoints(tmp_path).is_due(1)
    now = 104.9
    assert not by_time.is_due(1)
    now = 105.0
    assert by_time.is_due(1)
    save(by_time, [1])
    assert not by_time.is_due(2)
    now = 111.0
    assert by_time.is_due(2)
    save(by_time, [2])
    assert not by_time.is_due(3)


# --- a new training, and one that goes on -------------------------------------------------------------


def test_a_new_training_does_not_write_among_the_checkpoints_of_another(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path), [10, 20])
    for begin in (lambda c: c.start(), lambda c: save(c, [1])):
        with pytest.raises(
            FileExistsError, match="holds checkpoints of a training, the last of step 20: go on "
        ):
            begin(Checkpoints(tmp_path))
    assert Checkpoints(tmp_path).steps() == [10, 20]


def test_resume_begins_where_there_is_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "deep" / "new")
    assert checkpoints.start(resume=True) is None
    save(checkpoints, [1])
    checkpoints.close()
    assert Checkpoints(tmp_path / "deep" / "new").start(resume=True) == {"mark": 1.0}


def test_going_back_removes_the_later_ones_once_there_is_a_new_one(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path)
    save(first, [10, 20, 30], best=[30])
    first.close()
    second = Checkpoints(tmp_path)
    assert second.start(resume=20) == {"mark": 20.0}
    assert second.steps() == [10, 20, 30]
    save(second, [25], best=[25])
    assert names(tmp_path) == [f"step-0000000{n}.safetensors" for n in ("10", "20", "25-best")]
    with pytest.raises(ValueError, match="a checkpoint of step 24 cannot follow that of step 25"):
        save(second, [24])


def test_one_training_writes_at_a_time(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path)
    first.start()
    with pytest.raises(
        BlockingIOError, match=r"checkpoints\.lock is held by process \d+ of .*, which still runs"
    ):
        Checkpoints(tmp_path).start(resume=True)
    save(first, [1])
    assert Checkpoints(tmp_path).load() == {"mark": 1.0}  # whoever only reads may
    first.close()
    assert Checkpoints(tmp_path).start(resume=True) == {"mark": 1.0}


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint of step None: there is none"):
        Checkpoints(tmp_path / "none").load()
    save(Checkpoints(tmp_path), [1, 3])
    with pytest.raises(
        FileNotFoundError, match="holds no checkpoint of step 2: there are those of the steps 1, 3"
    ):
        Checkpoints(tmp_path).start(resume=2)


def test_another_identity_is_refused_by_what_differs(tmp_path: Path) -> None:
    was = {"config": {"hidden": 64, "sizes": (1, 2), "nan": float("nan"), "old": None}, "data": "ab12"}
    save(Checkpoints(tmp_path, identity=was), [1])
    assert Checkpoints(tmp_path, identity=was).load() == {"mark": 1.0}
    now = {"config": {"hidden": 32, "sizes": (1, 2), "nan": float("nan"), "new": 1}, "data": "ab12"}
    with pytest.raises(ValueError, match=r"step-000000001\.safetensors is of another training: ") as error:
        Checkpoints(tmp_path, identity=now).start(resume=True)
    differences = (
        "config.old was None and is not set, config.new is 1 and was not set, config.hidden was 64 and is 32"
    )
    assert f": {differences}; go on" in str(error.value)
    with pytest.raises(TypeError):
        Checkpoints(tmp_path, identity={"rng": np.random.default_rng(0)})


# --- damage -------------------------------------------------------------------------------------------


def newest(directory: Path) -> Path:
    return directory / f"step-{max(Checkpoints(directory).steps()):09}.safetensors"


def test_every_altered_byte_and_every_cut_is_seen(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path), [1, 2])
    path = newest(tmp_path)
    content = path.read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        for damaged in (bytes(changed), content[:at]):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="was cut or altered"):
                Checkpoints(tmp_path).load()
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="was cut or altered"):
        Checkpoints(tmp_path).load()
    path.write_bytes(content)
    assert Checkpoints(tmp_path).load() == {"mark": 2.0}


def test_an_older_one_is_named_and_used_only_when_asked_for(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path), [1, 2, 3])
    path = newest(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    said = (
        r"step-000000003\.safetensors is not as it was written: it was cut or altered, as its SHA-256 says; that "
        r"of step 2 is whole, and is used when it is asked for by its step \(resume=2\)$"
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=said) as error:
            Checkpoints(tmp_path).start(resume=True)
        assert "\n" not in str(error.value)
    two = tmp_path / "step-000000002.safetensors"
    two.write_bytes(b"")
    with pytest.raises(ValueError, match=r"; that of step 1 is whole, .* \(resume=1\)$"):
        Checkpoints(tmp_path).start(resume=True)
    (tmp_path / "step-000000001.safetensors").write_bytes(two.read_bytes())
    with pytest.raises(ValueError, match=r"; there is no older one that is whole$"):
        Checkpoints(tmp_path).start(resume=True)


def test_one_copied_to_the_name_of_another_is_seen(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path), [1, 2])
    newest(tmp_path).write_bytes((tmp_path / "step-000000001.safetensors").read_bytes())
    with pytest.raises(
        ValueError,
        match=r"step-000000002\.safetensors is that of step 1 under another name; that of step 1 is",
    ):
        Checkpoints(tmp_path).load()


# --- a disk that is full, a directory that cannot be written ------------------------------------------


@pytest.fixture
def full_disk() -> Iterator[Any]:
    """A disk that takes 2 kB of a file: the system itself refuses the rest."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_the_older_one_stays(tmp_path: Path, full_disk: Any) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save({"w": np.arange(1000.0)}, 1)
    full_disk()
    with pytest.raises(
        OSError, match=r"step-000000002\.safetensors could not be written: File too large; "
    ) as error:
        checkpoints.save({"w": np.zeros(1000)}, 2)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["step-000000001.safetensors"]
    assert same(checkpoints.load(), {"w": np.arange(1000.0)})


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A directory in which this process may not write, root or not."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        save(Checkpoints(directory), [1])
        (directory / "checkpoints.lock").chmod(0o644)
        directory.chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        yield directory
        if is_root:
            os.seteuid(0)
        directory.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_a_read_only_directory_is_told_before_the_first_step(read_only: Path) -> None:
    said = "checkpoints cannot be written into .*: Permission denied$"
    with pytest.raises(PermissionError, match=said):
        Checkpoints(read_only / "new").start()
    with pytest.raises(PermissionError, match=said):
        Checkpoints(read_only).start(resume=True)
    assert Checkpoints(read_only).load() == {"mark": 1.0}  # reading needs no more than that


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match=r"checkpoints cannot be written into .*file: File exists$"):
        Checkpoints(tmp_path / "file").start()


# --- kill -9 ------------------------------------------------------------------------------------------


def killing(*arguments: Any) -> Any:
    """What `tests.kill_training` prints: a program of its own, as what forks may not have the threads of tests."""
    command = [sys.executable, "-m", "tests.kill_training", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_fork
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_training_killed_at_thirty_moments_ends_in_the_same_bits(n_workers: int) -> None:
    came = killing(30, 0, n_workers)
    assert came["ends"]
    assert all(came["ends"])
    assert sum(came["kills"].values()) == 30
    assert set(came["kills"]) == {"any moment", "before", "within", "full disk", "renaming", "tidying"}
    assert came["left"] >= came["kills"]["within"] + came["kills"]["renaming"]  # parts of files were there


@needs_fork
def test_the_comparison_sees_every_state_that_is_not_kept() -> None:
    parts = ["", "generators", "data", "layers", "optimizer", "schedule", "average", "sums"]
    assert killing("forgetting", *parts) == {part: part == "" for part in parts}
