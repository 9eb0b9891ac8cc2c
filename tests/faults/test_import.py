"""Importing any module starts nothing, writes nothing, asks nobody and changes nothing."""

import os
import subprocess
import sys

WATCHED = r"""
import os, pkgutil, random, signal, sys, threading, warnings

import jax, numpy, optax  # what they do is theirs
import flax.nnx

seen = []
BANNED = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove",
    "os.rename", "os.mkdir", "os.putenv", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.",
)

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and "__pycache__" not in str(path):
            seen.append((event, path))
    elif event.startswith(BANNED) and "__pycache__" not in str(args[:1]):
        seen.append((event, args[:1]))

def state():
    return {
        "environment": dict(os.environ), "folder": os.getcwd(), "threads": threading.active_count(),
        "umask": (lambda mask: (os.umask(mask), mask)[1])(os.umask(0o022)),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "warnings": list(warnings.filters), "random": random.getstate(),
        "numpy random": str(numpy.random.get_state()),
        "numpy": (numpy.geterr(), numpy.get_printoptions()), "hooks": (sys.excepthook, sys.path[:]),
        "jax": dict(jax.config.values),
    }

before = state()
sys.addaudithook(watch)
import adaptax

names = [m.name for m in pkgutil.walk_packages(adaptax.__path__, "adaptax.")]
for name in names:
    __import__(name)
after, found = state(), list(seen)
assert len(names) > 60, names
assert not found, found
for name in before:
    assert before[name] == after[name], name
from jax._src import xla_bridge
assert not xla_bridge._backends, "a device was touched"
heavy = {"matplotlib", "optuna", "torch", "pickle5", "sklearn"} & set(sys.modules)
assert not heavy, heavy
print("imported", len(names))
"""


def test_importing_every_module_has_no_side_effect(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("imported ") and os.listdir(tmp_path) == []
