"""Thin adapters to Flax. `nnx.Optimizer` needs none; linen's `TrainState` needs the one here.

`functional` takes an nnx model apart for `find_learning_rate`.

Imported by name: `import adaptax.flax`. Needs Flax: `pip install "adaptax[flax]"`.
"""

try:
    import flax as _flax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "flax":  # Flax is there and lacks something of its own
        raise
    raise ImportError('adaptax.flax needs Flax: pip install "adaptax[flax]"') from None

from adaptax.flax.functional import functional as functional
from adaptax.flax.train_state import TrainState as TrainState
