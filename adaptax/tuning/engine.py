"""Training runs whose rate is an argument of the compiled step: one program for all rates.

The loop suits the backend. On a CPU one compiled step is called from a Python loop, a run after
another, because XLA compiles a convolution inside `lax.scan` there to code about five times slower;
elsewhere the runs go side by side (`vmap`) and a chunk of their steps is one `lax.scan`. Losses
leave the device a chunk at a time.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.core import trees
from adaptax.rates.rate import RateState
from adaptax.tuning.meter import Meter
from adaptax.tuning.objective import Objective
from adaptax.tuning.supply import Supply
from adaptax.tuning.training import Carry, make_step

CHUNK = 25  # steps between two looks at the losses
LARGEST = 2**28  # bytes of batches that one scan may hold

Factory = Callable[..., optax.GradientTransformation]
Watch = Callable[[int, np.ndarray], bool]


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which parameters have which rate: by label, one group swept, the others held or stepped.

    Attributes:
      structure, leaves: the tree of labels, a prefix of the parameters.
      names: the labels that have a rate, in the order in which the rates come; others are held.
    """

    structure: Any
    leaves: tuple[Hashable, ...]
    names: tuple[Hashable, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compiled: an objective, and an optimizer but for its rates.

    Attributes:
      objective: what is minimised.
      optimizer: a rate -> a transformation.
      groups: labels, where there is more than one rate.
      eval_fn: what held-out batches are judged by; None is the objective.
    """

    objective: Objective
    optimizer: Factory
    groups: Groups | None = None
    eval_fn: Callable[..., Any] | None = None

    def build(self, rates: Sequence[Any], scheduled: bool) -> optax.GradientTransformation:
        """The transformation with these rates, one for each group."""
        made = [_call(self.optimizer, rate, scheduled) for rate in rates]
        if self.groups is None:
            return made[0]
        parts: dict[Hashable, Any] = dict(zip(self.groups.names, made, strict=True))
        for label in set(self.groups.leaves) - set(parts):
            parts[label] = optax.set_to_zero()
        return optax.partition(parts, jax.tree.unflatten(self.groups.structure, self.groups.leaves))

    def judge(self, carry: Carry, batch: Any) -> jax.Array:
        """The loss on a batch that was held out."""
        if self.eval_fn is None:
            return self.objective.loss(carry.params, carry.model_state, batch, carry.key)[0]
        state = (carry.model_state,) if self.objective.stateful else ()
        return jnp.mean(self.eval_fn(carry.params, *state, batch))


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """The compiled functions of a plan."""

    start: Callable[..., Carry]
    step: Callable[..., Any]
    chunk: Callable[..., Any]
    judge: Callable[..., Any]
    rates: Callable[..., tuple[list, list]]


def program(plan: Plan) -> Program:
    """The functions of a plan; equal plans share them, and so what was compiled."""
    optimizer = plan.optimizer
    if isinstance(optimizer, functools.partial):
        named = tuple(sorted(optimizer.keywords.items()))
        plan = dataclasses.replace(plan, optimizer=_Partial(optimizer.func, optimizer.args, named))
    try:
        hash(plan)
    except TypeError:  # an argument that cannot be compared
        return _program.__wrapped__(plan)
    return _program(plan)


@dataclasses.dataclass(frozen=True)
class _Partial:
    """A `functools.partial` that compares by what it holds."""

    func: Factory
    args: tuple
    named: tuple

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*self.args, *args, **{**dict(self.named), **kwargs})

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(functools.partial(self.func, *self.args, **dict(self.named)))


@functools.lru_cache(maxsize=32)
def _program(plan: Plan) -> Program:
    def start(params: Any, model_state: Any, key: Any, rates: tuple) -> Carry:
        state = plan.build(rates, scheduled=_keeps_rate(plan, params, rates)).init(params)
        return Carry(params, model_state, state, key)

    def step(carry: Carry, rates: tuple, batch: Any) -> tuple[Carry, jax.Array]:
        tx = plan.build(rates, scheduled=_keeps_rate(plan, carry.params, rates))
        return make_step(plan.objective, tx)(carry, batch)

    def several(carry: Carry, rates: tuple, batches: Any) -> tuple[Carry, jax.Array]:
        return jax.lax.scan(lambda carry, given: step(carry, *given), carry, (rates, batches))

    return Program(
        start=jax.jit(start),
        step=jax.jit(step, donate_argnums=0),
        chunk=jax.jit(jax.vmap(several), donate_argnums=0),
        judge=jax.jit(plan.judge),
        rates=jax.jit(functools.partial(_rates_used, plan)),
    )


def _rates_used(plan: Plan, params: Any, rates: tuple, step: Any) -> tuple[list, list]:
    """(rates of the first update, rates after `step` more), as far as adaptax keeps them.

    The second list leaves out controllers, which change a rate for good reason. Nothing else of
    an update is computed: the compiler drops what no rate depends on.
    """
    tx = plan.build(rates, scheduled=_keeps_rate(plan, params, rates))
    state = tx.init(params)

    def moved(node: Any) -> Any:
        return node._replace(step=jnp.asarray(step, jnp.int32)) if _is_rate(node) else node

    later = jax.tree.map(moved, state, is_leaf=_is_rate)
    update = optax.with_extra_args_support(tx).update
    _, after = update(jax.tree.map(jnp.zeros_like, params), later, params, value=jnp.zeros(()))
    found = [node for node in jax.tree.leaves(after, is_leaf=_is_rate) if _is_rate(node)]
    first = [node for node in jax.tree.leaves(state, is_leaf=_is_rate) if _is_rate(node)]
    constant = [node.learning_rate for node in found if not jax.tree.leaves(node.controller)]
    return [node.learning_rate for node in first], constant


def _is_rate(node: Any) -> bool:
    return isinstance(node, RateState)


def check_constant(where: str, made: Program, params: Any, groups: int, last: int) -> None:
    """Refuse an optimizer that does not use the rate it is given, as one with a schedule.

    An optimizer without a rate of adaptax in its state is taken as it is.

    Args:
      where: named in the error.
      made: the compiled functions.
      params: what is trained.
      groups: how many rates the program takes.
      last: the last step that will be made; steps on the way to it are looked at.

    Raises:
      ValueError: a rate that changes from step to step, or no rate that is the one given.
    """
    params = _strong(params)
    for rate, steps in ((0.5, [0]), (0.125, [0, *_powers(last)])):
        start: list[float] = []
        for step in steps:
            found = jax.device_get(made.rates(params, (rate,) * groups, np.int32(step)))
            first, later = (list(map(float, each)) for each in found)
            start = start or later
            changed = [(a, b) for a, b in zip(start, later, strict=True) if not _near(a, b)]
            if not first or (not changed and any(_near(a, rate) for a in first)):
                continue
            at = (
                f"{changed[0][0]:.4g} at step 0 and {changed[0][1]:.4g}"
                if changed
                else f"{first[0]:.4g}"
            )
            raise ValueError(
                f"{where}(optimizer=...): given the rate {rate}, it uses {at} at step {step}; the "
                "range test needs an optimizer with a constant rate; pass lambda rate: sgd(rate)"
            )


def _near(one: float, other: float) -> bool:
    """Whether two rates are one, but for rounding in float32."""
    return math.isclose(one, other, rel_tol=1e-4)


def _powers(last: int) -> list[int]:
    """1, 2, 4, … and `last`."""
    return [2**k for k in range(max(0, last).bit_length()) if 2**k < last] + [last]


def _call(optimizer: Factory, rate: Any, scheduled: bool) -> optax.GradientTransformation:
    """The optimizer with this rate; `scheduled` gives it as a schedule."""
    given = (lambda step: rate) if scheduled else rate
    try:
        by_name = "learning_rate" in inspect.signature(optimizer).parameters
    except (TypeError, ValueError):  # a callable without a readable signature
        by_name = False
    try:
        made = optimizer(learning_rate=given) if by_name else optimizer(given)
    except jax.errors.ConcretizationTypeError as error:
        raise TypeError(
            f"optimizer={optimizer!r} looks at the value of its rate, which is traced here so that "
            "all rates share one compiled step; pass the rate on as it is"
        ) from error
    if not isinstance(made, optax.GradientTransformation):
        raise TypeError(
            f"optimizer={optimizer!r} made {made!r:.80}; a function from a rate to an optimizer is "
            "needed, such as adaptax.adamw or functools.partial(adaptax.sgd, momentum=0.9)"
        )
    return made


def _keeps_rate(plan: Plan, params: Any, rates: tuple) -> bool:
    """Whether the state keeps a number for good, as `optax.inject_hyperparams` does."""
    state = jax.eval_shape(lambda p: plan.build(rates, scheduled=False).init(p), params)
    found: list[bool] = []

    def visit(node: Any) -> bool:
        found.append(hasattr(node, "hyperparams") and hasattr(node, "inner_state"))
        return False

    jax.tree.leaves(state, is_leaf=visit)
    return any(found)


def begin(made: Program, params: Any, model_state: Any, key: Any, rates: Sequence[float]) -> Carry:
    """A carry that shares no buffer with what the caller holds, so that it can be donated."""
    carry = made.start(_strong(params), model_state, key, tuple(map(float, rates)))
    return jax.tree.map(lambda leaf: leaf.copy(), carry)


def _strong(params: Any) -> Any:
    trees.check_inexact(params)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), params)


def check_key(where: str, key: Any) -> None:
    """Refuse what is no random key of JAX, of the new kind or the old.

    Raises:
      TypeError: a number, for instance.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    old = dtype == np.uint32 and shape is not None and len(shape) == 1
    if not new and not old:
        raise TypeError(
            f"{where}(key={key!r:.80}): one random key is needed, such as jax.random.key(0)"
        )


def looped() -> bool:
    """Whether this backend calls one step at a time."""
    return jax.default_backend() == "cpu"


def train(
    made: Program,
    carries: Sequence[Carry],
    rates: np.ndarray,
    orders: np.ndarray,
    supply: Supply,
    watch: Watch,
    meter: Meter,
) -> tuple[list[Carry], np.ndarray]:
    """Runs side by side or one after another: (their last carries, losses float[runs, steps]).

    Args:
      made: the compiled functions.
      carries: where each run starts; donated.
      rates: float[runs, steps, groups].
      orders: int[runs, steps], the batch of every step.
      supply: the batches.
      watch: (run, its losses so far) -> whether it may end here; its other losses are then NaN.
      meter: told of the steps made.
    """
    losses = np.full(orders.shape, np.nan)
    if looped():
        last = []
        for run, carry in enumerate(carries):
            look = functools.partial(watch, run)
            given = (rates[run], orders[run], supply, losses[run])
            last.append(_one(made, carry, *given, look, meter))
        return last, losses
    return _together(made, carries, rates, orders, supply, losses, watch, meter), losses


def _one(
    made: Program,
    carry: Carry,
    rates: np.ndarray,
    order: np.ndarray,
    supply: Supply,
    losses: np.ndarray,
    watch: Callable[[np.ndarray], bool],
    meter: Meter,
) -> Carry:
    for first in range(0, len(order), CHUNK):
        found = []
        for step in range(first, min(first + CHUNK, len(order))):
            given = tuple(map(float, rates[step]))
            carry, loss = made.step(carry, given, supply.batches[order[step]])
            found.append(loss)
        losses[first : first + len(found)] = np.asarray(jax.device_get(found), np.float64)
        meter.add(len(found))
        if watch(losses[: first + len(found)]):
            break
    return carry


def _together(
    made: Program,
    carries: Sequence[Carry],
    rates: np.ndarray,
    orders: np.ndarray,
    supply: Supply,
    losses: np.ndarray,
    watch: Watch,
    meter: Meter,
) -> list[Carry]:
    runs, steps = orders.shape
    carry = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(supply.batches[0]))
    chunk = max(1, min(CHUNK, steps, LARGEST // max(1, size * runs)))
    for first in range(0, steps, chunk):
        part = orders[:, first : first + chunk]
        batches = jax.tree.map(
            lambda *leaves, part=part: np.stack(leaves).reshape(*part.shape, *leaves[0].shape),
            *(supply.batches[number] for number in part.ravel()),
        )
        given = rates[:, first : first + chunk]
        columns = tuple(jnp.asarray(given[..., k], jnp.float32) for k in range(given.shape[-1]))
        carry, found = made.chunk(carry, columns, batches)
        losses[:, first : first + part.shape[1]] = np.asarray(found, np.float64)
        meter.add(part.size)
        end = first + part.shape[1]
        if all(watch(run, losses[run, :end]) for run in range(runs)):
            break
    return [jax.tree.map(lambda leaf, run=run: leaf[run], carry) for run in range(runs)]
