"""Comparisons with every optimizer at its own best rate."""

import dataclasses
import functools
import io
import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from experiments import TINY, Log, interrupt, load, without_times

import adaptax
from adaptax import lab
from adaptax.lab import data, experiment, search, tuned
from adaptax.lab.candidates import candidates
from adaptax.lab.results import Comparison


def without_dropout(rngs):
    from adaptax.lab.models import MLP

    return MLP((4, 8, 2), rngs=rngs)


PLAIN = dataclasses.replace(TINY, model=without_dropout)  # compiles in half the time


@functools.cache
def found():
    return lab.compare(PLAIN, ["sgd", "adam(b1=0.8)"], seeds=2, tune=True, tune_budget=12)


def test_each_optimizer_runs_with_its_best_rate():
    for entry in found().optimizers:
        how = entry.tuned
        assert how.rates == (0.0001, 0.00087, 0.0076, 0.066, 0.57, 5.0)
        assert how.seeds == (1000, 1001) and how.trainings == 12
        assert how.steps == 12 * 8 and how.seconds > 0
        assert entry.rate == repr(how.rate) and how.rate in how.rates
        assert f"learning_rate={how.rate!r}" in entry.call
        assert all(run.rates[-1] == pytest.approx(how.rate) for run in found().of(entry.label))
    assert "b1=0.8" in found().optimizers[1].call


def test_the_rate_is_that_of_a_sweep_on_the_training_examples():
    alone = search.search(
        PLAIN, load(None), adaptax.sgd, found().optimizers[0].tuned.rates, [1000, 1001]
    )
    assert found().optimizers[0].tuned.rate == alone.best
    np.testing.assert_allclose(
        found().optimizers[0].tuned.losses, [row.loss for row in alone.rows], rtol=1e-5
    )


def test_the_runs_are_those_of_a_comparison_with_the_rates_given():
    calls = {entry.label: entry.call for entry in found().optimizers}
    plain = lab.compare(PLAIN, calls, seeds=2)
    assert [run.losses for run in plain.runs] == [run.losses for run in found().runs]
    assert [run.metric for run in plain.runs] == [run.metric for run in found().runs]


def test_the_same_call_gives_the_same_rates():
    again = lab.compare(PLAIN, "sgd", seeds=2, tune=True, tune_budget=12)
    one, other = (
        dataclasses.replace(each.optimizers[0].tuned, seconds=0.0) for each in (again, found())
    )
    assert one == other
    assert without_times(again).runs == without_times(found()).of("sgd")


def test_the_table_tells_rate_budget_and_cost():
    shown = found().table()
    assert "tuning" in shown and "trainings" in shown
    row = next(line for line in shown.splitlines() if line.startswith(" sgd"))
    how = found().optimizers[0].tuned
    assert row.split()[1] == repr(how.rate)
    assert row.split()[-3:] == ["12", "96", f"{how.seconds:.1f}"]
    words = " ".join(shown.split())
    assert "rate: the best of 6" in words and "seeds 1000, 1001" in words
    assert "tuning" not in lab.compare(PLAIN, "sgd", seeds=1).table()


def test_json_keeps_how_the_rates_were_found_and_older_files_are_read():
    assert Comparison.from_json(found().to_json()) == found()
    plain = lab.compare(PLAIN, "sgd", seeds=1)
    older = plain.to_json().replace(', "tuned": null', "")
    assert '"tuned"' not in older and Comparison.from_json(older) == plain


def test_tuning_uses_no_test_examples_of_its_seeds_and_no_reported_seed(monkeypatch):
    looked = []
    original = search.sweep
    monkeypatch.setattr(
        search, "sweep", lambda *args, **kw: looked.append((args, kw)) or original(*args, **kw)
    )
    lab.compare(PLAIN, "sgd", seeds=[1000, 3], tune=True, tune_budget=12)
    ((args, given),) = looked
    assert given["seeds"] == (1001, 1002)
    for seed in given["seeds"]:
        held_out = {row.tobytes() for row in data.split(load(None), seed).test.inputs}
        epoch = [batch for _, batch in zip(range(50), args[2](seed), strict=False)]
        used = [*(x for x, _ in epoch), *(x for x, _ in given["validation"](seed))]
        assert not held_out & {row.tobytes() for inputs in used for row in inputs}


def test_a_schedule_is_multiplied_and_prints():
    made = lab.compare(
        PLAIN, "sgd", learning_rate="linear(0.1, 0.0, 10)", seeds=1, tune=True, tune_budget=12
    )
    (entry,) = made.optimizers
    assert entry.tuned.rates == (0.0033, 0.013, 0.051, 0.2, 0.77, 3.0)
    scale = float(f"{entry.tuned.rate / 0.1:.6g}")
    assert entry.rate == f"product_of({scale}, linear(start=0.1, end=0.0, steps=10))"
    assert entry.call == repr(adaptax.sgd(scale * adaptax.linear(0.1, 0.0, 10)))
    rates = made.runs[0].rates
    assert rates[0] == pytest.approx(entry.tuned.rate, rel=1e-5)
    assert rates[-1] == pytest.approx(0.1 * entry.tuned.rate, rel=1e-4)


def rated(optimizer, steps=100):
    (candidate,) = candidates(PLAIN, optimizer, None)
    return tuned.rated(candidate, steps)


def first_update(tx, rate):
    made = tx(rate)
    params = jnp.ones(2)
    return made.update(jnp.ones(2), made.init(params), params)[0]


