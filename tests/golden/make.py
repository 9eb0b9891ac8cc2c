"""Write the golden traces: how PyTorch and Keras step on given gradients, in float64 on the CPU.

Run in an environment of its own, from the root of the repository::

    python -m venv golden && golden/bin/pip install -r tests/golden/requirements.txt
    KERAS_BACKEND=torch golden/bin/python tests/golden/make.py

`traces.npz` has the gradients, the start and the parameters after each step of every trace;
`traces.json` says which call of theirs made which trace, which call of ours equals it, where the
two differ, and the SHA-256 of `traces.npz`.
"""

import hashlib
import json
import math
import os
import pathlib
import platform

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
STEPS, SIZE, RATE = 100, 4, 0.03

OUTSIDE = "eps beside the root, not under it"
UNCORRECTED = (
    "their eps joins the root of the uncorrected second moment: ours is eps over the root of the "
    "mass, which changes with the step"
)
MAXIMUM = "their maximum is of the uncorrected second moment"
INFINITY = (
    "their eps is added to the maximum and not to each |g|; equal to the size of eps, hence 1e-13"
)


def shrinking(eps, b2):
    """An eps that is divided by the root of 1 − b2ᵗ."""
    return {"over_root_of_mass": [eps, b2]}


# their class, their arguments, our name, our arguments, what differs
TORCH = [
    ("SGD", {}, "sgd", {}, ""),
    ("SGD", {"momentum": 0.9}, "sgd", {"momentum": 0.9}, ""),
    ("SGD", {"momentum": 0.9, "nesterov": True}, "sgd", {"momentum": 0.9, "nesterov": True}, ""),
    ("Adagrad", {"eps": 1e-4}, "adagrad",
     {"initial_accumulator_value": 0.0, "eps": 1e-4, "eps_in_sqrt": False},
     f"{OUTSIDE}; their sum starts from 0, ours from 0.1"),
    ("Adadelta", {"rho": 0.9, "eps": 1e-4}, "adadelta", {"eps": 1e-4}, "their rate is 1"),
    ("Adadelta", {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.1}, "adadelta",
     {"weight_decay": 0.1}, "their rate is 1"),
    ("RMSprop", {"eps": 1e-4}, "rmsprop", {"decay": 0.99, "eps": 1e-4, "eps_in_sqrt": False},
     f"{OUTSIDE}; their decay is 0.99, ours 0.9"),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-4, "centered": True, "momentum": 0.8}, "rmsprop",
     {"eps": 1e-4, "eps_in_sqrt": False, "centered": True, "momentum": 0.8}, OUTSIDE),
    ("Adam", {}, "adam", {}, ""),
    ("Adam", {"eps": 1e-4}, "adam", {"eps": 1e-4}, ""),
    ("Adam", {"betas": (0.8, 0.99)}, "adam", {"b1": 0.8, "b2": 0.99}, ""),
    ("AdamW", {"weight_decay": 0.1}, "adamw", {"weight_decay": 0.1}, ""),
    ("Adamax", {"eps": 1e-3}, "adamax", {"eps": 1e-3}, ""),
    ("NAdam", {}, "nadam", {"momentum_decay": 0.004}, "psi is 0.004; ours has none by default"),
    ("NAdam", {"momentum_decay": 1.0, "eps": 1e-4}, "nadam",
     {"momentum_decay": 1.0, "eps": 1e-4}, ""),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}, "nadamw",
     {"momentum_decay": 0.004, "weight_decay": 0.1}, "psi is 0.004"),
    ("RAdam", {"betas": (0.9, 0.99), "eps": 1e-4}, "radam",
     {"b2": 0.99, "eps": shrinking(1e-4, 0.99)}, UNCORRECTED),
    ("Adam", {"amsgrad": True, "eps": 1e-4}, "amsgrad",
     {"correct_maximum": True, "eps": 1e-4}, MAXIMUM),
    ("Adam", {"amsgrad": True, "betas": (0.9, 0.9)}, "amsgrad",
     {"correct_maximum": True, "b2": 0.9}, MAXIMUM),
]  # fmt: skip
KERAS = [
    ("SGD", {"momentum": 0.9}, "sgd", {"momentum": 0.9}, ""),
    ("SGD", {"momentum": 0.9, "nesterov": True}, "sgd", {"momentum": 0.9, "nesterov": True}, ""),
    ("Adagrad", {"epsilon": 1e-4}, "adagrad", {"eps": 1e-4}, ""),
    ("Adadelta", {"rho": 0.95, "epsilon": 1e-4}, "adadelta", {"rho": 0.95, "eps": 1e-4}, ""),
    ("RMSprop", {"epsilon": 1e-4}, "rmsprop", {"eps": 1e-4}, ""),
    ("RMSprop", {"epsilon": 1e-4, "centered": True, "momentum": 0.8}, "rmsprop",
     {"eps": 1e-4, "centered": True, "momentum": 0.8}, ""),
    ("Adam", {"epsilon": 1e-4}, "adam", {"eps": shrinking(1e-4, 0.999)}, UNCORRECTED),
    ("Adam", {"epsilon": 1e-4, "amsgrad": True}, "amsgrad",
     {"correct_maximum": True, "eps": shrinking(1e-4, 0.999)}, f"{MAXIMUM}; {UNCORRECTED}"),
    ("AdamW", {"epsilon": 1e-4, "weight_decay": 0.1}, "adamw",
     {"eps": shrinking(1e-4, 0.999), "weight_decay": 0.1}, UNCORRECTED),
    ("Adamax", {"epsilon": 1e-13}, "adamax", {"eps": 1e-13}, INFINITY),
    ("Nadam", {"epsilon": 1e-4}, "nadam", {"momentum_decay": 1.0, "eps": 1e-4}, "psi is 1"),
]  # fmt: skip


