"""Optuna's side of a search: its samplers, its pruners, and a storage that can be gone on with.

Everything that one storage holds of a search is refused for another one: losses of another task,
space or number of epochs would steer the sampler and cannot be ranked together.
"""

import contextlib
import importlib
import json
import os
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import registry
from adaptax.lab import extras, text
from adaptax.lab.space import Space, grid

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "none")
STUDY = "adaptax"
SEARCH, RETRY = "adaptax.search", "adaptax.retry_of"  # user attributes of a study and of a trial
# of a trial too: what is kept with it that Optuna has no field for
DIVERGED_AT, STEPS, SECONDS, DEFAULTS = "diverged_at", "steps", "seconds", "defaults"
NUMBERS = (RETRY, DIVERGED_AT, STEPS, SECONDS, DEFAULTS)
SQLITE = "sqlite:///"


def optuna() -> Any:
    """The library, or `MissingExtra` with the command that installs it."""
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise extras.MissingExtra(
            'the search needs optuna, not installed; run: pip install "adaptax[tune]"'
        ) from None


def check(kind: str, given: Any, known: tuple[str, ...], method: str) -> str:
    """The name of a sampler or pruner, for one of ours or one of Optuna's.

    Raises:
      ValueError: an unknown name; the nearest are given.
      TypeError: neither a name nor an object of Optuna's.
    """
    if isinstance(given, str):
        if given not in known:
            raise ValueError(f"{kind}={given!r}: {registry.nearest(given, known)}")
        return given
    if not hasattr(given, method):
        raise TypeError(f"{kind}={given!r}: one of {', '.join(known)}, or Optuna's, is needed")
    return type(given).__name__


def sampler(given: Any, space: Space, trials: int, seed: int, finished: int) -> Any:
    """The sampler of the next trial.

    It is made anew for every trial, from the seed and the number of trials before: so a search
    that goes on draws what it would have drawn without the break.
    """
    library = optuna()
    drawn = int(np.random.SeedSequence([seed, finished]).generate_state(1)[0])
    if given == "tpe":
        return library.samplers.TPESampler(seed=drawn)
    if given == "random":
        return library.samplers.RandomSampler(seed=drawn)
    if given == "grid":
        return library.samplers.GridSampler(grid(space, trials), seed=seed)
    return given


def pruner(given: Any, epochs: int) -> Any:
    """Optuna's pruner: after five whole trials, the median of theirs at the same epoch.

    In the first quarter of the epochs fast rates lead that slow ones overtake later; nothing is
    pruned there.
    """
    library = optuna()
    if given == "median":
        return library.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
    return library.pruners.NopPruner() if given == "none" else given


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log lines and its warnings about what is experimental."""
    library = optuna()
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            yield
    finally:
        library.logging.set_verbosity(before)


@contextlib.contextmanager
def opened(
    storage: str | os.PathLike | None, name: str, search: Mapping[str, Any], pruning: Any
) -> Iterator[Any]:
    """The study in a storage, new or gone on with, and the storage locked meanwhile.

    Args:
      storage: a journal file, a URL such as "sqlite:///search.db", or None for memory.
      name: of the study; one storage holds several.
      search: what makes trials comparable, as JSON values; its "space" has every argument.
      pruning: "median", "none" or a pruner of Optuna's.

    Raises:
      ValueError: a storage that is none, or of another search; the message says in what it differs.
      OSError: a file that cannot be written, or that another process searches with.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        held = None if storage is None else _storage(storage, stack)
        study = _study(storage, held, name, pruner(pruning, search["epochs"]))
        _claim(study, search, storage)
        _close(study, search["space"])
        with _readable(storage):
            _check_trials(study, search["space"])
        yield study


