"""Sweeps: the numbers of straight-line loops, whichever way the members are trained."""

import dataclasses
import functools
import io
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.tuning import layout, population
from adaptax.tuning.halving import Rung, rungs, survivors

RATES = [0.01, 0.1, 0.4]
DRAW = np.random.default_rng(0)
INPUTS = DRAW.normal(size=(5, 8, 3)).astype(np.float32)
TARGETS = (INPUTS @ np.float32([1.0, -2.0, 0.5]) + 0.1 * DRAW.normal(size=(5, 8))).astype(
    np.float32
)
BATCHES = list(zip(INPUTS, TARGETS, strict=True))
HELD_OUT = [(INPUTS[0, :5], TARGETS[0, :5]), (INPUTS[1, :2], TARGETS[1, :2])]
KEY = jax.random.key(0)
ZERO = {"w": jnp.zeros(3), "b": jnp.zeros(())}


def line(params, batch):
    inputs, targets = batch
    return jnp.mean((inputs @ params["w"] + params["b"] - targets) ** 2)


def by_hand(rate, steps):
    """SGD in float64: the losses, then the loss on the held-out examples."""
    w, b, losses = np.zeros(3), 0.0, []
    for inputs, targets in itertools.islice(itertools.cycle(BATCHES), steps):
        error = inputs.astype(np.float64) @ w + b - targets
        losses.append(np.mean(error**2))
        w = w - rate * 2 * error @ inputs / len(targets)
        b = b - rate * 2 * error.mean()
    squares = [(x.astype(np.float64) @ w + b - y) ** 2 for x, y in HELD_OUT]
    return losses, np.concatenate(squares).mean()


sweep = functools.partial(adaptax.sweep, progress=False)


@functools.cache
def swept(vmapped):
    return sweep(
        line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=12, validation=HELD_OUT,
        vmapped=vmapped,
    )  # fmt: skip


@pytest.mark.parametrize("vmapped", [True, False])
def test_every_rate_is_the_training_that_a_loop_in_numpy_makes(vmapped):
    found = swept(vmapped)
    assert found.rates == tuple(RATES) and found.vmapped is vmapped
    assert found.measure == "validation loss" and found.total_steps == 36
    for trial in found.trials:
        losses, held_out = by_hand(trial.rate, 12)
        np.testing.assert_allclose(trial.curve, losses, rtol=2e-5)
        assert trial.loss == pytest.approx(held_out, rel=2e-5)
        assert (trial.steps, trial.judged_at, trial.diverged_at) == (12, 12, None)


def test_without_validation_the_last_tenth_of_the_training_losses_judges():
    found = sweep(line, ZERO, BATCHES, adaptax.sgd, rates=[0.1], steps=40)
    losses, _ = by_hand(0.1, 40)
    assert found.trials[0].loss == pytest.approx(np.mean(losses[-4:]), rel=1e-4)
    assert found.measure == "training loss"


def test_without_steps_it_is_once_through_the_batches():
    assert sweep(line, ZERO, BATCHES, adaptax.sgd, rates=[0.1]).steps == 5


def network(params, model_state, batch, key):
    """Two layers, dropout, and a count of what was seen."""
    inputs, targets = batch
    hidden = jnp.tanh(inputs @ params["one"])
    bits = jax.random.key_data(key)[0] >> jnp.arange(4, dtype=jnp.uint32)  # quick to compile
    hidden = jnp.where((bits & 1)[None] == 1, hidden, 0.0)
    loss = jnp.mean((hidden @ params["two"] - targets) ** 2)
    return loss, {"seen": model_state["seen"] + 1, "shift": model_state["shift"]}


def without_dropout(params, model_state, batch):
    inputs, targets = batch
    hidden = jnp.tanh(inputs @ params["one"]) + 0.0 * model_state["shift"]
    return jnp.mean((hidden @ params["two"] - targets) ** 2)


def drawn(seed):
    one, two = jax.random.split(jax.random.key(seed))
    return {"one": jax.random.normal(one, (3, 4)), "two": jax.random.normal(two, (4,))}


def of_seed(seed):
    return [BATCHES[i] for i in np.random.default_rng(seed).permutation(5)]


