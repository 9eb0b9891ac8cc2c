"""What a comparison found: values that compare, and that a JSON file keeps whole.

`Comparison.load(comparison.save(path))` is an equal value. Numbers that are not finite, which JSON
has no way to write, are kept as the texts "NaN", "Infinity" and "-Infinity".
"""

import dataclasses
import json
import math
import os
import types
import typing
from pathlib import Path
from typing import Any

from adaptax.lab import output, text

FORMAT = "adaptax.comparison/1"
LARGEST = 2**30  # bytes of a results file that are read
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One optimizer of a comparison.

    Attributes:
      label: its name in table and picture.
      call: the call that makes it, or None for a transformation that does not print as one.
      rate: its learning rate as text, "-" where unknown.
      parameters: numbers that it trained; 0 until a run has finished.
      state_bytes: size of its state.
      compile_seconds: time to compile its training step.
    """

    label: str
    call: str | None
    rate: str
    parameters: int = 0
    state_bytes: int = 0
    compile_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Setting:
    """The task as it was run: all that the arrays and functions of it leave behind."""

    name: str
    description: str
    metric: str
    percent: bool
    higher_is_better: bool
    target: float
    epochs: int
    batch_size: int
    train_examples: int
    test_examples: int
    data_dir: str | None


@dataclasses.dataclass(frozen=True)
class Run:
    """One optimizer with one seed.

    Attributes:
      optimizer: the entry's label.
      seed: what split, order, initial weights and dropout were drawn from.
      seconds: time of the training steps, without compiling and evaluating.
      diverged_at: the first step, from 1, whose loss was not finite; None if there was none.
      losses: of every step made, in order.
      steps: when the test examples were evaluated; 0 is before training.
      metric: the metric at those steps.
      rates: the learning rate at those steps; None where it could not be read.
    """

    optimizer: str
    seed: int
    seconds: float
    diverged_at: int | None
    losses: tuple[float, ...]
    steps: tuple[int, ...]
    metric: tuple[float, ...]
    rates: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that `compare` found; enough to draw it and to run it again.

    Attributes:
      task: what was trained.
      optimizers: in the order of the table.
      seeds: every optimizer was to run once with each.
      runs: those that finished.
      versions: of Python and the libraries.
      device: platform, kind and number of devices.
      created: when it began, ISO 8601 with the offset from UTC.
      interrupted: it was stopped before all runs were done.

    Example::

        >>> from adaptax import lab
        >>> found = lab.Comparison.load("runs/mine/results.json")  # doctest: +SKIP
        >>> print(found.table())  # doctest: +SKIP
    """

    task: Setting
    optimizers: tuple[Entry, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    versions: dict[str, str] = dataclasses.field(hash=False)
    device: dict[str, Any] = dataclasses.field(hash=False)
    created: str
    interrupted: bool = False

    def of(self, label: str) -> tuple[Run, ...]:
        """The finished runs of one optimizer."""
        return tuple(run for run in self.runs if run.optimizer == label)

    def table(self, width: int | None = None) -> str:
        """The comparison as text, `width` characters wide or as wide as it needs."""
        from adaptax.lab import report

        return report.table(self, width)

    def plot(self, path: str | os.PathLike) -> Path:
        """Draw the curves into a PNG, SVG or PDF file, by the ending of `path`."""
        from adaptax.lab import picture

        return picture.plot(self, path)

    def to_json(self) -> str:
        """The whole comparison as JSON text."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(_plain(content), allow_nan=False, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path`; a reader sees the old file or the new one, nothing between."""
        return output.replace(Path(path), self.to_json().encode("utf-8", "backslashreplace"))

    @classmethod
    def from_json(cls, content: str, where: str = "the text") -> "Comparison":
        """The comparison that `to_json` wrote.

        Raises:
          ValueError: not JSON, of another format, or with wrong, missing or unknown fields.
        """
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{where} is no comparison of format {FORMAT!r}")
        del found["format"]
        return _build(cls, found, where)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Comparison":
        """Read a results file, or the `results.json` of an output folder.

        Raises:
          OSError: it cannot be read.
          ValueError: it is not a comparison.
        """
        path = Path(path)
        path = path / output.RESULTS if path.is_dir() else path
        size = path.stat().st_size
        if size > LARGEST:
            raise ValueError(f"{str(path)!r} has {size:,} bytes; at most {LARGEST:,} are read")
        try:
            return cls.from_json(path.read_text("utf-8"), text.quoted(path))
        except UnicodeDecodeError:
            raise ValueError(f"{text.quoted(path)} is not UTF-8 text") from None


def _plain(value: Any) -> Any:
    """JSON types only, with numbers that are not finite as text."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value` as the type that a field declares, or a `ValueError` that names the field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_fields(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], each, f"{where}.{key}") for key, each in value.items()}
    if origin is types.UnionType:
        if value is None:
            return None
        return _build(arguments[0], value, where)
    if kind is float and isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Any or (type(value) is kind):
        return value
    raise ValueError(f"{where} is {value!r:.80}, expected {getattr(kind, '__name__', kind)}")


def _build_fields(kind: type, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(value, dict) or set(value) != set(hints):
        wrong = sorted(set(hints) ^ set(value)) if isinstance(value, dict) else []
        raise ValueError(
            f"{where} is no {kind.__name__}: missing or unknown {', '.join(wrong) or 'fields'}"
        )
    made = {name: _build(hint, value[name], f"{where}.{name}") for name, hint in hints.items()}
    return kind(**made)
