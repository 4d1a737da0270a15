"""Run folders: parameters, states and optimizer states, history, and the text that made them.

Invariant: a folder is written whole beside its place and renamed into it, so a failure overwrites
nothing; nothing is taken from a folder before all of it has been read and checked.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from netc.records import record
from netc.runtime.errors import DataError
from netc.runtime.history import History, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.runtime.arrays import Array
    from netc.runtime.executable import Executable

FORMAT: Final = 1
RUN_FILE: Final = "run.json"
TEXT_FILE: Final = "model.net"
HISTORY_FILE: Final = "history.json"
IMPORTS_FOLDER: Final = "imports"
TENSOR_FILES: Final = {
    "parameters": "parameters.safetensors",
    "states": "states.safetensors",
    "optimizer": "optimizer.safetensors",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What made a run: the net, how it was compiled, and what was set for the training."""

    net: str
    precision: str
    seed: int
    step: int  # the number of the next step
    defines: Mapping[str, Any] = field(default_factory=dict)
    scalars: Mapping[str, float | None] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # target column and labels of a table
    source: str = ""  # where the text stood
    main: str = ""  # the same, seen from the folder that holds all imports
    imports: Mapping[str, str] = field(default_factory=dict)  # of each imported path, the file
    over_data: bool = False  # whether the values over the training data have been computed


@record
class Run:
    """A run folder, read and checked for itself."""

    path: Path
    text: str
    description: Description
    history: History
    tensors: Mapping[str, Mapping[str, Array]]
    imports: Mapping[str, str] = field(default_factory=dict)  # the text of each imported file

    @property
    def text_path(self) -> Path:
        """Where the text is kept."""
        return self.path / TEXT_FILE

    def imported(self, file: str) -> Path:
        """Where an imported file is kept."""
        return self.path / IMPORTS_FOLDER / file


def save(
    path: Path,
    executable: Executable,
    text: str,
    description: Description,
    history: History,
    imports: Mapping[str, str] | None = None,
) -> None:
    """Writes the run folder `path`, replacing an older run there, but never anything else.

    `imports` are the texts of the imported files.
    """
    check_writable(path)
    tensors = {
        "parameters": executable.parameters.arrays(),
        "states": executable.states.arrays(),
        "optimizer": executable.optimizer.arrays(),
    }
    files = {TENSOR_FILES[n]: tensors_to_bytes(values) for n, values in tensors.items()}
    files[TEXT_FILE] = text.encode()
    files |= {f"{IMPORTS_FOLDER}/{n}": kept.encode() for n, kept in (imports or {}).items()}
    files[HISTORY_FILE] = _json(history.as_json())
    files[RUN_FILE] = _json(plain({"format": FORMAT, **asdict(description)}))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, content in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            _write(fresh / name, content)
        fresh.chmod(0o755)
        _put_in_place(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Refuses a place that holds something other than a run or that cannot be written to.

    It makes a folder there and removes it again, so that no training is lost for want of a place.
    """
    if path.is_dir():
        if any(path.iterdir()) and not (path / RUN_FILE).is_file():
            raise DataError(
                f"`{path}` is a folder with other files in it; a run is not written there",
                "choose a new folder",
            )
    elif path.exists() or path.is_symlink():
        raise DataError(f"`{path}` exists and is not a folder", "choose a new folder")
    parent = next(p for p in path.absolute().parents if p.exists())
    try:
        Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=parent)).rmdir()
    except OSError as error:
        raise DataError(f"`{parent}` takes no run: {error.strerror}") from None


def read(path: Path) -> Run:
    """The run in a folder; DataError when a file is missing or damaged."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"run `{path}` {what}")
    if not (path / RUN_FILE).is_file():
        raise DataError(f"`{path}` is not a run folder: it has no {RUN_FILE}")
    description = _description(path)
    try:
        history = History.from_json(_parsed(path / HISTORY_FILE))
    except DataError as error:
        raise DataError(f"run `{path}`: {error.message}") from None
    tensors = {n: _tensors(path / file) for n, file in TENSOR_FILES.items()}
    files = sorted(set(description.imports.values()))
    imports = {name: read_text(path / IMPORTS_FOLDER / name) for name in files}
    return Run(path, read_text(path / TEXT_FILE), description, history, tensors, imports)


def restore(run: Run, executable: Executable, optimizer: bool = True) -> None:
    """Takes the values of `run` over; DataError, and no change, when it is of another model.

    With `optimizer` false only parameters and states are taken: enough to evaluate.
    """
    net = executable.manifest.name
    if run.description.net != net:
        raise DataError(f"run `{run.path}` is of the net `{run.description.net}`, this is `{net}`")
    pairs = [("parameters", executable.parameters), ("states", executable.states)]
    if optimizer:
        pairs.append(("optimizer", executable.optimizer))
    for kind, values in pairs:
        _check_same(run, kind, values.shapes())
    for kind, values in pairs:
        values.assign(run.tensors[kind])
    if optimizer:
        executable.counters.step = run.description.step
        executable.seed = run.description.seed


def read_text(path: Path) -> str:
    """A UTF-8 text file; DataError when it cannot be read as one."""
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"`{path}` is not UTF-8 text (byte {error.start})") from None