@functools.cache
def by_seed(vmapped, halving=None, steps=124):
    return sweep(
        network, drawn, of_seed, adaptax.adam, rates=[0.001, 0.01, 0.1, 0.3], seeds=[3, 8],
        steps=steps, model_state={"seen": jnp.zeros((), jnp.int32), "shift": jnp.ones(())},
        key=KEY, validation=lambda seed: of_seed(seed)[:2],
        eval_fn=without_dropout, vmapped=vmapped, halving=halving,
    )  # fmt: skip


@pytest.mark.parametrize("halving", [None, 4])
def test_both_ways_give_the_same_numbers(halving):
    one, other = by_seed(True, halving), by_seed(False, halving)
    assert one.vmapped and not other.vmapped
    for a, b in zip(one.trials, other.trials, strict=True):
        assert (a.rate, a.seed, a.steps, a.judged_at) == (b.rate, b.seed, b.steps, b.judged_at)
        np.testing.assert_allclose(a.curve, b.curve, rtol=1e-3)
        assert a.loss == pytest.approx(b.loss, rel=1e-3)
    assert one.rungs == other.rungs and one.best == other.best
    assert one.total_steps == other.total_steps


def test_seeds_have_starts_batches_keys_and_validation_of_their_own():
    curves = {(t.rate, t.seed): t.curve for t in by_seed(True).trials}
    assert len(set(curves.values())) == 8
    one = sweep(
        network, drawn(3), of_seed(3), adaptax.adam, rates=[0.01], steps=124,
        model_state={"seen": jnp.zeros((), jnp.int32), "shift": jnp.ones(())},
        key=lambda seed: jax.random.fold_in(KEY, 3),
    )  # fmt: skip
    np.testing.assert_allclose(one.trials[0].curve, curves[0.01, 3], rtol=1e-4)


def test_halving_keeps_the_better_rates_and_counts_the_steps():
    found = by_seed(False, 2)
    assert found.rungs == (Rung(31, 4), Rung(62, 2), Rung(124, 1))
    assert found.total_steps == 2 * (4 * 31 + 2 * 31 + 1 * 62)
    assert sum(t.steps for t in found.trials) == found.total_steps
    whole = {(t.rate, t.seed): t.curve for t in by_seed(False).trials}
    for trial in found.trials:
        np.testing.assert_allclose(trial.curve, whole[trial.rate, trial.seed][: trial.steps], 1e-4)
    left = list(found.rates)
    for steps, most in ((31, 2), (62, 1)):
        judged = {row.rate: row.mean for row in by_seed(False, steps=steps).rows}
        left = sorted(left, key=judged.get)[:most]
        assert {row.rate for row in found.rows if row.steps > steps} == set(left)
    assert found.best == left[0]
    assert [row.loss is None for row in found.rows].count(True) == 3


@pytest.mark.parametrize(
    ("members", "steps", "eta", "expected"),
    [
        (9, 90, 3, [(9, 10), (3, 30), (1, 90)]),
        (10, 100, 3, [(10, 11), (3, 33), (1, 100)]),
        (8, 3, 2, [(8, 1), (4, 3)]),
        (2, 50, 3, [(2, 50)]),
        (4, 7, None, [(4, 7)]),
    ],
)
def test_the_rungs_are_those_of_the_papers(members, steps, eta, expected):
    assert [(rung.members, rung.steps) for rung in rungs(members, steps, eta)] == expected


@pytest.mark.parametrize(
    ("losses", "most", "expected"),
    [
        ([3.0, 1.0, 2.0, 1.0], 2, [1, 3]),
        ([np.inf, 1.0, np.nan], 2, [1]),
        ([np.inf], 1, []),
        ([1.0, 1.0, 1.0], 1, [0]),
    ],
)
def test_survivors(losses, most, expected):
    assert survivors(losses, most) == expected


