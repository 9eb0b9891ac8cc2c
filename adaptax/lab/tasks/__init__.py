"""The tasks by name. A new one is a file beside this one and an entry in `TASKS`."""

from adaptax.core import registry
from adaptax.lab.tasks import cifar10_lenet5, diabetes_linear, digits_lenet5, digits_mlp
from adaptax.lab.tasks.base import Task

TASKS: dict[str, Task] = {
    each.name: each
    for each in (digits_lenet5.TASK, digits_mlp.TASK, diabetes_linear.TASK, cifar10_lenet5.TASK)
}


def task(name: str) -> Task:
    """The task called `name`.

    Args:
      name: one of `task_names()`.

    Raises:
      ValueError: no such task; the nearest names are given.

    Example::

        >>> from adaptax import lab
        >>> lab.task("digits-mlp").metric.name
        'accuracy'
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; {registry.nearest(str(name), TASKS)}")
    return TASKS[name]


def task_names() -> list[str]:
    """The names that `task` and `compare` take.

    Example::

        >>> from adaptax import lab
        >>> "digits-lenet5" in lab.task_names()
        True
    """
    return list(TASKS)
