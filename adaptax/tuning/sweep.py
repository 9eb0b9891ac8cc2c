"""A sweep: one optimizer with many rates, trained as a population, in one compiled program.

sweep(loss_fn, params, batches, adamw)                        # a grid of rates
sweep(..., seeds=range(3), validation=held_out)               # judged on other examples
sweep(..., halving=3)                                         # the worse two thirds stop early
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.core import checks, trees
from adaptax.core.transformation import Transformation
from adaptax.optimizers.family import adamw
from adaptax.rates.access import learning_rates, set_learning_rate
from adaptax.tuning import engine, halving, population, stream
from adaptax.tuning.halving import Rung
from adaptax.tuning.layout import Choice, available, choose
from adaptax.tuning.meter import Meter
from adaptax.tuning.objective import Objective
from adaptax.tuning.population import Clock, Member, Setup
from adaptax.tuning.swept import Sweep, Trial

RATES = tuple(float(f"{m}e{e}") for e in range(-5, 1) for m in (1, 3))
POINTS = 500  # of a curve
SEED_LIMIT = 2**32
_RATE = checks.Argument("per update", checks.POSITIVE)
_STEPS = checks.Argument("of a whole training", checks.Range(1.0), whole=True)
_ETA = checks.Argument(
    "one rate in so many goes on from a rung to the next", checks.Range(2.0), whole=True
)
_MEMORY = checks.Argument("bytes to plan with", checks.NONNEGATIVE)


def sweep(
    loss_fn: Callable[..., Any],
    params: Any,
    batches: Any,
    optimizer: Any = adamw,
    *,
    rates: Iterable[float] = RATES,
    seeds: Iterable[int] = (0,),
    steps: int | None = None,
    validation: Any = None,
    eval_fn: Callable[..., Any] | None = None,
    model_state: Any = None,
    key: Any = None,
    halving: int | None = None,
    vmapped: bool | None = None,
    memory: float | None = None,
    progress: Callable[[int], None] | bool = True,
) -> Sweep:
    """Train with every rate of a grid and every seed, and say which rate is best.

    All members are trained side by side, as one vmapped program, unless

    - they would take more than half of the memory, a member counted as its parameters, gradients,
      model state and optimizer state (of the device where it says how much it has, else the host's
      available memory); or
    - on a CPU, the loss has a convolution, or a member takes more than 4 MiB: there one member
      after the other is faster, by one compiled step for all.

    The training step is compiled once for all rates and seeds; another sweep of the same loss
    function and optimizer with as many members compiles nothing.

    Both ways give the same numbers to rounding (with random keys of JAX's default kind; others may
    draw differently under `vmap`). A rate whose loss is no longer finite counts as
    infinitely bad and leaves the others bitwise unchanged. Nothing that is passed is changed.

    Args:
      loss_fn: (params, batch) -> loss; with `model_state` (params, model_state, batch) -> (loss,
        new model state); with `key` the key is one more last argument.
      params: the start of every member, or a function from the seed to it.
      batches: an iterable of batches, the same for all seeds, or a function from the seed to one.
        It begins again at its end. An iterator is read first, as far as `steps`.
      optimizer: a function from a rate to an optimizer, Optax's included, or an adaptax optimizer,
        whose rate is then set (a schedule is rescaled to start from it).
      rates: distinct numbers > 0, per update.
      seeds: distinct whole numbers from 0; a rate is trained once with each.
      steps: of a whole training, at least 1. None: once through `batches`.
      validation: batches by which rates are judged, like `batches`; every batch once, weighted by
        its examples. None: the mean training loss of the last tenth of the steps.
      eval_fn: (params, batch) -> loss, or (params, model_state, batch) -> loss, for `validation`,
        where the loss in training has dropout or the like. None is `loss_fn`.
      model_state: what the model keeps that is not trained, or a function from the seed to it.
      key: a random key, of which every seed gets its own, or a function from the seed to a key.
      halving: eta, at least 2: successive halving, by which one rate in eta goes on from a rung to
        the next. Side by side it compiles once a rung. None trains all to the end.
      vmapped: True or False instead of the rule.
      memory: bytes to plan with, instead of those that are available.
      progress: show a bar or lines on standard error when it takes longer than two seconds; or a
        function that is called with numbers of steps just made, of all members together.

    Raises:
      TypeError, ValueError: an argument; the message names it and what is allowed.

    Ctrl-C ends it early: the result holds what there is and says `interrupted`.

    Source: successive halving: Jamieson, Talwalkar, arXiv 1502.07943, figure 3; eta as in Li et
      al., Hyperband, arXiv 1603.06560, algorithm 1.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> x = jnp.linspace(-1.0, 1.0, 32)
        >>> loss = lambda w, batch: jnp.mean((w * batch[0] - batch[1]) ** 2)
        >>> found = adaptax.sweep(
        ...     loss, jnp.zeros(()), [(x, 3 * x)], adaptax.sgd, rates=[0.03, 0.3, 30.0], steps=50
        ... )
        >>> found.best, [row.diverged for row in found.rows]
        (0.03, [0, 0, 1])
    """
    began = time.perf_counter()
    numbers, chosen = checked(rates, seeds, halving)
    for name, value, spec in (("memory", memory, _MEMORY), ("steps", steps, _STEPS)):
        if value is not None:
            checks.argument("sweep", name, value, spec)
    length = _steps(steps, batches)
    objective = Objective(loss_fn, stateful=model_state is not None, keyed=key is not None)
    setup, why = _setup(
        objective, params, batches, optimizer, chosen, numbers, length, validation, eval_fn,
        model_state, key, vmapped, memory,
    )  # fmt: skip
    plan = _rungs(len(numbers), length, halving)
    members = [[Member(rate, seed) for seed in chosen] for rate in numbers]
    clock, interrupted = Clock(), False
    with Meter(progress is True, "sweeping") as meter:
        meter.expect(_name(optimizer), _total(plan, len(chosen)))
        clock.heard = progress if callable(progress) else meter.add
        try:
            _run(setup, members, plan, clock, why.vmapped)
        except KeyboardInterrupt:
            if not clock.steps:
                raise
            interrupted = True
    every = -(-length // POINTS)
    return Sweep(
        optimizer=_name(optimizer),
        measure="training loss" if validation is None else "validation loss",
        rates=numbers,
        seeds=chosen,
        steps=length,
        trials=tuple(_trial(member, every) for of_rate in members for member in of_rate),
        rungs=plan,
        every=every,
        vmapped=why.vmapped,
        why=why.reason,
        total_steps=clock.steps,
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling,
        interrupted=interrupted,
    )


_rungs = halving.rungs


def checked(
    rates: Iterable[float], seeds: Iterable[int], eta: int | None
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(rates in increasing order, seeds) of a sweep.

    Raises:
      TypeError, ValueError: rates, seeds or halving that `sweep` refuses.
    """
    if eta is not None:
        checks.argument("sweep", "halving", eta, _ETA)
    return _rates(rates), _seeds(seeds)


