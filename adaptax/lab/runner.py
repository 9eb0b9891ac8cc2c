"""One training run: a pure step over arrays, compiled once for all seeds of an optimizer.

On a CPU the step is called from a Python loop, because XLA compiles a convolution inside
`lax.scan` there to code about five times slower; elsewhere a whole epoch is one scan. Numbers leave
the device a chunk of steps at a time: reading one float a step costs more than an optimizer.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from adaptax.lab import data
from adaptax.lab.progress import Progress
from adaptax.lab.results import Run
from adaptax.lab.tasks.base import Task
from adaptax.rates.access import learning_rate
from adaptax.tuning.objective import Objective

CHUNK = 50  # steps between two reports, in the Python loop
EVALUATED = 1000  # test examples at a time


class Carry(NamedTuple):
    """What a step takes and gives back; its buffers are donated."""

    params: Any
    other: Any  # the model's state that is not trained: dropout keys and counts, averages
    state: optax.OptState
    key: jax.Array


class OnDevice(NamedTuple):
    """A seed's training examples, on the device, and how to standardise them."""

    inputs: jax.Array
    targets: jax.Array
    mean: jax.Array
    deviation: jax.Array


class ModelState(NamedTuple):
    """What a task's loss function takes besides parameters and batch; only `other` changes."""

    other: Any  # the model's state that is not trained
    mean: Any
    deviation: Any


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The training loop of one optimizer, ready to run.

    Attributes:
      advance: (carry, examples, int32[steps, batch]) -> (carry, losses float32[steps]).
      chunk: steps that one call of `advance` makes at most.
      seconds: what compiling took.
    """

    advance: Callable[[Carry, OnDevice, np.ndarray], tuple[Carry, np.ndarray]]
    chunk: int
    seconds: float


def initial(task: Task, seed: int) -> tuple[Any, Any]:
    """The seed's initial parameters and other state of the model, as plain arrays."""
    return _split(task.model, seed, train=True)[1:]


def start(task: Task, transformation: optax.GradientTransformation, seed: int) -> Carry:
    """Initial parameters and states; the same parameters for every optimizer of a seed."""
    params, other = initial(task, seed)
    # Copies: a state may share buffers with the parameters, and a buffer is donated only once.
    state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), transformation.init(params))
    return Carry(params, other, state, jax.random.key(seed))


def _split(make: Callable[[Any], Any], seed: int, train: bool) -> tuple[Any, Any, Any]:
    """A model as (definition, parameters, other state), the last two as plain arrays."""
    model = make(nnx.Rngs(seed))
    model.train() if train else model.eval()
    definition, params, other = nnx.split(model, nnx.Param, ...)
    return definition, nnx.as_pure(params), nnx.as_pure(other)


def loss_function(task: Task) -> Callable[..., Any]:
    """The task's loss in training: (params, `ModelState`, batch, key) -> (loss, new `ModelState`).

    The batch is (inputs, targets) as stored. What a seed's examples are standardised with is in the
    state, so the function is the same object for every seed and split, and for any two tasks that
    share model, loss and augmentation.
    """
    return _loss_function(task.model, task.loss, task.augment)


@functools.cache
def _loss_function(model: Any, loss: Any, augment: Any) -> Callable[..., Any]:
    definition, _, _ = _split(model, 0, train=True)

    def loss_fn(params: Any, state: ModelState, batch: Any, key: jax.Array) -> tuple[Any, Any]:
        inputs, targets = batch
        inputs = jnp.asarray(inputs).astype(jnp.float32)
        if augment is not None:
            inputs = augment(key, inputs)
        inputs = (inputs - state.mean) / state.deviation
        merged = nnx.merge(definition, params, state.other)
        value = loss(merged(inputs), targets)
        other = nnx.as_pure(nnx.state(merged, nnx.Not(nnx.Param)))
        return value, state._replace(other=other)

    return loss_fn


