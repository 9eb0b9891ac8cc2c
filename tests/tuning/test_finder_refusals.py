"""What the finder says of bad input, of groups, and how it shows itself."""

import functools
import io
import itertools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from adaptax.tuning import meter
from adaptax.tuning.objective import Objective

find = functools.partial(adaptax.find_learning_rate, progress=False)
ONE = np.ones(4, np.float32)


def loss(params, batch):
    return jnp.mean((params - batch) ** 2)


def stateful(params, state, batch):
    return loss(params, batch), state


P = jnp.zeros(4)
GOOD = [ONE, 2 * ONE]
LIKE = [ONE] * 6
REFUSED = {
    "no batch": (lambda: find(loss, P, []), ValueError, "it is empty"),
    "a dict": (lambda: find(loss, P, {"x": ONE}), TypeError, "given as [batch]"),
    "no iterable": (lambda: find(loss, P, 3), TypeError, "a int is no sequence"),
    "no example": (lambda: find(loss, P, [ONE[:0]]), ValueError, "which holds no example"),
    "no array": (lambda: find(loss, P, [(), ()]), ValueError, "batch 0 holds no array"),
    "one batch": (
        lambda: find(loss, P, (np.ones((2, 4)), np.ones(2))), ValueError, "given as [batch]"
    ),
    "other shape": (
        lambda: find(loss, P, [ONE, np.ones((4, 2), np.float32)]), ValueError, "batch 1"
    ),
    "longer": (lambda: find(loss, P, [ONE, np.ones(5, np.float32)]), ValueError, "float32[5]"),
    "other dtype": (lambda: find(loss, P, [ONE, np.ones(4, np.int32)]), ValueError, "is int32"),
    "no scalar": (lambda: find(lambda p, b: p - b, P, GOOD), ValueError, "shape (4,)"),
    "whole loss": (lambda: find(lambda p, b: 3, P, GOOD), TypeError, "int32"),
    "a pair": (lambda: find(lambda p, b: (loss(p, b), 1), P, GOOD), TypeError, "a tuple of 2"),
    "no pair": (
        lambda: find(lambda p, s, b: loss(p, b), P, GOOD, model_state=P), TypeError,
        "with model_state given it must be a pair",
    ),
    "other state": (
        lambda: find(lambda p, s, b: (loss(p, b), s[:2]), P, GOOD, model_state=P), ValueError,
        "model state that loss_fn returned",
    ),
    "state dtype": (
        lambda: find(lambda p, s, b: (loss(p, b), s.astype(int)), P, GOOD, model_state=P),
        TypeError, "keep the dtype",
    ),
    "no loss": (lambda: find(3, P, GOOD), TypeError, "loss_fn=3 cannot be called"),
    "whole params": (
        lambda: find(loss, {"n": jnp.arange(3)}, GOOD), TypeError, "parameter ['n'] is int32"
    ),
    "built": (lambda: find(loss, P, GOOD, adaptax.adamw(0.1)), TypeError, "functools.partial"),
    "no optimizer": (lambda: find(loss, P, GOOD, lambda rate: 3), TypeError, "made 3"),
    "looks": (
        lambda: find(loss, P, GOOD, lambda rate: adaptax.sgd(rate if rate > 1 else 1.0)),
        TypeError, "looks at the value of its rate",
    ),
    "low": (lambda: find(loss, P, GOOD, low=0.0), ValueError, "low=0.0"),
    "order": (lambda: find(loss, P, GOOD, low=1.0, high=0.1), ValueError, "low must be below"),
    "nan": (lambda: find(loss, P, GOOD, high=float("nan")), ValueError, "high=nan"),
    "text": (lambda: find(loss, P, GOOD, high="1"), TypeError, "high='1'"),
    "steps": (lambda: find(loss, P, GOOD, steps=9), ValueError, "steps=9): at least 10"),
    "part": (lambda: find(loss, P, GOOD, steps=20.0), TypeError, "steps=20.0"),
    "repeats": (lambda: find(loss, P, GOOD, repeats=0), ValueError, "repeats=0"),
    "many": (lambda: find(loss, P, GOOD, repeats=6, horizon=9), ValueError, "at most 5"),
    "horizon": (lambda: find(loss, P, GOOD, horizon=0), ValueError, "horizon=0"),
    "too few": (lambda: find(loss, P, GOOD[:1], horizon=9), ValueError, "batch is too few"),
    "others": (lambda: find(loss, P, GOOD, others={"a": 1.0}), ValueError, "only with labels"),
    "group": (
        lambda: find(loss, P, GOOD, labels="a", others={"b": 1.0}), ValueError, "no group 'b'"
    ),
    "rate": (
        lambda: find(loss, P, GOOD, labels="a", others={"a": -1.0}), ValueError, "at least 0"
    ),
    "labels": (
        lambda: find(lambda p, b: loss(p["x"], b), {"x": P}, GOOD, labels={"y": "a"}), ValueError,
        "no prefix of the parameters",
    ),
    "one cycle": (
        lambda: find(loss, P, GOOD, lambda r: adaptax.sgd(adaptax.one_cycle(r, 100))), ValueError,
        "an optimizer with a constant rate; pass lambda rate: sgd(rate)",
    ),
    "late": (
        lambda: find(loss, P, GOOD, lambda r: adaptax.adamw(adaptax.cosine(r, 100)), steps=20),
        ValueError, "given the rate 0.125, it uses 0.125 at step 0 and",
    ),
    "in a controller": (
        lambda: find(
            loss, P, GOOD, lambda r: adaptax.sgd(adaptax.plateau(adaptax.warmup_cosine(r, 5, 50)))
        ), ValueError, "constant rate",
    ),
    "fixed": (lambda: find(loss, P, GOOD, lambda r: adaptax.sgd(0.5)), ValueError, "uses 0.5 at"),
    "one of two": (
        lambda: find(
            lambda p, b: loss(p["a"] + p["b"], b), {"a": P, "b": P}, GOOD,
            lambda r: adaptax.by_path(
                {"a": adaptax.sgd(r), "b": adaptax.sgd(adaptax.linear(r, 0.0, steps=50))}
            ),
        ), ValueError, "constant rate",
    ),
    "dead data": (
        lambda: find(loss, P, [ONE, np.float32([1, np.nan, 3, np.inf])]), ValueError,
        "batch 1 at (the tree itself) has NaN or infinity in 2 of its 4 numbers",
    ),
    "dead targets": (
        lambda: find(loss, P, [(ONE, {"y": jnp.full(4, jnp.nan, jnp.bfloat16)})]), ValueError,
        "batch 0 at [1]['y'] has NaN or infinity in 4",
    ),
    "key": (lambda: find(loss, P, GOOD, key=0), TypeError, "key=0): one random key"),
    "keys": (
        lambda: find(loss, P, GOOD, key=jax.random.split(jax.random.key(0))), TypeError,
        "such as jax.random.key(0)",
    ),
    "short first": (
        lambda: find(loss, P, [ONE[:3], ONE]), ValueError,
        "the first holds fewer examples than batch 1: put it last",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_by_name(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value), str(error.value)


def test_a_short_batch_is_left_out_and_an_iterator_is_read_no_further_than_needed():
    found = find(loss, P, [ONE, ONE, ONE[:1].repeat(3)], steps=20)
    assert found.dropped == 1 and found.verdict == "found"
    endless = (ONE * k for k in itertools.count())
    find(loss, P, endless, steps=20)
    assert next(endless)[0] == 20


@pytest.mark.parametrize("kind", ["constant", "multiplied", "controller", "several", "late"])
def test_what_starts_at_the_rate_and_keeps_it_is_taken(kind):
    params, batches = {"layer_0": P, "layer_1": P}, LIKE
    optimizer = {
        "constant": lambda r: adaptax.sgd(adaptax.constant(r)),
        "multiplied": lambda r: adaptax.layerwise_decay(
            adaptax.sgd(r), 0.5, ["layer_0", "layer_1"]
        ),
        "controller": lambda r: adaptax.sgd(adaptax.plateau(r)),
        "several": lambda r: adaptax.by_path(
            {"layer_0": adaptax.sgd(r / 10), "layer_1": adaptax.sgd(r)}
        ),
        "late": lambda r: adaptax.sgd(adaptax.linear(r, r / 2, steps=10**6)),
    }[kind]
    found = find(lambda p, b: 9 * loss(p["layer_0"] + p["layer_1"], b), params, batches, optimizer,
                 low=1e-4, steps=30, repeats=1)  # fmt: skip
    assert found.verdict == "found"


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (lambda p, b: jnp.sum(0 * p) + 2.0, "flat"),
        (lambda p, b: jnp.sum(0 * p) + jnp.sum(b), "noise-dominated"),
        (lambda p, b: 1e9 * jnp.sum((p - 1) ** 2), "diverges everywhere"),
        (lambda p, b: jnp.sum(p) + jnp.log(-jnp.sum(b**2)), "not finite at the start"),
        (lambda p, b: jnp.sum((1e-4 * p - 1) ** 2) * 100, "still falling"),
    ],
    ids=["flat", "noise", "diverges", "nan", "falling"],
)
def test_a_plain_word_where_no_number_is_due(made, word):
    batches = [np.float32(x) for x in np.random.default_rng(1).normal(2.0, 1.0, (40, 4))]
    high = 1e5 if word == "still falling" else 10.0
    horizon = None if word == "still falling" else 5
    found = find(made, P, batches, adaptax.sgd, high=high, horizon=horizon)
    assert found.verdict == word and not found.trials
    assert (found.recommended is None) == (word != "still falling")
    assert word in str(found)


