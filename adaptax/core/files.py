"""Files written whole: a reader sees the old one or the new one, nothing between."""

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from adaptax.core.shown import quoted

TEMPORARY = ".adaptax-"  # what the names of files in the making begin with


def replace(path: Path, content: bytes) -> Path:
    """Write a file whole: into a temporary one beside it, then renamed over it.

    Raises:
      OSError: it cannot be written; the file of that name is then as it was.
      ValueError: a NUL character in the name.
    """
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        else:
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def _sync_folder(path: Path) -> None:
    """Have the new name survive a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _without_waiting(path: str, flags: int) -> int:
    """Opened without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read(path: Path, largest: int) -> str:
    """The text of a plain file of at most `largest` bytes.

    Raises:
      OSError: it cannot be read.
      ValueError: no plain file, a larger one, or not UTF-8; the message names it.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{quoted(path)} is not a plain file")
        if found.st_size > largest:
            raise ValueError(
                f"{quoted(path)} has {found.st_size:,} bytes; at most {largest:,} are read"
            )
        content = file.read(found.st_size)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{quoted(path)} is not UTF-8 text") from None
