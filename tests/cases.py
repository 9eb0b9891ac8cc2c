"""The one table of cases: every optimizer with meaningful settings, and its float64 reference.

A new optimizer is a new row here and gets every law. What a row cannot satisfy is data on the row,
with the reason.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import adaptax
from adaptax.core import registry
from tests import references
from tests.pairwise import cover


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One optimizer with its settings.

    Attributes:
      name: the optimizer's name, in adaptax, in the references and in Optax.
      kwargs: arguments beyond the rate, named as ours.
      renamed: how the reference or Optax calls an argument that is named otherwise.
      optax: whether Optax has this setting under the same name.
      average: the argument that is the decay of the second moment, for laws over its values.
      unit: whether its steps are of the size of the rate (Adam-like), which scales errors.
      slack: how many times the bound on float32 errors is allowed; SLACK says why.
      smooth: whether the update is a continuous function of the gradients.
      undivided: how many first steps are not divided, so that they grow with the gradients.
      linear: whether steps grow with the gradients for ever.
      pairwise: whether it is a row of the cover of all pairs of arguments.
    """

    name: str
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    renamed: dict[str, Any] = dataclasses.field(default_factory=dict)
    optax: bool = True
    average: str | None = None
    unit: bool = True
    slack: float = 1.0
    smooth: bool = True
    undivided: int = 0
    linear: bool = False
    pairwise: bool = False

    @property
    def id(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in self.kwargs.items())
        return f"{self.name}({shown})"

    @property
    def not_applicable(self) -> dict[str, str]:
        """Why a property does not apply to this row."""
        found = {
            name: reasons[key]
            for name, reasons in NOT_APPLICABLE.items()
            for key in (self.name, self.id)
            if key in reasons
        }
        return found if self.optax else {"P4": "Optax has no such setting", **found}

    @property
    def wide(self) -> "Case":
        """The row with nothing stored in a low precision, as the references are."""
        kept = {k: v for k, v in self.kwargs.items() if not k.endswith("_dtype")}
        return dataclasses.replace(self, kwargs=kept)

    @property
    def argument_names(self) -> list[str]:
        return list(inspect.signature(getattr(adaptax, self.name)).parameters)

    def make(self, learning_rate: Any = 1.0, **more: Any) -> adaptax.Transformation:
        return getattr(adaptax, self.name)(learning_rate, **{**self.kwargs, **more})

    def reference(self, learning_rate: Any = 1.0, **more: Any) -> Callable:
        kwargs = {**self.kwargs, **more}
        for ours, (name, values) in self.renamed.items():
            if ours in kwargs:
                value = kwargs.pop(ours)
                kwargs[name] = values.get(value, value)
        return getattr(references, self.name)(learning_rate, **kwargs)


# A decaying sum reads with the rounding of everything in it, though its value may be near zero:
# with a decay of 0.9 the walk of its rounding is 2.3 times one rounding, at 4.5 sigma and a floor
# of a tenth of the rms 3e-6, and the same again through a preconditioner.
TRACE = 3.0
# AdaDelta's steps are proportional to √a, and a averages their squares: a relative error of a is
# never forgotten, and those of v are added to it.
FEEDBACK = 3.0

_MAXIMUM = {"correct_maximum": ("maximum_of", {True: "raw", False: "corrected"})}

# Yogi's sign(v − g²) jumps where the two meet: one flip in the last bit is a real difference.
CASES = [
    Case("sgd", unit=False, linear=True),
    Case("sgd", {"momentum": 0.9}, unit=False, slack=TRACE, linear=True),
    Case("sgd", {"momentum": 0.9, "nesterov": True}, unit=False, slack=TRACE, linear=True),
    Case("adagrad", unit=False),
    Case("adagrad", {"initial_accumulator_value": 0.0, "eps": 1e-8, "eps_in_sqrt": False},
         optax=False, unit=False),
    Case("adadelta", unit=False, average="rho", slack=FEEDBACK),
    Case("adadelta", {"rho": 0.95, "weight_decay": 0.1}, unit=False, slack=FEEDBACK),
    Case("rmsprop", average="decay", unit=False),
    Case("rmsprop", {"decay": 0.99, "eps_in_sqrt": False, "initial_scale": 1.0}),
    Case("rmsprop", {"momentum": 0.9}, unit=False, slack=TRACE),
    Case("rmsprop", {"momentum": 0.9, "nesterov": True, "bias_correction": True},
         unit=False, slack=TRACE),
    Case("rmsprop", {"centered": True}),
    Case("rmsprop", {"centered": True, "initial_scale": 1.0, "eps_in_sqrt": False}),
    Case("adam", average="b2"),
    Case("adam", {"b1": 0.8, "eps": 1e-4, "eps_root": 1e-6}),
    Case("adam", {"nesterov": True}),
    Case("adamw", average="b2"),
    Case("adamw", {"weight_decay": 0.1, "nesterov": True}),
    Case("adamax"),
    Case("adamax", {"b2": 0.9, "eps": 1e-3}),
    Case("adamaxw", {"weight_decay": 0.1}),
    Case("nadam", average="b2"),
    Case("nadam", {"momentum_decay": 0.004}, optax=False),
    Case("nadam", {"momentum_decay": 1.0}, optax=False),
    Case("nadamw", {"weight_decay": 0.1}, average="b2"),
    Case("nadamw", {"weight_decay": 0.1, "momentum_decay": 0.004}, optax=False),
    Case("amsgrad", average="b2"),
    Case("amsgrad", {"correct_maximum": True}, renamed=_MAXIMUM, optax=False),
    Case("amsgrad", {"bias_correction_mu": False, "bias_correction_nu": False}),
    Case("radam", average="b2", undivided=5),
    Case("radam", {"threshold": 4.0, "nesterov": True}, undivided=4),
    Case("adabelief", average="b2"),
    Case("adabelief", {"eps": 1e-8, "eps_root": 1e-8, "nesterov": True}),
    Case("yogi", average="b2", smooth=False),
    Case("yogi", {"eps_root": 1e-6, "initial_accumulator_value": 1e-2}, optax=False, smooth=False),
]  # fmt: skip