def two(params, batch):
    return jnp.mean(5.0 * (params["a"]["x"] - batch) ** 2 + 0.5 * (params["b"] - batch) ** 2)


@pytest.mark.parametrize(
    "labels",
    [
        {"a": "fast", "b": "slow"},
        {"a": {"x": "fast"}, "b": "slow"},
        lambda params: {"a": "fast", "b": "slow"},
    ],
    ids=["prefix", "tree", "function"],
)
def test_a_rate_for_every_group(labels):
    params = {"a": {"x": P}, "b": P}
    found = find(two, params, LIKE, adaptax.sgd, labels=labels)
    assert list(found) == ["fast", "slow"]
    assert 5 < found["slow"].recommended / found["fast"].recommended < 20  # curvatures 10 : 1
    # the other group was held still: its part of the loss remains
    held = 0.5
    assert min(found["fast"].smoothed) == pytest.approx(held, rel=0.5)


def test_other_groups_at_a_rate_of_their_own():
    params = {"a": {"x": P}, "b": P}
    labels = {"a": "fast", "b": "slow"}
    held = find(two, params, LIKE, adaptax.sgd, labels=labels)
    moved = find(two, params, LIKE, adaptax.sgd, labels=labels, others={"fast": 0.05})
    assert min(moved["slow"].smoothed) < 0.5 * min(held["slow"].smoothed)
    assert moved["fast"].losses == held["fast"].losses


