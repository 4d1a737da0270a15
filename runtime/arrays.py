"""Arrays of the caller, checked and converted to what native code reads.

Invariant: a converted array has shape (B, *port shape) with B >= 1, is aligned and C-contiguous, is
in the program's precision, and holds only numbers that its port accepts.
"""

from __future__ import annotations

import sys
from ctypes import addressof, c_char
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.program import PortSpec

Array = NDArray[Any]
Role = Literal["input", "target"]

EXACT: Final = {"float32": 2**24, "float64": 2**53}  # integers up to here are exact
_SINGLE: Final[np.dtype[Any]] = np.dtype(np.float32)
_DOUBLE: Final[np.dtype[Any]] = np.dtype(np.float64)
LABELS: Final[np.dtype[Any]] = np.dtype(np.int64)
"""The type that labels usually have."""
UNSIGNED: Final[np.dtype[Any]] = np.dtype(np.uint64)
_NDARRAY: Final = np.ndarray
_FIRST_BYTE: Final[Callable[[Any], c_char]] = c_char.from_buffer
_REFUSED: Final = {
    "O": "Python objects",
    "c": "complex numbers",
    "U": "text",
    "S": "bytes",
    "T": "text",
    "M": "dates",
    "m": "time spans",
    "V": "records",
}


def element_type(precision: Literal["f32", "f64"]) -> np.dtype[Any]:
    """The NumPy type of a program's numbers."""
    return _SINGLE if precision == "f32" else _DOUBLE


def array_shape(port: PortSpec) -> str:
    """The shape of an array for `port`, with the batch as B: `(B, 784)`."""
    return f"({', '.join(['B', *map(str, port.shape)])}{',' if not port.shape else ''})"