def _run(
    setup: Setup, members: list[list[Member]], plan: tuple[Rung, ...], clock: Clock, vmapped: bool
) -> None:
    """Fill the members as results come, so that an interruption keeps them."""
    kind = population.Together if vmapped else population.OneByOne
    made, active, first = kind(setup, members, clock), members, 0
    for i, rung in enumerate(plan):
        if i:
            losses = [
                float(np.mean([np.inf if m.loss is None else m.loss for m in of_rate]))
                for of_rate in active
            ]
            kept = halving.survivors(losses, rung.members)
            if not kept:
                return
            made.keep(kept)
            active = [active[k] for k in kept]
        made.train(first, rung.steps, goes_on=i + 1 < len(plan))
        first = rung.steps


def _total(plan: tuple[Rung, ...], seeds: int) -> int:
    """Steps of all members together, if none diverges."""
    before = [0, *(rung.steps for rung in plan)]
    return seeds * sum(
        rung.members * (rung.steps - start) for rung, start in zip(plan, before, strict=False)
    )


def _trial(member: Member, every: int) -> Trial:
    losses = member.curve()
    points = [losses[i : i + every].mean() for i in range(0, len(losses), every)]
    return Trial(
        rate=member.rate,
        seed=member.seed,
        loss=member.loss,
        judged_at=member.judged_at,
        diverged_at=member.diverged_at,
        steps=len(losses),
        curve=tuple(float(str(np.float32(point))) for point in points),
    )


