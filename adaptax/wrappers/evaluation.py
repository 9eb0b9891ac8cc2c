"""The parameters to evaluate with, out of any nesting of states."""

from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core import globs, states, trees
from adaptax.wrappers.average import AverageState
from adaptax.wrappers.lookahead import LookaheadState


def evaluation_params(opt_state: Any, params: Any) -> Any:
    """The averaged parameters, in the structure and the dtypes of `params`.

    These are the averages of `ema_weights` and `swa`, and the slow weights of `lookahead`. They are
    found by their paths, so groups that are not averaged (`partition`, `masked`, `by_path`) come
    from `params`, and so does everything where nothing is averaged, or not yet: a training loop can
    call this always. Of wrappers within each other the outermost counts: of
    `ema_weights(lookahead(…))` the average of the fast weights. For the inner one pass
    `opt_state.inner_state`.

    Args:
      opt_state: any nested state: Optax's wrappers', Flax's, a checkpoint's plain dicts.
      params: the present parameters.

    Raises:
      ValueError: averages of parameters that `params` does not have, or has in another shape; a
        parameter that is averaged in two places, neither of which contains the other.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.chain(adaptax.clip(1.0), adaptax.ema_weights(adaptax.sgd(1.0), 0.5))
        >>> params = {"w": jnp.zeros(())}
        >>> state = tx.init(params)
        >>> for _ in range(2):
        ...     updates, state = tx.update({"w": jnp.ones(())}, state, params)
        ...     params = {"w": params["w"] + updates["w"]}
        >>> print(params["w"], f"{adaptax.evaluation_params(state, params)['w']:.5f}")
        -2.0 -1.66667
    """
    found = _averages(opt_state)
    if not found:
        return params
    leaves, structure = jax.tree.flatten(params)
    paths = globs.paths(params)
    unknown = sorted(set(found) - set(paths))
    if unknown:
        raise ValueError(
            "evaluation_params: the state averages parameters that params does not have: "
            f"{globs.listed(unknown)}\ngive the parameters that tx.init was given"
        )
    pairs = zip(leaves, paths, strict=True)
    return structure.unflatten(
        [_read(found[name], p, name) if name in found else p for p, name in pairs]
    )


def _averages(opt_state: Any) -> dict[str, tuple[jax.Array, Any, str]]:
    """path of a parameter -> its average, the weight averaged so far, and where it was found."""
    found: dict[str, tuple[jax.Array, Any, str]] = {}
    for path, node in jax.tree_util.tree_leaves_with_path(opt_state, is_leaf=_is_average):
        if not _is_average(node):
            continue
        fields, place = states.fields(node), trees.path_name(path)
        kept = fields["average"] if "average" in fields else fields["slow"]
        for name, leaf in zip(globs.paths(kept), jax.tree.leaves(kept), strict=True):
            if name in found:
                raise ValueError(
                    f"evaluation_params: {name or 'the parameter'} is averaged in {found[name][2]} "
                    f"and in {place}; pass the state of the one you want"
                )
            mass = fields.get("mass", fields["step"])
            found[name] = states.array(leaf), states.array(mass), place
    return found


def _is_average(node: Any) -> bool:
    kinds = (AverageState, LookaheadState)
    return any(states.is_state(node, kind, "inner_state") for kind in kinds)


def _read(kept: tuple[jax.Array, Any, str], p: Any, name: str) -> jax.Array:
    average, mass, place = kept
    p = jnp.asarray(p)
    if average.shape != p.shape:
        raise ValueError(
            f"evaluation_params: {name or 'the parameter'} has the shape {list(p.shape)}, but "
            f"{list(average.shape)} in the average in {place}"
        )
    return jnp.where(mass > 0, average.astype(p.dtype), p)