def evaluation_function(task: Task) -> Callable[..., Any]:
    """(params, `ModelState`, batch) -> the task's loss without dropout and augmentation.

    The same object for any two tasks that share model and loss.
    """
    return _evaluation_function(task.model, task.loss)


@functools.cache
def _evaluation_function(model: Any, loss: Any) -> Callable[..., Any]:
    definition, _, _ = _split(model, 0, train=False)

    def eval_fn(params: Any, state: ModelState, batch: Any) -> jax.Array:
        inputs, targets = batch
        inputs = (jnp.asarray(inputs).astype(jnp.float32) - state.mean) / state.deviation
        return loss(nnx.merge(definition, params, state.other)(inputs), targets)

    return eval_fn


def evaluation_loss(task: Task) -> Callable[..., Any]:
    """The task's loss on held-out examples: (params, `ModelState`, batch) -> loss.

    Without dropout and augmentation; the same object for every seed and split.
    """
    return _evaluation_loss(task.model, task.loss)


@functools.cache
def _evaluation_loss(model: Any, loss: Any) -> Callable[..., Any]:
    definition, _, _ = _split(model, 0, train=False)

    def eval_fn(params: Any, state: ModelState, batch: Any) -> jax.Array:
        inputs, targets = batch
        inputs = (jnp.asarray(inputs).astype(jnp.float32) - state.mean) / state.deviation
        return loss(nnx.merge(definition, params, state.other)(inputs), targets)

    return eval_fn


def make_step(task: Task, transformation: optax.GradientTransformation) -> Callable[..., Any]:
    """The training step: (carry, examples, int32[batch]) -> (carry, loss), a pure function."""
    objective = Objective(loss_function(task), stateful=True, keyed=True)
    update = optax.with_extra_args_support(transformation).update

    def step(carry: Carry, examples: OnDevice, chosen: jax.Array) -> tuple[Carry, jax.Array]:
        key, drawn = jax.random.split(carry.key)
        batch = (examples.inputs[chosen], examples.targets[chosen])
        before = ModelState(carry.other, examples.mean, examples.deviation)
        (loss, after), gradients = objective.gradients(carry.params, before, batch, drawn)
        updates, state = update(gradients, carry.state, carry.params, value=loss)
        return Carry(optax.apply_updates(carry.params, updates), after.other, state, key), loss

    return step


def compile_training(
    task: Task,
    transformation: optax.GradientTransformation,
    examples: OnDevice,
    steps: int,
    batch_size: int,
) -> Compiled:
    """Compile ahead of time the loop that suits this backend.

    Args:
      task: what is trained.
      transformation: what trains it.
      examples: of any seed; all seeds have the same shapes.
      steps: in one epoch.
      batch_size: examples in a step.
    """
    step = make_step(task, transformation)
    carry = start(task, transformation, 0)
    looped = jax.default_backend() == "cpu"
    function = step if looped else _scanned(step)
    shape = (batch_size,) if looped else (steps, batch_size)
    began = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=0).lower(
        carry, examples, jax.ShapeDtypeStruct(shape, jnp.int32)
    )
    compiled = lowered.compile()
    seconds = time.perf_counter() - began
    if looped:
        return Compiled(_loop(compiled), CHUNK, seconds)
    return Compiled(_whole(compiled), steps, seconds)


def _scanned(step: Callable[..., Any]) -> Callable[..., Any]:
    def epoch(carry: Carry, examples: OnDevice, table: jax.Array) -> tuple[Carry, jax.Array]:
        return jax.lax.scan(lambda carry, chosen: step(carry, examples, chosen), carry, table)

    return epoch


def _loop(compiled: Callable[..., Any]) -> Callable[..., Any]:
    def advance(carry: Carry, examples: OnDevice, table: np.ndarray) -> tuple[Carry, np.ndarray]:
        losses = []
        for chosen in table:
            carry, loss = compiled(carry, examples, chosen)
            losses.append(loss)
        return carry, np.stack(jax.device_get(losses))

    return advance


