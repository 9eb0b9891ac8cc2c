"""Rates that fall with the distance from the head: layer-wise decay.

layerwise_decay(adamw(1e-3), 0.75)                                       # layers/0, layers/1, …
layerwise_decay(adamw(1e-3), 0.75, ["embed/**", "body/**", "head/**"])   # from input to output
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from adaptax.core import globs, numerics
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.groups import check_transformation

_NUMBERED = re.compile(r"(.*?)([0-9]+)")


@transformation
def layerwise_decay(inner: Any, decay: float, layers: Any = None) -> Transformation:
    """Multiply the updates of each layer by decay^(its distance from the top one).

    u = decay^(L − l) inner(g) in layer l of 1 (input) to L (output)

    That is a rate of decay^(L − l) η in layer l, also for the decoupled weight decay. The rate in
    the state is η, that of the top layer.

    Args:
      inner: any transformation.
      decay: the ratio of the rates of two layers, the lower to the upper one; in (0, 1].
      layers: patterns as in `by_path`, in order from input to output, one for each layer; several
        patterns of one layer are a list in the list. None: the layers are modules numbered from
        input to output, where the paths leave no doubt: all parameters lie in modules of one name
        that differ in the number only, and in no other numbered ones (`layers/0/kernel`,
        `params/Dense_2/bias`; a parameter's own name does not count).

    State: that of `inner`, and nothing else.

    Raises:
      TypeError: not a transformation, or patterns that are not text.
      ValueError: a decay out of range; in `init`, with the paths: layers that cannot be told from
        the paths, and what `by_path` raises.

    Source: Howard and Ruder, arXiv 1801.06146, section 3.2 (discriminative fine-tuning, decay
    1/2.6); Clark et al., arXiv 2003.10555; Bao et al., arXiv 2106.08254.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.layerwise_decay(adaptax.sgd(1.0), 0.5)
        >>> params = {f"Dense_{i}": {"bias": jnp.ones(())} for i in range(3)}
        >>> updates, _ = tx.update(params, tx.init(params))
        >>> [float(updates[layer]["bias"]) for layer in sorted(updates)]
        [-0.25, -0.5, -1.0]
    """
    check_transformation("layerwise_decay", "inner", inner)
    inner = optax.with_extra_args_support(inner)
    place = None if layers is None else _places(layers)

    def factors(tree: Any) -> list[float]:
        paths = globs.paths(tree)
        if place is None:
            levels = _inferred(paths)
        else:
            patterns = globs.assign("layerwise_decay", tuple(place), paths)
            levels = [place[pattern] for pattern in patterns]
        top = max(levels, default=0)
        return [float(decay) ** (top - level) for level in levels]

    def init(params: Any) -> Any:
        factors(params)
        return inner.init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        u, state = inner.update(updates, state, params, **extra)
        leaves, treedef = jax.tree.flatten(u)
        scaled = [_times(x, factor) for x, factor in zip(leaves, factors(u), strict=True)]
        return treedef.unflatten(scaled), state

    return Transformation(init, update)


def _times(x: Any, factor: float) -> jax.Array:
    x = jnp.asarray(x)
    return x if factor == 1 else numerics.times(numerics.widen(x), factor).astype(x.dtype)


def _places(layers: Any) -> dict[str, int]:
    """pattern -> the number of its layer, counted from the input."""
    if not isinstance(layers, list | tuple):
        raise TypeError(
            f"layerwise_decay(layers={layers!r}): layers must be a list of patterns in order from "
            "input to output, such as ['embed/**', 'body/**', 'head/**'], or None"
        )
    place: dict[str, int] = {}
    for level, layer in enumerate(layers):
        for pattern in layer if isinstance(layer, list | tuple) else [layer]:
            globs.check("layerwise_decay", pattern)
            if pattern in place:
                raise ValueError(f"layerwise_decay(layers=...): {pattern!r} is there twice")
            place[pattern] = level
    if set(place.values()) != set(range(len(layers))) or not layers:
        raise ValueError(
            f"layerwise_decay(layers={layers!r}): every layer needs a pattern, and one layer is "
            "the least"
        )
    return place


def _inferred(paths: Sequence[str]) -> list[int]:
    """The place of each path's layer, or an error where that would be a guess."""
    if not paths:
        return []
    modules = [path.split("/")[:-1] for path in paths]
    alike = itertools.takewhile(lambda keys: len(set(keys)) == 1, zip(*modules, strict=False))
    shared = sum(1 for _ in alike)  # the keys that all paths begin with
    found = [_numbered(keys, shared) for keys in modules]
    names = {name for places in found for name, _ in places}
    unclear = [path for path, places in zip(paths, found, strict=True) if len(places) != 1]
    if unclear or len(names) != 1:
        shown = f"numbered are {', '.join(sorted(names)[:5])}" if names else "none are numbered"
        _refuse(shown, unclear or paths)
    texts = {places[0][1] for places in found}
    # ranks, for a layer without parameters leaves a gap in the numbers
    ranks = {number: rank for rank, number in enumerate(sorted(set(map(int, texts))))}
    if len(ranks) < len(texts):
        _refuse(f"one number is written in two ways: {', '.join(sorted(texts))}", paths)
    return [ranks[int(places[0][1])] for places in found]


def _numbered(keys: Sequence[str], start: int) -> list[tuple[str, str]]:
    """The numbered modules on a path: each one's path with its number left open, and the number."""
    places = []
    for i, key in enumerate(keys[start:], start):
        found = _NUMBERED.fullmatch(key)
        if found:
            places.append(("/".join((*keys[:i], found[1] + "<number>")), found[2]))
    return places


def _refuse(what: str, paths: Sequence[str]) -> None:
    raise ValueError(
        f"layerwise_decay(layers=None): the layers cannot be told from the modules ({what}); every "
        "parameter must lie in one module, of one name with a number. Give the layers from input "
        "to output, such as layers=['embed/**', 'body/**', 'head/**']; the paths in doubt are:"
        f"{globs.listed(paths)}"
    )
