"""A pytest plugin that puts our optimizers in the place of Optax's aliases.

    python -m pytest -p tests.in_place_of_optax .../optax/_src/alias_test.py

Used by `test_optax_suite` to run Optax's own tests on our functions.
"""

import optax
from optax._src import alias

import adaptax
from adaptax.core import registry

# Optax's own `nadam` and `nadamw` are partial applications of `adam` and `adamw`.
REPLACED = [name for name in registry.names("optimizer") if hasattr(alias, name)]

for _name in REPLACED:
    for _module in (alias, optax):
        setattr(_module, _name, getattr(adaptax, _name))


def pytest_report_header():
    return f"in place of optax's: {', '.join(REPLACED)}"


def pytest_collection_modifyitems(config, items):
    """Leave out the rows of Optax's table that are not ours."""
    ours = [item for item in items if _is_ours(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _is_ours(item)])
    items[:] = ours


def _is_ours(item):
    described = getattr(getattr(item, "obj", None), "__x_params_repr__", "")
    return "opt_name" in described and any(f"{name!r}" in described for name in NAMES)


NAMES = [*REPLACED, "sgd_mom"]