IDS = [case.id for case in CASES]

# Values beside an argument's default; in the rows of the cover every two values meet.
OTHERS: dict[str, list[Any]] = {
    "b1": [0.8, 0.0],
    "adabelief.b1": [0.8],  # for 0 the surprise is nothing but the rounding of m
    "b2": [0.99],
    "decay": [0.99],
    "rho": [0.95],
    "eps": [1e-4],
    "eps_root": [1e-6],
    "momentum": [0.9, 0.5],
    "nesterov": [False, True],
    "weight_decay": [0.1],
    "mask": [False],
    "weight_decay_mask": [False],
    "initial_accumulator_value": [1e-2],
    "initial_scale": [1.0],
    "eps_in_sqrt": [False],
    "centered": [True],
    "bias_correction": [True],
    "bias_correction_mu": [False],
    "bias_correction_nu": [False],
    "correct_maximum": [True],
    "momentum_decay": [0.004],
    "threshold": [4.0],
    "mu_dtype": ["bfloat16"],
    "nu_dtype": ["float16"],
    "accumulator_dtype": ["bfloat16"],
}
# what is refused together
APART = {
    "nadam": [{"momentum_decay": 0.004, "nesterov": False}],
    "nadamw": [{"momentum_decay": 0.004, "nesterov": False}],
    "rmsprop": [{"centered": True, "nu_dtype": "float16"}],
}
_MASKED = {name: ("weight_decay", {False: 0.0}) for name in ("mask", "weight_decay_mask")}


def _pairwise() -> list[Case]:
    """The cover of every optimizer; a row is like the plainest row of the table."""
    rows = []
    for name in sorted({case.name for case in CASES}):
        plain = next(case for case in CASES if case.name == name)
        signature = inspect.signature(getattr(adaptax, name)).parameters
        defaults = {k: signature[k].default for k in plain.argument_names[1:]}
        others = {k: OTHERS.get(f"{name}.{k}", OTHERS[k]) for k in defaults}
        levels = {k: [d, *(v for v in others[k] if v != d)] for k, d in defaults.items()}
        for kwargs in cover(levels, APART.get(name, [])):
            kwargs = {k: v for k, v in kwargs.items() if v != defaults[k]}
            slack = max(plain.slack, TRACE if "momentum" in levels else 1.0)
            made = dataclasses.replace(
                plain, kwargs=kwargs, renamed={**_MAXIMUM, **_MASKED}, optax=False, slack=slack,
                average=None, unit=plain.unit and name != "rmsprop", pairwise=True,
            )  # fmt: skip
            rows.append(made)
    taken = set(IDS)
    return [row for row in rows if row.id not in taken and not taken.add(row.id)]


ROWS = _pairwise()
ROW_IDS = [case.id for case in ROWS]

_CENTRED = "divided by the deviation, which a steady gradient makes as small as ε"
_MOMENTUM = "a sum of bounded steps: bounded by them over 1 − μ, a bound that nothing reaches"
_NO_MEAN = "keeps no decaying mean of squares"
NAMES = registry.names("optimizer")
NOT_APPLICABLE: dict[str, dict[str, str]] = {
    "P3": dict.fromkeys(("adamaxw", "adabelief", "yogi"), "PyTorch has none"),
    "P5": dict.fromkeys(("adamaxw", "nadamw", "radam", "adabelief", "yogi"), "Keras has none"),
    "P6": dict.fromkeys(set(NAMES) - {"radam"}, "rectifies nothing"),
    "P8": {
        "adadelta": "in units of its own earlier steps, which nothing bounds beforehand",
        "radam": "its first steps are not divided",
        "adabelief": "divided by the surprise, which a steady gradient makes as small as ε",
        "yogi": "its second moment is no weighted sum of squares",
        **{case.id: _MOMENTUM for case in CASES if "momentum" in case.kwargs},
        **{case.id: _CENTRED for case in CASES if "centered" in case.kwargs},
        "sgd": "its steps grow with the gradients",
        **{case.id: "its steps grow with the gradients" for case in CASES if case.linear},
    },
    "P9": {"yogi": "its first moment starts from +1e-6, which has a sign"},
    "P10": {"adadelta": "without ε it never starts"},
    "P26": {"yogi": "its first moment starts from +1e-6, which is real"},
    "P32": {
        **dict.fromkeys(("sgd", "adagrad", "adamax", "adamaxw"), _NO_MEAN),
        **{case.id: "keeps the variance, to which its decaying mean adds"
           for case in CASES if "centered" in case.kwargs},
        "adabelief": "its mean takes in the momentum, which outlives the spike",
        "yogi": "its mean does not decay on zero gradients",
    },
}  # fmt: skip


def rows(name: str) -> list[Case]:
    """The rows of the table that a property applies to."""
    return [case for case in CASES if name not in case.not_applicable]


def reasons() -> dict[str, dict[str, dict[str, str]]]:
    """By optimizer and row, why a property does not apply."""
    return {
        name: {case.id: case.not_applicable for case in CASES if case.name == name}
        for name in NAMES
    }
