"""A small cover of all pairs: every two values of two arguments meet in some row."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any


def cover(
    levels: Mapping[str, list[Any]], apart: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Rows, one value for each argument, in which every pair of values meets; greedy.

    `apart` are pairs that cannot be together. The order of the arguments and values decides the
    rows, and nothing else does.
    """
    names = list(levels)
    apart = [frozenset((k, repr(v)) for k, v in pair.items()) for pair in apart]
    open_pairs = [
        frozenset({(a, i), (b, j)})
        for a, b in itertools.combinations(names, 2)
        for i in range(len(levels[a]))
        for j in range(len(levels[b]))
        if not _forbidden({a: levels[a][i], b: levels[b][j]}, apart)
    ]
    rows = []
    while open_pairs:
        row = dict(sorted(open_pairs[0], key=lambda item: names.index(item[0])))
        for name in names:
            if name not in row:
                row[name] = _best(name, row, levels, open_pairs, apart)
        taken = set(row.items())
        left = [pair for pair in open_pairs if not pair <= taken]
        if len(left) == len(open_pairs):
            raise ValueError(f"no row holds {set(open_pairs[0])}")
        open_pairs = left
        rows.append({name: levels[name][row[name]] for name in names})
    return rows


def _best(name, row, levels, open_pairs, apart):
    """The value that closes most open pairs with those chosen; the first of equal ones."""

    def closed(i):
        taken = {*row.items(), (name, i)}
        return sum(pair <= taken for pair in open_pairs if (name, i) in pair)

    chosen = {key: levels[key][i] for key, i in row.items()}
    able = [i for i in range(len(levels[name]))
            if not _forbidden({**chosen, name: levels[name][i]}, apart)]  # fmt: skip
    if not able:
        raise ValueError(f"no row holds {chosen}: no value of {name!r} can be with it")
    return max(able, key=lambda i: (closed(i), -i))


def _forbidden(chosen, apart):
    items = {(k, repr(v)) for k, v in chosen.items()}
    return any(pair <= items for pair in apart)
