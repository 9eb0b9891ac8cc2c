"""From what a user names to what the runner trains: optimizers by text, value or dict."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import optax

from adaptax.core import registry
from adaptax.core import text as calls
from adaptax.core.transformation import Transformation
from adaptax.lab.tasks.base import Task
from adaptax.rates.access import learning_rates
from adaptax.rates.control import Controller
from adaptax.rates.schedule import Schedule

DEFAULT = ("sgd", "adagrad", "rmsprop", "adam", "nadam")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One optimizer to compare: its label, what it does, and how it prints."""

    label: str
    transformation: optax.GradientTransformation
    call: str | None
    rate: str


def candidates(task: Task, optimizers: Any, learning_rate: Any) -> tuple[Candidate, ...]:
    """The optimizers to compare, each with its rate.

    Args:
      task: its default rates serve optimizers named without one.
      optimizers: None for `DEFAULT`; text such as "adam" or "adamw(weight_decay=0.01)", several in
        one text apart by spaces; adaptax transformations; a sequence of these; or a dict from label
        to text or to any Optax transformation.
      learning_rate: for optimizers named without one: a number, a schedule, a controller (its
        metric is the training loss), or text of one.

    Raises:
      ValueError: an unknown name (with the nearest), a bad argument, a label that comes twice.
      TypeError: something that is no optimizer, or an unknown argument.
    """
    rate = _read_rate(learning_rate)
    found = []
    for label, given in _listed(optimizers):
        if isinstance(given, str):
            found.append(_from_text(task, given, rate, label))
        else:
            found.append(_from_value(given, label))
    if not found:
        raise ValueError("optimizers=[]: at least one is needed")
    return _distinct(found)


def _listed(optimizers: Any) -> list[tuple[str | None, Any]]:
    if optimizers is None:
        optimizers = DEFAULT
    if isinstance(optimizers, Mapping):
        return [(str(label), given) for label, given in optimizers.items()]
    if isinstance(optimizers, str):
        optimizers = [optimizers]
    if isinstance(optimizers, optax.GradientTransformation) or not isinstance(optimizers, Iterable):
        optimizers = [optimizers]
    parts: list[tuple[str | None, Any]] = []
    for given in optimizers:
        if isinstance(given, str):
            parts += [(None, one) for one in apart(given)]
        else:
            parts.append((None, given))
    return parts


def apart(text: str) -> list[str]:
    """The calls in one text, apart by spaces or commas outside of brackets and quotes.

    Example::

        >>> from adaptax.lab.candidates import apart
        >>> apart("adam, adamw(0.1, b1=0.8) sgd")
        ['adam', 'adamw(0.1, b1=0.8)', 'sgd']
    """
    parts, depth, quote = [""], 0, ""
    for c in text:
        if not quote and depth <= 0 and (c.isspace() or c == ","):
            parts.append("")
            continue
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        else:
            depth += (c in "([{") - (c in ")]}")
        parts[-1] += c
    return [part for part in parts if part]


def _read_rate(learning_rate: Any) -> Any:
    if not isinstance(learning_rate, str):
        return learning_rate
    try:
        return float(learning_rate)
    except ValueError:
        pass
    try:
        rate = calls.parse(learning_rate)
    except (ValueError, TypeError) as error:
        raise ValueError(f"learning_rate={learning_rate!r}: {error}") from None
    if not isinstance(rate, (Schedule, Controller)):
        raise ValueError(
            f"learning_rate={learning_rate!r}: a number such as 0.001, a schedule such as "
            "'cosine(0.001, 500)' or a controller such as 'plateau(0.001)' is needed"
        )
    return rate


def _from_text(task: Task, given: str, rate: Any, label: str | None) -> Candidate:
    _check_name(given)
    name, args, kwargs = calls.call(given)
    if registry.kind(name) == "optimizer" and not args and "learning_rate" not in kwargs:
        kwargs = {"learning_rate": _default_rate(task, name, rate), **kwargs}
    made = registry.lookup(name)(*args, **kwargs)
    try:
        learning_rates(made.init(np.zeros(1, np.float32)))
    except ValueError:
        raise ValueError(
            f"{given!r} has no learning rate, so it does not step downhill; "
            f"put it in a chain: chain({given}, adam(0.001))"
        ) from None
    return _from_value(made, label or given)


def _check_name(given: str) -> None:
    """Refuse a call of anything but an optimizer or a transformation, with the nearest names."""
    start = re.match(r"\w+", given)
    optimizers = registry.names("optimizer")
    if start is None or start[0] in (*optimizers, *registry.names("transformation")):
        return  # what is no call at all is refused where it is read
    raise ValueError(
        f"unknown optimizer {start[0]!r} in {given!r}; {registry.nearest(start[0], optimizers)}"
    )


def _default_rate(task: Task, name: str, rate: Any) -> Any:
    if rate is not None:
        return rate
    if name not in task.rates:
        raise ValueError(
            f"task {task.name!r} has no default rate for {name!r}; "
            f"write {name}(0.001) or give learning_rate (--learning-rate)"
        )
    return task.rates[name]


def _from_value(given: Any, label: str | None) -> Candidate:
    if not isinstance(given, optax.GradientTransformation):
        raise TypeError(
            f"optimizers: {given!r} is no optimizer; give text such as 'adam(0.001)', an adaptax "
            "transformation, or a dict from name to transformation"
        )
    call = given.call if isinstance(given, Transformation) else None
    if call is None:
        if label is None:
            raise TypeError(
                f"optimizers: {given!r} has no name; give it one: {{'my adam': optax.adam(0.001)}}"
            )
        return Candidate(label, given, None, "-")
    rate = call.named.get("learning_rate")
    return Candidate(label or call.name, given, repr(given), "-" if rate is None else repr(rate))


def _distinct(found: list[Candidate]) -> tuple[Candidate, ...]:
    """Values of one name are told apart by their whole call."""
    labels = [each.label for each in found]
    named = [
        dataclasses.replace(each, label=each.call)
        if labels.count(each.label) > 1 and each.call is not None
        else each
        for each in found
    ]
    labels = [each.label for each in named]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ValueError(f"optimizers: {twice!r} comes twice; leave one out, or change it")
    return tuple(named)
