"""A pytest plugin that puts one deliberate fault into the library, in memory, as it is imported.

    ADAPTAX_SABOTEUR="yogi: sign turned" python -m pytest -p tests.sabotage …

The module's source is read, one exact piece of it is replaced, and what is run is compiled from
that: no file changes. A piece that is not there exactly once, and a library that was imported
before, stop the run with a usage error instead of letting the fault pass unnoticed.
"""

import argparse
import dataclasses
import importlib.abc
import importlib.machinery
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]
VARIABLE = "ADAPTAX_SABOTEUR"


@dataclasses.dataclass(frozen=True)
class Saboteur:
    """One deliberate fault.

    Attributes:
      name: what is done, in a few words.
      module: where, below `adaptax`.
      old: the piece of source that is replaced; it is there exactly once.
      new: what takes its place.
      tests: node ids, below `tests`, that must notice it.
    """

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __init__(self, name: str, module: str, old: str, new: str, *tests: str):
        given = (name, f"adaptax.{module}", old, new, tests)
        for field, value in zip(dataclasses.fields(self), given, strict=True):
            object.__setattr__(self, field.name, value)

    @property
    def path(self) -> pathlib.Path:
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")

    def applied(self, source: str) -> str:
        """The source with the fault.

        Raises:
          ImportError: the piece is not there, or more than once.
        """
        count = source.count(self.old)
        if count != 1:
            raise ImportError(f"{self.name}: {self.old!r} is {count} times in {self.module}")
        return source.replace(self.old, self.new)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its changed source; reads and writes no compiled file."""

    def __init__(self, saboteur: Saboteur, name: str, path: str):
        super().__init__(name, path)
        self.saboteur = saboteur

    def get_code(self, fullname):
        source = pathlib.Path(self.path).read_text(encoding="utf-8")
        return self.source_to_code(self.saboteur.applied(source).encode(), self.path)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one module with the fault."""

    def __init__(self, saboteur: Saboteur):
        self.saboteur = saboteur

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.saboteur.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(self.saboteur, fullname, spec.origin)
        return spec


def install(name: str) -> None:
    """Let the saboteur of this name do its work from the next import on."""
    from tests.saboteurs import SABOTEURS

    known = {saboteur.name: saboteur for saboteur in SABOTEURS}
    if name not in known:
        raise pytest.UsageError(f"{VARIABLE}={name!r}: no such saboteur")
    if "adaptax" in sys.modules:
        raise pytest.UsageError(f"{VARIABLE}={name!r}: adaptax is imported already")
    known[name].applied(known[name].path.read_text(encoding="utf-8"))
    sys.meta_path.insert(0, Finder(known[name]))


def pytest_configure(config):
    if name := os.environ.get(VARIABLE):
        try:
            install(name)
        except ImportError as error:
            raise pytest.UsageError(str(error)) from None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of pytest ended: 0 all passed, 1 a test failed, else it could not run."""

    status: int
    failed: tuple[str, ...]
    seconds: float
    output: str


def run(tests: tuple[str, ...], name: str = "") -> Outcome:
    """Run these tests in a process of their own, with the saboteur of this name or without one."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.sabotage", "-p", "no:cacheprovider"]
    command += ["-x", "-q", "-n0", "-rf", "--tb=line", *(f"tests/{test}" for test in tests)]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, VARIABLE: name, "PYTHONPATH": paths},
    )  # fmt: skip
    seconds = time.monotonic() - started
    found = [line.split(" - ")[0] for line in done.stdout.splitlines()]
    failed = [line.removeprefix("FAILED tests/") for line in found if line.startswith("FAILED")]
    return Outcome(done.returncode, tuple(failed), seconds, done.stdout + done.stderr)


def report(outcomes: dict[Saboteur, Outcome]) -> str:
    """The table of saboteurs and what noticed each, as Markdown."""
    killed = sum(outcome.status == 1 for outcome in outcomes.values())
    lines = [
        "# Saboteurs",
        "",
        "Deliberate faults, each put into the library in memory, and the test that notices it.",
        "",
        "`python -m tests.saboteurs --output docs/saboteurs.md`: "
        f"{killed} of {len(outcomes)} noticed.",
        "",
        "| fault | module | noticed by |",
        "|---|---|---|",
    ]
    for saboteur, outcome in outcomes.items():
        by = "; ".join(f"`{test}`" for test in outcome.failed).replace("|", "\\|")
        if outcome.status != 1:
            by = "**nothing**" if outcome.status == 0 else f"**status {outcome.status}**"
        lines.append(f"| {saboteur.name} | `{saboteur.module}` | {by} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run saboteurs one after the other; 0 if all are noticed."""
    from tests.saboteurs import SABOTEURS

    parser = argparse.ArgumentParser(prog="python -m tests.saboteurs", description=main.__doc__)
    parser.add_argument("-k", metavar="TEXT", default="", help="only those whose name has it")
    parser.add_argument("--output", type=pathlib.Path, help="a Markdown file to be written")
    given = parser.parse_args(arguments)
    outcomes = {}
    for saboteur in SABOTEURS:
        if given.k in saboteur.name:
            outcomes[saboteur] = outcome = run(saboteur.tests, saboteur.name)
            print(f"{outcome.status} {outcome.seconds:5.1f} s  {saboteur.name}", flush=True)
            if outcome.status != 1:
                print(outcome.output[-3000:])
    if given.output is not None:
        given.output.write_text(report(outcomes), encoding="utf-8")
    return int(any(outcome.status != 1 for outcome in outcomes.values()))
