"""The output folder: claimed before training starts, written in whole files at the end.

A folder is claimed by creating a file in it that must not exist yet, so two processes never share
one, and by writing enough into it to notice a full disk or a folder without permission early.
"""

import contextlib
import datetime
import itertools
import os
import shutil
import tempfile
from pathlib import Path

from adaptax.lab import text

RESULTS, PICTURE = "results.json", "curves.png"
CLAIM = ".adaptax-claim"
PROBE = 2**20  # bytes, about what results and picture take


class Folder:
    """A claimed folder; a context that releases the claim.

    Attributes:
      path: where it is.
    """

    def __init__(self, path: Path, made: bool):
        self.path = path
        self._made = made

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *error: object) -> None:
        """Drop the claim, and the folder too if it was made here and nothing was written."""
        with contextlib.suppress(OSError):  # a folder that has gone meanwhile needs no release
            (self.path / CLAIM).unlink(missing_ok=True)
            if self._made and not any(self.path.iterdir()):
                self.path.rmdir()


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
      FileExistsError: it holds files, or another process has claimed it, and `force` is False.
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
        found = {each.name for each in path.iterdir()}
    except OSError as error:
        raise _unusable(path, error) from None
    if CLAIM in found:
        raise FileExistsError(
            f"output={text.quoted(path)} is in use by another process; choose another folder, or, "
            "if that process was killed, pass --force (force=True)"
        )
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
    mark = path / CLAIM
    try:
        if force:
            mark.unlink(missing_ok=True)
        with open(mark, "xb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
            file.truncate(0)
    except FileExistsError:
        raise FileExistsError(
            f"output={text.quoted(path)} was just claimed by another process; choose another folder"
        ) from None
    except OSError as error:
        with Folder(path, made):
            raise _unusable(path, error) from None
    return Folder(path, made)


def _unusable(path: Path, error: OSError) -> OSError:
    kind = type(error)
    return kind(
        f"output={text.quoted(path)} cannot be written to ({error.strerror or error}); "
        "choose another folder"
    )


def replace(path: Path, content: bytes) -> Path:
    """Write a file whole: into a temporary one beside it, then renamed over it.

    Raises:
      OSError: it cannot be written; the file of that name is then as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=".adaptax-", dir=path.parent)
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
    return path


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