def _setup(
    objective: Objective,
    params: Any,
    batches: Any,
    optimizer: Any,
    seeds: tuple[int, ...],
    rates: tuple[float, ...],
    steps: int,
    validation: Any,
    eval_fn: Callable[..., Any] | None,
    model_state: Any,
    key: Any,
    vmapped: bool | None,
    memory: float | None,
) -> tuple[Setup, Choice]:
    first = seeds[0]
    if len(seeds) > 1 and key is None and not any(map(_by_seed, (params, batches, model_state))):
        raise ValueError(
            f"sweep(seeds={seeds!r}): nothing depends on the seed; make params or batches a "
            "function of it, or give a key"
        )
    if eval_fn is not None and validation is None:
        raise ValueError("sweep(eval_fn=...): it needs validation=, the batches to evaluate")
    train = stream.open_stream("sweep", batches, first, steps)
    held = None
    if validation is not None:
        held = stream.open_stream("sweep: validation", validation, first, None)
    start = functools.partial(_start, params, model_state, key)
    given = start(first)
    plan = engine.Plan(objective, _factory(optimizer, given[0]), eval_fn=eval_fn)
    program = engine.program(plan)
    carry = jax.eval_shape(program.start, *given, (rates[0],))
    text = str(jax.make_jaxpr(objective.loss)(carry[0], carry[1], train.first, given[2]))
    convolves, backend = "conv_general_dilated" in text, jax.default_backend()
    size = _size(carry) + _size(carry.params)
    found = choose(
        len(rates) * len(seeds), size, available() if memory is None else memory, convolves, backend
    )
    if vmapped is not None:
        found = Choice(vmapped, f"vmapped={vmapped} was given")
    bytes_a_step = max(1, stream.size(train.first) * (len(seeds) if train.by_seed else 1))
    chunk = max(1, min(population.CHUNK, steps, population.LARGEST // bytes_a_step))
    fused = not (backend == "cpu" and convolves)
    return Setup(plan, program, seeds, start, train, held, chunk, fused), found


def _size(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _by_seed(given: Any) -> bool:
    """Whether it is a function of the seed; a module that can be called is a tree of parameters."""
    return callable(given) and jax.tree_util.all_leaves([given])


def _start(params: Any, model_state: Any, key: Any, seed: int) -> tuple[Any, Any, Any]:
    made = [given(seed) if _by_seed(given) else given for given in (params, model_state)]
    if key is None:
        return made[0], made[1], None
    own: Any = key(seed) if callable(key) else key
    engine.check_key("sweep", own)
    return made[0], made[1], own if callable(key) else jax.random.fold_in(key, seed)


@dataclasses.dataclass(frozen=True)
class _Reset:
    """An optimizer as a function of the rate, which is set in its state."""

    optimizer: Transformation

    def __call__(self, learning_rate: Any) -> Transformation:
        def init(params: Any) -> Any:
            return set_learning_rate(self.optimizer.init(params), learning_rate)

        return Transformation(init, self.optimizer.update)


def _factory(optimizer: Any, params: Any) -> Callable[..., Any]:
    if isinstance(optimizer, optax.GradientTransformation):
        _check_rate(optimizer, params)
        return _Reset(
            Transformation(*optimizer) if not isinstance(optimizer, Transformation) else optimizer
        )
    if not callable(optimizer):
        raise TypeError(
            f"sweep(optimizer={optimizer!r}): a function from a rate to an optimizer is needed, "
            "such as adaptax.adamw, or an optimizer of adaptax"
        )
    return optimizer


def _check_rate(optimizer: optax.GradientTransformation, params: Any) -> None:
    """Refuse an optimizer that has no single rate that can be set at the start."""
    trees.check_inexact(params)
    state = optimizer.init(jax.tree.map(jnp.asarray, params))
    labels, name = list(learning_rates(state)), _name(optimizer)
    if len(labels) > 1:
        raise ValueError(
            f"sweep(optimizer={name}(...)): it has {len(labels)} rates, of "
            f"{', '.join(map(repr, labels))}; give a function of the rate, which says what becomes "
            f"of it: lambda rate: {name}(...)"
        )
    try:
        set_learning_rate(state, 1.0)
    except ValueError as error:
        raise ValueError(
            f"sweep(optimizer={name}(...)): its schedule is at 0 to begin with, which no factor "
            "can bring to a rate; give a function of the rate, such as "
            "lambda rate: adamw(warmup_cosine(rate, ...))"
        ) from error


def _name(optimizer: Any) -> str:
    if isinstance(optimizer, Transformation):
        return optimizer.call.name if optimizer.call is not None else "optimizer"
    inner = optimizer.func if isinstance(optimizer, functools.partial) else optimizer
    return getattr(inner, "__name__", type(inner).__name__)


def _rates(rates: Iterable[float]) -> tuple[float, ...]:
    given = tuple(rates) if isinstance(rates, Iterable) and not isinstance(rates, str) else ()
    if not given:
        raise ValueError(f"sweep(rates={rates!r}): at least one number is needed")
    for rate in given:
        checks.argument("sweep", "rates", rate, _RATE)
    numbers = tuple(sorted(map(float, given)))
    for one, other in itertools.pairwise(numbers):
        if one == other:
            raise ValueError(f"sweep(rates=...): {one!r} comes twice; give each once")
    return numbers


def _seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    given = tuple(seeds) if isinstance(seeds, Iterable) else ()
    whole = all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in given)
    if not given or not whole or not all(0 <= seed < SEED_LIMIT for seed in given):
        raise ValueError(
            f"sweep(seeds={seeds!r}): at least one whole number from 0 to {SEED_LIMIT - 1:,} is "
            "needed, such as seeds=range(3)"
        )
    if len(set(given)) < len(given):
        raise ValueError(f"sweep(seeds={seeds!r}): each may be given only once")
    return tuple(map(int, given))


def _steps(steps: int | None, batches: Any) -> int:
    number = stream.length(batches) if steps is None else int(steps)
    if number is None:
        raise ValueError("sweep(steps=None): batches has no length, so say how many steps to train")
    return max(1, number)
