"""The conformance table as Markdown: optimizers × properties, with counts and reasons."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one test said about one property."""

    property: str
    row: str
    setting: str
    outcome: str
    compared: int


def write(
    path: pathlib.Path,
    parts: Mapping[str, Mapping[str, str]],
    cells: list[Cell],
    reasons: Mapping[str, Mapping[str, Mapping[str, str]]],
    about: Mapping[str, str],
) -> None:
    """Write the table; `reasons` has, by optimizer and setting, why a property does not apply."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines(parts, cells, reasons, about)) + "\n", encoding="utf-8")


def lines(parts, cells, reasons, about) -> Iterable[str]:
    notes: dict[str, int] = {}
    yield from _summary(cells, reasons, about)
    for title, properties in parts.items():
        yield from _part(title, properties, cells, reasons, notes)
    yield from _list("Why a property does not apply", (f"[{n}] {why}" for why, n in notes.items()))
    missing = [p for part in parts.values() for p in part if not _of(cells, p)]
    yield from _list("Properties without a cell", missing)
    yield from _list("Settings that no cell is about", _gaps(parts, cells, reasons))
    failed = sorted({f"{c.property}: {c.setting}" for c in cells if c.outcome != "passed"})
    yield from _list("Cells that did not pass", failed)
    yield from _settings(cells, reasons)


def _summary(cells, reasons, about):
    done = {(c.setting, c.property) for c in cells if c.outcome == "passed"}
    bad = {(c.setting, c.property) for c in cells if c.outcome != "passed"}
    not_applicable = sum(len(why) for rows in reasons.values() for why in rows.values())
    yield "# Conformance"
    yield ""
    yield "Written by `pytest -m proves --conformance=docs/conformance.md`; do not edit."
    yield ""
    yield (
        "A cell is one setting of an optimizer (or one part) and one property; it may hold several "
        "laws. Each law says how many numbers it compared, and none is a failure."
    )
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| cells that pass | {len(done - bad)} |"
    yield f"| cells that fail | {len(bad)} |"
    yield f"| cells that do not apply | {not_applicable} |"
    yield f"| laws run | {len(cells)} |"
    yield f"| numbers compared | {sum(c.compared for c in cells):,} |"
    for key, value in about.items():
        yield f"| {key} | {value} |"
    yield ""


def _of(cells, name, row=None):
    return [c for c in cells if c.property == name and row in (None, c.row)]


def _part(title, properties, cells, reasons, notes):
    yield f"## {title}"
    yield ""
    for name, statement in properties.items():
        found = _of(cells, name)
        settings = len({c.setting for c in found})
        numbers = sum(c.compared for c in found)
        told = f"{settings} cells, {len(found)} laws, {numbers:,} numbers" if found else "missing"
        yield f"- **{name}** {statement}: {told}"
    yield ""
    found = {c.row for name in properties for c in _of(cells, name)}
    rows = [row for row in reasons if row in found] + sorted(found - set(reasons))
    columns = [name for name in properties if _of(cells, name)]
    if not columns:
        return
    yield "| | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for row in rows:
        shown = [_shown(name, row, cells, reasons.get(row, {}), notes) for name in columns]
        yield f"| {row} | " + " | ".join(shown) + " |"
    yield ""


def _shown(name, row, cells, reasons, notes):
    """✓ or ✗ with the number of laws; else why it does not apply, or nothing."""
    found = _of(cells, name, row)
    bad = sum(c.outcome != "passed" for c in found)
    if bad:
        return f"✗ {bad} of {len(found)}"
    because = {why[name] for why in reasons.values() if name in why}
    marks = "".join(f"[{notes.setdefault(why, len(notes) + 1)}]" for why in sorted(because))
    if found:
        return f"✓ {len(found)}" + (f" {marks}" if marks else "")
    if reasons and all(name in why for why in reasons.values()):
        return f"n.a. {marks}"
    return ""


def _gaps(parts, cells, reasons):
    """Rows that neither a law of a property of optimizers nor a reason is about.

    A law for an optimizer as a whole has its name for a setting.
    """
    names = [name for title, part in parts.items() if title[0] in "ABC" for name in part]
    for name in names:
        found = _of(cells, name)
        covered = {c.setting for c in found}
        if any(c.row in reasons for c in found):
            for row, settings in reasons.items():
                for setting, why in settings.items():
                    if not covered & {row, setting} and name not in why:
                        yield f"{name}: {setting}"


def _list(title, entries):
    entries = list(entries)
    yield f"## {title}"
    yield ""
    yield from (f"- {entry}" for entry in entries or ["none"])
    yield ""


def _settings(cells, reasons):
    yield "## Settings"
    yield ""
    yield "| setting | properties | laws | numbers compared |"
    yield "|---|---|---|---|"
    order = [setting for row, why in reasons.items() for setting in (row, *why)]
    found = {c.setting for c in cells}
    for setting in [*(s for s in order if s in found), *sorted(found - set(order))]:
        own = [c for c in cells if c.setting == setting]
        properties = len({c.property for c in own})
        numbers = sum(c.compared for c in own)
        yield f"| `{setting}` | {properties} | {len(own)} | {numbers:,} |"
    yield ""
