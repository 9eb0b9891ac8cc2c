"""Experiments: compare optimizers on a real task, offline, in one call or one command.

Example::

    from adaptax import lab

    found = lab.compare("digits-lenet5", ["sgd", "adam", "nadam"])
    print(found.table())
    found.plot("curves.png")
"""

from adaptax.lab.experiment import compare as compare
from adaptax.lab.progress import Bars as Bars
from adaptax.lab.progress import Lines as Lines
from adaptax.lab.progress import Progress as Progress
from adaptax.lab.results import Comparison as Comparison
from adaptax.lab.space import Choices as Choices
from adaptax.lab.space import Interval as Interval
from adaptax.lab.tasks import task as task
from adaptax.lab.tasks import task_names as task_names
from adaptax.lab.tasks.base import Metric as Metric
from adaptax.lab.tasks.base import Task as Task
from adaptax.lab.tune_results import Trial as Trial
from adaptax.lab.tune_results import Tuning as Tuning
from adaptax.lab.tuning import tune as tune