@pytest.mark.parametrize("vmapped", [True, False])
def test_a_rate_that_diverges_leaves_the_others_bitwise_unchanged(vmapped):
    run = functools.partial(
        sweep, line, ZERO, BATCHES, adaptax.sgd, steps=60, vmapped=vmapped, validation=HELD_OUT
    )
    wild, calm = run(rates=[0.01, 0.1, 1e30]), run(rates=[0.01, 0.1, 0.2])
    assert [t.curve for t in wild.trials[:2]] == [t.curve for t in calm.trials[:2]]
    lost = wild.trials[2]
    assert lost.diverged_at == 2 or lost.diverged_at == 3
    assert lost.loss == np.inf and lost.steps == lost.diverged_at
    assert not np.isfinite(lost.curve[-1]) and np.isfinite(lost.curve[:-1]).all()
    assert wild.rows[2].diverged == 1 and wild.rows[2].mean is None
    assert wild.best == 0.01, "0.1 is beside a rate that diverges"


@pytest.mark.parametrize("vmapped", [True, False])
def test_where_all_diverge_there_is_no_best_rate_and_halving_ends(vmapped):
    found = sweep(
        line, ZERO, BATCHES, adaptax.sgd, rates=[1e30, 1e31], steps=400, halving=2, vmapped=vmapped
    )
    assert found.best is None and "no best rate: try smaller ones" in str(found)
    assert found.total_steps <= 2 * 2 * population.CHUNK


def counting():
    """A loss function, and how often it was traced."""
    traces = []

    def loss(params, batch):
        traces.append(1)
        return line(params, batch)

    return loss, traces


@pytest.mark.parametrize("vmapped", [True, False])
def test_the_number_of_rates_and_seeds_adds_no_trace(vmapped):
    counts = []
    for rates, seeds in (([0.1], [0]), ([0.01, 0.1, 0.2, 0.3], [0, 1, 2])):
        loss, traces = counting()
        sweep(
            loss, lambda seed: jax.tree.map(lambda x: x + seed, ZERO), BATCHES, adaptax.sgd,
            rates=rates, seeds=seeds, steps=60, vmapped=vmapped,
        )  # fmt: skip
        counts.append(len(traces))
    assert counts[0] == counts[1] <= 4, counts


def test_curves_leave_the_device_in_chunks(monkeypatch):
    looks = []
    advance = population.Runner.advance
    monkeypatch.setattr(
        population.Runner, "advance", lambda *args: looks.append(len(args[-1])) or advance(*args)
    )
    found = sweep(line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=120)
    assert looks == [50, 50, 20] and len(found.trials[0].curve) == 120
    monkeypatch.setattr(population, "CHUNK", 7)
    again = sweep(line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=120)
    assert [t.curve for t in again.trials] == [t.curve for t in found.trials]


def test_a_long_curve_is_thinned_to_means():
    found = sweep(line, ZERO, BATCHES, adaptax.sgd, rates=[0.01], steps=1001)
    losses, _ = by_hand(0.01, 1001)
    assert found.every == 3 and len(found.trials[0].curve) == 334
    np.testing.assert_allclose(found.trials[0].curve[1], np.mean(losses[3:6]), rtol=1e-4)


@pytest.mark.parametrize(
    ("members", "size", "memory", "convolves", "backend", "vmapped", "reason"),
    [
        (10, 2**20, 2**30, False, "cpu", True, "10 members of 1 MiB fit into half of 1 GiB"),
        (512, 2**20, 2**30, False, "cpu", True, "fit into half"),
        (513, 2**20, 2**30, False, "cpu", False, "do not fit into half of 1 GiB"),
        (2, 2**20, 2**30, True, "cpu", False, "convolutions are slow on a CPU"),
        (2, 2**20, 2**30, True, "gpu", True, "fit into half"),
        (2, 5 * 2**20, 2**30, False, "cpu", False, "above 4 MiB are faster that way"),
        (2, 5 * 2**20, 2**30, False, "tpu", True, "fit into half"),
    ],
)
def test_the_rule(members, size, memory, convolves, backend, vmapped, reason):
    found = layout.choose(members, size, memory, convolves, backend)
    assert found.vmapped is vmapped and reason in found.reason


