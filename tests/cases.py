"""The one table of cases: every optimizer with meaningful settings, and its float64 reference.

A new optimizer is a new row here and gets every law. What a row cannot satisfy is data on the row,
with the reason.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import adaptax
from tests import references


@dataclasses.dataclass(frozen=True)
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
    """

    name: str
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    renamed: dict[str, Any] = dataclasses.field(default_factory=dict)
    optax: bool = True
    average: str | None = None
    unit: bool = True
    slack: float = 1.0
    smooth: bool = True

    @property
    def id(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in self.kwargs.items())
        return f"{self.name}({shown})"

    @property
    def argument_names(self) -> list[str]:
        return list(inspect.signature(getattr(adaptax, self.name)).parameters)

    def make(self, learning_rate: Any = 1.0, **more: Any) -> adaptax.Transformation:
        return getattr(adaptax, self.name)(learning_rate, **{**self.kwargs, **more})

    def reference(self, learning_rate: Any = 1.0, **more: Any) -> Callable:
        kwargs = {**self.kwargs, **more}
        for ours, theirs in self.renamed.items():
            if ours in kwargs:
                name, values = theirs
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
    Case("sgd", unit=False),
    Case("sgd", {"momentum": 0.9}, unit=False, slack=TRACE),
    Case("sgd", {"momentum": 0.9, "nesterov": True}, unit=False, slack=TRACE),
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
    Case("nadamw", {"weight_decay": 0.1}),
    Case("nadamw", {"weight_decay": 0.1, "momentum_decay": 0.004}, optax=False),
    Case("amsgrad", average="b2"),
    Case("amsgrad", {"correct_maximum": True}, renamed=_MAXIMUM, optax=False),
    Case("amsgrad", {"bias_correction_mu": False, "bias_correction_nu": False}),
    Case("radam", average="b2"),
    Case("radam", {"threshold": 4.0, "nesterov": True}),
    Case("adabelief", average="b2"),
    Case("adabelief", {"eps": 1e-8, "eps_root": 1e-8, "nesterov": True}),
    Case("yogi", average="b2", smooth=False),
    Case("yogi", {"eps_root": 1e-6, "initial_accumulator_value": 1e-2}, optax=False, smooth=False),
]  # fmt: skip

IDS = [case.id for case in CASES]
