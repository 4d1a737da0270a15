"""f32 functions over all exponents and signs, against float64: accuracy, special values, bits."""

import math

import numpy as np
import pytest

from netc.compiler.backend.target import host_target

STEP = 1499
LEAST = 2.0**-126

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def over(function):
    return lambda x: np.frompyfunc(function, 1, 1)(x).astype(np.float64)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def erf(x):
    """Equal to x times a constant below 1e-6; the library function only where it is needed."""
    result = np.copysign(1.0, x) + 0 * x
    middle = np.abs(x) < 6
    result[middle] = over(math.erf)(x[middle])
    return result


REFERENCES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "abs": np.abs,
    "neg": np.negative,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "isnan": np.isnan,
    "not": np.logical_not,
}
LIMITS = {"sin": 2.0**20, "cos": 2.0**20}


def patterns(step=STEP):
    bits = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    return bits[: bits.size // 16 * 16].view(np.float32)


@pytest.mark.parametrize("name", REFERENCES)
def test_within_two_ulp_over_all_exponents(name, run, ulps, chosen):
    x = patterns()
    x = np.where(np.abs(x) > LIMITS.get(name, np.inf), x.dtype.type(1), x)
    exact = REFERENCES[name](x.astype(np.float64)).astype(np.float64)
    expected = exact.astype(np.float32)
    found = run(name, x, target=chosen)
    regular = np.isfinite(expected) & (np.abs(exact) >= LEAST)
    distance = ulps(found[regular], exact[regular])
    worst = distance.argmax()
    print(f"{name:8} {chosen.name:8} {distance[worst]:.2f} ulp at {x[regular][worst]!r}")
    assert distance[worst] <= 2.0
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    small = np.abs(exact) < LEAST
    assert np.all(np.abs(found[small]) <= np.float32(LEAST) * 1.001)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("tanh", 0.2, 0.215),
        ("tanh", 0.0310, 0.0315),
        ("expm1", 0.38, 0.41),
        ("log1p", 0.33, 0.36),
        ("sigmoid", 16.6, 16.75),
        ("erf", 0.88, 0.91),
    ],
)
def test_every_float_where_the_error_is_largest(name, low, high, run, ulps, chosen):
    first, last = np.array([low, high], np.float32).view(np.uint32)
    x = np.arange(first, last // 16 * 16 + first % 16, dtype=np.uint32).view(np.float32)
    x = -x if name == "sigmoid" else x
    exact = REFERENCES[name](x.astype(np.float64))
    assert ulps(run(name, x, target=chosen), exact).max() <= 2.0


@pytest.mark.parametrize("exponent", [-126, -78, -76, 0, 126])
@pytest.mark.parametrize("flush", [False, True])
def test_root_of_every_mantissa_is_rounded_correctly(exponent, flush, run, chosen):
    """Two exponents: an even and an odd one."""
    first = (exponent + 127) << 23
    x = np.arange(first, first + (1 << 24), dtype=np.uint32).view(np.float32)
    assert np.array_equal(run("sqrt", x, target=chosen, flush=flush), np.sqrt(x))


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "exp": [(-np.inf, 0), (np.inf, np.inf), (0, 1), (-0.0, 1), (1000, np.inf), (-1000, 0)],
        "expm1": [(-np.inf, -1), (np.inf, np.inf), (0, 0.0), (-0.0, -0.0)],
        "log": [(0, -np.inf), (-0.0, -np.inf), (-1, np.nan), (np.inf, np.inf), (1, 0.0)],
        "log1p": [(-1, -np.inf), (-2, np.nan), (np.inf, np.inf), (0, 0.0), (-0.0, -0.0)],
        "tanh": [(-np.inf, -1), (np.inf, 1), (0, 0.0), (-0.0, -0.0), (30, 1)],
        "sigmoid": [(-np.inf, 0), (np.inf, 1), (0, 0.5), (-1000, 0), (1000, 1)],
        "erf": [(-np.inf, -1), (np.inf, 1), (0, 0.0), (-0.0, -0.0)],
        "erfinv": [(-1, -np.inf), (1, np.inf), (0, 0.0), (-0.0, -0.0), (1.5, np.nan)],
        "sin": [(np.inf, np.nan), (-np.inf, np.nan), (0, 0.0), (-0.0, -0.0)],
        "cos": [(np.inf, np.nan), (-np.inf, np.nan), (0, 1), (-0.0, 1)],
        "sign": [(0, 0.0), (-0.0, 0.0), (np.inf, 1), (-3, -1)],
        "round": [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, -0.0), (2.0**23 + 1, 2.0**23 + 1)],
        "sqrt": [(-1, np.nan), (0, 0.0), (np.inf, np.inf)],
        "rsqrt": [(-1, np.nan), (0, np.inf), (np.inf, 0)],
    }.items(),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("flush", [False, True])