def test_the_rule_counts_parameters_gradients_and_state():
    run = functools.partial(sweep, line, ZERO, BATCHES, adaptax.adam, rates=RATES, steps=2)
    size = 4 * 4 + 4 * 4 + (2 * 4 * 4 + 4) + 16  # weights, gradients, Adam's state, the rate's
    fits, short = run(memory=2 * 3 * size), run(memory=2 * 3 * size - 1)
    assert fits.vmapped and f"3 members of {size} bytes fit" in fits.why, fits.why
    assert not short.vmapped and "do not fit" in short.why
    assert layout.available() > 2**20


def test_convolutions_are_seen_in_the_loss():
    def loss(kernel, batch):
        made = jax.lax.conv_general_dilated(batch, kernel, (1, 1), "SAME")
        return jnp.mean(made**2)

    images = [np.ones((2, 1, 4, 4), np.float32)]
    run = functools.partial(sweep, loss, jnp.ones((1, 1, 3, 3)), images, adaptax.sgd, steps=3)
    found, forced = run(rates=[0.1, 0.01]), run(rates=[0.1, 0.01], vmapped=True)
    assert not found.vmapped and "convolutions" in found.why
    assert forced.vmapped and forced.why == "vmapped=True was given"
    np.testing.assert_allclose(found.trials[0].curve, forced.trials[0].curve, rtol=1e-5)


@pytest.mark.parametrize("vmapped", [True, False])
def test_nothing_of_the_callers_is_touched(vmapped):
    params = {"w": jnp.ones(3), "b": np.ones((), np.float32)}
    state, key = {"seen": jnp.zeros((), jnp.int32)}, jax.random.key(5)
    batches = [(jnp.array(x), y.copy()) for x, y in BATCHES]

    def loss(params, model_state, batch, key):
        return line(params, batch) + 0.0 * jax.random.uniform(key), model_state

    sweep(
        loss, params, batches, adaptax.adam, rates=[0.1], steps=4, model_state=state, key=key,
        vmapped=vmapped,
    )  # fmt: skip
    assert float(params["w"].sum()) == 3 and float(params["b"]) == 1 and int(state["seen"]) == 0
    assert jax.random.key_data(key).tolist() == jax.random.key_data(jax.random.key(5)).tolist()
    for (x, y), (a, b) in zip(batches, BATCHES, strict=True):
        assert (np.asarray(x) == a).all() and (y == b).all()


def test_an_iterator_is_read_as_far_as_the_steps_and_no_further():
    source = itertools.cycle(BATCHES)
    found = sweep(line, ZERO, source, adaptax.sgd, rates=RATES, steps=12, vmapped=False)
    assert [t.curve for t in found.trials] == [t.curve for t in swept(False).trials]
    assert next(source) is BATCHES[12 % 5]


def test_a_short_batch_is_left_out_in_training():
    short = [*BATCHES, (INPUTS[0, :3], TARGETS[0, :3])]
    found = sweep(line, ZERO, short, adaptax.sgd, rates=RATES, steps=12)
    assert [t.curve for t in found.trials] == [t.curve for t in swept(True).trials]


def test_a_module_that_can_be_called_is_a_tree_of_parameters():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Line:
        w: jax.Array
        b: jax.Array

        def __call__(self, seed):
            raise AssertionError("a model is no function of the seed")

    def loss(model, batch):
        return line({"w": model.w, "b": model.b}, batch)

    found = sweep(loss, Line(**ZERO), BATCHES, adaptax.sgd, rates=RATES, steps=12)
    assert [t.curve for t in found.trials] == [t.curve for t in swept(True).trials]


def scheduled(rate):
    return adaptax.sgd(adaptax.linear(rate, 0.0, steps=12))


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (optax.sgd, "sgd"),
        (functools.partial(adaptax.sgd, momentum=0.0), "sgd"),
        (adaptax.sgd(7.0), "sgd"),
        (adaptax.chain(adaptax.clip(1e9), adaptax.sgd(7.0)), "chain"),
        (lambda learning_rate: optax.inject_hyperparams(optax.sgd)(learning_rate), "<lambda>"),
    ],
    ids=["optax", "partial", "value", "chain", "inject"],
)
def test_what_an_optimizer_may_be(optimizer, name):
    found = sweep(line, ZERO, BATCHES, optimizer, rates=RATES, steps=12)
    assert found.optimizer == name
    for trial, other in zip(found.trials, swept(True).trials, strict=True):
        np.testing.assert_allclose(trial.curve, other.curve, rtol=1e-5)


