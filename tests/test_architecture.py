"""The house: floors, file sizes, light imports, and docstrings that are complete and run."""

import ast
import doctest
import inspect
import pathlib
import re
import subprocess
import sys

import jax
import pytest

import adaptax
from adaptax.core import registry

ROOT = pathlib.Path(adaptax.__file__).parent
FLOORS = {
    "core": 1, "rates": 2, "optimizers": 3, "precision": 4, "wrappers": 4, "telemetry": 5,
    "distributed": 5, "checkpoint": 5, "tuning": 6, "flax": 7, "lab": 8, "cli": 9,
}  # fmt: skip
LIGHT = {"jax", "jaxlib", "numpy", "optax", "adaptax", *sys.stdlib_module_names}
MODULES = sorted(ROOT.rglob("*.py"))


def imports(path, everywhere):
    """Imported modules, at the top level only unless `everywhere`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(path):
    parts = path.relative_to(ROOT).parts
    return FLOORS[parts[0]] if len(parts) > 1 else 10


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    for name in imports(path, everywhere=True):
        parts = name.split(".")
        if parts[0] == "adaptax" and len(parts) > 1 and parts[1] in FLOORS:
            assert FLOORS[parts[1]] <= floor(path), f"{path} imports {name} from a floor above"
    if floor(path) <= 6:
        heavy = {name.split(".")[0] for name in imports(path, everywhere=False)} - LIGHT
        assert not heavy, f"{path} imports {heavy}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node) or ""
            lines = node.end_lineno - node.lineno + 1 - len(doc.splitlines())
            assert lines <= 60, f"{path}: {node.name} has {lines} lines"


def test_no_module_evaluates_text():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__", "compile"), path
        assert not re.search(
            r"^\s*(import|from) (pickle|marshal|shelve)", path.read_text(), re.M
        ), path


def test_importing_touches_no_device_and_no_extra():
    code = (
        "import sys, adaptax\n"
        "extras = {'flax', 'sklearn', 'rich', 'matplotlib', 'orbax', 'chex', 'equinox'}\n"
        "heavy = extras & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, xla_bridge._backends\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PUBLIC = {
    name: value
    for name, value in vars(adaptax).items()
    if not name.startswith("_") and not inspect.ismodule(value)
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings(name):
    value = PUBLIC[name]
    doc = inspect.getdoc(value)
    assert doc and len(doc.splitlines()[0]) < 130, name
    if name in registry.names("optimizer"):
        for section in ("Args:", "State:", "Raises:", "Source:", "Example::"):
            assert section in doc, f"{name} has no {section}"
        assert re.search(r"bytes|nothing|as `", doc), f"{name} does not say what it keeps"
        assert re.search(r"arXiv|JMLR|lecture|OpenReview|NeurIPS|Polyak", doc), name
    elif callable(value) and name in [
        *_named("transformation"),
        *_named("schedule"),
        *_named("controller"),
    ]:
        assert "Example::" in doc and "Raises:" in doc, name


def _named(kind):
    return registry.names(kind)


def test_every_registered_name_is_public():
    for kind in ("optimizer", "transformation", "schedule", "controller", "part"):
        for name in registry.names(kind):
            assert name in PUBLIC, f"{kind} {name} is not exported"


DOCUMENTED = [path for path in MODULES if ">>>" in path.read_text() and floor(path) <= 6]


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_in_docstrings_run(path):
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    module = __import__(name, fromlist=["_"])
    finder, ran = doctest.DocTestFinder(), 0
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    with jax.numpy_dtype_promotion("standard"):
        for test in finder.find(module, name):
            ran += runner.run(test).attempted
    assert ran > 0 and runner.failures == 0, f"{runner.failures} of {ran} examples failed"
