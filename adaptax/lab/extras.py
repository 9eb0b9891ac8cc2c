"""The libraries that only the lab needs, looked for before anything else is done."""

import importlib.util

NEEDED = {"flax": "flax", "sklearn": "scikit-learn", "rich": "rich", "matplotlib": "matplotlib"}


class MissingExtra(ImportError):
    """A library of the "lab" extra is not installed."""


def require() -> None:
    """Raise `MissingExtra`, with the command that helps, unless the lab's libraries are there."""
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra(
            f'the lab needs {", ".join(missing)}, not installed; run: pip install "adaptax[lab]"'
        )