@pytest.mark.parametrize("kind", ["layers", "paths", "mask", "unfreezing"])
def test_an_optimizer_that_looks_at_the_tree_is_taken(kind):
    params = {"layer_0": ZERO["b"], "layer_1": ZERO["w"]}
    optimizer = {
        "layers": adaptax.layerwise_decay(adaptax.adamw(0.1), 0.5, ["layer_0", "layer_1"]),
        "paths": adaptax.by_path({"layer_1": adaptax.adamw(0.1), "layer_0": optax.set_to_zero()}),
        "mask": adaptax.adamw(0.1, mask={"layer_0": False, "layer_1": True}),
        "unfreezing": adaptax.gradual_unfreezing(adaptax.adamw(0.1), {"**": 2}),
    }[kind]
    found = sweep(
        lambda p, batch: line({"b": p["layer_0"], "w": p["layer_1"]}, batch), params, BATCHES,
        optimizer, rates=[1e-4, 0.1], steps=12,
    )  # fmt: skip
    assert found.best == 0.1


def test_a_rate_between_those_that_diverge_is_still_the_best():
    found = sweep(line, ZERO, BATCHES, adaptax.sgd, rates=[0.1, 1e30], steps=12)
    assert found.best == 0.1 and "broke down beside it: use a finer grid" in found.table()


def test_a_schedule_is_rescaled_to_each_rate():
    value = scheduled(7.0)
    one = sweep(line, ZERO, BATCHES, scheduled, rates=RATES, steps=12)
    other = sweep(line, ZERO, BATCHES, value, rates=RATES, steps=12)
    for a, b in zip(one.trials, other.trials, strict=True):
        np.testing.assert_allclose(a.curve, b.curve, rtol=1e-4)
    assert one.trials[2].curve != swept(True).trials[2].curve


class Interrupt:
    """Ctrl-C at the n-th sign of progress."""

    def __init__(self, at):
        self.at, self.heard = at, []

    def __call__(self, steps):
        self.heard.append(steps)
        if len(self.heard) == self.at:
            raise KeyboardInterrupt


def test_an_interruption_one_by_one_keeps_the_rates_that_finished():
    found = adaptax.sweep(
        line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=100, vmapped=False,
        progress=Interrupt(5),
    )  # fmt: skip
    assert found.interrupted and found.total_steps == 250
    assert [t.steps for t in found.trials] == [100, 100, 50]
    assert [t.loss is None for t in found.trials] == [False, False, True]
    assert found.best == 0.1 and "interrupted: 2 of 3 trainings judged" in str(found)
    assert "stopped" in found.table()


def test_an_interruption_side_by_side_keeps_the_curves():
    cut = Interrupt(2)
    found = adaptax.sweep(
        line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=200, vmapped=True, progress=cut
    )
    assert cut.heard == [150, 150] and [t.steps for t in found.trials] == [100] * 3
    assert found.interrupted and found.best is None and "none was judged" in str(found)


