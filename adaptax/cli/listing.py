"""List what can be compared: optimizers, schedules, controllers and tasks, a line each."""

import argparse
import inspect

from adaptax.cli.refusal import show

HELP = "list optimizers, schedules, controllers and tasks"


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace) -> int:
    del arguments
    import adaptax.core.registry as registry
    from adaptax.lab.tasks import TASKS

    sections = {
        "optimizers": {n: _first_line(n) for n in registry.names("optimizer")},
        "schedules": {n: _first_line(n) for n in registry.names("schedule")},
        "controllers": {n: _first_line(n) for n in registry.names("controller")},
        "tasks": {name: task.description for name, task in TASKS.items()},
    }
    width = max(len(name) for section in sections.values() for name in section)
    parts = []
    for title, section in sections.items():
        lines = [f"  {name:<{width}}  {line}\n" for name, line in section.items()]
        parts.append("".join([f"{title}\n", *lines]))
    show("\n".join(parts))
    return 0


def _first_line(name: str) -> str:
    import adaptax.core.registry as registry

    return (inspect.getdoc(registry.lookup(name)) or "").partition("\n")[0]
