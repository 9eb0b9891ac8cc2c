"""One optimizer step, measured: adaptax beside Optax and PyTorch, in one run on one device.

A step is update and apply, compiled together, with parameters and state donated. In every round
each contender runs once, in turning order, and ratios are taken within a round: what slows the
machine for a while slows all of them. Times are stated as medians with their quartiles.
"""

import dataclasses
import gc
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
import optax

import adaptax
from adaptax.lab import cost
from adaptax.lab.bench_results import Bench, Row, Spread, spread, title

BASE = "optax"  # what ratios are taken to
TRIAD = "triad"  # x + 2y, whose bandwidth is the floor's
TRIAD_BYTES = 12  # per element: read x, read y, write x
FLOOR_BYTES = 28  # per parameter: read p, g, m, v; write p, m, v
AT_LEAST = 0.02  # seconds that a round of one contender lasts, so that the clock does not matter
LARGEST = 2**33  # parameters


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Args:
      size: parameters in total, float32; a whole number, at least `leaves`.
      leaves: arrays they are split into where they are split; a whole number ≥ 1.
      rounds: how often each time is taken; a whole number ≥ 1.
      compiles: how often each is compiled; a whole number ≥ 1.
      torch: whether PyTorch takes part where it is installed.

    Raises:
      ValueError: a number out of its range; the message names it.

    Example::

        >>> from adaptax.lab import bench
        >>> bench.Settings(size=10_000, leaves=4, rounds=3).rounds
        3
    """

    size: int = 20_000_000
    leaves: int = 200
    rounds: int = 15
    compiles: int = 3
    torch: bool = True

    def __post_init__(self) -> None:
        for name, least, most in (
            ("leaves", 1, 100_000),
            ("size", self.leaves, LARGEST),
            ("rounds", 1, 100_000),
            ("compiles", 1, 1000),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name}={value!r} must be a whole number from {least} to {most}")


QUICK = Settings(size=20_000, leaves=4, rounds=3, compiles=1)


class Contender(Protocol):
    """Something that can be run over and over."""

    def run(self, times: int) -> None:
        """Run so many times, and wait until all is done."""


@dataclasses.dataclass(frozen=True)
class Method:
    """An optimizer as both libraries spell it.

    Attributes:
      name: its name in the table.
      make: from the library to its transformation.
      clip: the largest global norm, for contenders that are not of Optax's protocol.
    """

    name: str
    make: Callable[[Any], optax.GradientTransformation]
    clip: float | None = None


def _clipped(library: Any) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(1e-3, 100_000)  # the same one for both
    return library.chain(library.clip_by_global_norm(1.0), library.adamw(schedule))


METHODS = (
    Method("adamw", lambda library: library.adamw(1e-3)),
    Method("clip+adamw", _clipped, clip=1.0),
)
LIBRARIES = {BASE: optax, "adaptax": adaptax}


def workloads(settings: Settings) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the trees that are optimized, by name."""
    leaves = settings.leaves
    each = settings.size // leaves
    side = math.isqrt(each)
    return {
        "one array": [(settings.size,)],
        f"{leaves} equal leaves": [(side, each // side)] * leaves,
        f"{leaves} distinct leaves": distinct_shapes(settings.size, leaves),
    }


def distinct_shapes(size: int, leaves: int) -> list[tuple[int, ...]]:
    """Shapes (r+i, r+2i), r such that they hold about `size` numbers together."""
    first = sum(3 * i for i in range(leaves))
    second = sum(2 * i * i for i in range(leaves))
    root = math.sqrt(max(0.0, first**2 - 4 * leaves * (second - size)))
    start = max(1, round((root - first) / (2 * leaves)))
    return [(start + i, start + 2 * i) for i in range(leaves)]


def measure(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Bench:
    """Measure everything.

    Args:
      settings: what to measure.
      say: called with a line for each part, before it is measured.

    Raises:
      MemoryError: the arrays do not fit.
    """
    rows, bandwidths, notes = [], {}, []
    trees = workloads(settings)
    parts = [(method, tree) for tree in trees for method in METHODS]
    for number, (method, tree) in enumerate(parts, 1):
        say(f"{method.name} on {tree} ({number}/{len(parts)})")
        found, bandwidths[title(method.name, tree)], missing = _measure_one(
            settings, method, tree, trees[tree]
        )
        rows += found
        notes += [note for note in missing if note not in notes]
    say("import time")
    return Bench(
        rows=tuple(rows),
        bandwidth=bandwidths,
        import_seconds=import_seconds(1 if settings.compiles == 1 else 5),
        settings=dataclasses.asdict(settings),
        machine=machine(),
        notes=tuple(notes),
    )


def _measure_one(
    settings: Settings, method: Method, workload: str, shapes: list[tuple[int, ...]]
) -> tuple[list[Row], float, list[str]]:
    subjects = [cost.Subject(name, method.make(lib)) for name, lib in LIBRARIES.items()]
    built = compile_times(subjects, cost.tree(shapes), settings.compiles)
    values = _values(shapes)
    contenders: dict[str, Contender] = {
        s.name: JaxStep(s, built[s.name].compiled, values) for s in subjects
    }
    contenders[TRIAD] = Triad(cost.parameters(values))
    notes = []
    if settings.torch:
        from adaptax.lab import bench_torch

        more, notes = bench_torch.contenders(method.clip, values)
        contenders |= more
    taken = interleaved(contenders, settings.rounds)
    size = cost.parameters(values)
    rows = [
        Row(
            method=method.name,
            workload=workload,
            contender=name,
            parameters=size,
            step_seconds=spread(taken[name]),
            step_ratio=spread(taken[name] / taken[BASE]),
            floors=spread(taken[name] / taken[TRIAD] * TRIAD_BYTES / FLOOR_BYTES),
            bytes_per_second=FLOOR_BYTES * size / float(np.median(taken[name])),
            **_built_columns(built, name, size),
        )
        for name in contenders
        if name != TRIAD
    ]
    return rows, TRIAD_BYTES * size / float(np.median(taken[TRIAD])), notes


def _values(shapes: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"w{i}": rng.standard_normal(s, dtype=np.float32) for i, s in enumerate(shapes)}


class JaxStep:
    """A compiled step with its arrays; every run consumes what the one before it made."""

    def __init__(self, subject: cost.Subject, compiled: Any, values: dict[str, np.ndarray]):
        self._step = compiled
        self._params = on_device(values)
        self._grads = on_device({name: 0.5 * value for name, value in values.items()})
        self._state = subject.tx.init(self._params)

    def run(self, times: int) -> None:
        for _ in range(times):
            self._params, self._state = self._step(self._params, self._grads, self._state)
        jax.block_until_ready((self._params, self._state))


class Triad:
    """x ← x + 2y in place, so that no page of fresh memory is touched: what bandwidth there is."""

    def __init__(self, size: int):
        self._add = jax.jit(lambda x, y: x + 2 * y, donate_argnums=0)
        self._x, self._y = on_device([np.zeros(size, np.float32), np.ones(size, np.float32)])

    def run(self, times: int) -> None:
        for _ in range(times):
            self._x = self._add(self._x, self._y)
        jax.block_until_ready(self._x)


def on_device(tree: Any) -> Any:
    """Arrays of their own on the device; one that shares memory with NumPy could not be donated."""
    return jax.device_put(tree, may_alias=False)


def interleaved(contenders: dict[str, Contender], rounds: int) -> dict[str, np.ndarray]:
    """Seconds a run, for each contender and round; the order turns from round to round."""
    names = list(contenders)
    repeats = {}
    for name in names:
        contenders[name].run(2)
        repeats[name] = max(1, math.ceil(AT_LEAST / _seconds(contenders[name], 1)))
    taken = {name: np.empty(rounds) for name in names}
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            taken[name][index] = _seconds(contenders[name], repeats[name])
    return taken


def _seconds(contender: Contender, times: int) -> float:
    start = time.perf_counter()
    contender.run(times)
    return (time.perf_counter() - start) / times


@dataclasses.dataclass(frozen=True)
class Built:
    """What it took to build a step."""

    lower: np.ndarray  # seconds to trace and lower, each time
    compile: np.ndarray  # seconds to compile, each time
    equations: float  # per leaf
    temporary: int | None  # bytes
    compiled: Any


def compile_times(subjects: list[cost.Subject], params: Any, repeats: int) -> dict[str, Built]:
    """Trace, lower and compile each subject `repeats` times, nothing cached, in turning order."""
    lowers = {s.name: np.empty(repeats) for s in subjects}
    compiles = {s.name: np.empty(repeats) for s in subjects}
    compiled = {}
    with _uncached():
        for subject in subjects:  # what the first of all compilations sets up is nobody's time
            subject.lower(cost.tree([(3, 5), (7,)])).compile()
        for index in range(repeats):
            for subject in subjects[:: 1 if index % 2 == 0 else -1]:
                jax.clear_caches()
                gc.collect()
                start = time.perf_counter()
                lowered = subject.lower(params)
                middle = time.perf_counter()
                compiled[subject.name] = lowered.compile()
                compiles[subject.name][index] = time.perf_counter() - middle
                lowers[subject.name][index] = middle - start
    return {
        s.name: Built(
            lowers[s.name],
            compiles[s.name],
            cost.equations_per_leaf(s, 2, 6),
            cost.temporary_bytes(compiled[s.name]),
            compiled[s.name],
        )
        for s in subjects
    }


@contextmanager
def _uncached() -> Iterator[None]:
    """Without JAX's cache on disk, which a user may have switched on."""
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def _built_columns(built: dict[str, Built], name: str, size: int) -> dict[str, Any]:
    if name not in built:
        return {}
    one, base = built[name], built[BASE]
    return {
        "compile_seconds": spread(one.compile),
        "compile_ratio": spread(one.compile / base.compile),
        "lower_seconds": spread(one.lower),
        "lower_ratio": spread(one.lower / base.lower),
        "equations_per_leaf": one.equations,
        "temporary": None if one.temporary is None else one.temporary / (4 * size),
    }


_IMPORT = """
import time, jax, optax
start = time.perf_counter()
import adaptax
print(time.perf_counter() - start)
"""


def import_seconds(repeats: int) -> Spread:
    """How long `import adaptax` takes where jax and optax are imported already."""
    root = str(Path(adaptax.__file__).resolve().parents[1])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    taken = [
        float(
            subprocess.run(
                [sys.executable, "-c", _IMPORT],
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for _ in range(repeats)
    ]
    return spread(np.array(taken))


def machine() -> dict[str, str]:
    """Where and with what this was measured."""
    device = jax.devices()[0]
    return {
        "device": f"{device.platform} ({device.device_kind})",
        "cores": str(os.cpu_count()),
        "python": sys.version.partition(" ")[0],
        "jax": jax.__version__,
        "optax": optax.__version__,
        "adaptax": adaptax.__version__,
    }
