"""A pytest plugin that puts our functions in the place of Optax's in Optax's own tests.

    python -m pytest -p tests.in_place_of_optax .../optax/_src/alias_test.py

Used by `test_optax_suite`. Every name of ours that takes Optax's arguments stands where Optax's
tests look for it, and schedules stand under Optax's names, with Optax's arguments. A test in which
nothing of ours is called proves nothing, and is skipped.
"""

import functools

import jax
import optax
import pytest
from optax import schedules, transforms
from optax._src import alias, transform
from optax.schedules import _schedule
from optax.transforms import _adding, _clipping

import adaptax
from adaptax.core import registry

# Optax's own `nadam` and `nadamw` are partial applications of `adam` and `adamw`.
REPLACED = [name for name in registry.names("optimizer") if hasattr(alias, name)]
# `chain` is Optax's in ours, and our `lookahead` has other arguments
TRANSFORMATIONS = [
    *("adaptive_grad_clip", "add_decayed_weights", "clip", "clip_by_global_norm"),
    "scale_by_adadelta",
]
PLACES = (alias, optax, transforms, _adding, _clipping, schedules, _schedule)


def constant_schedule(value):
    return adaptax.constant(value)


def linear_schedule(init_value, end_value, transition_steps, transition_begin=0):
    _only(0, transition_begin=transition_begin)
    return adaptax.linear(init_value, end_value, transition_steps)


def polynomial_schedule(init_value, end_value, power, transition_steps, transition_begin=0):
    _only(0, transition_begin=transition_begin)
    return adaptax.polynomial(init_value, end_value, transition_steps, power)


def cosine_decay_schedule(init_value, decay_steps, alpha=0.0, exponent=1.0):
    _only(1, exponent=exponent)
    return adaptax.cosine(init_value, decay_steps, alpha * init_value)


def warmup_cosine_decay_schedule(
    init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0
):
    _only(1, exponent=exponent)
    return adaptax.warmup_cosine(peak_value, warmup_steps, decay_steps, init_value, end_value)


def _only(known, **given):
    """Leave out a test that needs an argument that ours has not."""
    for name, value in given.items():
        if value != known:
            pytest.skip(f"ours has no {name}")


SCHEDULES = [
    *(constant_schedule, linear_schedule, polynomial_schedule),
    *(cosine_decay_schedule, warmup_cosine_decay_schedule),
]


class _Called:
    """Whether anything of ours was called, while a module was imported or in the present test."""

    anything = False


def _noting(function):
    @functools.wraps(function)
    def noted(*args, **kwargs):
        _Called.anything = True
        return function(*args, **kwargs)

    return noted


OURS = {name: getattr(adaptax, name) for name in (*REPLACED, *TRANSFORMATIONS)}
OURS |= {function.__name__: function for function in SCHEDULES}
for _name, _function in OURS.items():
    _theirs = getattr(optax, _name)
    # Optax's other optimizers are made of what is in `transform`; some decay by a negative number
    for _module in (transform,) if _name == "scale_by_adadelta" else PLACES:
        if getattr(_module, _name, None) is _theirs:
            setattr(_module, _name, _noting(_function))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    del nextitem
    _Called.anything = _is_a_row(item)
    with pytest.MonkeyPatch.context() as patch:
        if item.path.name == "sharding_test.py":
            # it compares versions as text, and so takes JAX 0.10 for older than 0.7.2
            patch.setattr(jax, "__version__", "1.0.0")
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and not report.skipped and not _Called.anything:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, "nothing of ours was called")
    return report


def pytest_report_header():
    return f"in place of optax's: {', '.join(OURS)}"


def pytest_collection_modifyitems(config, items):
    """Leave out the rows of Optax's tables that are not ours."""
    ours = [item for item in items if _is_ours(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _is_ours(item)])
    items[:] = ours


def _described(item):
    return getattr(getattr(item, "obj", None), "__x_params_repr__", "")


def _is_ours(item):
    if item.path.name == "alias_test.py":
        described = _described(item)
        return "opt_name" in described and any(f"{name!r}" in described for name in NAMES)
    if item.path.name in TABLES:
        return _is_a_row(item)
    return True


def _is_a_row(item):
    """Whether it is about a row, made while the module was imported, that is ours."""
    row = item.name.endswith(ROWS) and not item.name.endswith("_noisy_sgd")
    return row and item.path.name in TABLES


NAMES = [*REPLACED, "sgd_mom"]
TABLES = ("sharding_test.py", "float64_test.py")
ROWS = tuple(f"_{name}" for name in OURS)
