"""What guards have seen, on the host: a report, an error, and the way back.

report = guard_report(opt_state, params)      # text, or None where all went well
check_health(opt_state, params)               # raises if a guard or a loss scale has halted
opt_state = clear_halted(opt_state)           # looked at; go on watching
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from adaptax.core import globs
from adaptax.wrappers import guard as guards
from adaptax.wrappers.guard import GuardState
from adaptax.wrappers.loss_scale import LossScaleState

_REASONS = {
    guards.GRADIENT: "the gradient of {} is not finite",
    guards.OVERFLOW: "the square of the gradient of {} overflows",
    guards.UPDATE: "the update of {} is not finite, though the gradients are",
}


def guard_report(opt_state: Any, params: Any = None) -> str | None:
    """What the guards in a state have rejected, where and why; None where nothing happened.

    Args:
      opt_state: the state of any nesting; also the plain dicts of a checkpoint.
      params: the parameters, to name the first bad one by its path; None: the path is not named.

    Raises:
      TypeError: inside jitted code, which has no text.
      ValueError: there is no guard in the state.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.guard(adaptax.adam(0.1)).init(jnp.ones(2))
        >>> print(adaptax.guard_report(state))
        None
    """
    lines = [line for line, _ in _lines("guard_report", opt_state, params) if line]
    return "\n".join(lines) or None


def check_health(opt_state: Any, params: Any = None) -> None:
    """Raise an error if a guard or a loss scale has halted; call it where metrics are read anyway.

    Jitted code cannot raise, so what must stop training sets `halted` in the state. It stays set
    until `clear_halted`, however good the steps in between were.

    Args:
      opt_state: the state of any nesting; also the plain dicts of a checkpoint.
      params: the parameters, to name the first bad one by its path.

    Raises:
      FloatingPointError: one has halted; the message says which, why, and what to do.
      TypeError: inside jitted code.
      ValueError: there is no guard in the state.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx, params = adaptax.guard(adaptax.sgd(0.1), max_consecutive=1), jnp.ones(2)
        >>> _, state = tx.update(params * jnp.nan, tx.init(params), params)
        >>> adaptax.check_health(state)
        Traceback (most recent call last):
            ...
        FloatingPointError: a guard has halted: 1 of 1 steps skipped (1 in a row), the latest ...
    """
    faults = [fault for _, fault in _lines("check_health", opt_state, params) if fault]
    if faults:
        raise FloatingPointError("\n".join(faults))


def clear_halted(opt_state: Any) -> Any:
    """A state whose guards and loss scales have not halted, and have no bad steps in a row.

    The totals stay. The structure is the same, so nothing is recompiled.

    Args:
      opt_state: any nested state; it is not changed itself.

    Raises:
      ValueError: there is no guard in the state.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.guard(adaptax.sgd(0.1)).init(jnp.ones(2))
        >>> bool(adaptax.clear_halted(state).halted)
        False
    """
    _states("clear_halted", opt_state)

    def zero(leaf: Any) -> Any:
        array = jnp.zeros_like(_array(leaf))
        return leaf.replace(array) if hasattr(leaf, "get_value") else array

    def visit(node: Any) -> Any:
        if not _is_watch(node):
            return node
        fields = _fields(node)
        fields |= {name: zero(fields[name]) for name in ("halted", "consecutive") if name in fields}
        fields["inner_state"] = _map(visit, fields["inner_state"])
        return type(node)(**fields) if isinstance(node, tuple) else type(node)(fields)

    return _map(visit, opt_state)


def loss_scale_of(opt_state: Any) -> jax.Array:
    """What to multiply the loss by before it is differentiated: the scale of `loss_scale`.

    Works inside jitted code.

    Args:
      opt_state: the state of any nesting that contains one `loss_scale`.

    Raises:
      ValueError: there is none in the state, or several.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> state = adaptax.loss_scale(adaptax.adam(0.1), initial=1024.0).init(jnp.ones(2))
        >>> float(adaptax.loss_scale_of(state))
        1024.0
    """
    found = [fields for _, fields in _walk(opt_state, ()) if "scale" in fields]
    if len(found) != 1:
        raise ValueError(
            f"loss_scale_of: the state holds {len(found) or 'no'} loss scales; one is needed: wrap "
            "the whole optimizer with adaptax.loss_scale"
        )
    return jnp.array(_array(found[0]["scale"]))  # a copy, which outlives a donated state


def _map(visit: Callable[[Any], Any], tree: Any) -> Any:
    return jax.tree.map(visit, tree, is_leaf=_is_watch)


def _is_watch(node: Any) -> bool:
    if isinstance(node, GuardState | LossScaleState):
        return True
    known = (set(GuardState._fields), set(LossScaleState._fields))
    # inner_state is () under a stateless transformation, which a restored dict may leave out
    return isinstance(node, Mapping) and set(node) | {"inner_state"} in known


def _fields(node: Any) -> dict[str, Any]:
    made = isinstance(node, GuardState | LossScaleState)
    return {"inner_state": (), **(node._asdict() if made else node)}


def _array(leaf: Any) -> Any:
    """The array of a leaf, out of Flax's variable where it is in one."""
    return leaf.get_value() if hasattr(leaf, "get_value") else leaf


