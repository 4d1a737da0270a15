"""Dataclasses of plain values as JSON values, and back.

Invariant: `restored(type(x), json(plain(x))) == x` for dataclasses whose fields are numbers, texts,
None, tuples and such dataclasses.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from itertools import repeat
from types import NoneType, UnionType
from typing import TYPE_CHECKING, TypeVar, Union, cast, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

T = TypeVar("T")


def plain(value: object) -> object:
    """The value as JSON has it."""
    if is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def restored(kind: type[T], value: object) -> T:
    """The value of a dataclass again; raises ValueError or TypeError for one of another form."""
    return cast("T", _restored(kind, value))


def _restored(kind: object, value: object) -> object:
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(*_items(_kinds(kind), value))
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        variable = parts[1:] == (...,)
        return tuple(_items(repeat(parts[0]) if variable else parts, value, exactly=not variable))
    if get_origin(kind) in (Union, UnionType):
        some = next(part for part in parts if part is not NoneType)
        return None if value is None else _restored(some, value)
    return value


def _items(kinds: Iterable[object], value: object, *, exactly: bool = True) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return [_restored(kind, item) for kind, item in zip(kinds, value, strict=exactly)]


@cache
def _kinds(kind: type[DataclassInstance]) -> tuple[object, ...]:
    hints = get_type_hints(kind)
    return tuple(hints[field.name] for field in fields(kind))
