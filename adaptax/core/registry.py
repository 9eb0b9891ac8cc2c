"""The closed list of names that text and configs may use.

A name enters by decorating its factory; nothing is ever imported by a name found in a file.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

_FACTORIES: dict[str, Callable[..., Any]] = {}
_KINDS: dict[str, str] = {}


def register(kind: str, name: str, factory: Callable[..., Any]) -> None:
    """Enter `factory` under `name`; a name stands for one thing only."""
    if name in _FACTORIES:
        raise ValueError(f"the name {name!r} is registered already, as a {_KINDS[name]}")
    _FACTORIES[name], _KINDS[name] = factory, kind


def lookup(name: str) -> Callable[..., Any]:
    """The factory called `name`, or a `ValueError` with the nearest names."""
    if name not in _FACTORIES:
        raise ValueError(f"unknown name {name!r:.80}; {nearest(name, _FACTORIES)}")
    return _FACTORIES[name]


def has(name: str, factory: Callable[..., Any]) -> bool:
    """Whether `name` stands for this very factory."""
    return _FACTORIES.get(name) is factory


def kind(name: str) -> str:
    """What `name` is: "optimizer", "transformation", "schedule", "controller" or "part"."""
    lookup(name)
    return _KINDS[name]


def names(kind: str) -> list[str]:
    """All names of one kind, in alphabetical order."""
    return sorted(name for name, its in _KINDS.items() if its == kind)


def nearest(name: str, among: Iterable[str]) -> str:
    """A sentence that helps with a misspelt name."""
    known = sorted(among)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known are " + ", ".join(known)
