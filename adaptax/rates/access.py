"""Reading and setting the rate in any optimizer state, however deeply it is nested.

The rate is found by its state, `RateState`, through `chain`, `partition`, `masked`, `MultiSteps`,
Flax's wrapped state, and the plain dicts that a checkpoint restored without a template gives.
Everything here works inside jitted code, and setting a rate never recompiles.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import registry
from adaptax.rates.rate import RateState

_FIELDS = set(RateState._fields)


def learning_rate(opt_state: Any) -> jax.Array:
    """The rate that the latest update used; before the first update, the one it will use.

    Args:
      opt_state: the state of any nesting that contains one adaptax optimizer.

    Raises:
      ValueError: there is no rate in the state, or there are several different groups.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.adam(0.5).init(jnp.ones(3))
        >>> float(adaptax.learning_rate(state))
        0.5
    """
    rates = learning_rates(opt_state)
    if len(rates) > 1:
        raise ValueError(
            f"the state has {len(rates)} rates, of {_list(rates)}; read them with learning_rates()"
        )
    return next(iter(rates.values()))


def learning_rates(opt_state: Any) -> dict[str, jax.Array]:
    """All rates in the state by label: the names of `optax.partition` or `named_chain` on the way.

    A state with one unlabelled rate has it under "learning_rate".

    Raises:
      ValueError: there is no rate in the state.

    Example::

        >>> import adaptax, jax.numpy as jnp, optax
        >>> tx = optax.partition({"a": adaptax.sgd(0.5), "b": adaptax.sgd(0.25)}, {"x": "a", "y": "b"})
        >>> state = tx.init({"x": jnp.ones(3), "y": jnp.ones(3)})
        >>> {label: float(rate) for label, rate in adaptax.learning_rates(state).items()}
        {'a': 0.5, 'b': 0.25}
    """
    return {label: _value(found["learning_rate"]) for label, found in _find(opt_state).items()}


def set_learning_rate(opt_state: Any, value: Any, label: str | None = None) -> Any:
    """A state whose rate is `value`. The structure is the same, so nothing is recompiled.

    For a constant rate the next updates use exactly `value`. For a schedule the rest of it is
    rescaled by value / (the current rate).

    Args:
      opt_state: any nested state; it is not changed itself.
      value: the new rate, ≥ 0: a number or a traced scalar.
      label: which of several groups, as `learning_rates` names them; None if there is only one.

    Raises:
      ValueError: a negative or non-finite value; no such label; a schedule whose current value is
        zero, which no factor can rescale (in traced code, which cannot raise, the rate becomes NaN).

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.set_learning_rate(adaptax.adam(0.5).init(jnp.ones(3)), 0.25)
        >>> float(adaptax.learning_rate(state))
        0.25
    """
    value = _checked("set_learning_rate", "value", value)
    labels = _find(opt_state)
    if label is None and len(labels) > 1:
        raise ValueError(
            f"set_learning_rate: the state has several rates, of {_list(labels)}; "
            "name one with label=, or change all with scale_learning_rate"
        )
    return _change(opt_state, label, lambda rate, factor: _set(rate, factor, value))


def scale_learning_rate(opt_state: Any, factor: Any, label: str | None = None) -> Any:
    """A state whose rates are multiplied by `factor`, from here on, all of them or one label's.

    Args:
      opt_state: any nested state; it is not changed itself.
      factor: what to multiply by, ≥ 0: a number or a traced scalar.
      label: one group, as `learning_rates` names them, or None for all.

    Raises:
      ValueError: a negative or non-finite factor; no such label.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.scale_learning_rate(adaptax.adam(0.5).init(jnp.ones(3)), 0.5)
        >>> float(adaptax.learning_rate(state))
        0.25
    """
    factor = _checked("scale_learning_rate", "factor", factor)
    return _change(opt_state, label, lambda rate, own: (rate * factor, own * factor))


def _checked(where: str, name: str, value: Any) -> Any:
    if isinstance(value, jax.core.Tracer):
        return value
    try:
        number = float(np.asarray(value))
    except (TypeError, ValueError):
        raise TypeError(f"{where}({name}={value!r}): a number ≥ 0 is needed") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{where}({name}={value!r}): {name} must be a number in [0, inf)")
    return number


def _set(rate: jax.Array, multiplier: jax.Array, value: Any) -> tuple[Any, Any]:
    """A constant's multiplier is the rate itself, and becomes the value exactly."""
    constant = rate == multiplier
    if not isinstance(rate, jax.core.Tracer) and bool(((rate == 0) & ~constant).any()):
        raise ValueError(
            "set_learning_rate: the schedule is at 0, which no factor can bring to "
            f"{value}; set it after the warm-up, or build the optimizer with another schedule"
        )
    safe = jnp.where(constant, jnp.ones_like(rate), rate)
    rescaled = multiplier * (value / safe)
    impossible = (rate == 0) & ~constant
    rescaled = jnp.where(impossible, jnp.full_like(rate, jnp.nan), rescaled)
    return jnp.full_like(rate, value), jnp.where(constant, jnp.full_like(rate, value), rescaled)


def _change(opt_state: Any, label: str | None, change: Callable) -> Any:
    known = _find(opt_state)
    if label is not None and label not in known:
        raise ValueError(f"no rate is labelled {label!r}; {registry.nearest(label, known)}")
    labels = iter(known)

    def visit(node: Any) -> Any:
        if not _is_rate(node):
            return node
        if label not in (None, next(labels)):
            return node
        fields = _fields(node)
        old = [fields["learning_rate"], fields["multiplier"]]
        new = change(*map(_value, old))
        fields["learning_rate"], fields["multiplier"] = map(_with_value, old, new)
        return RateState(**fields) if isinstance(node, RateState) else type(node)(fields)

    return jax.tree.map(visit, opt_state, is_leaf=_is_rate)


def _find(opt_state: Any) -> dict[str, dict[str, Any]]:
    nodes = [
        (path, node)
        for path, node in jax.tree_util.tree_leaves_with_path(opt_state, is_leaf=_is_rate)
        if _is_rate(node)
    ]
    if not nodes:
        raise ValueError("the state holds no learning rate of adaptax; was it made by tx.init?")
    labels = [_label(path) for path, _ in nodes]
    if len(set(labels)) < len(labels):
        labels = [jax.tree_util.keystr(path) for path, _ in nodes]
    return {label: _fields(node) for label, (_, node) in zip(labels, nodes, strict=True)}


def _is_rate(node: Any) -> bool:
    if isinstance(node, RateState):
        return True
    return isinstance(node, dict) and set(node) == _FIELDS


def _fields(node: Any) -> dict[str, Any]:
    return dict(node._asdict() if isinstance(node, RateState) else node)


def _label(path: tuple) -> str:
    """The text keys on the way; fields of states have none, dicts of partitions and chains do."""
    keys = [str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey)]
    return "/".join(k for k in keys if k not in ("rate", "inner_states")) or "learning_rate"


def _value(leaf: Any) -> jax.Array:
    """The array of a leaf, out of Flax's variable where it is in one."""
    if hasattr(leaf, "get_value"):
        leaf = leaf.get_value()
    return jnp.asarray(leaf)


def _with_value(leaf: Any, value: jax.Array) -> Any:
    value = value.astype(_value(leaf).dtype)
    return leaf.replace(value) if hasattr(leaf, "get_value") else value


def _list(labels: Any) -> str:
    return ", ".join(map(repr, labels))
