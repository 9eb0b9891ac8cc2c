"""Patterns for the paths of parameters, and which pattern each parameter belongs to.

A path is its keys joined by slashes, as in `encoder/layers/0/kernel`. A pattern is a path in which
`*` stands for any characters within one key, `?` for one of them, `[0-9]` or `[!0-9]` for one of a
set, and `**`, as a key of its own, for any number of keys, also none::

    head/**            everything under head, and head itself
    **/bias            every bias
    encoder/layers_[0-2]/*/kernel

Of several patterns that match, the most specific one wins: `rank` says which that is.
"""

import difflib
import fnmatch
import functools
import re
from collections.abc import Sequence
from typing import Any

import jax

from adaptax.core import trees

_SET = r"\[(?:![^/]|[^!/])[^/]*?\]"  # a closing bracket that comes first is one of the set
_WILD = re.compile(_SET + r"|[*?]")
_SHOWN = 10


def paths(tree: Any) -> tuple[str, ...]:
    """The path of every leaf, in the order of the leaves; "" where the tree is one array."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    keys = (trees.without_value(path) for path, _ in leaves)
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path in keys)


def check(where: str, pattern: Any) -> None:
    """Raise a `TypeError` or `ValueError` that says what is wrong with a pattern."""
    if not isinstance(pattern, str):
        raise TypeError(f"{where}: the pattern {pattern!r} must be text such as 'encoder/**'")
    for key in pattern.split("/"):
        fault = None
        if not key:
            fault = "an empty key; write it without leading, trailing or double slashes"
        elif "**" in re.sub(_SET, "", key) and key != "**":
            fault = f"{key!r}; '**' stands for whole keys and must be one by itself"
        elif "[" in _WILD.sub("", key):
            fault = f"an open '[' in {key!r}; write '[[]' for the character itself"
        if fault:
            raise ValueError(f"{where}: the pattern {pattern!r} has {fault}")


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern matches the whole of a path."""
    keys = path.split("/") if path else []
    # which numbers of leading keys the pattern so far can account for
    reached = {0}
    for part in pattern.split("/"):
        if part == "**":
            reached = set(range(min(reached, default=len(keys) + 1), len(keys) + 1))
        else:
            reached = {n + 1 for n in reached if n < len(keys) and _fits(part, keys[n])}
    return len(keys) in reached


def _fits(part: str, key: str) -> bool:
    return fnmatch.fnmatchcase(key, part)


def rank(pattern: str) -> tuple[int, ...]:
    """How specific a pattern is; the first number that differs decides, and the larger wins.

    The keys without a wildcard, then those with some, then the characters that those fix, then the
    keys that are all wildcard but `**`, then fewer stars.
    """
    keys = pattern.split("/")
    fixed = [_WILD.sub("", key) for key in keys]
    whole = sum(key == rest for key, rest in zip(keys, fixed, strict=True))
    partly = [rest for key, rest in zip(keys, fixed, strict=True) if rest and key != rest]
    free = sum(not rest and key != "**" for key, rest in zip(keys, fixed, strict=True))
    return (whole, len(partly), len("".join(partly)), free, -_WILD.findall(pattern).count("*"))


@functools.lru_cache(maxsize=256)
def assign(where: str, patterns: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """The pattern that each path belongs to.

    Raises:
      ValueError: a path that no pattern matches, or several that are equally specific; a pattern
        that matches no path (no paths at all are no error).
    """
    chosen, homeless, torn, used = [], [], [], set()
    for path in paths:
        found = [pattern for pattern in patterns if matches(pattern, path)]
        used.update(found)
        best = max(map(rank, found), default=())
        first = [pattern for pattern in found if rank(pattern) == best]
        if not first:
            homeless.append(path)
        elif len(first) > 1:
            torn.append(f"{_shown(path)}: {' and '.join(map(repr, sorted(first)))}")
        chosen.extend(first[:1])
    unused = [pattern for pattern in patterns if pattern not in used]
    if homeless:
        near = [f"{_shown(path)} (nearest: {_near(path, patterns)})" for path in homeless[:_SHOWN]]
        raise ValueError(
            f"{where}: no pattern matches {_count(homeless, 'parameter')}; write one, such as '**' "
            f"for all that no other matches:{listed(near, len(homeless))}"
        )
    if torn:
        raise ValueError(
            f"{where}: several equally specific patterns match {_count(torn, 'parameter')}; write "
            f"a more specific one, such as its path:{listed(torn)}"
        )
    if unused and paths:
        near = [f"{pattern!r} (nearest: {_near(pattern, paths)})" for pattern in unused[:_SHOWN]]
        raise ValueError(
            f"{where}: none of {_count(paths, 'parameter')} matches {_count(unused, 'pattern')}; "
            f"correct or drop it:{listed(near, len(unused))}"
        )
    return tuple(chosen)


def listed(lines: Sequence[str], count: int | None = None) -> str:
    """The first of the lines, each on its own, and how many more there are."""
    more = (len(lines) if count is None else count) - _SHOWN
    return "".join(f"\n  {line}" for line in lines[:_SHOWN]) + (
        f"\n  and {more} more" if more > 0 else ""
    )


def _count(items: Sequence[Any], what: str) -> str:
    return f"{len(items)} {what}{'s' * (len(items) != 1)}"


def _shown(path: str) -> str:
    return path or "(the tree itself)"


def _near(text: str, among: Sequence[str]) -> str:
    """The three texts whose keys are most like those of `text`."""
    keys = _fixed(text)

    def likeness(other: str) -> float:
        theirs = _fixed(other)
        few, many = sorted((keys, theirs), key=len)
        best = [max(difflib.SequenceMatcher(None, a, b).ratio() for b in many) for a in few]
        return sum(best) / max(len(best), 1)

    return ", ".join(map(_shown, sorted(among, key=likeness, reverse=True)[:3]))


def _fixed(text: str) -> list[str]:
    return [fixed for fixed in (_WILD.sub("", key) for key in text.split("/")) if fixed]
