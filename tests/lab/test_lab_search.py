"""The search for the tasks' default rates."""

import numpy as np
import pytest
from experiments import TINY, load

from adaptax.lab import data, search
from adaptax.lab.search import Tried


def test_rates_are_tried_in_one_compiled_program_and_differ():
    tried = search.search(TINY, load(None), "sgd", [1e-6, 0.3, 1e30], seeds=[50, 51], epochs=10)
    slow, good, wild = tried
    assert [each.rate for each in tried] == [1e-6, 0.3, 1e30]
    assert good.loss < 0.6 * slow.loss and wild.loss == float("inf")


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 2.0, 1.0, 2.0], 3.0),
        ([2.0, 1.0, 0.5, float("inf"), 9.0], 2.0),  # 3.0 is lowest, but beside a cliff
        ([float("nan"), 2.0, 1.0, 1.0], 4.0),
        ([9.0, 1.004, 1.0, 1.0, 1.0], 3.0),  # 4.0 is lower, by a thousandth
        ([float("inf"), float("nan")], 1.0),
    ],
)
def test_the_choice_looks_at_the_neighbours(losses, expected):
    tried = [Tried(float(i), loss) for i, loss in enumerate(losses, start=1)]
    assert search.best(tried) == expected


def test_the_test_examples_of_the_seed_are_never_looked_at():
    dataset = load(None)
    used = search._validation(dataset, seed=5, examples=None)
    held_out = {row.tobytes() for row in data.split(dataset, 5).test.inputs}
    seen = {row.tobytes() for row in np.concatenate([used.train.inputs, used.test.inputs])}
    assert len(seen) == 80 and not seen & held_out


def test_fewer_examples_may_be_used():
    used = search._validation(load(None), seed=5, examples=50)
    assert len(used.train.targets) + len(used.test.targets) == 50


def test_the_command_prints_a_line_an_optimizer(capsys, monkeypatch):
    words = ["search", "diabetes-linear", "--optimizers", "sgd", "--rates", "0.01", "0.05"]
    monkeypatch.setattr("sys.argv", [*words, "--epochs", "1", "--seeds", "9"])
    search.main()
    out = capsys.readouterr().out
    assert out.startswith('    "sgd": 0.0') and "  # 0.01:" in out and "  0.05:" in out