def test_running_averages_and_dropout_in_flax():
    nnx = pytest.importorskip("flax.nnx")
    from adaptax.flax import functional

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(4, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.drop = nnx.Dropout(0.2, rngs=rngs)
            self.out = nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, x):
            return self.out(self.drop(nnx.relu(self.norm(self.hidden(x)))))[:, 0]

    model = Network(nnx.Rngs(0))
    parts = functional(model, lambda model, batch: jnp.mean((model(batch[0]) - batch[1]) ** 2))
    before = [np.asarray(x).tobytes() for x in jax.tree.leaves((parts.params,))]
    x = np.random.default_rng(2).normal(size=(20, 32, 4)).astype(np.float32)
    batches = [(each, each[:, 0] * 3) for each in x]
    with jax.numpy_dtype_promotion("standard"):  # Flax's dropout mixes dtypes
        found = [
            find(parts.loss_fn, parts.params, batches, model_state=parts.model_state, steps=40)
            for _ in range(2)
        ]
        _, after = parts.loss_fn(parts.params, parts.model_state, batches[0])
    assert found[0].verdict == "found" and found[0].to_dict() == found[1].to_dict()
    assert [np.asarray(x).tobytes() for x in jax.tree.leaves((parts.params,))] == before
    changed = [not np.array_equal(a, b) for a, b in
               zip(*map(jax.tree.leaves, (parts.model_state, after)), strict=True)
               if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)]  # fmt: skip
    assert sum(changed) >= 3  # mean, variance, count of the dropout's keys
    assert float(jnp.abs(model.norm.mean[...]).max()) == 0.0  # the model itself is as it was


