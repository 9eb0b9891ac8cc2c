"""Transformations are values: they print, compare, hash, pickle and go through JSON."""

import copy
import functools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.core import registry
from tests.cases import CASES, IDS

OTHERS = [
    adaptax.clip(1.0),
    adaptax.clip_by_global_norm(0.5),
    adaptax.clip_by_zscore(2.0, max_norm=1.0),
    adaptax.clip_by_average_norm(warmup=10),
    adaptax.guard(adaptax.chain(adaptax.clip(1.0), adaptax.adamw(0.1)), overflow="accept"),
    adaptax.loss_scale(adaptax.sgd(0.1), initial=1024, hysteresis=1),
    adaptax.adaptive_grad_clip(0.01, axis=(0, 1)),
    adaptax.add_decayed_weights(0.1, mask={"w": True, "b": False}),
    adaptax.l1_penalty(0.1),
    adaptax.l2_penalty(adaptax.linear(0.0, 1.0, 10)),
    adaptax.scale_by_rate(adaptax.cosine(0.1, 100)),
    adaptax.scale_by_rule(adaptax.Rule(adaptax.Trace(0.9))),
    adaptax.scale_by_adadelta(),
    adaptax.descend(adaptax.Rule(adaptax.Newest()), 0.1),
    adaptax.chain(adaptax.clip(1.0), adaptax.adamw(adaptax.warmup_cosine(0.1, 10, 100))),
    adaptax.adamw(1e-3, b2=adaptax.constant(0.99), mu_dtype=jnp.bfloat16),
    adaptax.by_path({"head/**": adaptax.adamw(1e-3), "**": adaptax.sgd(0.1)}),
    adaptax.frozen_until(adaptax.adamw(adaptax.cosine(0.1, 100)), 10),
    adaptax.gradual_unfreezing(adaptax.adam(0.1), {"head/**": 0, "body/**": 10}),
    adaptax.layerwise_decay(adaptax.adamw(1e-3), 0.75, ["embed/**", ["body/**"], "head/**"]),
    adaptax.accumulate(adaptax.adamw(1e-3), 4, skip="window"),
    adaptax.ema_weights(adaptax.adamw(1e-3), decay=adaptax.linear(0.9, 0.999, 100), every=2),
    adaptax.swa(adaptax.sgd(0.1), start=10, every=5),
    adaptax.lookahead(adaptax.adam(1e-3)),
]
VALUES = [case.make(0.1) for case in CASES] + OTHERS


def same(a, b):
    return a == b and not a != b and hash(a) == hash(b)


@pytest.mark.parametrize("tx", VALUES, ids=[*IDS, *map(str, range(len(OTHERS)))])
def test_round_trips(tx):
    assert same(adaptax.parse(repr(tx)), tx), repr(tx)
    config = adaptax.to_config(tx)
    assert same(adaptax.from_config(json.loads(json.dumps(config, allow_nan=False))), tx), config
    assert same(pickle.loads(pickle.dumps(tx)), tx)
    assert same(copy.deepcopy(tx), tx)
    if tx.definition is not None:
        assert adaptax.parse(repr(tx.definition)).call == tx.definition


def test_repr_is_python():
    """Evaluating the printed text with the public names gives an equal value."""
    public = {name: getattr(adaptax, name) for name in dir(adaptax)}
    for tx in VALUES:
        assert same(eval(repr(tx), dict(public)), tx), repr(tx)


def test_every_factory_is_a_case():
    covered = {tx.call.name for tx in VALUES}
    known = set(registry.names("optimizer")) | set(registry.names("transformation"))
    assert known == covered, known ^ covered


def test_equal_however_written():
    assert same(adaptax.adamw(1e-3), adaptax.adamw(learning_rate=0.001, b1=0.9))
    assert same(adaptax.adam(1e-3, mu_dtype="bfloat16"), adaptax.adam(1e-3, mu_dtype=jnp.bfloat16))
    assert same(adaptax.adam(np.float64(0.5)), adaptax.adam(0.5))
    assert adaptax.adamw(1e-3) != adaptax.adamw(2e-3)
    assert adaptax.adam(1e-3) != adaptax.adamw(1e-3, weight_decay=0.0)
    assert adaptax.chain(adaptax.clip(1.0), adaptax.sgd(1.0)) != adaptax.chain(
        adaptax.sgd(1.0), adaptax.clip(1.0)
    )
    assert repr(adaptax.clip(1.0)) == "clip(max_delta=1.0)"


def test_equal_rules_carry_equal_states():
    """One schedule in two places, or two equal ones: the state is the same."""
    shared = adaptax.constant(0.9)
    first = adaptax.adam(0.1, b1=shared, b2=shared)
    second = adaptax.parse(repr(first))
    g = jnp.ones(2)
    assert first == second
    assert jax.tree.structure(first.init(g)) == jax.tree.structure(second.init(g))
    second.update(g, first.init(g))