class Converter:
    """Turns any array-like value into an array for one port, or raises DataError."""

    __slots__ = ("_integral", "_label", "_shape", "any_number", "dtype", "most", "no_nan", "port")

    def __init__(self, port: PortSpec, role: Role, dtype: np.dtype[Any]) -> None:
        self.port = port
        self.dtype = dtype
        self._shape = port.shape
        self._label = f"{role} `{port.name}`"
        self._integral = port.kind != "real"
        self.any_number = not self._integral
        self.no_nan = not (self._integral or port.missing)
        numbered = port.kind == "class" and not port.missing
        self.most = (port.classes or 1) - 1 if numbered else 0

    def __call__(self, value: object) -> Array:
        """`value` as an array for the port; the same object when nothing had to be converted."""
        if (
            type(value) is not _NDARRAY
            or not (shape := value.shape)
            or shape[1:] != self._shape
            or not value.size
        ):
            array = self._converted(value)
        elif value.dtype is self.dtype and (flags := value.flags).c_contiguous and flags.aligned:
            array = value
            if self._integral:
                self._check_whole(array)
        elif self.most and value.dtype is LABELS:
            return self._labels(value)
        else:
            array = self._converted(value)
        if self.no_nan and isnan(array.item(array.argmax())):  # a NaN counts as the largest
            self._refuse_nan(array)
        return array

    def _labels(self, value: Array) -> Array:
        """Labels of the usual type; as unsigned numbers the negative ones are the largest."""
        unsigned = value.view(UNSIGNED)
        if unsigned.item(unsigned.argmax()) > self.most:
            return self._converted(value)
        return value.astype(self.dtype, "C")

    def _converted(self, value: object) -> Array:
        found = self._numeric(value)
        fitted = self._fitted(found)
        if self._integral:
            self._check_whole(fitted)
        try:
            with np.errstate(over="raise"):
                array = np.require(fitted, self.dtype, ["C", "A"])
        except FloatingPointError:
            self._fail(
                f"holds numbers too large for {self.dtype}",
                'compile with precision="f64", or scale the data',
            )
        return array.view(np.ndarray)

    def _numeric(self, value: object) -> Array:
        if _is_masked(value):
            self._fail("has masked elements", "fill them first, for example with `.filled(…)`")
        try:
            found = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as error:
            self._fail(f"cannot be read as an array: {error}")
        if found.dtype.kind not in "biuf":
            kind = _REFUSED.get(found.dtype.kind, str(found.dtype))
            self._fail(f"expects real numbers, found {kind} (dtype {found.dtype})")
        return found

    def _fitted(self, found: Array) -> Array:
        """`found` with the axes of the port; adds or drops the axis of a single number."""
        shape = found.shape
        accepted = shape[1:] == self._shape and found.ndim > 0
        if not accepted and found.ndim > 0:
            accepted = (self._shape == (1,) and found.ndim == 1) or (
                self.port.kind == "class" and self._shape == () and shape[1:] == (1,)
            )
        if not accepted:
            self._refuse_shape(found)
        if shape[0] == 0:
            self._fail("has no samples: the batch is empty")
        return found.reshape(shape[0], *self._shape)

    def _check_whole(self, array: Array) -> None:
        """Labels and integers: whole numbers in range."""
        if array.dtype.kind == "f":
            if self.port.kind == "int" and self.port.missing:
                array = array[~np.isnan(array)]
            whole = array == np.floor(array)  # False for NaN
            if not whole.all():
                self._refuse_fraction(array, whole)
            infinite = np.isinf(array)
            if infinite.any():
                self._fail(f"expects whole numbers, found {array[infinite].flat[0]}")
        if array.size == 0:
            return
        low, high = self._range()
        least, most = array.min(), array.max()
        if least < low or most > high:
            wrong = least if least < low else most
            self._refuse_label(int(wrong), low, high)

    def _range(self) -> tuple[int, int]:
        if self.port.kind == "class" and self.port.classes is not None:
            return (-1 if self.port.missing else 0), self.port.classes - 1
        exact = EXACT[self.dtype.name]
        return -exact, exact

    # -- refusals ------------------------------------------------------------------------------

    def _fail(self, what: str, help: str = "") -> NoReturn:
        raise DataError(f"{self._label} {what}", help) from None

    def _refuse_shape(self, found: Array) -> NoReturn:
        help = ""
        if found.shape == self._shape:
            help = f"this is one sample; add the batch axis: `{self.port.name}[None]`"
        elif self.port.kind == "class" and found.shape[1:] == (*self._shape, self.port.classes):
            help = "one-hot rows? labels are numbers: pass `array.argmax(axis=-1)`"
        elif found.ndim > 0 and found[0].size == int(np.prod(self._shape)) and found.size:
            sizes = ", ".join(map(str, ("len(a)", *self._shape)))
            help = f"the numbers of elements agree: `a.reshape({sizes})`"
        self._fail(
            f"expects an array of shape {array_shape(self.port)}, "
            f"found shape {found.shape} of {found.dtype}",
            help,
        )

    def _refuse_fraction(self, array: Array, whole: Array) -> NoReturn:
        first = np.argwhere(~whole)[0]
        value = array[tuple(first)]
        wanted = "labels" if self.port.kind == "class" else "whole numbers"
        help = ""
        if isnan(value) and self.port.kind == "class":
            help = (
                "write -1 for an unknown label"
                if self.port.missing
                else f"declare `{self.port.name}` as `missing` and write -1 for an unknown label"
            )
        self._fail(f"expects {wanted}, found {value} {_place(first)}", help)

    def _refuse_label(self, value: int, low: int, high: int) -> NoReturn:
        help = ""
        if self.port.kind == "class":
            if value == -1:
                help = f"-1 stands for an unknown label only in `class[{high + 1}] missing`"
            elif value == high + 1:
                help = f"labels count from 0; `class[{high + 1}]` has {high + 1} of them"
            self._fail(f"expects labels from {low} to {high}, found {value}", help)
        self._fail(f"holds {value}, which {self.dtype} does not represent exactly")

    def _refuse_nan(self, array: Array) -> NoReturn:
        first = np.argwhere(np.isnan(array))[0]
        self._fail(
            f"has a NaN {_place(first)}",
            f"remove such samples, or declare `{self.port.name}` as `missing`",
        )


def _place(index: Array) -> str:
    """Where an element is: `in sample 3, element [0, 5]`."""
    sample, *rest = (int(i) for i in index)
    return f"in sample {sample}" + (f", element {rest}" if rest else "")


def address(array: Array) -> int:
    """The address of the first element of a C-contiguous array."""
    try:
        return addressof(_FIRST_BYTE(array))  # a third of the time of `array.ctypes`
    except TypeError:  # a read-only array
        return int(array.ctypes.data)


def _is_masked(value: object) -> bool:
    """Whether an array has masked elements; there is none before its module is loaded."""
    loaded = "numpy.ma" in sys.modules
    return loaded and isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def single(outputs: dict[str, Array]) -> Array | dict[str, Array]:
    """The one output, or all of several."""
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs
