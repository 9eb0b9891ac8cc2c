"""Print the table of the README: float32 errors of Adam against float64, ours and Optax's.

    python -m tests.accuracy

Normalised error |u − r| / (0.1 + |r|) of the update at rate 1, for 64 entries with standard normal
gradients over 20,000 steps; r is the straight-line float64 reference.
"""

import numpy as np
import optax

import adaptax
from tests import references
from tests.measure import gradients, normalised, run, run_reference, weights

STEPS, SIZE = 20_000, 64
DECAYS = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]


def main():
    grads, params = gradients(STEPS, SIZE), weights(SIZE)
    low = grads.astype(np.float32)
    print("| β₂ | adaptax: 99.9 % within | adaptax: largest | Optax: largest |")
    print("|---|---|---|---|")
    for decay in DECAYS:
        want = run_reference(references.adam(1.0, b2=decay), grads, params)
        ours, theirs = (
            normalised(run(library.adam(1.0, b2=decay), low, params), want, unit=True)
            for library in (adaptax, optax)
        )
        tail = np.quantile(ours, 0.999)
        print(f"| {decay} | {tail:.1e} | {ours.max():.1e} | {theirs.max():.1e} |", flush=True)


if __name__ == "__main__":
    main()
