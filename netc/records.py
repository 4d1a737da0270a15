"""Records: frozen dataclasses with slots that take a quarter of the time to make.

Invariant: a record does what `@dataclass(frozen=True, slots=True)` does; `fields`, `replace`,
`is_dataclass` and `match` know it. The standard library compiles one function after the other for
each class; here they are one text, and those that are not in a hurry are shared. Loading the
compiler makes two hundred of these classes.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _typeshed import DataclassInstance

T = TypeVar("T")

_COMPARISON: Final = """
def __eq__(self, other):
    if other.__class__ is self.__class__:
        return ({mine}) == ({others})
    return NotImplemented

def __hash__(self):
    return hash(({mine}))
"""


@overload
def record(cls: type[T]) -> type[T]: ...
@overload
def record(*, eq: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[Any] | None = None, *, eq: bool = True) -> Any:
    """Makes a class of annotated fields a record; without `eq` it is equal to itself only.

    What the class itself defines (`__eq__`, `__repr__`, …) stays; `__post_init__` runs last.
    """
    if cls is None:
        return lambda found: _made(found, eq)
    return _made(cls, eq)


def _made(cls: type[Any], eq: bool) -> type[Any]:
    own = vars(cls).keys()
    made: type[Any] = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in {**_SHARED, **_compiled(made, eq)}.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _compiled(made: type[Any], eq: bool) -> dict[str, Any]:
    """The functions that depend on the fields, all from one text."""
    known: dict[str, Any] = {"missing": MISSING}
    text = _initializer(made, fields(made), known)
    names = [f.name for f in fields(made)]
    if eq:
        mine, others = ("".join(f"{owner}.{n}, " for n in names) for owner in ("self", "other"))
        text += _COMPARISON.format(mine=mine, others=others)
    exec(text, known)
    compiled: dict[str, Any] = {
        name: known[name] for name in ("__init__", "__eq__", "__hash__") if name in known
    }
    for name, function in compiled.items():
        function.__qualname__ = f"{made.__qualname__}.{name}"
    return compiled


def _initializer(made: type[Any], found: Sequence[Field[Any]], known: dict[str, Any]) -> str:
    """The text of `__init__`, which writes through the slots: nothing else can."""
    parameters, body = ["self"], []
    for place, one in enumerate(found):
        name = given = one.name
        known[f"set{place}"] = getattr(made, name).__set__
        if one.default is not MISSING:
            known[f"default{place}"] = one.default
            parameters.append(f"{name}=default{place}")
        elif one.default_factory is not MISSING:
            known[f"default{place}"] = one.default_factory
            parameters.append(f"{name}=missing")
            given = f"default{place}() if {name} is missing else {name}"
        else:
            parameters.append(name)
        body.append(f"    set{place}(self, {given})")
    if hasattr(made, "__post_init__"):
        body.append("    self.__post_init__()")
    return "\n".join([f"def __init__({', '.join(parameters)}):", *(body or ["    pass"])])


def _repr(self: DataclassInstance) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _reduce(self: DataclassInstance) -> tuple[object, ...]:
    """For copies and pickles."""
    return type(self), tuple(getattr(self, f.name) for f in fields(self))


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"{type(self).__qualname__}.{name} does not change")


_SHARED: Final = {
    "__repr__": _repr,
    "__reduce__": _reduce,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
