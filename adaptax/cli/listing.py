"""List what can be compared: optimizers, schedules and tasks, a line each."""

import argparse
import inspect

HELP = "list optimizers, schedules and tasks"


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace) -> int:
    del arguments
    import adaptax.core.registry as registry
    from adaptax.lab.tasks import TASKS

    sections = {
        "optimizers": {n: _first_line(n) for n in registry.names("optimizer")},
        "schedules": {n: _first_line(n) for n in registry.names("schedule")},
        "tasks": {name: task.description for name, task in TASKS.items()},
    }
    width = max(len(name) for section in sections.values() for name in section)
    for number, (title, section) in enumerate(sections.items()):
        print(("\n" if number else "") + title)
        for name, line in section.items():
            print(f"  {name:<{width}}  {line}")
    return 0


def _first_line(name: str) -> str:
    import adaptax.core.registry as registry

    return (inspect.getdoc(registry.lookup(name)) or "").partition("\n")[0]