def test_an_interruption_before_anything_is_one():
    def batches(seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(line, ZERO, batches, adaptax.sgd, rates=RATES, steps=10)


def test_long_sweeps_show_where_they_are(monkeypatch):
    from adaptax.tuning import meter

    monkeypatch.setattr(meter, "PATIENCE", 0.0)
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    adaptax.sweep(line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=60)
    assert shown.getvalue().startswith("sweeping: sgd, step 150 of 180")
    shown.truncate(0)
    sweep(line, ZERO, BATCHES, adaptax.sgd, rates=RATES, steps=60)
    assert shown.getvalue() == ""


ONE = BATCHES[:1]
DEAD = (INPUTS[1], np.full_like(TARGETS[1], np.nan))


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"rates": []}, ValueError, r"sweep\(rates=\[\]\): at least one number"),
        ({"rates": "0.1"}, ValueError, "at least one number"),
        ({"rates": [0.1, -0.1]}, ValueError, r"sweep\(rates=-0.1\): .*in \(0, inf\)"),
        ({"rates": [0.0]}, ValueError, r"rates=0.0"),
        ({"rates": [np.inf]}, ValueError, "rates=inf"),
        ({"rates": [np.nan]}, ValueError, "rates=nan"),
        ({"rates": ["fast"]}, TypeError, "rates='fast'"),
        ({"rates": [0.1, 0.2, 0.1]}, ValueError, "0.1 comes twice"),
        ({"seeds": []}, ValueError, r"sweep\(seeds=\[\]\): at least one whole number"),
        ({"seeds": 3}, ValueError, r"seeds=3.*seeds=range\(3\)"),
        ({"seeds": [1, 1]}, ValueError, "only once"),
        ({"seeds": [-1]}, ValueError, r"seeds=\[-1\]"),
        ({"seeds": [0, 1]}, ValueError, "nothing depends on the seed"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"steps": 1.5}, TypeError, "steps=1.5"),
        ({"halving": 1}, ValueError, r"halving=1.*in \[2, inf\)"),
        ({"halving": 2.5}, TypeError, "halving=2.5.*whole number"),
        ({"memory": -1}, ValueError, "memory=-1"),
        ({"batches": []}, ValueError, "empty; at least one batch"),
        ({"batches": lambda seed: []}, ValueError, "empty; at least one batch"),
        ({"batches": lambda seed: ONE, "steps": None}, ValueError, "no length, so say how many"),
        ({"batches": 3}, TypeError, "is no sequence of batches"),
        ({"batches": [BATCHES[0], (INPUTS[0].T, TARGETS[0])]}, ValueError, "must have one shape"),
        ({"validation": []}, ValueError, "validation.*at least one batch"),
        ({"eval_fn": line}, ValueError, "needs validation="),
        ({"optimizer": "adam"}, TypeError, "optimizer='adam'.*adaptax.adamw"),
        ({"optimizer": adaptax.clip(1.0)}, ValueError, "no learning rate"),
        ({"optimizer": optax.sgd(0.1)}, ValueError, "no learning rate"),
        ({"optimizer": adaptax.sgd(adaptax.linear(0.0, 1.0, 9))}, ValueError, "schedule is at 0"),
        ({"loss_fn": 3}, TypeError, "loss_fn=3 cannot be called"),
        ({"loss_fn": lambda params, batch: batch[1]}, ValueError, "a scalar is needed"),
        ({"params": {"w": jnp.zeros(3, int), "b": 0.0}}, TypeError, "w"),
        ({"optimizer": adaptax.adamw(adaptax.warmup_cosine(0.1, 5, 20))}, ValueError,
         r"lambda rate: adamw\(warmup_cosine\(rate, ...\)\)"),
        ({"optimizer": adaptax.by_path({"w": adaptax.sgd(0.1), "b": adaptax.sgd(0.2)})},
         ValueError, "it has 2 rates, of 'b', 'w'; give a function of the rate"),
        ({"key": 0}, TypeError, r"sweep\(key=0\): one random key.*jax.random.key\(0\)"),
        ({"key": lambda seed: seed}, TypeError, r"key=0\): one random key"),
        ({"batches": [BATCHES[0], DEAD]}, ValueError,
         r"batch 1 at \[1\] has NaN or infinity in 8 of its 8"),
        ({"batches": lambda seed: iter([BATCHES[0], DEAD])}, ValueError, r"batch 1 at \[1\]"),
        ({"validation": [BATCHES[0], DEAD]}, ValueError, r"validation.*batch 1 at \[1\]"),
        ({"batches": [BATCHES[0], BATCHES[1], (INPUTS[0].T, TARGETS[0])]}, ValueError, "batch 2"),
        ({"batches": [tuple(x[:3] for x in BATCHES[0]), BATCHES[1]]}, ValueError,
         "the first holds fewer examples than batch 1: put it last"),
    ],
)  # fmt: skip
def test_what_is_refused(changed, kind, message):
    given = {
        "loss_fn": line, "params": ZERO, "batches": ONE, "optimizer": adaptax.sgd,
        "rates": [0.1], "steps": 3,
    }  # fmt: skip
    with pytest.raises(kind, match=message):
        sweep(**{**given, **changed})
