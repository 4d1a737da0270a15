"""Which reader a data argument names, and the split of data into training and validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc.runtime.data import cifar, idx
from netc.runtime.data.archive import bind_archive, read_archive, read_digits
from netc.runtime.data.binding import Arrays, DataSet, bind_images
from netc.runtime.data.table import TableUse, bind_table
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from netc.compiler.program import Manifest


def open_data(
    text: str, manifest: Manifest, dtype: np.dtype[Any], use: TableUse | None = None
) -> DataSet:
    """The data set that `text` names: `digits`, a `.npz` or `.csv` file, or an image folder."""
    path = Path(text)
    if text == "digits" and not path.exists():
        return DataSet(
            text,
            lambda: bind_images(read_digits("train"), manifest, dtype),
            lambda: bind_images(read_digits("test"), manifest, dtype),
        )
    if path.is_dir():
        return _folder(path, manifest, dtype)
    if not path.exists():
        raise DataError(
            f"data `{text}` does not exist",
            "known: `digits`, a .npz file, a .csv file, a folder with MNIST or CIFAR files",
        )
    match path.suffix.lower():
        case ".npz":
            arrays = bind_archive(read_archive(path), manifest, f"`{path}`")
            return DataSet(text, lambda: arrays)
        case ".csv":
            table, used = bind_table(path, manifest, use or TableUse())
            return DataSet(text, lambda: table, None, used.as_json())
        case other:
            raise DataError(
                f"data `{text}`: files of type `{other}` are not known",
                "known: `digits`, a .npz file, a .csv file, a folder with MNIST or CIFAR files",
            )


def _folder(path: Path, manifest: Manifest, dtype: np.dtype[Any]) -> DataSet:
    def mnist(part: str) -> Arrays:
        return bind_images(idx.read_part(path, part), manifest, dtype)

    if idx.is_idx_folder(path):
        has_test = idx.has_part(path, "t10k")
        return DataSet(
            str(path), lambda: mnist("train"), (lambda: mnist("t10k")) if has_test else None
        )
    if cifar.is_cifar_folder(path):
        return DataSet(
            str(path),
            lambda: bind_images(cifar.read_train(path), manifest, dtype),
            (lambda: bind_images(cifar.read_test(path), manifest, dtype))
            if cifar.has_test(path)
            else None,
        )
    raise DataError(
        f"the folder `{path}` has no data that netc knows",
        "known: MNIST files (`train-images-idx3-ubyte`, …), CIFAR files (`data_batch_1.bin`, …, or "
        "`train.bin`)",
    )
