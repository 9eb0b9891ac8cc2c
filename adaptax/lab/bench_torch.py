"""PyTorch's AdamW in the same rounds, where it is installed and reaches the same kind of device."""

import importlib
import importlib.util
import os
from typing import Any

import jax
import numpy as np


def contenders(clip: float | None, values: dict[str, np.ndarray]) -> tuple[dict[str, Any], list]:
    """PyTorch's contenders by name, and a note for each that cannot take part.

    Args:
      clip: the largest global norm, or None not to clip.
      values: what the parameters are; the gradients are half of them.
    """
    if importlib.util.find_spec("torch") is None:
        return {}, ["PyTorch is not installed"]
    torch = _torch()
    platform = jax.default_backend()
    if platform == "gpu" and torch.cuda.is_available():
        device = "cuda"
    elif platform == "cpu":
        device = "cpu"
        torch.set_num_threads(os.cpu_count() or 1)
    else:
        return {}, [f"PyTorch cannot use the device that JAX runs on ({platform})"]
    found, notes = {}, []
    for kind in ("foreach", "fused"):
        try:
            found[f"torch {kind}"] = TorchStep(kind, device, clip, values)
        except RuntimeError as error:  # versions differ in which kinds a device has
            notes.append(f"torch {kind}: {str(error).partition(chr(10))[0]}")
    return found, notes


def _torch() -> Any:
    """PyTorch, which is no dependency: it takes part where it is installed."""
    return importlib.import_module("torch")


class TorchStep:
    """AdamW of one kind with its arrays, clipping before it where asked."""

    def __init__(self, kind: str, device: str, clip: float | None, values: dict[str, np.ndarray]):
        torch = _torch()
        self._torch, self._device, self._clip = torch, device, clip
        self._params = []
        for value in values.values():
            one = torch.tensor(value, device=device, requires_grad=True)
            one.grad = torch.tensor(0.5 * value, device=device)
            self._params.append(one)
        options: dict[str, Any] = {kind: True}
        self._optimizer = torch.optim.AdamW(self._params, lr=1e-3, weight_decay=1e-4, **options)

    def run(self, times: int) -> None:
        for _ in range(times):
            if self._clip is not None:
                self._torch.nn.utils.clip_grad_norm_(self._params, self._clip)
            self._optimizer.step()
        if self._device == "cuda":
            self._torch.cuda.synchronize()
