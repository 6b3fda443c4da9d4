"""The benchmarks: that they compare the same numbers and reckon rightly. Nothing here looks at a clock."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmarks import epoch, harness, lstm, memory, report, tape
from benchmarks.__main__ import main
from benchmarks.harness import Contender, Peer, Row, check, measure, milliseconds, start
from benchmarks.peers import ours, plain, shared, tutorial

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
    assert rows[0].about == f"NumPy {np.__version__}, 1 BLAS thread"


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
    idle, results = memory.megabytes("ours", 1, steps=0)
    assert (10 < idle < 1000, results) == (True, {})
    monkeypatch.setattr(memory, "TIME", Path("/no/such/program"))
    assert memory.megabytes("ours", 1, steps=0)[0] == pytest.approx(idle, rel=0.2)


def test_the_table_and_the_file_of_numbers(tmp_path: Path) -> None:
    lines = report.table([FAST, MANY, SLOW, FEW]).splitlines()
    assert lines[2:] == [
        "| lstm | B=1 | ours | 2 | 1.5 to 3 | ms | 1.00 | 25% |",
        "| lstm | B=1 | PyTorch | 6 | 6 to 6 | ms | 3.00 |  |",
        "| training | B=32 | ours | 300 | once | tokens/s | 1.00 | 50% |",
        "| training | B=32 | PyTorch | 100 | once | tokens/s | 3.00 |  |",
    ]
    report.write([FAST, SLOW], {"cores": "2"}, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["machine"] == {"cores": "2"}
    assert [(row["peer"], row["values"], row["ratio"]) for row in found["rows"]] == [
        ("ours", [2.0, 1.0, 4.0], 1.0),
        ("PyTorch", [6.0, 6.0, 6.0], 3.0),
    ]


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    about = {"processor": "some", "cores": "2", "python": "3.11"}
    report.draw([FAST, SLOW, MANY, FEW], about, tmp_path / "all.png")
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["all.png"]


def test_without_data_a_case_says_so_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["epoch", "data", "--json", str(tmp_path / "nothing.json")]) == 0
    assert capsys.readouterr().out.count("left out, because --data-dir does not say") == 2
    assert json.loads((tmp_path / "nothing.json").read_text(encoding="utf-8"))["rows"] == []


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["epok"])
    assert (
        "there is no case epok; there are lstm, tape, epoch, import, data, memory" in capsys.readouterr().err
    )


def test_ops_are_functions_of_four_numbers() -> None:
    x = np.array([0.1, 0.2, 0.3, 0.4])
    found = {name: plain.op({"x": x}, name, calls=1)()["value"] for name in shared.ops(np, np.tanh)}
    assert len(found) >= 8
    for name, value in found.items():
        backward = ours.op({"x": x}, name, calls=1, backward=True)()
        np.testing.assert_allclose(backward["value"], value, rtol=1e-15)
        assert backward["gradient"].shape == (4,)


def test_every_case_begins_with_ours_and_only_ours_has_its_arguments() -> None:
    for peers in (lstm.PEERS, tape.PEERS, memory.PEERS):
        assert next(iter(peers.values()))[0] == "ours"
        assert {module for module, _ in peers.values()} <= harness.NEEDS.keys()
    assert next(iter(epoch.SIDES.values())) == epoch.Side("ours", 1, 1, {"workers": 1})
    for side in epoch.SIDES.values():
        assert side.settings.keys() == {"ours": {"workers"}, "pytorch": {"packed", "flush"}}.get(
            side.module, set()
        )
