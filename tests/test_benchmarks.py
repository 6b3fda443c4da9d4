"""The benchmarks: that they compare the same numbers and reckon rightly. Nothing here looks at a clock."""

import ast
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import conv, epoch, harness, imports, lstm, memory, pictures, publish, report, sentiment, tape
from benchmarks.__main__ import CASES, main
from benchmarks.harness import Contender, Peer, Row, check, measure, milliseconds, start
from benchmarks.peers import ours, plain, profile, scaling, shared, tutorial
from benchmarks.pictures import Picture
from benchmarks.plain_loop import plain_backward_pass
from benchmarks.publish import Figures
from benchmarks.report import Measured
from tinygrad_np import Tensor

FAST = Row("lstm", "B=1", "ours", "ms", [2.0, 1.0, 4.0], limit=0.5)
SLOW = Row("lstm", "B=1", "PyTorch", "ms", [6.0, 6.0, 6.0])
MANY = Row("training", "B=32", "ours", "tokens/s", [300.0], limit=600.0)
FEW = Row("training", "B=32", "PyTorch", "tokens/s", [100.0])


def small_lstm(batch: int = 4) -> dict[str, np.ndarray]:
    return lstm.inputs(batch, steps=6)


def small_training(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Six reviews of one to seven words, in one batch of four and one of two."""
    lengths = np.array([3, 7, 1, 5, 2, 4])
    return {
        **lstm.weights(rng),
        "head.weight": rng.standard_normal((1, lstm.H)).astype(np.float32),
        "head.bias": np.array([0.25], np.float32),
        "vectors": rng.standard_normal((9, lstm.D)).astype(np.float32),
        "numbers": rng.integers(1, 9, lengths.sum()),
        "lengths": lengths,
        "labels": np.array([0, 1, 1, 0, 1, 0]),
        "batches": np.array([[1, 3], [0, 5], [2, 4]]),
    }


def test_a_ratio_is_how_many_times_better_the_first_is() -> None:
    assert (FAST.median, FAST.spread) == (2.0, (1.5, 3.0))
    assert FAST.times_better_than(SLOW) == 3.0
    assert SLOW.times_better_than(FAST) == pytest.approx(1 / 3)
    assert MANY.times_better_than(FEW) == 3.0
    assert FEW.times_better_than(MANY) == pytest.approx(1 / 3)


def test_the_fraction_of_the_limit() -> None:
    assert FAST.of_the_limit() == 0.25
    assert MANY.of_the_limit() == 0.5
    assert SLOW.of_the_limit() is None


def test_operations_are_those_of_the_products_of_matrices() -> None:
    H, D = 64, 50
    forward = 4 * H * (D + H + 1)  # all gates, from [h, x, 1]
    backward = H * 4 * H  # dh, from the gradients of the gates
    gradient = 4 * H * (D + H + 1)  # an outer product
    assert lstm.flops_a_token(H, D) == 2 * (forward + backward + gradient) == 150_528


def test_the_same_numbers_pass_and_others_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    right = {"loss": np.array(2.0), "weight": np.array([1.0, -4.0])}
    near = {"weight": np.array([1.0, -4.0 + 4e-6]), "unknown": np.zeros(3)}
    check([("ours", right), ("peer", near)], 1e-5, "why")
    assert capsys.readouterr().out == "same numbers as ours: peer 1e-06 apart; 1e-05 is allowed (why)\n"
    far = {"loss": np.array(2.0), "weight": np.array([1.0, -4.0 + 8e-5])}
    with pytest.raises(ValueError, match=r"weight of peer is 2\.0e-05 away from that of ours"):
        check([("ours", right), ("peer", far)], 1e-5, "why")
    with pytest.raises(ValueError, match="weight of peer is nan away"):
        check(
            [("ours", right), ("peer", {"loss": right["loss"], "weight": np.array([1.0, np.nan])})], 1e-5, ""
        )
    with pytest.raises(ValueError, match=r"weight of peer has the shape \(3,\), that of ours \(2,\)"):
        check([("ours", right), ("peer", {"weight": np.zeros(3)})], 1e-5, "")
    with pytest.raises(ValueError, match="no result in common"):
        check([("ours", right), ("peer", {"bias": np.zeros(3)})], 1e-5, "")


def test_a_gradient_that_misses_a_term_does_not_pass() -> None:
    arrays = small_lstm()
    right = ours.lstm(arrays, head="last", fused=True)()
    wrong = {**right, "weight_hh_l0": right["weight_hh_l0"] * 1.001}
    with pytest.raises(ValueError, match="weight_hh_l0 of a wrong rule"):
        check([("ours", right), ("a wrong rule", wrong)], lstm.TOLERANCE, lstm.WHY)


@pytest.mark.parametrize("head", ["last", "mean"])
def test_the_halves_of_a_batch_add_up_to_the_whole(head: str) -> None:
    arrays = small_lstm()
    whole = ours.lstm(arrays, head, fused=True)()
    first, second = (
        ours.lstm(lstm.half(arrays, rows), head, fused=True)() for rows in (slice(2), slice(2, None))
    )
    check(
        [("whole", whole), ("halves", {name: first[name] + second[name] for name in first})],
        lstm.TOLERANCE,
        lstm.WHY,
    )


def test_the_convolution_of_the_benchmark_is_the_sum_of_its_windows() -> None:
    arrays = conv.inputs(1, 7, 2, batch=3)
    found = ours.conv(arrays, below=True)()
    windows = np.lib.stride_tricks.sliding_window_view(arrays["x"][:, 0], (5, 5), axis=(1, 2))
    y = np.einsum("nijkl,okl->noij", windows, arrays["weight"][:, 0]) + arrays["bias"].reshape(2, 1, 1)
    np.testing.assert_allclose(found["y"], y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["bias"], arrays["cotangent"].sum((0, 2, 3)), rtol=1e-5)
    assert found["x"].shape == arrays["x"].shape
    assert "x" not in ours.conv(arrays, below=False)()


def test_the_lstm_that_others_run_op_by_op_is_ours() -> None:
    arrays = small_lstm()
    weights = shared.part(arrays, "lstm.")
    h = shared.lstm_last_state(
        arrays["x"].transpose(1, 0, 2),
        weights["weight_ih_l0"],
        weights["weight_hh_l0"],
        weights["bias_ih_l0"] + weights["bias_hh_l0"],
        np.zeros_like(arrays["cotangent"]),
        lambda x: 1 / (1 + np.exp(-x)),
        np.tanh,
        shared.slices,
    )
    loss = ours.eager_lstm(arrays)()["loss"]
    np.testing.assert_allclose((h * arrays["cotangent"]).sum(), loss, rtol=1e-5)


def test_reviews_are_padded_by_batch(rng: np.random.Generator) -> None:
    arrays = small_training(rng)
    (first, lengths, labels), *others = shared.reviews(arrays)
    assert first.tolist() == [arrays["numbers"][3:10].tolist(), [*arrays["numbers"][11:16].tolist(), 0, 0]]
    assert (lengths.tolist(), labels.tolist(), labels.dtype) == ([7, 5], [1.0, 0.0], np.float32)
    assert [numbers.shape for numbers, _, _ in others] == [(2, 4), (2, 2)]


def test_the_tutorials_loss_and_gradients_are_ours(rng: np.random.Generator) -> None:
    arrays = small_training(rng)
    found = ours.train(arrays, head="last", lr=1e-3, workers=1)()
    theirs = tutorial.train(arrays, head="last", lr=1e-3)()
    assert theirs.keys() == found.keys() - {"losses"}
    check([("ours", found), ("tutorial", theirs)], lstm.TOLERANCE, lstm.WHY)


def test_a_job_starts_anew_each_time(rng: np.random.Generator) -> None:
    job = ours.train(small_training(rng), head="mean", lr=0.1, workers=1)
    first, second = job(), job()
    assert first["losses"].tolist() == second["losses"].tolist()
    assert first["losses"][0] != first["losses"][1]


def test_predicting_gives_the_logits_of_the_same_model(rng: np.random.Generator) -> None:
    arrays = small_training(rng)
    logits = ours.predict(arrays, head="last")()["logits"]
    y = arrays["labels"][arrays["batches"][0]]
    loss = np.mean(np.logaddexp(0, logits[:2]) - y * logits[:2])
    np.testing.assert_allclose(loss, ours.train(arrays, "last", 1e-3, workers=1)()["loss"], rtol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("packed", [False, True])
def test_pytorch_is_trained_on_the_same(rng: np.random.Generator, packed: bool) -> None:
    pytest.importorskip("torch")
    from benchmarks.peers import pytorch

    arrays = small_training(rng)
    found = ours.train(arrays, head="last", lr=1e-3, workers=1)()
    theirs = pytorch.train(arrays, head="last", lr=1e-3, packed=packed, flush=False)()
    assert theirs.keys() == found.keys()
    check([("ours", found), ("PyTorch", theirs)], lstm.TOLERANCE, lstm.WHY)


def test_peers_work_in_processes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    four = {"x": np.array([0.1, 0.2, 0.3, 0.4])}
    with ExitStack() as stack:
        peers = start(stack, {"NumPy": ("plain", 1), "ours": ("ours", 1)})
        assert list(peers) == ["NumPy", "ours"]
        contenders = []
        for name, peer in peers.items():
            settings = {"backward": False} if name == "ours" else {}
            peer.prepare("op", four, name="tanh(x)", calls=3, **settings)
            assert peer.results()["value"].tolist() == np.tanh(four["x"]).tolist()
            contenders.append(Contender(name, [peer]))
        both = Contender("both at once", list(peers.values()))
        rows = measure("op", "tanh", [*contenders, both], 2, "ms", milliseconds)
    assert [row.peer for row in rows] == ["NumPy", "ours", "both at once"]
    assert all(len(row.values) == 2 and min(row.values) > 0 for row in rows)
    assert f"NumPy: {rows[0].about}" in capsys.readouterr().out
    assert rows[0].about.startswith(f"NumPy {np.__version__} ")
    assert "kernel" in rows[0].about


def test_a_peer_that_is_not_installed_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(harness.NEEDS, "plain", ("no_such_package", {}))
    with ExitStack() as stack:
        assert start(stack, {"Nobody": ("plain", 1)}) == {}
    assert "Nobody: left out, because no_such_package is not installed" in capsys.readouterr().out


def test_a_peer_that_fails_is_named() -> None:
    with Peer("plain") as peer, pytest.raises(RuntimeError, match="the peer plain ended with status 1"):
        peer.prepare("no_such_job", {"x": np.zeros(4)})


def test_memory_is_that_of_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    idle, about, results = memory.megabytes("ours", 1, steps=0)
    assert (10 < idle < 1000, about.partition(" ")[0], results) == (True, "tinygrad_np", {})
    monkeypatch.setattr(memory, "TIME", Path("/no/such/program"))
    assert memory.megabytes("ours", 1, steps=0)[0] == pytest.approx(idle, rel=0.2)


def test_the_table() -> None:
    lines = report.table([FAST, MANY, SLOW, FEW]).splitlines()
    assert lines[2:] == [
        "| lstm | B=1 | ours | 2 | 1.5 to 3 | ms | 1.00 | 25% |",
        "| lstm | B=1 | PyTorch | 6 | 6 to 6 | ms | 3.00 |  |",
        "| training | B=32 | ours | 300 | once | tokens/s | 1.00 | 50% |",
        "| training | B=32 | PyTorch | 100 | once | tokens/s | 3.00 |  |",
    ]


def test_a_case_that_is_measured_again_replaces_its_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    report.merge(
        {
            "lstm": Measured({"date": "Monday"}, [FAST, SLOW]),
            "epoch": Measured({"date": "Monday"}, [MANY, FEW]),
        },
        path,
    )
    again = Row("lstm", "B=1", "ours", "ms", [1.23456789], about="a kernel")
    report.merge({"lstm": Measured({"date": "Tuesday"}, [again]), "data": Measured({}, [])}, path)
    found = report.read(path)
    assert list(found) == ["lstm", "epoch"]  # a case that was left out has no rows, and changes nothing
    assert found["epoch"] == Measured({"date": "Monday"}, [MANY, FEW])
    assert found["lstm"].about == {"date": "Tuesday"}
    assert found["lstm"].rows == [replace(again, values=[1.23457])]


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"lstm": {"rows": []}}', '{"lstm": {"about": {}, "rows": [1]}}']
)
def test_a_file_of_something_else_is_refused_before_measuring(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    path.write_text(content, encoding="utf-8")
    assert main(["import", "--json", str(path)]) == 1
    assert f"{path} holds no figures of python -m benchmarks" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == content


# --- the environment of what is measured --------------------------------------------------------------

SHOW = """
import json, os, sys
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(dict(os.environ), file)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_measured_process_does_not_see_the_settings_that_slow_numpys_blas(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in harness.DROPPED:
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path))
    seen = tmp_path / "environment.json"
    with Peer("plain", before=[sys.executable, "-c", SHOW, str(seen)]):
        pass
    found = json.loads(seen.read_text(encoding="utf-8"))
    assert not found.keys() & {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS"}
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert found["TINYGRAD_NP_CACHE"] == str(tmp_path)  # nothing else is touched
    assert os.environ["OPENBLAS_CORETYPE"] == "3"
    # an import is timed in a process of its own kind: this module can be imported where the setting is gone
    (tmp_path / "unset.py").write_text(
        "import os; assert 'OPENBLAS_CORETYPE' not in os.environ", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert imports.seconds("unset", str(tmp_path)) > 0


def test_every_process_is_started_with_that_environment() -> None:
    """In the harness and the cases; a peer's own children take over the environment of the peer."""
    calls = []
    for path in Path(harness.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "subprocess.run",
                "subprocess.Popen",
            ):
                calls.append((path.name, node))
    started = {"checkpointing.py", "harness.py", "imports.py", "sentiment.py", "two_trees.py"}
    assert {name for name, _ in calls} == started
    for name, node in calls:
        assert "env" in [keyword.arg for keyword in node.keywords], name


def test_the_kernel_of_the_blas_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = {"internal_api": "openblas", "version": "0.3", "architecture": "Zen", "num_threads": 1}
    threads = {"user_api": "openmp", "internal_api": "openmp", "version": None, "num_threads": 2}
    fake = SimpleNamespace(threadpool_info=lambda: [threads, {**pool, "user_api": "blas"}])
    monkeypatch.setitem(sys.modules, "threadpoolctl", fake)
    assert shared.numpy_blas() == f"NumPy {np.__version__} (openblas 0.3, kernel Zen, threads 1)"
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert "kernel of its BLAS unknown: threadpoolctl is not installed" in shared.numpy_blas()


def test_the_kernel_is_that_of_the_process() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    (blas,) = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    with Peer("plain") as peer:
        assert peer.about.endswith("threads 1)")
        assert blas["internal_api"] in peer.about


# --- the way back without its refinements -------------------------------------------------------------


def test_the_plain_loop_gives_the_gradients_of_the_tape(rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((3, 4)), requires_grad=True)
    w = Tensor(rng.standard_normal(4), requires_grad=True)
    first, second = np.split(np.tanh(x * w) + x / (1 + w * w), 2, axis=1)
    y = np.einsum("ij,ij->i", first * w.sum(), second) + np.concatenate([first, second, first], axis=1).sum()
    loss = (y * y).sum()
    assert loss.node is not None
    found = plain_backward_pass(loss.node, np.ones(()))
    loss.backward()
    for leaf in (x, w):
        assert leaf.node is not None
        np.testing.assert_allclose(found[leaf.node], leaf.grad, rtol=1e-12)
        assert np.abs(leaf.grad).max() > 0.1


def test_without_a_refinement_the_gradients_are_the_same() -> None:
    arrays = small_lstm()
    right = ours.eager_lstm(arrays)()
    results = [("ours", right)]
    for job in ("without_shared_buffer", "without_collecting", "plain_loop"):
        with Peer("refinements") as peer:  # what is switched off is so for the whole process
            peer.prepare(job, arrays)
            results.append((job, peer.results()))
    assert all(found.keys() == right.keys() for _, found in results)
    check(results, lstm.TOLERANCE, lstm.WHY)


def test_what_is_switched_off_is_off() -> None:
    program = """
import numpy as np
from benchmarks.peers import refinements
from tinygrad_np import Tensor
x = Tensor(np.arange(4.0).reshape(2, 2), requires_grad=True)
def kinds():
    return [type(y.node.vjps[-1](np.ones(y.shape))).__name__ for y in (x[0], x[[1, 1]], np.eye(2) @ x)]
print(kinds())
refinements.send_back_whole_arrays()
refinements.multiply_at_once()
print(kinds(), x[[1, 1]].node.vjps[0](np.ones((2, 2))).tolist())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "['SparseGrad', 'SparseGrad', 'DeferredMatmul']",
        "['ndarray', 'ndarray', 'ndarray'] [[0.0, 0.0], [2.0, 2.0]]",
    ]


def test_the_general_wrapper_computes_the_same() -> None:
    four = {"x": np.array([0.1, 0.2, 0.3, 0.4])}
    with Peer("general") as peer:  # it refuses to start where a wrapper is still a specialised one
        for name in shared.ops(np, np.tanh):
            peer.prepare("op", four, name=name, calls=3, backward=True)
            found, right = peer.results(), ours.op(four, name, calls=3, backward=True)()
            assert {key: a.tolist() for key, a in found.items()} == {
                key: a.tolist() for key, a in right.items()
            }


# --- the other cases ----------------------------------------------------------------------------------


def test_the_profile_gives_shares_of_the_time(rng: np.random.Generator) -> None:
    x = {"x": rng.standard_normal((2, 5, 3)).astype(np.float32)}
    for job in (profile.op_by_op, profile.fused):
        found = job(x, hidden=4)()
        assert len(found["names"]) == len(found["shares"]) == len(found["times"]) > 5
        assert 0 < found["shares"].sum() <= 1.0001  # how much of it is left to Python is up to the clock
        assert (np.diff(found["shares"]) <= 0).all()
        assert found["calls"] > 50
    assert "np.matmul" in found["names"]


def test_an_epoch_of_the_scaling_case_reads_all_words() -> None:
    found = scaling.epoch({}, reviews=3, batch_size=2, size=1)()
    assert found["words"] == scaling.new_examples(3).lengths.sum() > 30
    assert found["seconds"] > 0


def test_the_real_job_reports_what_its_runs_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []

    def run(command: list[str], env: dict[str, str], cwd: Path) -> SimpleNamespace:
        commands.append(command[1:-1])
        metrics = {
            **{"train_reviews": 9, "validation_reviews": 1, "test_reviews": 5, "epochs": 6},
            **{"test_accuracy": 0.75, "test_loss": 0.5, "training_seconds": 2.0, "tokens_per_second": 300.0},
        }
        (Path(command[-1]) / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        return SimpleNamespace(returncode=len(commands) // 4)

    monkeypatch.setattr(sentiment.subprocess, "run", run)
    rows = sentiment.run(harness.Options(1, tmp_path))
    assert [row.median for row in rows] == 3 * [10, 5, 6, 75, 0.5, 2, 300]
    where = ["--data-dir", str(tmp_path), "--out"]
    assert commands[1] == ["-m", "models.sentiment", "train", "--data", "imdb", *where]
    assert commands[2] == ["-m", "models.sentiment", "train", "--data", "imdb", "--workers", "2", *where]
    with pytest.raises(RuntimeError, match="the training of 2,000 reviews ended with status 1"):
        sentiment.run(harness.Options(1, tmp_path))


# --- the documents ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures() -> Figures:
    return Figures(report.read(publish.FILE))


@pytest.mark.parametrize("path", publish.documents(), ids=lambda path: path.name)
def test_the_documents_are_what_the_figures_give(path: Path, figures: Figures) -> None:
    """If this fails: python -m benchmarks.publish."""
    text = path.read_text(encoding="utf-8")
    assert publish.filled(text, figures) == text


def test_every_table_stands_somewhere() -> None:
    found = {
        m[2]
        for path in publish.documents()
        for m in publish.MARKED.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == publish.TABLES.keys()


def test_a_number_written_by_hand_is_noticed(figures: Figures) -> None:
    text = (publish.ROOT / "README.md").read_text(encoding="utf-8")
    accuracy = f"{figures.median('sentiment', 'all reviews, test accuracy', 'ours'):.1f} %"
    assert accuracy in text
    changed = text.replace(accuracy, "99.9 %")
    assert publish.filled(changed, figures) == text


def test_what_is_wrong_with_a_document_is_said(figures: Figures) -> None:
    with pytest.raises(
        ValueError, match="there is no table lstn for <!-- benchmarks:lstn -->; there are env"
    ):
        publish.filled("<!-- benchmarks:lstn -->\n<!-- /benchmarks -->", figures)
    with pytest.raises(ValueError, match="has no <!-- /benchmarks --> after it"):
        publish.filled("<!-- benchmarks:lstm -->\n", figures)
    with pytest.raises(
        ValueError, match=r"benchmarks\.json has no figure of 'lstm, B=1, last, ours, 1 process'"
    ):
        publish.filled("<!-- benchmarks:lstm -->\n<!-- /benchmarks -->", Figures({}))


def test_of_several_contenders_the_best_one_counts() -> None:
    found = Figures({"all": Measured({}, [FAST, SLOW, MANY, FEW])})
    assert found.row("lstm", "B=1", "PyTorch", "ours") is FAST
    assert found.row("training", "B=32", "PyTorch", "ours") is MANY
    assert publish.times(FAST, SLOW) == "3.00"
    assert publish.times(FEW, MANY) == "0.33"


def test_the_list_of_what_is_slower_leaves_nothing_out() -> None:
    behind = [
        Row("lstm", "B=1", "ours", "ms", [2.0]),
        Row("lstm", "B=1", "JAX", "ms", [1.0]),
        Row("lstm", "B=8", "ours, 1 process", "ms", [3.0]),
        Row("lstm", "B=8", "ours, 2 processes", "ms", [1.0]),
        Row("lstm", "B=8", "JAX", "ms", [2.0]),
    ]
    one_op = [Row("op", "x", "ours", "µs", [2.0]), Row("op", "x", "NumPy alone", "µs", [1.0])]
    cases = {"lstm": behind, "tape": one_op, "epoch": [MANY, FEW], "memory": []}
    found = publish.slower(Figures({name: Measured({}, rows) for name, rows in cases.items()}))
    assert found.splitlines()[2:] == ["| the LSTM layer: B=1 | ours: 2 ms | JAX: 1 ms | 0.50 |"]


def png_text(path: Path) -> tuple[int, str]:
    """The width in dots, and the description that stands in a PNG file."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, place = int.from_bytes(content[16:20], "big"), 8
    while place < len(content):
        size, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        body = content[place + 8 : place + 8 + size]
        if kind == b"tEXt" and body.startswith(b"Description\0"):
            return width, body.partition(b"\0")[2].decode("latin-1")
        place += size + 12
    return width, ""


def test_the_pictures_show_the_figures_of_the_tables(figures: Figures) -> None:
    """If this fails: python -m benchmarks.publish."""
    expected = publish.all_pictures(figures)
    assert {path.name for path in publish.FILE.parent.glob("benchmarks*.png")} == expected.keys()
    readme = (publish.ROOT / "README.md").read_text(encoding="utf-8")
    for name, picture in expected.items():
        assert png_text(publish.FILE.with_name(name)) == (800, picture.description())
        assert f"![{picture.question}](docs/{name})" in readme


def test_a_picture_is_drawn_with_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = Picture(
        "How fast?",
        "ms: shorter is better",
        [("one", [("ours", 1.5), ("NumPy", 1234.5)]), ("two", [("JAX", 2)])],
    )
    pictures.draw(picture, tmp_path / "one.png")
    width, text = png_text(tmp_path / "one.png")
    assert width == 800
    assert json.loads(text)[2] == [["one", [["ours", "1.5"], ["NumPy", "1,234"]]], ["two", [["JAX", "2"]]]]
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]
    assert pictures.SMALL >= 10


def test_without_data_a_case_says_so_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["epoch", "data", "sentiment", "--json", str(tmp_path / "nothing.json")]) == 0
    assert capsys.readouterr().out.count("left out, because --data-dir does not say") == 3
    assert report.read(tmp_path / "nothing.json") == {}


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["epok"])
    assert f"there is no case epok; there are {', '.join(CASES)}" in capsys.readouterr().err


def test_the_help_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.split("\n\n")[2].splitlines()] == list(CASES)


def test_ops_are_functions_of_four_numbers() -> None:
    x = np.array([0.1, 0.2, 0.3, 0.4])
    found = {name: plain.op({"x": x}, name, calls=1)()["value"] for name in shared.ops(np, np.tanh)}
    assert len(found) >= 8
    for name, value in found.items():
        backward = ours.op({"x": x}, name, calls=1, backward=True)()
        np.testing.assert_allclose(backward["value"], value, rtol=1e-15)
        assert backward["gradient"].shape == (4,)


def test_every_case_begins_with_ours_and_only_ours_has_its_arguments() -> None:
    for peers in (lstm.PEERS, tape.PEERS, conv.PEERS, memory.PEERS):
        assert next(iter(peers.values()))[0] == "ours"
        assert {module for module, _ in peers.values()} <= harness.NEEDS.keys()
    assert next(iter(epoch.SIDES.values())) == epoch.Side("ours", 1, 1, {"workers": 1})
    for side in epoch.SIDES.values():
        assert side.settings.keys() == {"ours": {"workers"}, "pytorch": {"packed", "flush"}}.get(
            side.module, set()
        )