def _check_same(run: Run, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    noun = {"parameters": "parameter", "states": "state", "optimizer": "optimizer state"}[kind]
    found = run.tensors[kind]
    for name, shape in shapes.items():
        if name not in found:
            raise _another(run, f"it has no {noun} `{name}`")
        if found[name].shape != shape:
            theirs, ours = list(found[name].shape), list(shape)
            raise _another(run, f"{noun} `{name}` is {theirs} there and {ours} here")
    extra = [n for n in found if n not in shapes]
    if extra:
        raise _another(run, f"its {noun} `{extra[0]}` is not in this net")


def _another(run: Run, why: str) -> DataError:
    return DataError(f"run `{run.path}` is of another model: {why}")


def _description(path: Path) -> Description:
    data = _parsed(path / RUN_FILE)
    damaged = DataError(f"`{path / RUN_FILE}` is damaged: it does not describe a run")
    version = data.pop("format", None)
    if version != FORMAT:
        raise DataError(f"run `{path}` has format {version}, this netc reads format {FORMAT}")
    try:
        found = Description(**data)
    except TypeError:
        raise damaged from None
    numbers = isinstance(found.seed, int) and isinstance(found.step, int) and found.step >= 1
    numbers = numbers and isinstance(found.over_data, bool)
    texts = (found.net, found.precision, found.source, found.main)
    tables = (found.defines, found.scalars, found.options, found.data, found.imports)
    described = all(isinstance(t, str) for t in texts) and all(isinstance(t, dict) for t in tables)
    if not (numbers and described and all(map(_is_kept, found.imports.values()))):
        raise damaged
    return found


def _is_kept(file: object) -> bool:
    """Whether a name can be that of an imported file: a path that stays in its folder."""
    if not isinstance(file, str) or file != normpath(file):
        return False
    return not file.startswith("/") and file.split("/", 1)[0] not in (".", "..")


def _tensors(path: Path) -> dict[str, Array]:
    try:
        tensors: dict[str, Array] = tensors_from_bytes(_read(path))
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise DataError(f"`{path}` is damaged: {error}") from None
    for name, array in tensors.items():
        if array.dtype not in (np.float32, np.float64):
            raise DataError(f"`{path}` is damaged: `{name}` is of type {array.dtype}")
    return tensors


def _parsed(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"`{path}` is damaged: {error}") from None
    if not isinstance(data, dict):
        raise DataError(f"`{path}` is damaged: it holds no JSON object")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror}") from None


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(fresh: Path, path: Path) -> None:
    """Renames `fresh` to `path`; an older run steps aside first and comes back on failure."""
    if not path.exists():
        fresh.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    path.rename(aside)
    try:
        fresh.rename(path)
    except OSError:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
