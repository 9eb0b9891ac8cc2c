"""Every example runs, and its numbers show what it says."""

import os
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def plain_loop(found):
    assert found["accuracy"] > 0.95
    assert found["learning_rate"] == pytest.approx(3e-4, rel=1e-6)
    assert found["compiled"] == 1


def scan_training(found):
    assert found["accuracy"] > 0.96
    assert found["losses"][0] > 2 and found["losses"][-1] < 0.1
    rates = found["rates"]
    assert rates[0] == 0 and rates.argmax() == 30
    assert rates[15] == pytest.approx(0.01) and rates[30] == pytest.approx(0.02)
    assert np.all(np.diff(rates[30:]) < 0) and 0 < rates[-1] < 1e-5


def flax_nnx(found):
    assert found["accuracy"] > 0.95
    np.testing.assert_allclose(found["rates"], [3e-3] * 10 + [5e-4] * 5, rtol=1e-6)


def flax_linen(found):
    losses, rates = np.array(found["losses"]), np.array(found["rates"])
    assert losses[0] > losses[-1] and losses[-1] < 0.3
    assert rates[0] == pytest.approx(0.02) and rates[-1] < 0.005  # so the loss arrived
    best = np.minimum.accumulate(losses)[:-1]
    for epoch in np.flatnonzero(np.diff(rates) < 0):  # only after epochs without a new best
        assert losses[epoch] > best[epoch] * 0.9999 and epoch >= 2


def equinox_loop(found):
    assert found["accuracy"] > 0.94
    assert found["learning_rate"] == pytest.approx(3e-3 * 0.9**9, rel=1e-5)


def own_method(found):
    assert found["adam"] > 0.95 and found["mean_absolute_adam"] > 0.95
    assert found["learning_rate"] == pytest.approx(5e-3)


def wsd_branch(found):
    assert [step for step, *_ in found["branches"]] == [200, 400, 600]
    for _, stable, decayed, rates in found["branches"]:
        assert decayed < stable < 0.3
        assert rates[0] == np.float32(0.03) and 0 < rates[-1] < 2e-4
        assert np.all(np.diff(rates) < 0)


def find_rate_nnx(found):
    assert found["accuracy"] > 0.95
    quick, precise = found["quick"], found["found"]
    assert quick.verdict == precise.verdict == "found" and precise.horizon == 220
    assert 3e-4 < quick.recommended < 0.1 and 1e-3 < precise.recommended < 0.1
    assert precise.interval[0] < precise.recommended < precise.interval[1]


def fine_tuning(found):
    accuracies = {name: np.mean(each) for name, each in found["accuracies"].items()}
    assert len(accuracies) == 5 and min(accuracies.values()) > 0.85
    assert max(accuracies.values()) > accuracies["from scratch"]
    assert set(found["rates"]) == {"from scratch", "one rate", "head/**", "body/**"}
    assert all(1e-6 < rate < 1 for rate in found["rates"].values())


def data_parallel(found):
    """On the one device of this process; below on four."""
    assert list(found) == [1] and found[1]["steps"] == 704
    assert found[1]["accuracy"] > 0.95 and found[1]["rate"] == pytest.approx(2e-3, rel=1e-6)


EXPECTED = [
    data_parallel,
    fine_tuning,
    wsd_branch,
    find_rate_nnx,
    plain_loop,
    scan_training,
    flax_nnx,
    flax_linen,
    equinox_loop,
    own_method,
]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda f: f.__name__)
def test_example(expected, capsys):
    module = runpy.run_path(str(EXAMPLES / f"{expected.__name__}.py"))
    expected(module["main"]())
    printed = capsys.readouterr().out
    assert "learning rate" in printed


def test_data_parallel_training_on_four_devices():
    """As a user runs it: four times the batch, twice the rate, a quarter of the steps."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "data_parallel.py")]
    path = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, four = done.stdout.splitlines()
    assert one.startswith("1 device(s): 704 steps of 32 examples, learning rate up to 0.002,")
    assert four.startswith("4 device(s): 176 steps of 128 examples, learning rate up to 0.004,")
    assert float(four.rpartition(" ")[2]) > 0.95


def test_every_example_is_run_and_short():
    files = sorted(EXAMPLES.glob("*.py"))
    assert [f.stem for f in files] == sorted(f.__name__ for f in EXPECTED)
    assert all(len(f.read_text().splitlines()) < 100 for f in files)
