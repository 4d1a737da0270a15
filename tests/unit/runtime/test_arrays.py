"""Every kind of array a caller may pass: the same numbers, or a DataError that says why not."""

import numpy as np
import pytest

from netc.compiler.program import PortSpec
from netc.runtime.arrays import Converter, address
from netc.runtime.errors import DataError

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def real(*shape, missing=False):
    return Converter(PortSpec("x", shape, missing=missing), "input", F32)


def label(classes=3, shape=(), missing=False):
    port = PortSpec("t", shape, "class", classes, missing)
    return Converter(port, "target", F32)


def test_matching_array_is_passed_on_without_a_copy():
    x = np.ones((5, 4), np.float32)
    assert real(4)(x) is x


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.uint8),
        lambda a: a.astype(np.int64),
        lambda a: a.astype(np.float16),
        lambda a: a.astype(">f4"),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1][::-1],
        lambda a: a.tolist(),
        lambda a: (
            np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape)
        ),
    ],
)
def test_other_types_and_strides_give_the_same_numbers(change):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = real(4)(change(x))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.flags.aligned
    np.testing.assert_array_equal(found, x)


def test_bool_counts_as_zero_and_one():
    np.testing.assert_array_equal(real(2)(np.array([[True, False]])), [[1, 0]])


def test_one_number_for_each_sample_may_leave_out_its_axis():
    assert real(1)(np.arange(3.0)).shape == (3, 1)
    assert label()(np.array([[0], [2]])).shape == (2,)


def refusal(converter, value):
    with pytest.raises(DataError) as caught:
        converter(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones((3, 5)), ["`x`", "(B, 4)", "(3, 5)", "float64"]),
        (np.ones(4), ["(4,)", "x[None]"]),
        (np.ones((3, 2, 2)), ["(3, 2, 2)", "reshape"]),
        (np.float32(1), ["shape ()"]),
        (np.ones((0, 4)), ["empty"]),
        (np.ones((3, 4), complex), ["complex"]),
        (np.array([["a"] * 4]), ["text"]),
        (np.array([[None] * 4]), ["objects"]),
        (np.array([["2020-01-01"] * 4], "M8[D]"), ["dates"]),
        ([[1, 2], [3]], ["cannot be read as an array"]),
        (None, ["objects"]),
        (np.full((3, 4), 1e300), ["too large", "f64"]),
        (np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]]), ["NaN", "sample 1", "[2]", "missing"]),
        (np.array([[0, 0, np.nan, 0]], np.float32), ["NaN", "sample 0"]),
        (np.ma.array(np.ones((2, 4)), mask=np.eye(2, 4, dtype=bool)), ["masked"]),
    ],
)
def test_refused_inputs_say_what_was_expected_and_found(value, words):
    text = refusal(real(4), value)
    assert all(w in text for w in words), text


def test_infinity_is_a_number():
    assert np.isinf(real(1)(np.array([[np.inf]]))).all()


def test_missing_input_accepts_nan():
    assert np.isnan(real(1, missing=True)(np.array([[np.nan]]))).all()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([0, 1, 2.5], ["`t`", "labels", "2.5", "sample 2"]),
        ([0, 3], ["from 0 to 2", "found 3", "count from 0"]),
        ([0, -1], ["found -1", "missing"]),
        ([0.0, np.nan], ["nan", "missing"]),
        ([0, np.inf], ["inf"]),
        (np.array([0, 255], np.uint8), ["found 255"]),
        (np.eye(3), ["one-hot", "argmax"]),
        (np.zeros((4, 2)), ["(4, 2)"]),
    ],
)
def test_refused_labels(value, words):
    text = refusal(label(), value)
    assert all(w in text for w in words), text


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, np.float32, bool])
def test_labels_of_any_type(dtype):
    np.testing.assert_array_equal(label(2)(np.array([0, 1, 1]).astype(dtype)), [0, 1, 1])


@pytest.mark.parametrize("change", [lambda a: a, lambda a: a[::2], lambda a: a[::-1]])
def test_labels_of_the_usual_type_take_a_short_way(change, monkeypatch):
    monkeypatch.delattr(Converter, "_converted")
    given = change(np.array([4, 0, 1, 1, 3, 2]))
    found = label(5)(given)
    assert (found.dtype, found.flags.c_contiguous) == (F32, True)
    np.testing.assert_array_equal(found, given)
    pairs = np.arange(12).reshape(3, 4)[:, ::2] % 5
    np.testing.assert_array_equal(label(5, (2,))(pairs), pairs)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([0, 2, 3, 1]), "from 0 to 2, found 3"),
        (np.array([0, -1]), "found -1"),
        (np.array([-(2**63), 0]), f"found -{2**63}"),
        (np.array([2**63 - 1]), f"found {2**63 - 1}"),
        (np.array([2**63 + 1], np.uint64), f"found {2**63 + 1}"),
        (np.array([], np.int64), "the batch is empty"),
        (np.array(1), "shape ()"),
        (np.array(1.0, np.float32), "shape ()"),
        (np.array([[0, 1]]), "(1, 2)"),
    ],
)
def test_the_short_way_refuses_what_the_long_one_does(value, words):
    assert words in refusal(label(), value)
    if value.size and value.ndim == 1:
        assert refusal(label(), value) == refusal(label(), value.tolist())


@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_nan_is_found_anywhere(size, dtype):
    values = np.random.default_rng(size).normal(size=(size, 1)).astype(dtype)
    values[0] = np.inf
    converter = Converter(PortSpec("x", (1,)), "input", dtype)
    assert converter(values) is values
    for place in {0, size // 2, size - 1}:
        wrong = values.copy()
        wrong[place] = np.nan
        assert f"NaN in sample {place}" in refusal(converter, wrong)


def test_missing_label_is_minus_one():
    assert label(missing=True)([-1, 2])[0] == -1
    assert "-1" in refusal(label(missing=True), [0.0, np.nan])
    assert "found -2" in refusal(label(missing=True), [-2])


def test_float32_labels_are_checked_too():
    assert "found 3" in refusal(label(), np.array([3], np.float32))
    assert "0.5" in refusal(label(), np.array([0.5], np.float32))


def test_label_arrays():
    assert label(5, (2,))([[0, 4]]).shape == (1, 2)
    assert "one-hot" in refusal(label(5, (2,)), np.zeros((1, 2, 5)))


def test_integers_must_be_exact():
    whole = Converter(PortSpec("i", (), "int"), "input", F32)
    assert whole([2**24])[0] == 2**24
    assert "exactly" in refusal(whole, [2**24 + 1])
    assert "1.5" in refusal(whole, [1.5])
    double = Converter(PortSpec("i", (), "int"), "input", F64)
    assert double([2**24 + 1])[0] == 2**24 + 1


def test_address_of_read_only_arrays():
    x = np.arange(4.0)
    place = address(x)
    x.flags.writeable = False
    assert address(x) == place == x.ctypes.data