def test_lists_and_tuples_are_trees_of_their_own():
    params = [jnp.ones(2), jnp.ones(2)]
    tx = adaptax.adamw(1.0, weight_decay=0.5, mask=[True, False])
    for same_tx in (tx, adaptax.parse(repr(tx)), adaptax.from_config(adaptax.to_config(tx))):
        assert same(same_tx, tx)
        u, _ = same_tx.update([jnp.zeros(2)] * 2, same_tx.init(params), params)
        assert float(u[0][0]) == -0.5 and not u[1].any()
    assert tx != adaptax.adamw(1.0, weight_decay=0.5, mask=(True, False))
    assert same(adaptax.piecewise([1.0, 2.0], [3]), adaptax.piecewise((1.0, 2.0), (3,)))


def test_what_cannot_be_compared_is_compared_by_identity():
    rate = jnp.asarray(0.1)
    assert adaptax.sgd(rate) == adaptax.sgd(rate) != adaptax.sgd(jnp.asarray(0.1))
    first, second = (lambda step: 0.1), (lambda step: 0.1)
    assert adaptax.sgd(first) == adaptax.sgd(first) != adaptax.sgd(second)
    hash(adaptax.sgd(rate))


def test_equal_optimizers_share_a_trace():
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(tx, g, state):
        traces.append(tx)
        return tx.update(g, state)

    g = jnp.ones(3)
    for _ in range(3):
        tx = adaptax.chain(adaptax.clip(1.0), adaptax.adam(adaptax.cosine(0.1, 10)))
        step(tx, g, tx.init(g))
    assert len(traces) == 1
    other = adaptax.chain(adaptax.clip(1.0), adaptax.adam(adaptax.cosine(0.1, 11)))
    step(other, g, other.init(g))
    assert len(traces) == 2


def test_unpacks_as_a_pair_and_is_optax_s():
    tx = adaptax.adam(0.1)
    init, update = tx
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert len(tx) == 2 and tx.init is init and tx.update is update


def deep(levels):
    config = {"name": "sgd", "arguments": {"learning_rate": 0.1}}
    for _ in range(levels):
        config = {"name": "chain", "arguments": {}, "positional": [config]}
    return config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "adamm", "arguments": {}}, "did you mean 'adam'"),
        ({"name": "os.system", "arguments": {}}, "unknown name 'os.system'"),
        ({"name": "adam"}, "'name' and 'arguments'"),
        ({"name": "adam", "arguments": {"learning_rate": 0.1}, "code": "x"}, "'code'"),
        ({"name": "adam", "arguments": {"lr": 0.1}}, "no argument 'lr'"),
        ({"name": "adam", "arguments": {"learning_rate": -1.0}}, "learning_rate must be"),
        ({"name": 3, "arguments": {}}, "is text"),
        ([], "a config is a dict"),
        ({"name": "adam", "arguments": {1: 2}}, "text as keys"),
        ({"name": "adamw", "arguments": {"learning_rate": {"dict": [1]}}}, "[key, value] pairs"),
        ({"name": "scale_by_rule", "arguments": {"rule": 3}}, "a Rule is needed"),
        (deep(3000), "nested too deeply"),
    ],
    ids=range(12),
)
def test_bad_configs(config, message):
    with pytest.raises((ValueError, TypeError)) as error:
        adaptax.from_config(config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adamm(0.1)", "did you mean 'adam'"),
        ("__import__('os').system('true')", "only plain names"),
        ("adam(0.1", "does not read"),
        ("3", "is not a call"),
        ("adam(x)", "'x' is not read"),
        ("adam(*[0.1])", "is not read"),
        ("adam(**{'b1': 0.1})", "'**' is not read"),
        ("adam(0.1, b1=0.5, b1=0.6)", "'b1' is given twice"),
        ("adam(0.1, b3=0.5)", "no argument 'b3'"),
        ("adam(lambda: 0)", "is not read"),
        ("adam(" * 3000, "characters"),
        ("adam(" * 500 + ")" * 500, "does not read"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises((ValueError, TypeError)) as error:
        adaptax.parse(text)
    assert message in str(error.value), error.value


def test_a_part_of_one_s_own_has_no_config():
    """Not even under the name of one of ours, which would come back as another value."""

    @adaptax.part
    class Ema(adaptax.Ema):
        def absorb(self, kept, x, step):
            return kept

    tx = adaptax.scale_by_rule(adaptax.Rule(Ema(0.9)))
    assert tx != adaptax.scale_by_rule(adaptax.Rule(adaptax.Ema(0.9)))
    with pytest.raises(TypeError, match="a part of your own"):
        adaptax.to_config(tx)


def test_what_has_no_config_says_so():
    for value in (adaptax.sgd(lambda step: 0.1), adaptax.sgd(jnp.asarray(0.1))):
        with pytest.raises(TypeError, match=r"sgd\(learning_rate=\.\.\.\)"):
            adaptax.to_config(value)
    with pytest.raises(TypeError, match="has no config"):
        adaptax.to_config(optax.adam(0.1))
