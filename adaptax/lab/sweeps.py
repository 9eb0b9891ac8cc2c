"""Sweeps of several optimizers on a task: prepare (all that can be refused), run, write."""

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from adaptax.core import figures, files, records
from adaptax.lab import data, experiment, extras, output, picture, search, text
from adaptax.lab.candidates import candidates
from adaptax.lab.results import LARGEST
from adaptax.lab.tasks.base import Task
from adaptax.lab.tuned import Rated, rated
from adaptax.tuning import sweep_picture
from adaptax.tuning.sweep import checked
from adaptax.tuning.swept import Sweep

FORMAT = "adaptax.sweeps/1"
PICTURE = "sweep.png"


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """All that the sweeps need, checked and loaded.

    Attributes:
      task: with the epochs and batch size that will be used.
      optimizers: as functions of the rate.
      rates, seeds, halving, examples: as for `search.search`.
      dataset: as loaded.
      data_dir: where from, or None.
    """

    task: Task
    optimizers: tuple[Rated, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    halving: int | None
    examples: int | None
    dataset: data.Dataset
    data_dir: str | None


@dataclasses.dataclass(frozen=True)
class Entry:
    """One optimizer: its label, its call with the best rate, and its sweep."""

    label: str
    call: str | None
    sweep: Sweep


@dataclasses.dataclass(frozen=True)
class Sweeps:
    """Everything that `adaptax sweep` found; enough to draw it and to run it again.

    Attributes:
      task, description: what was trained.
      epochs, batch_size, examples: how; `examples` None is all training examples.
      data_dir: where the examples came from, or None.
      entries: the optimizers that were swept, in order.
      planned: how many there were to be.
      versions: of Python and the libraries.
      device: platform, kind and number of devices.
      created: when it began, ISO 8601 with the offset from UTC.
    """

    task: str
    description: str
    epochs: int
    batch_size: int
    examples: int | None
    data_dir: str | None
    entries: tuple[Entry, ...]
    planned: int
    versions: dict[str, str] = dataclasses.field(hash=False)
    device: dict[str, Any] = dataclasses.field(hash=False)
    created: str

    @property
    def interrupted(self) -> bool:
        """It was stopped before all was done."""
        cut = any(entry.sweep.interrupted for entry in self.entries)
        return cut or len(self.entries) < self.planned

    def table(self) -> str:
        """A table for each optimizer, with its chart."""
        head = (
            f"{text.printable(self.task)}: {text.printable(self.description)}\n"
            f"epochs {self.epochs}, batch size {self.batch_size}, seeds "
            f"{', '.join(map(str, self.entries[0].sweep.seeds)) if self.entries else '-'}; "
            "validation on a fifth of the training examples\n"
        )
        return "\n".join([head, *(str(entry.sweep) for entry in self.entries)])

    def plot(self, path: str | os.PathLike) -> Path:
        """Draw loss over rate, a curve an optimizer, into a PNG, SVG or PDF file."""
        count = len(self.entries)
        drawn = {entry.label: entry.sweep for entry in self.entries}
        title = text.drawable(text.cut(f"{self.task}: {self.description}", picture.TITLE))
        figure = sweep_picture.draw(drawn, [picture.style(i) for i in range(count)], title)
        return figures.save(figure, Path(path))

    def to_json(self) -> str:
        """All of it as JSON text."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(records.plain(content), allow_nan=False, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path`; a reader sees the old file or the new one, nothing between."""
        return output.replace(Path(path), self.to_json().encode("utf-8", "backslashreplace"))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Sweeps":
        """Read a results file, or the `results.json` of an output folder.

        Raises:
          OSError: it cannot be read.
          ValueError: it is not such a file.
        """
        path = Path(path)
        path = path / output.RESULTS if path.is_dir() else path
        where = text.quoted(path)
        content = files.read(path, LARGEST)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}") from None
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise ValueError(f"{where} holds no sweeps of format {FORMAT!r}")
        return records.build(cls, found, where)


def prepare(
    task: str | Task,
    optimizers: Any = None,
    rates: Iterable[float] = search.GRID,
    seeds: int | Iterable[int] = search.SEEDS,
    epochs: int | None = None,
    batch_size: int | None = None,
    halving: int | None = None,
    examples: int | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Plan:
    """Check and load everything, so that nothing that `run` is asked to do can be refused.

    Args:
      task, optimizers, epochs, batch_size, data_dir: as for `compare`; an optimizer's own rate is
        left out of account, of a schedule all but its shape.
      rates, examples, halving: as for `search.search`.
      seeds: which, or how many from 1000 on.

    Raises:
      ValueError, TypeError: an argument; the message names it and what is allowed.
      OSError: data that cannot be read.
      ImportError: the "lab" extra is not installed.
    """
    extras.require()
    chosen = experiment.chosen_task(task, epochs, batch_size)
    first = search.SEEDS[0]
    listed: Any = seeds
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        listed = range(first, first + seeds)
    numbers, which = checked(rates, listed, halving)
    found = candidates(chosen, optimizers, 1.0)
    experiment.whole("examples", examples)
    dataset = chosen.load(None if data_dir is None else Path(data_dir))
    split = search.validation_split(dataset, which[0], examples)
    steps = len(split.train.targets) // chosen.batch_size
    if steps < 1:
        raise ValueError(
            f"batch_size={chosen.batch_size}: task {chosen.name!r} has "
            f"{len(split.train.targets):,} examples to train on while others are held out, so an "
            "epoch would have no batch; use a smaller one"
        )
    each = tuple(rated(candidate, steps * chosen.epochs) for candidate in found)
    where = None if data_dir is None else str(data_dir)
    return Plan(chosen, each, numbers, which, halving, examples, dataset, where)


def run(plan: Plan, progress: Callable[[int], None] | bool = False) -> Sweeps:
    """Sweep every optimizer; Ctrl-C ends it early and keeps what there is."""
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entries: list[Entry] = []
    try:
        for each in plan.optimizers:
            found = search.search(
                plan.task,
                plan.dataset,
                each,
                plan.rates,
                plan.seeds,
                examples=plan.examples,
                halving=plan.halving,
                progress=progress,
            )
            call = None if found.best is None else each.at(found.best).call
            entries.append(Entry(each.candidate.label, call, found))
            if found.interrupted:
                break
    except KeyboardInterrupt:
        pass  # what there is says so
    return Sweeps(
        task=plan.task.name,
        description=plan.task.description,
        epochs=plan.task.epochs,
        batch_size=plan.task.batch_size,
        examples=plan.examples,
        data_dir=plan.data_dir,
        entries=tuple(entries),
        planned=len(plan.optimizers),
        versions=experiment.versions(),
        device=experiment.device(),
        created=created,
    )


def write(found: Sweeps, folder: output.Folder) -> list[Path]:
    """Write the results and the picture; nothing where there is nothing.

    Raises:
      OSError: a file could not be written.
    """
    if not found.entries:
        return []
    return [found.save(folder.path / output.RESULTS), found.plot(folder.path / PICTURE)]