def _storage(storage: str | os.PathLike, stack: contextlib.ExitStack) -> Any:
    where = os.fspath(storage)
    if "://" in where:
        if not where.startswith(SQLITE):
            raise ValueError(f"storage: a file or a URL that starts with {SQLITE} is needed")
        library = optuna()
        try:
            made = library.storages.RDBStorage(where)
        except Exception as error:  # SQLAlchemy's own kinds, which need no import here
            reason = text.printable(str(error).partition("\n")[0])
            raise ValueError(f"storage={text.quoted(where)} cannot be opened: {reason}") from None
        stack.callback(made.engine.dispose)
        return made
    path = Path(where)
    try:
        file = stack.enter_context(open(path, "a+b"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"storage={text.quoted(path)} cannot be written to: {reason}") from None
    _lock(file, path)
    _mend(file, path)
    journal = importlib.import_module("optuna.storages.journal")
    with _readable(storage):
        return optuna().storages.JournalStorage(journal.JournalFileBackend(str(path)))


@contextlib.contextmanager
def _readable(storage: Any) -> Iterator[None]:
    """A damaged storage is refused by its name, whatever the library stumbles over in it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"storage={text.quoted(storage)} cannot be used: {reason}") from error
    except Exception as error:
        reason = text.printable(f"{type(error).__name__}: {error}".partition("\n")[0])
        raise ValueError(f"storage={text.quoted(storage)} cannot be read: {reason}") from error


def _lock(file: Any, path: Path) -> None:
    """Keep other searches out; the system drops the lock when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise OSError(
            f"storage={text.quoted(path)} is in use by another process; wait for it, or name "
            "another file"
        ) from None


def _mend(file: Any, path: Path) -> None:
    """Refuse what is no journal; drop a last line that a killed process left half written."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(f"storage={text.quoted(path)} is not a plain file; name another file")
    file.seek(0)
    first = file.readline()
    try:
        read = json.loads(first) if first else {"op_code": None}
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or "op_code" not in read:
        raise ValueError(
            f"storage={text.quoted(path)} holds something else than trials; name another file"
        )
    file.seek(0)
    end = 0
    for line in file:
        end += len(line) if line.endswith(b"\n") else 0
    file.truncate(end)


def _study(storage: Any, held: Any, name: str, pruning: Any) -> Any:
    with _readable(storage):
        made = optuna().create_study(
            storage=held, study_name=name, pruner=pruning, load_if_exists=True
        )
        made.get_trials(deepcopy=False)  # read, and so refused, now
    return made


def _claim(study: Any, search: Mapping[str, Any], storage: Any) -> None:
    """Write into a new study what it searches; refuse a study of another search."""
    theirs = study.user_attrs.get(SEARCH)
    where = f"storage={text.quoted(storage)}"
    if theirs is not None and not isinstance(theirs, dict):
        raise ValueError(f"{where} cannot be read: it does not say what was searched")
    other = "give the same, name another file, or another study (--study)"
    if theirs is None:
        if study.get_trials(deepcopy=False):
            raise ValueError(
                f"{where}: the study {text.quoted(study.study_name)} in it is not adaptax's; "
                f"{other}"
            )
        study.set_user_attr(SEARCH, dict(search))
        return
    for field, ours in search.items():
        if theirs.get(field) != ours:
            raise ValueError(
                f"{where} holds a search with {field}={text.printable(theirs.get(field))}, not "
                f"{text.printable(ours)}; {other}"
            )


def _check_trials(study: Any, space: Collection[str]) -> None:
    """Refuse before any training what no search writes and no result can be made of."""
    for trial in finished(study, space):
        values = trial.values or ()
        ours = [trial.user_attrs[name] for name in NUMBERS if name in trial.user_attrs]
        drawn = [*trial.params.values(), *trial.intermediate_values.values(), *values, *ours]
        complete = len(values) == 1 or trial.state.name != "COMPLETE"
        if set(trial.params) != set(space) or not complete or not all(map(_is_number, drawn)):
            raise ValueError(f"trial {trial.number} is damaged")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _close(study: Any, space: Collection[str]) -> None:
    """Trials that a killed process left unfinished are closed, and made again first."""
    library = optuna()
    running = study.get_trials(deepcopy=False, states=(library.trial.TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=library.trial.TrialState.FAIL)
        retry(study, trial, space)


def storage_fault(error: BaseException | None) -> str | None:
    """Why a storage could not be written to, where an error in a trial came from that."""
    internal = optuna().exceptions.StorageInternalError
    while error is not None:  # the library may stumble over it, and raise something else
        if isinstance(error, OSError):
            return error.strerror or text.printable(error)
        if isinstance(error, internal):
            return text.printable(str(error.__cause__ or error).partition("\n")[0])
        error = error.__cause__ or error.__context__
    return None


def retry(study: Any, trial: Any, space: Collection[str]) -> None:
    """Have a trial that was cut short made again; it counts as one that was never made."""
    if len(trial.params) == len(space):  # else it was cut short before it had begun
        study.enqueue_trial(trial.params, user_attrs={**trial.user_attrs, RETRY: trial.number})


def finished(study: Any, space: Collection[str]) -> list[Any]:
    """The trials that are done, in order, without those that were cut short."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(RETRY) for trial in trials}
    whole = [t for t in trials if t.state.is_finished() and len(t.params) == len(space)]
    return [trial for trial in whole if trial.number not in again]
