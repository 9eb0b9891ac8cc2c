"""Reading and setting the rate in any optimizer state, however deeply it is nested.

The rate is found by its state, `RateState`, through `chain`, `partition`, `masked`, `MultiSteps`,
Flax's wrapped state, and the plain dicts that a checkpoint restored without a template gives.
Everything here works inside jitted code, and setting a rate never recompiles.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp

from adaptax.core import checks, registry, states
from adaptax.rates.rate import RateState

_VALUE = checks.Argument("the new rate, per update", checks.NONNEGATIVE)
_FACTOR = checks.Argument("what the rates are multiplied by", checks.NONNEGATIVE)

# Fields of states on the way to a rate. They are dict keys where a state was restored without its
# classes, and no labels.
_PLACES = {
    "rate",
    "inner_state",
    "inner_states",
    "inner_opt_state",
    "base_optimizer_state",
    "fast_state",
    "opt_state",
}


def learning_rate(opt_state: Any) -> jax.Array:
    """The rate that the latest update used; before the first update, the one it will use.

    Before the first update, `polyak` and `update_ratio` cannot know theirs: they show their base.

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
        >>> groups = {"a": adaptax.sgd(0.5), "b": adaptax.sgd(0.25)}
        >>> tx = optax.partition(groups, {"x": "a", "y": "b"})
        >>> state = tx.init({"x": jnp.ones(3), "y": jnp.ones(3)})
        >>> {label: float(rate) for label, rate in adaptax.learning_rates(state).items()}
        {'a': 0.5, 'b': 0.25}
    """
    found = _find(opt_state).items()
    # copies, which outlive a state that is donated to the next step
    return {label: jnp.array(states.array(fields["learning_rate"])) for label, fields in found}


def set_learning_rate(opt_state: Any, value: Any, label: str | None = None) -> Any:
    """A state whose rate is `value`. The structure is the same, so nothing is recompiled.

    For a constant rate the next updates use exactly `value`. For a schedule the rest of it is
    rescaled by value / (the current rate), and so is all that a controller gives from here on, its
    floor, ceiling and cap included; to change only those, build the optimizer with another
    controller and keep the state.

    Args:
      opt_state: any nested state; it is not changed itself.
      value: the new rate, ≥ 0: a number or a traced scalar.
      label: which of several groups, as `learning_rates` names them; None if there is only one.

    Raises:
      TypeError: the value is not a number.
      ValueError: a negative or non-finite value; no such label; a schedule whose current value is
        zero, which no factor can rescale (traced code cannot raise: there the rate becomes NaN).

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.set_learning_rate(adaptax.adam(0.5).init(jnp.ones(3)), 0.25)
        >>> float(adaptax.learning_rate(state))
        0.25
    """
    value = _checked("set_learning_rate", "value", value, _VALUE)
    labels = _find(opt_state)
    if label is None and len(labels) > 1:
        raise ValueError(
            f"set_learning_rate: the state has several rates, of {_list(labels)}; "
            "name one with label=, or change all with scale_learning_rate"
        )
    return _change(opt_state, label, lambda rate, base, _: _set(rate, base, value))


def scale_learning_rate(opt_state: Any, factor: Any, label: str | None = None) -> Any:
    """A state whose rates are multiplied by `factor`, from here on, all of them or one label's.

    Args:
      opt_state: any nested state; it is not changed itself.
      factor: what to multiply by, ≥ 0: a number or a traced scalar.
      label: one group, as `learning_rates` names them, or None for all.

    Raises:
      TypeError: the factor is not a number.
      ValueError: a negative or non-finite factor; no such label.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.scale_learning_rate(adaptax.adam(0.5).init(jnp.ones(3)), 0.5)
        >>> float(adaptax.learning_rate(state))
        0.25
    """
    factor = _checked("scale_learning_rate", "factor", factor, _FACTOR)

    def scale(rate: jax.Array, base: jax.Array, multiplier: jax.Array) -> tuple[Any, Any]:
        del base
        by = jnp.asarray(factor).astype(rate.dtype)
        return rate * by, multiplier * by

    return _change(opt_state, label, scale)


def _checked(where: str, name: str, value: Any, spec: checks.Argument) -> Any:
    checks.argument(where, name, value, spec)
    return value if isinstance(value, jax.core.Tracer) else float(value)


def _set(rate: jax.Array, base: jax.Array, value: Any) -> tuple[Any, Any]:
    """The rate, and the multiplier that makes it of the base."""
    zero = base == 0
    if not isinstance(base, jax.core.Tracer) and bool(zero.any()):
        raise ValueError(
            "set_learning_rate: the schedule or controller is at 0, which no factor can bring to "
            f"{value}; set it after the warm-up, or build the optimizer with another rate"
        )
    new = jnp.full_like(rate, value)
    multiplier = new / jnp.where(zero, jnp.ones_like(base), base)
    return new, jnp.where(zero, jnp.full_like(rate, jnp.nan), multiplier)


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
        fields = states.fields(node)
        values = [states.array(fields[name]) for name in ("learning_rate", "base", "multiplier")]
        for name, new in zip(("learning_rate", "multiplier"), change(*values), strict=True):
            fields[name] = _with_value(fields[name], new)
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
        labels = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in nodes]
    return {label: states.fields(node) for label, (_, node) in zip(labels, nodes, strict=True)}


def _is_rate(node: Any) -> bool:
    # `controller` is () without a controller, which a restored dict may leave out or give as None
    return states.is_state(node, RateState, "controller")


def _label(path: tuple) -> str:
    """The names of groups on the way: keys of partitions and named chains, not fields of states."""
    labels, place = [], ""
    for key in path:
        name = str(getattr(key, "key", getattr(key, "name", "")))
        # what follows inner_states is a label, whatever it is; elsewhere a number is a position
        named = place == "inner_states" or not (name in _PLACES or name.isdecimal())
        if isinstance(key, jax.tree_util.DictKey) and named:
            labels.append(name)
            name = ""
        place = name
    return "/".join(labels) or "learning_rate"


def _with_value(leaf: Any, value: jax.Array) -> Any:
    value = value.astype(states.array(leaf).dtype)
    return leaf.replace(value) if hasattr(leaf, "get_value") else value


def _list(labels: Any) -> str:
    return ", ".join(map(repr, labels))
