"""Records against the dataclasses that they stand for."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from netc.records import record


@record
class Point:
    """A place with a name."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, repr=False)


@record
class Named(Point):
    """A field more than its base."""

    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())


@record(eq=False)
class Self:
    """Equal to itself only."""

    x: int


@record
class Nothing:
    """No field at all."""


@dataclass(frozen=True, slots=True)
class Standard:
    x: int
    y: tuple[int, ...] = ()


@record
class Like:
    x: int
    y: tuple[int, ...] = ()


def test_fields_have_their_defaults_and_are_given_by_place_or_name() -> None:
    assert (Point(1).x, Point(1).y, Point(1).names) == (1, 2, [])
    assert (Point(1, 3).y, Point(x=1, y=4, names=["a"]).names) == (3, ["a"])
    assert Point(1).names is not Point(1).names
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_a_record_does_not_change_and_takes_no_other_names() -> None:
    point = Point(1)
    for name in ("x", "other"):
        with pytest.raises(FrozenInstanceError):
            setattr(point, name, 3)
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert point.x == 1
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize("made", [Standard, Like])
def test_comparison_and_hash_are_those_of_the_fields(made: Any) -> None:
    one, same, other = made(1, (2,)), made(1, (2,)), made(1, (3,))
    assert one == same
    assert hash(one) == hash(same) == hash((1, (2,)))
    assert one != other
    assert one != (1, (2,))
    assert made.__match_args__ == ("x", "y")


def test_another_class_is_never_equal() -> None:
    assert Standard(1) != Like(1)
    assert Point(1) != Named(1)
    assert Nothing() == Nothing()


def test_without_comparison_a_record_is_itself() -> None:
    one = Self(1)
    assert one == one  # noqa: PLR0124 - the comparison is what is tested
    assert one != Self(1)
    assert len({one, Self(1)}) == 2


def test_the_standard_library_knows_records() -> None:
    named = Named(1, name=" a ")
    assert is_dataclass(named)
    assert [f.name for f in fields(named)] == ["x", "y", "names", "name"]
    assert named.name == "a"
    assert replace(named, x=5, name="b ") == Named(5, name="b")
    match named:
        case Named(x, y, _, name):
            assert (x, y, name) == (1, 2, "a")


def test_text_shows_the_fields() -> None:
    assert repr(Point(1, names=["a"])) == "Point(x=1, y=2)"
    assert repr(Like(1)) == repr(Standard(1)).replace("Standard", "Like")


def test_copies_and_pickles_are_equal() -> None:
    point = Point(1, 3, ["a"])
    for again in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert again == point
    assert copy.deepcopy(point).names is not point.names


def test_what_a_class_defines_itself_stays() -> None:
    @record
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == 3
    assert (hash(Own(1)), repr(Own(1))) == (7, "own")
