"""What every argument means and may be: one table, read by the checks and by the docstrings.

Only concrete values are checked: a traced value has no number yet, and traced code never raises.
"""

import dataclasses
import inspect
import math
import numbers
from typing import Any

import jax
import jax.core
import numpy as np


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of allowed numbers."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = True

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        left = "(" if self.low_open or self.low == -math.inf else "["
        right = ")" if self.high_open or self.high == math.inf else "]"
        return f"{left}{_bound(self.low)}, {_bound(self.high)}{right}"


def _bound(number: float) -> str:
    """A bound, with all its digits where it is a whole number that a float holds exactly."""
    whole = abs(number) <= 2.0**53 and number == int(number)
    return str(int(number)) if whole else f"{number:g}"


UNIT = Range(0.0, 1.0)
_LARGEST = float(np.finfo(np.float32).max)  # what scalars can hold
NONNEGATIVE = Range(0.0)
POSITIVE = Range(0.0, low_open=True)
ANY = Range()
_COUNT = Range(0, 2.0**24)  # float32 counts up to there
_STEPS = Range(1, 2e9)  # int32 counts up to there


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument: what it means, its unit, and the values it takes."""

    meaning: str
    range: Range | None = None
    schedule: bool = False
    optional: bool = False
    whole: bool = False
    flag: bool = False
    dtype: bool = False
    controller: bool = False
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        if self.flag:
            return "True or False"
        if self.choices:
            return " or ".join(map(repr, self.choices))
        if self.dtype:
            return "a floating dtype such as 'bfloat16', or None"
        kind = "a whole number" if self.whole else "a number"
        text = f"{kind} in {self.range}"
        text += " or a schedule (step -> number)" if self.schedule else ""
        text += " or a controller" if self.controller else ""
        return text + (" or None" if self.optional else "")


def _hyper(meaning: str, range: Range, optional: bool = False) -> Argument:
    return Argument(meaning, range, schedule=True, optional=optional)


def _flag(meaning: str) -> Argument:
    return Argument(meaning, flag=True)


def _dtype(meaning: str) -> Argument:
    return Argument(meaning, dtype=True)


# Each number is explained here once; a docstring says only what differs.
# `factory.argument` is what a name means there only; None is checked by the factory itself.
ARGUMENTS: dict[str, Argument | None] = {
    "Rule.momentum": None,
    "learning_rate": Argument(
        "how far to step, per update", NONNEGATIVE, schedule=True, controller=True
    ),
    "b1": _hyper("decay of the first moment, per step", UNIT),
    "b2": _hyper("decay of the second moment, per step", UNIT),
    "decay": _hyper("decay of the average, per step", UNIT),
    "rho": _hyper("decay of both averages of squares, per step", UNIT),
    "momentum": _hyper("decay of the momentum, per step; None keeps none", UNIT, optional=True),
    "eps": _hyper("added to the divisor, in units of the gradient", NONNEGATIVE),
    "eps_root": _hyper("added under the root, in units of the squared gradient", NONNEGATIVE),
    "weight_decay": _hyper("decoupled decay, per step and unit of rate", NONNEGATIVE),
    "strength": _hyper("weight of the penalty, in units of loss", NONNEGATIVE),
    "threshold": _hyper("rectify while the variance has more degrees of freedom", Range(4.0)),
    "momentum_decay": Argument(
        "psi of Dozat's momentum schedule, per step; None is the simple form",
        NONNEGATIVE,
        optional=True,
    ),
    "initial_accumulator_value": Argument("what the accumulator starts from", NONNEGATIVE),
    "initial_scale": Argument("what the second moment starts from", NONNEGATIVE),
    "inside": _hyper("added under the root, in units of the accumulated statistic", NONNEGATIVE),
    "floor": _hyper("added to the average at each step, in its own unit", NONNEGATIVE),
    "psi": Argument("Dozat's momentum schedule, per step", NONNEGATIVE),
    "dtype": _dtype("how the arrays are stored"),
    "debiased": _flag("weights that sum to one"),
    "adaptive_grad_clip.eps": Argument(
        "smallest norm of a unit, in units of the weights", NONNEGATIVE
    ),
    "max_delta": _hyper("largest absolute value of an entry", NONNEGATIVE),
    "max_norm": _hyper("largest norm of the whole tree", NONNEGATIVE),
    "clipping": _hyper("largest ratio of gradient norm to weight norm, per unit", POSITIVE),
    "value": Argument("the value at every step", ANY),
    "start": Argument("the value at step 0", ANY),
    "peak": Argument("the highest value", ANY),
    "cosine_restarts.decay": None,
    "power": Argument("the power of the part of the steps that is left", POSITIVE),
    "base": _hyper("what is steered: the rate without the controller", NONNEGATIVE),
    "factor": Argument("what the rate is multiplied by to lower it", Range(0.0, 1.0)),
    "patience": Argument("measurements in a row that may be no better", _COUNT, whole=True),
    "plateau.threshold": Argument("by how much a better one is better", NONNEGATIVE),
    "threshold_mode": Argument("whether the threshold is relative", choices=("rel", "abs")),
    "mode": Argument("whether less or more of the metric is better", choices=("min", "max")),
    "cooldown": Argument("measurements after a reduction that do not count", _COUNT, whole=True),
    "plateau.floor": Argument("a rate that is not lowered further", NONNEGATIVE),
    "best_or_back_off.floor": Argument("a rate that is not lowered further", NONNEGATIVE),
    "bold_driver.floor": Argument("a rate that is not lowered further", NONNEGATIVE),
    "hypergradient.floor": Argument("a rate that is not lowered further", NONNEGATIVE),
    "beta": Argument("the rate's own rate", NONNEGATIVE),
    "hypergradient.rule": Argument("how the rate changes", choices=("additive", "multiplicative")),
    "c": Argument("a smaller one takes longer steps", POSITIVE),
    "lower_bound": Argument("the lowest loss that a batch can have", ANY),
    "per_leaf": _flag("a rate of its own for each array"),
    "update_ratio.eps": Argument("least root mean square of weights", NONNEGATIVE),
    "window": Argument("measurements averaged to one", Range(1, 2.0**24), whole=True),
    "up": Argument("what the rate is multiplied by while all goes well", Range(1.0)),
    "down": Argument("what the rate is multiplied by otherwise", Range(0.0, 1.0, low_open=True)),
    "ceiling": Argument("a rate that is not raised further; None: none", POSITIVE, optional=True),
    "layerwise_decay.decay": Argument(
        "the ratio of the rates of two layers", Range(0.0, 1.0, low_open=True, high_open=False)
    ),
    "max_consecutive": Argument("bad steps in a row that halt", _STEPS, whole=True),
    "overflow": Argument("what is done about squares that overflow", choices=("reject", "accept")),
    "recompute": _flag("compute updates twice rather than keep a copy of the state"),
    "initial": Argument("the scale before the first step", POSITIVE),
    "growth": Argument("what the scale is multiplied by to raise it", Range(1.0)),
    "backoff": Argument(
        "what the scale is multiplied by to lower it", Range(0.0, 1.0, low_open=True)
    ),
    "loss_scale.every": Argument("good steps before the scale is raised", _STEPS, whole=True),
    "hysteresis": Argument("overflows before the scale is lowered", _STEPS, whole=True),
    "loss_scale.floor": Argument("the lowest scale", POSITIVE),
    "loss_scale.ceiling": Argument("the highest scale", POSITIVE),
    "clip_by_zscore.threshold": Argument("how far above the mean, in deviations", POSITIVE),
    "clip_by_zscore.decay": Argument("decay of both averages, per step", UNIT),
    "reciprocal": _flag("the larger the spike, the nearer its norm to the mean"),
    "clip_by_zscore.max_norm": Argument(
        "largest norm in the warm-up; None bounds nothing", POSITIVE, optional=True
    ),
    "clip_by_zscore.warmup": Argument("steps before anything is judged", _STEPS, whole=True),
    "clip_by_average_norm.warmup": Argument("steps before anything is judged", _STEPS, whole=True),
    "clip_by_average_norm.ratio": Argument("a norm to its average, at most", Range(1.0)),
    "clip_by_average_norm.decay": Argument("decay of the averages, per step", UNIT),
    "clip_by_average_norm.max_norm": Argument("largest norm in the warm-up", POSITIVE),
    "accumulate.every": Argument("micro-batches a step", _STEPS, schedule=True, whole=True),
    "accumulate.skip": Argument(
        "what one NaN or infinity makes it skip", choices=("batch", "window")
    ),
    "swa.start": Argument("updates before the first average", _STEPS, whole=True),
    "swa.every": Argument("updates between two averages", _STEPS, whole=True),
    "ema_weights.every": Argument("updates between two averages", _STEPS, whole=True),
    "debias": _flag("weights that sum to one without the initial parameters"),
    "sync_every": Argument("fast steps for a slow one", _STEPS, whole=True),
    "slow_step": Argument(
        "how far the slow weights go to the fast ones", Range(0.0, 1.0, True, False)
    ),
    "nesterov": _flag("look one step ahead"),
    "centered": _flag("divide by the standard deviation instead of the root mean square"),
    "bias_correction": _flag("divide the average by the mass it has absorbed"),
    "bias_correction_mu": _flag("correct the first moment"),
    "bias_correction_nu": _flag("correct the second moment"),
    "eps_in_sqrt": _flag("put eps under the root (Optax, TensorFlow) or beside it (PyTorch)"),
    "mu_dtype": _dtype("how the first moment is stored; None: float32 or wider"),
    "nu_dtype": _dtype("how the second moment is stored; None: float32 or wider"),
    "accumulator_dtype": _dtype("how the momentum is stored; None: float32 or wider"),
}


def arguments(where: str, given: dict[str, Any]) -> None:
    """Check every argument of a call that the table knows."""
    for name, value in given.items():
        spec = ARGUMENTS.get(f"{where}.{name}", ARGUMENTS.get(name))
        if spec is not None:
            argument(where, name, value, spec)


def argument(where: str, name: str, value: Any, spec: Argument) -> None:
    """Raise a `TypeError` or `ValueError` that names the argument, the value and the range."""

    def refuse(kind: type[Exception]) -> None:
        given = f"{where}({name}={value!r:.200})"
        raise kind(f"{given}: {name} must be {spec.allowed()}: {spec.meaning}")

    if value is None and (spec.optional or spec.dtype):
        return
    if spec.flag:
        return None if isinstance(value, bool) else refuse(TypeError)
    if spec.dtype:
        return None if _is_inexact_dtype(value) else refuse(TypeError)
    if spec.choices:
        known = isinstance(value, str) and value in spec.choices
        return None if known else refuse(ValueError if isinstance(value, str) else TypeError)
    if (spec.schedule and callable(value)) or (spec.controller and hasattr(value, "absorb")):
        return
    dtype = getattr(value, "dtype", None)
    if spec.range is UNIT and dtype is not None and np.dtype(dtype).itemsize < 4:
        raise TypeError(
            f"{where}({name}=...): {dtype} cannot hold a decay near 1; give it as float32 "
            "(optax.inject_hyperparams(..., hyperparam_dtype=jnp.float32))"
        )
    if isinstance(value, jax.core.Tracer):
        return None if value.shape == () and not spec.whole else refuse(TypeError)
    number = _number(value)
    if number is None or (spec.whole and number % 1 != 0 and math.isfinite(number)):
        return refuse(TypeError)
    if not abs(number) <= _LARGEST or (spec.range is not None and number not in spec.range):
        refuse(ValueError)


def _number(value: Any) -> float | None:
    """A concrete real number as a float; None for anything else, flags included."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, np.ndarray | jax.Array) and value.shape == ():
        kind = np.dtype(value.dtype)
        if jax.numpy.issubdtype(kind, np.floating) or jax.numpy.issubdtype(kind, np.integer):
            return float(value)
    return None


def _is_inexact_dtype(value: Any) -> bool:
    try:
        return bool(jax.numpy.issubdtype(jax.numpy.dtype(value), np.inexact))
    except TypeError:
        return False


def documented(doc: str | None, signature: inspect.Signature, where: str = "") -> str | None:
    """The docstring with its `Args:` section written from the table."""
    if doc is None:
        return None
    lines = []
    for name, parameter in signature.parameters.items():
        spec = ARGUMENTS.get(f"{where}.{name}", ARGUMENTS.get(name))
        if spec is not None and f"      {name}:" not in doc:
            default = parameter.default
            note = "" if default is inspect.Parameter.empty else f" Default {default!r}."
            lines.append(f"      {name}: {spec.meaning}; {spec.allowed()}.{note}")
    if not lines:
        return doc
    head, mark, tail = doc.partition("    Args:\n")
    if mark:
        return head + mark + "\n".join(lines) + "\n" + tail
    head, mark, tail = doc.partition("    State:")
    section = "    Args:\n" + "\n".join(lines) + "\n\n"
    return head + section + mark + tail if mark else doc.rstrip() + "\n\n" + section.rstrip() + "\n"