def test_special_values(name, values, dtype, flush, run, chosen):
    x, expected = np.zeros(16, dtype), np.zeros(16, dtype)
    pairs = [*values, (np.nan, np.nan)]
    x[: len(pairs)] = [a for a, _ in pairs]
    expected[: len(pairs)] = [b for _, b in pairs]
    found = run(name, x, target=chosen, flush=flush)[: len(pairs)]
    expected = expected[: len(pairs)]
    assert np.array_equal(found, expected, equal_nan=True)
    zero = expected == 0
    assert np.array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize(("name", "one"), [("tanh", 9.02), ("erf", 3.93)])
def test_odd_functions_are_bounded_and_their_intervals_meet(name, one, run, ulps, chosen):
    """At and around all multiples of 1/32, where intervals end, and where the result is 1."""
    ends = np.float32([*np.arange(0, 8.5, 1 / 32), one, 9.5, 30])
    bits = ends.view(np.uint32)[:, None] + np.arange(-32, 32)
    x = bits.astype(np.uint32).view(np.float32).ravel()
    x = x[(x > LEAST) & np.isfinite(x)]
    x = x[: x.size // 16 * 16]
    found = run(name, x, target=chosen)
    assert ulps(found, REFERENCES[name](x.astype(np.float64))).max() <= 2.0
    assert found.max() == 1.0
    assert np.array_equal(run(name, -x, target=chosen), -found)


def test_large_arguments_of_waves_stay_bounded(run, chosen):
    x = patterns(9973)
    for name in ("sin", "cos"):
        found = run(name, x, target=chosen)
        assert np.all(np.abs(found[np.isfinite(x)]) <= 1)


def test_erfinv_against_newton(run, ulps, chosen):
    """The reference solves erf(y) = x (near the ends erfc(y) = 1 - |x|, which is exact)."""
    bits = np.linspace(0, 0x3F7FFFFF, 1 << 17).astype(np.uint32)
    x = bits.view(np.float32)
    x = np.where(x < LEAST, np.float32(0.25), x)
    found = run("erfinv", x, target=chosen)
    exact, y = x.astype(np.float64), found.astype(np.float64)
    tail = exact > 0.5
    for _ in range(2):
        error = np.empty_like(y)
        error[~tail] = over(math.erf)(y[~tail]) - exact[~tail]
        error[tail] = (1 - exact[tail]) - over(math.erfc)(y[tail])
        y = y - error * (np.sqrt(np.pi) / 2) * np.exp(y * y)
    distance = ulps(found, y)
    print(f"erfinv   {chosen.name:8} {distance.max():.2f} ulp at {x[distance.argmax()]!r}")
    assert distance.max() <= 2.0
    assert np.array_equal(run("erfinv", -x, target=chosen), -found)


def test_power(run, ulps, chosen):
    random = np.random.default_rng(0)
    x = np.exp(random.uniform(-100, 88, 1 << 20)).astype(np.float32)
    x[: 1 << 18] = random.uniform(0.5, 2, 1 << 18)
    x[-(1 << 16) :] = 1 + random.normal(size=1 << 16) * 1e-4
    y = random.uniform(-100, 100, x.size).astype(np.float32)
    y[-(1 << 16) :] *= 1e3
    exact = np.power(x.astype(np.float64), y.astype(np.float64))
    found = run("pow", x, y, target=chosen)
    regular = (exact >= LEAST) & np.isfinite(exact.astype(np.float32))
    distance = ulps(found[regular], exact[regular])
    print(f"pow      {chosen.name:8} {distance.max():.2f} ulp")
    assert distance.max() <= 4.0
    assert np.all(np.isinf(found[np.isinf(exact.astype(np.float32))]))
    assert np.all(found[exact < LEAST] <= np.float32(LEAST) * 1.001)


@pytest.mark.parametrize("name", [*REFERENCES, "erfinv", "pow"])
def test_any_nan_of_a_double_stays_nan(name, run, chosen):
    """Payload bits must not pass for an exponent."""
    bits = np.arange(1, 17, dtype=np.uint64) * np.uint64(0xFFFFFFFFFFFF)
    x = (np.uint64(0x7FF8000000000000) | (bits >> np.uint64(1))).view(np.float64)
    operands = (x, np.full(16, 2.0)) if name == "pow" else (x,)
    found = run(name, *operands, target=chosen)
    expected = {"isnan": 1.0, "not": 0.0}.get(name, np.nan)
    assert np.array_equal(found, np.full(16, expected), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_power_at_special_values(dtype, run, chosen):
    numbers = [0, 0.5, 1, 1.5, 2, 3, 1e30, 7, 1 + 2**-20, np.inf]
    numbers = np.array([*numbers, *(-n for n in numbers), np.nan], dtype)
    x, y = (a.ravel() for a in np.meshgrid(numbers, numbers))
    x, y = x[: x.size // 16 * 16], y[: y.size // 16 * 16]
    expected, found = (
        np.where(np.abs(v) < np.finfo(dtype).tiny, np.copysign(dtype(0), v), v)
        for v in (np.power(x, y), run("pow", x, y, target=chosen))
    )
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
    regular = ~np.isnan(expected)
    assert np.array_equal(np.signbit(found[regular]), np.signbit(expected[regular]))


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "absorb": lambda g, d: np.where(g == 0, 0, g * d),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_operands_exactly(name, dtype, run, chosen):
    random = np.random.default_rng(1)
    special = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2.5], dtype)
    a, b = (v.ravel() for v in np.meshgrid(special, special))
    a = np.concatenate([a, random.normal(size=4096).astype(dtype)])
    b = np.concatenate([b, random.normal(size=4096).astype(dtype)])
    expected = BINARY[name](a, b).astype(dtype)
    assert np.array_equal(run(name, a, b, target=chosen), expected, equal_nan=True)


def test_where_takes_the_branch_of_the_condition(run, chosen):
    condition = np.array([0, 1, np.nan, -0.0] * 4, np.float32)
    a, b = np.arange(16, dtype=np.float32), -np.arange(16, dtype=np.float32)
    found = run("where", condition, a, b, target=chosen)
    assert np.array_equal(found, np.where(condition != 0, a, b))


@pytest.mark.parametrize("name", [*REFERENCES, "erfinv"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scalars_and_vectors_have_the_same_bits(name, dtype, run, chosen):
    random = np.random.default_rng(2)
    x = np.concatenate([patterns(1000003)[:4096], random.normal(size=4096)]).astype(dtype)
    wide = run(name, x, target=chosen)
    for lanes in (1, 2, 4, 8, 16):
        narrow = run(name, x, target=chosen, lanes=lanes)
        assert np.array_equal(narrow, wide, equal_nan=True)
        number = ~np.isnan(wide)
        assert np.array_equal(np.signbit(narrow[number]), np.signbit(wide[number]))


def test_flushing_denormals_changes_only_denormals(run):
    x = patterns(99991)
    x = x[: x.size // 16 * 16]
    for name in ("exp", "tanh", "sigmoid", "log", "erf", "sin"):
        plain = run(name, x, target=host_target())
        flushed = run(name, x, target=host_target(), flush=True)
        normal = (np.abs(x) >= LEAST) & (np.abs(plain) >= LEAST)
        assert np.array_equal(plain[normal], flushed[normal], equal_nan=True)