@pytest.mark.parametrize(
    ("optimizer", "peak", "rate"),
    [
        (adaptax.sgd(0.25), 0.25, 0.5),
        (adaptax.chain(adaptax.clip(1.0), adaptax.sgd(0.25)), 0.25, 0.5),
        (adaptax.chain(adaptax.chain(adaptax.sgd(0.25))), 0.25, 0.5),
        (adaptax.sgd(adaptax.linear(0.5, 1.0, 100)), 1.0, 0.25),
        (adaptax.sgd(adaptax.linear(1.0, 0.5, 100)), 1.0, 0.5),
        ({"mine": adaptax.sgd(lambda step: 0.25)}, 0.25, 0.5),
    ],
    ids=["number", "chain", "deep", "rising", "falling", "function"],
)
def test_the_rate_of_an_optimizer_is_its_highest(optimizer, peak, rate):
    made = rated(optimizer)
    assert made.peak == pytest.approx(peak)
    at = made.at(0.5)
    np.testing.assert_allclose(first_update(made, 0.5), -rate, rtol=1e-6)
    np.testing.assert_allclose(first_update(lambda _: at.transformation, 0.5), -rate, rtol=1e-6)
    assert at.label == made.candidate.label and at.call == repr(at.transformation)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"theirs": optax.sgd(0.1)}, "tune: 'theirs' has no learning rate of adaptax"),
        ({"two": adaptax.chain(adaptax.sgd(0.1), adaptax.sgd(0.1))}, "'two' has 2 learning rates"),
        (adaptax.sgd(adaptax.plateau(0.1)), "'sgd' has a controller"),
        (adaptax.sgd(adaptax.constant(0.0)), "nowhere above 0"),
    ],
    ids=["optax", "two", "controller", "zero"],
)
def test_a_rate_that_cannot_be_tuned_is_refused(optimizer, message):
    log = Log()
    with pytest.raises(ValueError, match=message):
        lab.compare(PLAIN, optimizer, tune=True, progress=log)
    assert log.calls == []


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"tune_budget": 2}, ValueError, "tune_budget=2: at least 3"),
        ({"tune_budget": 2.5}, TypeError, "tune_budget=2.5"),
        ({"tune_budget": True}, TypeError, "tune_budget=True"),
        ({"tune": False, "tune_budget": 9}, ValueError, "only with tune=True"),
        ({"batch_size": 70}, ValueError, "batch_size=70: with tuning, .* has 64 examples"),
    ],
)
def test_what_is_refused_before_training(wrong, kind, message):
    with pytest.raises(kind, match=message):
        lab.compare(**{"task": PLAIN, "optimizers": "sgd", "tune": True, **wrong})


@pytest.mark.parametrize(("budget", "rates", "seeds"), [(3, 3, 1), (9, 9, 1), (20, 10, 2)])
def test_the_budget_is_rates_times_seeds(budget, rates, seeds):
    made, count = tuned.grid(rated(adaptax.sgd(0.1)), budget)
    assert (len(made), count) == (rates, seeds) and made[0] == 1e-4 and made[-1] == 5.0
    assert np.ptp(np.diff(np.log(made))) < 0.1


def test_where_all_rates_diverge_the_smallest_is_taken_and_said():
    wild = dataclasses.replace(PLAIN, loss=lambda outputs, targets: (outputs**2).sum() * math.inf)
    made = lab.compare(wild, "sgd", seeds=1, epochs=1, tune=True, tune_budget=3)
    assert made.optimizers[0].tuned.rate == 1e-4
    assert set(made.optimizers[0].tuned.losses) == {math.inf}
    assert "diverged at step 1" in made.table()


class Tuning(Log):
    """Notes the tuning too, and may be interrupted in it."""

    def __init__(self, stop=False):
        super().__init__()
        self.stop = stop

    def tuning(self, label, done, total):
        self.calls.append(("tuning", label, done, total))
        if self.stop and done:
            interrupt()

    def tuned(self, label, summary):
        self.calls.append(("tuned", label, summary))


def test_progress_hears_of_the_tuning():
    log = Tuning()
    lab.compare(PLAIN, "sgd", seeds=1, tune=True, tune_budget=12, progress=log)
    kinds = [call[0] for call in log.calls]
    assert kinds[:6] == ["begin", "optimizer", "tuning", "tuning", "tuned", "optimizer"]
    assert log.calls[2][2:] == (0, 96) and log.calls[3][2:] == (96, 96)
    assert log.calls[4][2].startswith("rate ") and "of 12 trainings" in log.calls[4][2]


def test_an_interruption_while_tuning_keeps_the_runs_before():
    cut = lab.compare(PLAIN, "sgd", seeds=1, tune=True, tune_budget=12, progress=Tuning(stop=True))
    assert cut.interrupted and cut.runs == () and "not run" in cut.table()


def test_lines_and_bars_show_the_tuning():
    stream = io.StringIO()
    lines = lab.Lines(stream, every=0.0)
    lines.begin(["sgd"], 1, 10, PLAIN.metric)
    lines.tuning("sgd", 500, 2000)
    lines.tuned("sgd", "rate 0.1")
    assert stream.getvalue().splitlines()[1:] == [
        "  sgd: tuning, step 500 of 2,000",
        "sgd: rate 0.1",
    ]
    shown = io.StringIO()
    shown.isatty = lambda: True
    bars = lab.Bars(shown)
    bars._display.console.width = 120
    with bars:
        bars.begin(["sgd"], 1, 10, PLAIN.metric)
        bars.tuning("sgd", 500, 2000)
        bars._display.refresh()
    assert "tuning, 25 %" in shown.getvalue()


def test_a_plan_without_tuning_is_as_before():
    assert experiment.prepare(PLAIN, "sgd").rated == ()
    assert experiment.prepare(PLAIN, "sgd", tune=True).tune_budget == tuned.BUDGET
