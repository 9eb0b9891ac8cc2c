"""What a benchmark found: values, as a table for a terminal, as Markdown and as JSON."""

import dataclasses
import importlib.util
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

FORMAT = "adaptax.bench/1"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Any) -> Spread:
    """Median and quartiles of some numbers.

    Example::

        >>> from adaptax.lab import bench_results
        >>> bench_results.spread([1.0, 2.0, 3.0, 4.0, 5.0])
        Spread(median=3.0, low=2.0, high=4.0)
    """
    low, median, high = np.percentile(np.asarray(values, float), [25, 50, 75])
    return Spread(float(median), float(low), float(high))


@dataclasses.dataclass(frozen=True)
class Row:
    """One contender with one method on one tree. None where a column means nothing for it.

    Attributes:
      method, workload, contender: which.
      parameters: numbers in the tree.
      step_seconds: of one step.
      step_ratio: to Optax's, within a round.
      floors: to the least time that memory allows, 28 bytes a parameter at the triad's bandwidth.
      bytes_per_second: 28 bytes a parameter over the median step.
      compile_seconds, compile_ratio: of compiling, and to Optax's.
      lower_seconds, lower_ratio: of tracing and lowering, and to Optax's.
      equations_per_leaf: jaxpr equations that one more leaf adds.
      temporary: memory beside inputs and outputs, in units of the parameters' bytes.
    """

    method: str
    workload: str
    contender: str
    parameters: int
    step_seconds: Spread
    step_ratio: Spread
    floors: Spread
    bytes_per_second: float
    compile_seconds: Spread | None = None
    compile_ratio: Spread | None = None
    lower_seconds: Spread | None = None
    lower_ratio: Spread | None = None
    equations_per_leaf: float | None = None
    temporary: float | None = None


def title(method: str, workload: str) -> str:
    """What a group of rows that are compared with each other is called."""
    return f"{method} on {workload}"


HEADERS = (
    "contender",
    "step ms",
    "quartiles",
    "× Optax",
    "GB/s",
    "× floor",
    "compile s",
    "× Optax",
    "lower s",
    "× Optax",
    "eqns/leaf",
    "temp/params",
)


@dataclasses.dataclass(frozen=True)
class Bench:
    """All that was found.

    Attributes:
      rows: one for each method, tree and contender.
      bandwidth: bytes a second of the triad x ← x + 2y, beside each group of rows.
      import_seconds: of `import adaptax`, on top of jax and optax.
      settings, machine: what was asked for, and where.
      notes: who could not take part, and why.
    """

    rows: tuple[Row, ...]
    bandwidth: dict[str, float]
    import_seconds: Spread
    settings: dict[str, Any]
    machine: dict[str, str]
    notes: tuple[str, ...] = ()

    def groups(self) -> dict[str, list[Row]]:
        """The rows that are compared with each other, by title."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(title(row.method, row.workload), []).append(row)
        return found

    def to_json(self) -> str:
        """Everything, as one JSON object on several lines."""
        whole = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(whole, indent=1, allow_nan=False) + "\n"

    def table(self, width: int | None = None) -> str:
        """Everything, for a person: with rich's help where it is installed.

        Args:
          width: columns of the terminal; None for as many as are needed.
        """
        draw = _plain if importlib.util.find_spec("rich") is None else _rich
        parts = []
        for name, rows in self.groups().items():
            head = f"{name} (triad {self.bandwidth[name] / 1e9:.1f} GB/s)"
            parts.append(draw(head, [_cells(row) for row in rows], width))
        return "\n".join([*parts, *self._lines()]) + "\n"

    def markdown(self) -> str:
        """Everything, as one table for a README."""
        lines = [
            "| method | tree | " + " | ".join(HEADERS) + " |",
            "|---|---|---|" + "---:|" * (len(HEADERS) - 1),
        ]
        for row in self.rows:
            lines.append("| " + " | ".join([row.method, row.workload, *_cells(row)]) + " |")
        return "\n".join([*lines, "", *(f"- {line}" for line in self._lines())]) + "\n"

    def _lines(self) -> list[str]:
        taken = self.import_seconds
        triads = sorted(self.bandwidth.values())
        return [
            f"import adaptax, on top of jax and optax: {1e3 * taken.median:.0f} ms "
            f"({1e3 * taken.low:.0f} to {1e3 * taken.high:.0f})",
            f"floor: 28 bytes a parameter at the bandwidth of x ← x + 2y in place, "
            f"{triads[0] / 1e9:.1f} to {triads[-1] / 1e9:.1f} GB/s here",
            f"{self.rows[0].parameters:,} parameters; medians of {self.settings['rounds']} rounds "
            f"(compiling: {self.settings['compiles']}), ratios taken within a round",
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            *self.notes,
        ]


def _cells(row: Row) -> list[str]:
    ms = row.step_seconds
    return [
        row.contender,
        f"{1e3 * ms.median:.3g}",
        f"{1e3 * ms.low:.3g} to {1e3 * ms.high:.3g}",
        f"{row.step_ratio.median:.2f}",
        f"{row.bytes_per_second / 1e9:.1f}",
        f"{row.floors.median:.2f}",
        _middle(row.compile_seconds),
        _middle(row.compile_ratio),
        _middle(row.lower_seconds),
        _middle(row.lower_ratio),
        "" if row.equations_per_leaf is None else f"{row.equations_per_leaf:g}",
        "" if row.temporary is None else f"{row.temporary:.2f}",
    ]


def _middle(value: Spread | None) -> str:
    return "" if value is None else f"{value.median:.2f}"


def _plain(head: str, rows: Sequence[Sequence[str]], width: int | None) -> str:
    del width
    wide = [max(len(r[i]) for r in (HEADERS, *rows)) for i in range(len(HEADERS))]
    lines = [
        "  ".join([r[0].ljust(wide[0]), *(r[i].rjust(wide[i]) for i in range(1, len(r)))])
        for r in (HEADERS, *rows)
    ]
    return "\n".join([head, *(line.rstrip() for line in lines), ""])


def _rich(head: str, rows: Sequence[Sequence[str]], width: int | None) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(head), title_justify="left", box=box.SIMPLE_HEAD)
    for i, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    stream = io.StringIO()
    Console(file=stream, width=width or 200, no_color=True).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().split("\n")) + "\n"