def gradients():
    """Normal gradients over three decades, with a few exact zeros after the first step."""
    random = np.random.default_rng(0)
    g = random.normal(size=(STEPS, SIZE)) * 10.0 ** random.uniform(-2, 1, size=(1, SIZE))
    g[1:][random.uniform(size=(STEPS - 1, SIZE)) < 0.05] = 0.0
    return g


def start():
    return np.random.default_rng(1).uniform(0.5, 1.5, size=SIZE)


def run_torch(name, arguments):
    theta = torch.nn.Parameter(torch.tensor(start()))
    optimizer = getattr(torch.optim, name)([theta], lr=RATE, **arguments)
    for g in gradients():
        theta.grad = torch.tensor(g)
        optimizer.step()
        yield theta.detach().numpy().copy()


def run_keras(name, arguments):
    theta = keras.Variable(start(), dtype="float64")
    optimizer = getattr(keras.optimizers, name)(learning_rate=RATE, **arguments)
    optimizer.build([theta])
    for g in gradients():
        optimizer.apply([keras.ops.convert_to_tensor(g, "float64")])
        yield keras.ops.convert_to_numpy(theta.value).astype(np.float64)


def main():
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in it
    keras.config.set_floatx("float64")
    arrays, traces = {"gradients": gradients(), "start": start()}, []
    for library, run, table in [("torch", run_torch, TORCH), ("keras", run_keras, KERAS)]:
        for name, arguments, ours, our_arguments, differs in table:
            values = np.array(list(run(name, arguments)))
            assert values.dtype == np.float64 and math.isfinite(values.sum())
            key = f"trace{len(traces):02d}"
            arrays[key] = values
            traces.append(
                {
                    "key": key,
                    "library": library,
                    "theirs": {"name": name, "arguments": {"lr": RATE, **arguments}},
                    "ours": {"name": ours, "arguments": our_arguments},
                    "differs": differs,
                }
            )
    np.savez_compressed(HERE / "traces.npz", **arrays)
    made = {
        "made_with": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "keras": keras.__version__,
        },
        "learning_rate": RATE,
        "sha256": hashlib.sha256((HERE / "traces.npz").read_bytes()).hexdigest(),
        "traces": traces,
    }
    (HERE / "traces.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