def _whole(compiled: Callable[..., Any]) -> Callable[..., Any]:
    def advance(carry: Carry, examples: OnDevice, table: np.ndarray) -> tuple[Carry, np.ndarray]:
        carry, losses = compiled(carry, examples, table)
        return carry, np.asarray(losses)

    return advance


def sizes(carry: Carry) -> tuple[int, int]:
    """(numbers trained, bytes of optimizer state)."""
    parameters = sum(leaf.size for leaf in jax.tree.leaves(carry.params))
    return parameters, sum(leaf.nbytes for leaf in jax.tree.leaves(carry.state))


def on_device(split: data.Split) -> OnDevice:
    parts = (split.train.inputs, split.train.targets, split.mean, split.deviation)
    return OnDevice(*map(jax.device_put, parts))


def make_evaluation(task: Task) -> Callable[[Carry, data.Split], float]:
    """(carry, split) -> the metric over all test examples, compiled once per task."""
    definition, _, _ = _split(task.model, 0, train=False)

    @jax.jit
    def outputs(params: Any, other: Any, inputs: Any, mean: Any, deviation: Any) -> jax.Array:
        model = nnx.merge(definition, params, other)
        return model((inputs.astype(jnp.float32) - mean) / deviation)

    def evaluate(carry: Carry, split: data.Split) -> float:
        found = []
        inputs = split.test.inputs
        size = min(EVALUATED, len(inputs))
        for first in range(0, len(inputs), size):
            part = inputs[first : first + size]
            short = size - len(part)
            padded = np.pad(part, [(0, short)] + [(0, 0)] * (part.ndim - 1))
            made = outputs(carry.params, carry.other, padded, split.mean, split.deviation)
            found.append(np.asarray(made)[: len(part)])
        with np.errstate(all="ignore"):  # a diverging run may overflow here; its loss tells
            return task.metric.score(np.concatenate(found), split.test.targets)

    return evaluate


def current_rate(state: optax.OptState) -> float | None:
    """The rate that the latest update used; None where the state keeps none (plain Optax)."""
    try:
        return float(str(np.float32(learning_rate(state))))
    except ValueError:
        return None


def train(
    label: str,
    carry: Carry,
    compiled: Compiled,
    examples: OnDevice,
    evaluate: Callable[[Carry], float],
    epochs: int,
    batch_size: int,
    seed: int,
    progress: Progress,
) -> Run:
    """Train to the end, or to the first loss that is not finite.

    `seconds` of the run is the time of the training steps alone: neither compiling nor evaluating
    counts.
    """
    count = len(examples.targets)
    order = data.batches(count, batch_size, seed)
    losses: list[np.ndarray] = []
    points, metrics, rates = [0], [evaluate(carry)], [current_rate(carry.state)]
    done, seconds, diverged_at = 0, 0.0, None
    for _ in range(epochs):
        table = next(order)
        for first in range(0, len(table), compiled.chunk):
            began = time.perf_counter()
            carry, made = compiled.advance(carry, examples, table[first : first + compiled.chunk])
            seconds += time.perf_counter() - began
            losses.append(made)
            wrong = np.flatnonzero(~np.isfinite(made))
            if wrong.size:
                diverged_at = done + int(wrong[0]) + 1
                break
            done += len(made)
            progress.step(done, float(made[-1]), current_rate(carry.state))
        if diverged_at is not None:
            break
        points.append(done)
        metrics.append(evaluate(carry))
        rates.append(current_rate(carry.state))
        progress.evaluated(done, metrics[-1])
    return Run(
        optimizer=label,
        seed=seed,
        seconds=seconds,
        diverged_at=diverged_at,
        losses=_short(np.concatenate(losses)[:diverged_at]),
        steps=tuple(points),
        metric=tuple(metrics),
        rates=tuple(rates),
    )


def _short(losses: np.ndarray) -> tuple[float, ...]:
    """Float32 numbers as the shortest decimals that read back as the same float32."""
    return tuple(float(str(loss)) for loss in losses.astype(np.float32))
