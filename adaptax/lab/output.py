"""The output folder: claimed before training starts, written in whole files at the end.

A folder is claimed by a lock on a file in it, which the system drops when the process ends, however
it ends; so two processes never share one, and a killed one is in nobody's way. And it is claimed by
writing enough into it to notice a full disk or a folder without permission early.
"""

import contextlib
import datetime
import errno
import itertools
import os
import weakref
from pathlib import Path

from adaptax.core import files
from adaptax.core.files import replace as replace
from adaptax.lab import text

RESULTS, PICTURE = "results.json", "curves.png"
CLAIM = files.TEMPORARY + "claim"
PROBE = 2**20  # bytes, about what results and picture take
LOCKLESS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # file systems that know no locks


class Folder:
    """A claimed folder; a context that releases the claim.

    Attributes:
      path: where it is.
    """

    def __init__(self, path: Path, made: bool, lock: int | None = None):
        self.path = path
        self._made = made
        # without it, a folder that is dropped and never released would stay locked
        self._unlock = (lambda: None) if lock is None else weakref.finalize(self, os.close, lock)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *error: object) -> None:
        """Drop the claim, and the folder too if it was made here and nothing was written."""
        with contextlib.suppress(OSError):  # a folder that has gone meanwhile needs no release
            (self.path / CLAIM).unlink(missing_ok=True)
            if self._made and not any(self.path.iterdir()):
                self.path.rmdir()
        self._unlock()


def fresh(name: str, parent: Path = Path("runs")) -> Folder:
    """A new folder `parent/name-YYYYmmdd-HHMMSS`, with `-2`, `-3` … where that is taken.

    Raises:
      OSError: it cannot be made or written to.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        path = parent / (f"{name}-{now}" if number == 1 else f"{name}-{now}-{number}")
        if _make(path):
            return _claim(path, made=True, force=False)
    raise AssertionError("unreachable: the numbers do not end")


def claim(path: str | os.PathLike, force: bool = False) -> Folder:
    """The folder `path`, new, empty or, with `force`, used before.

    Args:
      path: made with its parents if it does not exist.
      force: write into it although it holds files; results and picture are then replaced, other
        files are left alone.

    Raises:
      FileExistsError: it holds files and `force` is False; another process writes into it.
      NotADirectoryError: it is a file.
      OSError: it cannot be made or written to.
    """
    place = Path(path)
    made = _make(place)
    if not made and not place.is_dir():
        raise NotADirectoryError(
            f"output={text.quoted(place)} is a file; name a folder that may be created"
        )
    if not made and not force:
        _check_empty(place)
    return _claim(place, made, force)


def _check_empty(path: Path) -> None:
    try:
        names = {each.name for each in path.iterdir()}
    except OSError as error:
        raise _unusable(path, error) from None
    found = {name for name in names if not name.startswith(files.TEMPORARY)}
    if found:
        raise FileExistsError(
            f"output={text.quoted(path)} is not empty (it holds {text.quoted(min(found))}); choose "
            "another folder, or pass --force (force=True) to replace the results in it"
        )


def _make(path: Path) -> bool:
    """Make the folder and say True; False if something of that name is there already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkdir(path)
    except FileExistsError:
        if path.parent.is_dir():
            return False
        raise NotADirectoryError(
            f"output={text.quoted(path)}: {text.quoted(path.parent)} is a file"
        ) from None
    except ValueError as error:  # a NUL character
        raise ValueError(f"output={text.quoted(path)}: {error}") from None
    except OSError as error:
        raise _unusable(path, error) from None
    return True


def _claim(path: Path, made: bool, force: bool) -> Folder:
    try:
        handle = _locked(path)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise FileExistsError(
                f"output={text.quoted(path)} is in use by another process; choose another folder"
            ) from None
        with Folder(path, made):
            raise _unusable(path, error) from None
    folder = Folder(path, made, handle)
    try:
        if not force:
            _check_empty(path)  # once more: nobody can have added anything now
        _probe(path, handle)
    except OSError as error:
        ours = error if isinstance(error, FileExistsError) else _unusable(path, error)
        with folder:
            raise ours from None
    return folder


def _locked(path: Path) -> int:
    """The handle of the claim, locked; a `BlockingIOError` where another process holds it."""
    mark, flags = path / CLAIM, os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        import fcntl
    except ImportError:  # not on this system: the file must not exist
        try:
            return os.open(mark, flags | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise BlockingIOError(*error.args) from None
    while True:
        handle = os.open(mark, flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in LOCKLESS:
                return handle
            os.close(handle)
            raise
        # its last holder may have removed it in between, and another process locked a new one
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(mark), os.fstat(handle)):
                return handle
        os.close(handle)


def _probe(path: Path, handle: int) -> None:
    """Write for a trial, and remove what a killed process left half written."""
    for left in path.glob(files.TEMPORARY + "*"):
        if left.name != CLAIM:
            left.unlink(missing_ok=True)
    with open(os.dup(handle), "wb") as file:
        file.write(bytes(PROBE))
        file.flush()
        os.fsync(file.fileno())
        file.truncate(0)


def _unusable(path: Path, error: OSError) -> OSError:
    kind = type(error)
    return kind(
        f"output={text.quoted(path)} cannot be written to ({error.strerror or error}); "
        "choose another folder"
    )
