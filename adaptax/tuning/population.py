"""The members of a sweep, trained side by side in one program, or one after the other.

Both ways make the same steps from the same numbers. Members do not touch each other: one that
diverges leaves the others bitwise as they would have been.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import numerics, trees
from adaptax.tuning import engine, stream
from adaptax.tuning.training import Carry

CHUNK = 50  # steps between two looks at the losses
LARGEST = 2**26  # bytes of batches that are on the device at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What the members of a sweep share.

    Attributes:
      plan: what is minimised, by which optimizer, and what judges.
      program: the functions of the plan, the rate an argument of them.
      seeds: each rate is trained once with each.
      start: seed -> (parameters, model state, key).
      batches: to train on.
      validation: to be judged by; None is the training loss.
      chunk: steps between two looks at the losses.
      fused: a chunk is one loop on the device; otherwise each step is called.
    """

    plan: engine.Plan
    program: engine.Program
    seeds: tuple[int, ...]
    start: Callable[[int], tuple[Any, Any, Any]]
    batches: stream.Stream
    validation: stream.Stream | None
    chunk: int
    fused: bool


@dataclasses.dataclass(eq=False)
class Member:
    """What is known so far of one rate with one seed.

    Attributes:
      losses: of its steps, up to the first that is not finite.
      diverged_at: that step, from 1.
      loss: what it was judged by last; infinite if it diverged.
      judged_at: after how many steps.
    """

    rate: float
    seed: int
    losses: list[np.ndarray] = dataclasses.field(default_factory=list)
    diverged_at: int | None = None
    loss: float | None = None
    judged_at: int = 0

    def curve(self) -> np.ndarray:
        return np.concatenate(self.losses) if self.losses else np.empty(0)

    def add(self, made: np.ndarray) -> None:
        """Note the losses of some more steps."""
        if self.diverged_at is not None:
            return
        wrong = np.flatnonzero(~np.isfinite(made))
        if wrong.size:
            self.diverged_at = sum(map(len, self.losses)) + int(wrong[0]) + 1
            made = made[: wrong[0] + 1]
        self.losses.append(np.asarray(made))

    def judge(self, steps: int, loss: float | None) -> None:
        """Note a validation loss, or, for None, the mean training loss of the last tenth."""
        if loss is None:
            loss = float(np.mean(self.curve()[-max(1, steps // 10) :], dtype=np.float64))
        fine = self.diverged_at is None and np.isfinite(loss)
        self.loss, self.judged_at = loss if fine else float("inf"), steps


@dataclasses.dataclass(eq=False)
class Clock:
    """Where the time of a sweep goes, and who hears of its steps."""

    compiling: float = 0.0
    steps: int = 0
    heard: Callable[[int], None] = lambda steps: None

    def compile(self, way: "Way", *given: Any) -> Callable[..., Any]:
        """The loop compiled for such arguments; the first of them is donated."""
        began = time.perf_counter()
        leaves, structure = jax.tree.flatten(given)
        kinds = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        made = _compiled(way, structure, kinds, jax.default_backend())
        self.compiling += time.perf_counter() - began
        return made

    def count(self, steps: int) -> None:
        """So many steps were made, of all members together."""
        self.steps += steps
        self.heard(steps)


def _fused(step: Callable[..., Any]) -> Callable[..., Any]:
    """A chunk of steps in one loop; `count`, at most the length of the batches, is traced."""

    def chunk(carry: Carry, rates: Any, batches: Any, count: jax.Array) -> tuple[Carry, jax.Array]:
        def body(i: jax.Array, held: tuple[Carry, jax.Array]) -> tuple[Carry, jax.Array]:
            carry, losses = held
            batch = jax.tree.map(lambda leaf: leaf[i], batches)
            carry, loss = step(carry, rates, batch)
            return carry, losses.at[i].set(_loss_number(loss))

        one = jax.eval_shape(step, carry, rates, jax.tree.map(lambda leaf: leaf[0], batches))[1]
        length = jax.tree.leaves(batches)[0].shape[0]
        losses = jnp.zeros((length, *one.shape), numerics.scalar_dtype())
        return jax.lax.fori_loop(0, count, body, (carry, losses))

    return chunk


def _loss_number(loss: jax.Array) -> jax.Array:
    return loss.astype(numerics.scalar_dtype())


@dataclasses.dataclass(frozen=True)
class Way:
    """Which loop: of one member or of all, a step or a chunk of them.

    Attributes:
      program: of the plan.
      members: of all members, seeds by rates.
      by_seed: every seed has batches of its own.
      fused: a chunk.
    """

    program: engine.Program
    members: bool
    by_seed: bool
    fused: bool

    def function(self) -> Callable[..., Any]:
        step = self.program.step
        if self.members:
            of_rates = jax.vmap(step, (0, (0,), None))
            step = jax.vmap(of_rates, (0, None, 0 if self.by_seed else None))
        return _fused(step) if self.fused else step


@functools.lru_cache(maxsize=32)
def _compiled(way: Way, structure: Any, kinds: tuple, backend: str) -> Callable[..., Any]:
    """Compiled once for a plan and these shapes, whichever sweep asks."""
    del backend
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
    given = jax.tree.unflatten(structure, shapes)
    return jax.jit(way.function(), donate_argnums=0).lower(*given).compile()


class Runner:
    """A loop over steps, compiled when the first batches are there."""

    def __init__(self, setup: Setup, members: bool, clock: Clock):
        by_seed = members and setup.batches.by_seed
        self._way = Way(setup.program, members, by_seed, setup.fused)
        self._setup, self._clock = setup, clock
        self._compiled: Callable[..., Any] | None = None

    def advance(self, carry: Carry, rates: Any, batches: list[Any]) -> tuple[Carry, np.ndarray]:
        """(the carry after these batches, their losses on the host)."""
        if not self._setup.fused:
            found = []
            for batch in batches:
                carry, loss = self._call(carry, rates, batch)
                found.append(loss)
            return carry, np.stack(jax.device_get(found)).astype(np.float64)
        padded = stream.stacked(batches, self._setup.chunk - len(batches))
        count = np.int32(len(batches))
        carry, losses = self._call(carry, rates, padded, count)
        return carry, np.asarray(losses, np.float64)[: len(batches)]

    def _call(self, *given: Any) -> tuple[Carry, Any]:
        if self._compiled is None:
            self._compiled = self._clock.compile(self._way, *given)
        return self._compiled(*given)


def _chunks(batches: Iterator[Any], size: int) -> Iterator[list[Any]]:
    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _start(setup: Setup, seed: int) -> tuple[Any, Any, Any]:
    """The seed's start, as strong arrays, so that every step has the types of the first."""
    params, model_state, key = setup.start(seed)
    trees.check_inexact(params)
    strong = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), (params, model_state))
    return *strong, key


@functools.lru_cache(maxsize=32)
def _begins(program: engine.Program) -> Callable[..., Carry]:
    """The start of all members, seeds by rates."""
    of_rates = jax.vmap(program.start, (None, None, None, (0,)))
    return jax.jit(jax.vmap(of_rates, (0, 0, 0, None)))


@functools.lru_cache(maxsize=32)
def _judges(program: engine.Program) -> Callable[..., jax.Array]:
    """The judgement of all rates of a seed."""
    return jax.jit(jax.vmap(program.judge, (0, None)))


class Together:
    """All members in one program, seeds by rates; compiled once for a number of rates."""

    def __init__(self, setup: Setup, members: Sequence[Sequence[Member]], clock: Clock):
        """`members[rate][seed]`."""
        self._setup, self._members, self._clock = setup, list(members), clock
        starts = [_start(setup, seed) for seed in setup.seeds]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
        self._carry = _begins(setup.program)(*stacked, self._rates())
        self._measure = _judges(setup.program)
        self._runner = Runner(setup, True, clock)

    def _rates(self) -> tuple[jax.Array]:
        rates = [of_rate[0].rate for of_rate in self._members]
        return (jnp.asarray(rates, numerics.scalar_dtype()),)

    def train(self, first: int, last: int, goes_on: bool) -> None:
        """The steps from `first` to `last`, then a judgement."""
        del goes_on
        setup, rates = self._setup, self._rates()
        for batches in _chunks(self._batches(first, last), setup.chunk):
            self._carry, losses = self._runner.advance(self._carry, rates, batches)
            for i, of_rate in enumerate(self._members):
                for j, member in enumerate(of_rate):
                    member.add(losses[:, j, i])
            self._clock.count(losses.size)
            if all(m.diverged_at is not None for of_rate in self._members for m in of_rate):
                break
        for j, seed in enumerate(setup.seeds):
            found = self._validation(j, seed)
            for i, of_rate in enumerate(self._members):
                of_rate[j].judge(last, None if found is None else float(found[i]))

    def keep(self, rates: list[int]) -> None:
        """Only these go on; the program is compiled again for so many."""
        self._members = [self._members[i] for i in rates]
        chosen = np.asarray(rates)
        self._carry = jax.tree.map(lambda leaf: leaf[:, chosen], self._carry)
        self._runner = Runner(self._setup, True, self._clock)

    def _batches(self, first: int, last: int) -> Iterator[Any]:
        setup = self._setup
        if not setup.batches.by_seed:
            return setup.batches.take(setup.seeds[0], first, last)
        each = [setup.batches.take(seed, first, last) for seed in setup.seeds]
        return (stream.stacked(list(given)) for given in zip(*each, strict=True))

    def _validation(self, j: int, seed: int) -> np.ndarray | None:
        if self._setup.validation is None:
            return None
        carry = jax.tree.map(lambda leaf: leaf[j], self._carry)
        return _mean_loss(self._measure, carry, self._setup.validation.whole(seed))


class OneByOne:
    """A member after the other, by one compiled step; between rungs they wait on the host."""

    def __init__(self, setup: Setup, members: Sequence[Sequence[Member]], clock: Clock):
        """`members[rate][seed]`."""
        self._setup, self._members, self._clock = setup, list(members), clock
        self._waiting: dict[tuple[float, int], Carry] = {}
        self._runner = Runner(setup, False, clock)

    def train(self, first: int, last: int, goes_on: bool) -> None:
        """The steps from `first` to `last` of each member, and its judgement."""
        for of_rate in self._members:
            for member in of_rate:
                carry = self._train_one(member, first, last)
                found = None
                if self._setup.validation is not None and member.diverged_at is None:
                    validation = self._setup.validation.whole(member.seed)
                    found = float(_mean_loss(self._setup.program.judge, carry, validation))
                member.judge(last, found)
                if goes_on:
                    self._waiting[member.rate, member.seed] = _on_host(carry)

    def _train_one(self, member: Member, first: int, last: int) -> Carry:
        setup = self._setup
        rates = (jnp.asarray(member.rate, numerics.scalar_dtype()),)
        if first:
            carry = self._waiting.pop((member.rate, member.seed))
        else:
            carry = setup.program.start(*_start(setup, member.seed), rates)
        # a copy: the compiled start may give back what it was given, and a carry is donated
        carry = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), carry)
        for batches in _chunks(setup.batches.take(member.seed, first, last), setup.chunk):
            carry, losses = self._runner.advance(carry, rates, batches)
            member.add(losses)
            self._clock.count(losses.size)
            if member.diverged_at is not None:
                break
        return carry

    def keep(self, rates: list[int]) -> None:
        """Only these go on; nothing is compiled."""
        self._members = [self._members[i] for i in rates]
        left = {member.rate for of_rate in self._members for member in of_rate}
        self._waiting = {at: carry for at, carry in self._waiting.items() if at[0] in left}


def _on_host(carry: Carry) -> Carry:
    """Random keys, which have no form on the host, stay where they are; they are small."""

    def move(leaf: jax.Array) -> Any:
        return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)

    return jax.tree.map(move, carry)


def _mean_loss(measure: Callable[..., Any], carry: Carry, batches: Iterator[Any]) -> Any:
    """The mean over all batches, each weighted by the examples that it holds."""
    total, count = 0.0, 0
    for batch in batches:
        number = stream.examples(batch)
        if not number:  # its loss is the mean of nothing
            continue
        total = total + number * np.asarray(measure(carry, batch), np.float64)
        count += number
    if not count:
        raise ValueError("sweep(validation=...): it is empty; at least one batch is needed")
    return total / count
