"""What a step costs, by counting. Nothing here is timed, so nothing here depends on the machine."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

import adaptax
from adaptax.lab import cost
from tests.conformance import compared, proves

ROOT = Path(__file__).resolve().parents[1]
LEAST = 1e-2  # of the parameters' bytes: what may be allocated beside them


@pytest.fixture(autouse=True)
def as_users_run_it():
    """Optax's bias correction needs implicit promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def clipped(library) -> cost.Subject:
    schedule = optax.cosine_decay_schedule(1e-3, 1000)
    chain = library.chain(library.clip_by_global_norm(1.0), library.adamw(schedule))
    return cost.Subject(library.__name__, chain)


def plain(library) -> cost.Subject:
    return cost.Subject(library.__name__, library.adamw(1e-3))


def test_equations_are_counted_through_every_inner_jaxpr():
    def inner(x):
        return jax.lax.while_loop(lambda c: c < 3.0, lambda c: jax.jit(jnp.sin)(c) + 1.0, x)

    # while, its condition's lt, its body's jit, sin and add
    assert cost.equations(jax.make_jaxpr(inner)(0.0).jaxpr) == 5


def test_a_leaf_of_clipped_adamw_takes_at_most_21_equations():
    ours, theirs = clipped(adaptax), clipped(optax)
    assert cost.equations_per_leaf(ours) <= 21 < cost.equations_per_leaf(theirs)
    assert cost.step_equations(ours, 200) / 200 <= 21 < cost.step_equations(theirs, 200) / 200


def test_a_leaf_of_adamw_takes_no_more_equations_than_in_optax():
    assert cost.equations_per_leaf(plain(adaptax)) <= cost.equations_per_leaf(plain(optax))


class _Fed:
    """An optimizer that is given a metric, for the counters, which give none."""

    def __init__(self, tx):
        self.init, self._update = tx.init, tx.update

    def update(self, updates, state, params=None):
        return self._update(updates, state, params, value=jnp.float32(1.0))


@pytest.mark.parametrize("name", ["plateau", "best_or_back_off", "bold_driver"])
def test_a_controller_of_a_metric_costs_nothing_a_leaf(name):
    steered = _Fed(adaptax.adamw(getattr(adaptax, name)(1e-3)))
    per_leaf = cost.equations_per_leaf(cost.Subject(name, steered))
    assert per_leaf == cost.equations_per_leaf(plain(adaptax))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other compilers fuse differently")
def test_a_leaf_takes_no_more_kernels_than_in_optax():
    assert cost.kernels_per_leaf(plain(adaptax)) <= cost.kernels_per_leaf(plain(optax))
    assert cost.kernels_per_leaf(clipped(adaptax)) < cost.kernels_per_leaf(clipped(optax))


def temporaries(subject: cost.Subject, shapes: list[tuple[int, ...]]) -> float:
    """Temporary memory of a step with donated inputs, in units of the parameters' bytes."""
    params = cost.tree(shapes)
    found = cost.temporary_bytes(subject.lower(params).compile())
    if found is None:
        pytest.skip("this backend does not say how much memory a program takes")
    return found / (4 * cost.parameters(params))


def test_clipped_adamw_makes_no_temporary_of_the_parameters_size():
    assert temporaries(clipped(adaptax), [(1_000_000,)]) < LEAST
    assert temporaries(clipped(adaptax), [(300, 300)] * 8) < LEAST
    assert temporaries(clipped(optax), [(1_000_000,)]) > 0.5


def test_adamw_makes_no_temporary_of_the_parameters_size():
    assert temporaries(plain(adaptax), [(1_000_000,)]) < LEAST


def counted(tx):
    """A jitted step that counts how often it is traced, and the state to start from."""
    traces = []

    @jax.jit
    def step(params, state, grads):
        traces.append(1)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step, traces


@proves("P15", row="adamw")
@pytest.mark.parametrize("rate", [1e-3, optax.cosine_decay_schedule(1e-3, 1000)])
def test_a_thousand_steps_are_traced_and_compiled_once(rate):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(rate))
    step, traces = counted(tx)
    params = {"w": jnp.ones((4, 3)), "b": jnp.zeros(3)}
    grads = jax.tree.map(lambda p: 0.1 * jnp.ones_like(p), params)
    state = tx.init(params)
    for index in range(1000):
        if index == 300:
            state = adaptax.set_learning_rate(state, 5e-4)
        if index == 600:
            state = adaptax.scale_learning_rate(state, 0.5)
        params, state = step(params, state, grads)
        compared(1)
    assert len(traces) == 1 and step._cache_size() == 1


def test_a_new_shape_is_traced_again():
    tx = adaptax.adamw(1e-3)
    step, traces = counted(tx)
    for size in (2, 3):
        params = jnp.ones(size)
        step(params, tx.init(params), params)
    assert len(traces) == 2 and step._cache_size() == 2


def shared(library) -> int:
    """The traces that two equal optimizers, each built anew, need as a static argument."""
    traces = []

    def step(tx, params, state):
        traces.append(1)
        return tx.update(params, state, params)

    jitted = jax.jit(step, static_argnums=0)
    for _ in range(2):
        tx = library.chain(library.clip_by_global_norm(1.0), library.adamw(1e-3))
        params = jnp.ones(3)
        jitted(tx, params, tx.init(params))
    return len(traces)


def test_equal_optimizers_share_one_trace():
    assert shared(adaptax) == 1 < shared(optax)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (adaptax.sgd(0.1), 0),
        (adaptax.sgd(0.1, momentum=0.9), 4),
        (adaptax.adagrad(0.1), 4),
        (adaptax.adadelta(1.0), 8),
        (adaptax.rmsprop(0.1), 4),
        (adaptax.rmsprop(0.1, momentum=0.9), 8),
        (adaptax.rmsprop(0.1, centered=True), 8),
        (adaptax.adam(0.1), 8),
        (adaptax.adam(0.1, mu_dtype="bfloat16"), 6),
        (adaptax.adamw(0.1), 8),
        (adaptax.adamax(0.1), 8),
        (adaptax.adamaxw(0.1), 8),
        (adaptax.nadam(0.1), 8),
        (adaptax.nadamw(0.1), 8),
        (adaptax.amsgrad(0.1), 12),
        (adaptax.radam(0.1), 8),
        (adaptax.adabelief(0.1), 8),
        (adaptax.yogi(0.1), 8),
        (adaptax.clip_by_global_norm(1.0), 0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_state_bytes_per_parameter(tx, expected, dtype):
    grows, fixed = cost.state_bytes(tx, jnp.dtype(dtype))
    assert grows == expected and fixed <= 32


def imported(code: str, **environment: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_import_takes_no_optional_dependency():
    # Optax itself may import some of these; only what adaptax adds to it counts.
    code = """
import sys, jax, optax
before = set(sys.modules)
import adaptax
optional = {"flax", "sklearn", "rich", "matplotlib", "orbax", "chex", "equinox", "torch", "pandas"}
print(sorted(optional & {name.partition(".")[0] for name in set(sys.modules) - before}))
print(len(set(sys.modules) - before) > 10)
"""
    done = imported(code)
    assert done.stdout.split("\n")[:2] == ["[]", "True"], done.stderr


def test_import_touches_no_device():
    poison = {"JAX_PLATFORMS": "no-such-platform"}
    done = imported("import adaptax; print(adaptax.adamw(1e-3) == adaptax.adamw(1e-3))", **poison)
    assert done.returncode == 0 and done.stdout == "True\n", done.stderr
    assert imported("import jax; jax.devices()", **poison).returncode != 0