def _walk(tree: Any, place: tuple) -> Iterator[tuple[tuple, dict[str, Any]]]:
    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_watch):
        if _is_watch(node):
            fields = _fields(node)
            yield place + path, fields
            yield from _walk(fields["inner_state"], place + path)


def _states(where: str, opt_state: Any) -> list[tuple[tuple, dict[str, Any]]]:
    found = list(_walk(opt_state, ()))
    if not found:
        raise ValueError(
            f"{where}: the state holds no guard; wrap the optimizer: guard(adamw(1e-3))"
        )
    return found


def _lines(where: str, opt_state: Any, params: Any) -> Iterator[tuple[str | None, str | None]]:
    """For every guard and every member of a batch of them: what to report, what to raise."""
    names: dict[int, str] = {}
    for path in globs.paths(params):
        names[guards.code(path)] = path or "the array"
    found = _states(where, opt_state)
    many = len(found) > 1
    for path, fields in found:
        host = {}
        for name, leaf in fields.items():
            if name == "inner_state":
                continue
            if isinstance(_array(leaf), jax.core.Tracer):
                raise TypeError(f"{where} needs numbers: call it on the host, outside of jit")
            host[name] = np.asarray(_array(leaf)).ravel()
        inside = jax.tree_util.keystr(path, simple=True, separator="/")
        for i in range(len(host["halted"])):
            member = f"member {i}" if len(host["halted"]) > 1 else ""
            mark = ", ".join(filter(None, [inside if many else "", member]))
            told = _scale if "scale" in host else _watch
            report, fault = told({name: x[i] for name, x in host.items()}, names)
            lead = f"{mark}: " if mark else ""
            yield report and lead + report, fault and lead + fault


def _watch(seen: dict[str, Any], names: dict[int, str]) -> tuple[str | None, str | None]:
    text = ""
    if seen["skipped"]:
        place = names.get(int(seen["place"]), "a parameter (give params to name it)")
        if names and int(seen["place"]) not in names:
            place = "a parameter that is not in params"
        text = (
            f"{seen['skipped']} of {seen['step']} steps skipped ({seen['consecutive']} in a row), "
            f"the latest at step {seen['last']}: {_REASONS[int(seen['reason'])].format(place)}"
        )
    if seen["overflowed"]:
        text += f"{'; ' * bool(text)}squares of finite gradients overflowed in {seen['overflowed']}"
    if not seen["halted"]:
        return text or None, None
    fault = (
        f"a guard has halted: {text}. Nothing that is not finite was applied. Look for the cause "
        "(a rate too high, a bad batch, log or division by zero in the loss); to go on, "
        "opt_state = adaptax.clear_halted(opt_state)"
    )
    return text, fault


def _scale(seen: dict[str, Any], names: dict[int, str]) -> tuple[str | None, str | None]:
    del names
    if not seen["halted"]:
        return None, None
    text = f"the loss scale is at its floor, {seen['scale']:g}, and gradients still overflow"
    fault = (
        f"{text}. No smaller scale is tried: the loss itself is likely not finite. Look for the "
        "cause, or give loss_scale a lower floor=; to go on, "
        "opt_state = adaptax.clear_halted(opt_state)"
    )
    return text, fault
