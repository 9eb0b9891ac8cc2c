"""Every example runs, and its numbers show what it says."""

import pathlib
import runpy

import jax
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
    assert found["losses"][0] > 1 and found["losses"][-1] < 0.3
    assert found["learning_rate"] == pytest.approx(0.1)
    assert found["scale"] < 1  # the plateau was seen, so the loss arrived


def equinox_loop(found):
    assert found["accuracy"] > 0.94
    assert found["learning_rate"] == pytest.approx(3e-3 * 0.9**9, rel=1e-5)


def own_method(found):
    assert found["adam"] > 0.95 and found["mean_absolute_adam"] > 0.95
    assert found["learning_rate"] == pytest.approx(5e-3)


EXPECTED = [plain_loop, scan_training, flax_nnx, flax_linen, equinox_loop, own_method]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda f: f.__name__)
def test_example(expected, capsys):
    module = runpy.run_path(str(EXAMPLES / f"{expected.__name__}.py"))
    # Optax's plateau mixes dtypes, which strict promotion refuses
    with jax.numpy_dtype_promotion("standard" if expected is flax_linen else "strict"):
        expected(module["main"]())
    printed = capsys.readouterr().out
    assert "learning rate" in printed


def test_every_example_is_run_and_short():
    files = sorted(EXAMPLES.glob("*.py"))
    assert [f.stem for f in files] == sorted(f.__name__ for f in EXPECTED)
    assert all(len(f.read_text().splitlines()) < 100 for f in files)
