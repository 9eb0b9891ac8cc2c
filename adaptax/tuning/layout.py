"""Whether a population is trained side by side, as one program, or a member after the other.

Measured on two cores (jax 0.10.2, XLA:CPU), in milliseconds a step of a member, one by one and
side by side: a linear regression 0.003 and 0.0006; a 64-64-32-10 network 0.11 and 0.04; networks of
200,000 weights 0.42 and 0.52, of 1,900,000 7.7 and 11; LeNet-5 on 64 images of 16 x 16 3.6 and 12,
on 128 of 28 x 28 31 and 154.
"""

import dataclasses
import os

import jax

SHARE = 0.5  # of the memory; the rest is for activations and what else there is
SMALL = 4 * 2**20  # bytes of a member that a CPU trains faster side by side


@dataclasses.dataclass(frozen=True)
class Choice:
    """Side by side or not, and why."""

    vmapped: bool
    reason: str


def choose(members: int, size: int, memory: float, convolves: bool, backend: str) -> Choice:
    """The rule by which a population is trained side by side, or a member after the other.

    Args:
      members: how many.
      size: bytes of one: parameters, gradients, model state and optimizer state.
      memory: available, in bytes.
      convolves: the loss has a convolution.
      backend: of JAX.

    Example::

        >>> from adaptax.tuning.layout import choose
        >>> choose(10, 2**20, memory=2**24, convolves=False, backend="cpu").reason
        '10 members of 1 MiB do not fit into half of 16 MiB'
    """
    shown = f"{members} member{'s' if members > 1 else ''} of {_bytes(size)}"
    if members * size > SHARE * memory:
        return Choice(False, f"{shown} do not fit into half of {_bytes(memory)}")
    if backend == "cpu" and convolves:
        return Choice(False, "a population's convolutions are slow on a CPU")
    if backend == "cpu" and size > SMALL:
        return Choice(False, f"on a CPU members above {_bytes(SMALL)} are faster that way")
    return Choice(True, f"{shown} fit into half of {_bytes(memory)}")


def _bytes(number: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} bytes"


def available() -> int:
    """Bytes of memory that are free: the device's where it tells, else the host's."""
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