def test_equinox_and_linen_trees():
    nested = {"params": {"dense": {"kernel": jnp.zeros((4, 1)), "bias": jnp.zeros(1)}}}
    batches = [np.random.default_rng(k).normal(size=(8, 4)).astype(np.float32) for k in range(5)]

    def linen(params, x):
        dense = params["params"]["dense"]
        return jnp.mean((x @ dense["kernel"] + dense["bias"][None, :] - 1.0) ** 2)

    assert find(linen, nested, batches, steps=40).recommended is not None
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)

    def equinox(params, x):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(x) - x.sum(1, keepdims=True)) ** 2)

    assert find(equinox, params, batches, adaptax.adam, steps=40).recommended is not None


def test_it_prints_goes_into_json_and_is_drawn(tmp_path):
    found = find(loss, P, LIKE, adaptax.sgd, steps=50, horizon=10)
    printed = str(found)
    assert printed.startswith("recommended learning rate: ") and "minimum/10" in printed
    assert "│" in printed and "recommended" in printed.splitlines()[-1]
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["recommended"] == found.recommended and len(content["losses"]) == 5
    assert content["trials"][0]["rate"] == found.trials[0].rate
    pytest.importorskip("matplotlib")
    for name in ("curve.png", "curve.svg"):
        assert found.plot(tmp_path / name).stat().st_size > 5000
    assert len(found.plot().axes) == 2
    with pytest.raises(ValueError, match="the ending must be one of"):
        found.plot(tmp_path / "curve.doc")
    flat = find(lambda p, b: jnp.sum(0 * p) + 2.0, P, GOOD, steps=20)
    assert flat.plot(tmp_path / "flat.png").exists() and "no learning rate" in str(flat)


def test_a_line_is_shown_after_two_seconds_only(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    adaptax.find_learning_rate(loss, P, GOOD, steps=20)
    monkeypatch.setattr(meter, "PATIENCE", 1e9)
    adaptax.find_learning_rate(loss, P, GOOD, steps=20)
    assert stream.getvalue() == "" or "range test" in stream.getvalue()
    stream.truncate(0)
    monkeypatch.setattr(meter, "PATIENCE", 0.0)
    adaptax.find_learning_rate(loss, P, GOOD, steps=20)
    shown = stream.getvalue()
    assert "finding the learning rate: range test, step 20 of 100" in shown
    assert shown.count("\n") == 1  # one every ten seconds
    stream.truncate(0)
    find(loss, P, GOOD, steps=20)
    assert stream.getvalue().strip("\0") == ""


def test_objectives_compare_by_what_they_minimise():
    assert Objective(loss) == Objective(loss) and hash(Objective(loss)) == hash(Objective(loss))
    assert Objective(loss) != Objective(loss, keyed=True)
    (value, state), gradients = Objective(stateful, stateful=True).gradients(P, ONE, ONE, None)
    assert float(value) == 1.0 and state is not None
    np.testing.assert_allclose(gradients, -0.5 * np.ones(4))
