"""Shape patterns in headers: `[n]`, `[c, h, w]`, `[.., n]` check a value and bind sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.name_mistakes import NotSupported
from netc.compiler.elaborate.scope import Bound
from netc.compiler.elaborate.shape_mistakes import PatternMismatch
from netc.compiler.elaborate.values import Operand, is_number, show_shape
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.scope import Scope


def match_pattern(
    parameter: tree.Parameter, operand: Operand, inner: Scope, callee: str
) -> Operand:
    """The operand as a tensor that fits the parameter's pattern; binds the pattern's sizes."""
    pattern = parameter.shape
    assert pattern is not None
    value = tensor(operand, inner, f"`{parameter.name.name}` of `{callee}`")
    shape = value.shape
    rests = [i for i, axis in enumerate(pattern.axes) if isinstance(axis, tree.Rest)]
    if len(rests) > 1:
        raise Failure(NotSupported(span=operand.span, what=f"`{pattern.span.text}`, twice `..`,"))
    fixed = len(pattern.axes) - len(rests)
    if len(shape) < fixed or (len(shape) > fixed and not rests):
        raise Failure(_mismatch(parameter, operand, shape, callee))
    after = len(pattern.axes) - rests[0] - 1 if rests else 0
    sizes = [*shape[: fixed - after], *shape[len(shape) - after :]]
    axes = [axis for axis in pattern.axes if not isinstance(axis, tree.Rest)]
    for axis, size in zip(axes, sizes, strict=True):
        if not _fits(axis, size, inner):
            raise Failure(_mismatch(parameter, operand, shape, callee, inner))
    return Operand(value, operand.span, operand.declared)


def _fits(axis: tree.Expr, size: int, inner: Scope) -> bool:
    """Whether an axis has the size its pattern asks for; a new bare name takes any."""
    if isinstance(axis, tree.Name) and axis.name not in inner.values:
        inner.values[axis.name] = Bound(size, axis.span)
        return True
    expected = known.known(Operand(inner.evaluate(axis), axis.span), "a size")
    return is_number(expected) and expected == size


def _mismatch(
    parameter: tree.Parameter,
    operand: Operand,
    shape: tuple[int, ...],
    callee: str,
    inner: Scope | None = None,
) -> PatternMismatch:
    pattern = parameter.shape
    assert pattern is not None
    expected = f"`{pattern.span.text}`"
    if inner is not None:
        expected += f" with {_sizes(pattern, inner)}"
    elif len(pattern.axes) < 2 and not any(isinstance(a, tree.Rest) for a in pattern.axes):
        expected = "a vector" if pattern.axes else "a scalar"
    flat = expected == "a vector" and len(shape) > 1
    declared = operand.declared
    role = f"input `{parameter.name.name if declared is None else declared.text}`"
    return PatternMismatch(
        span=operand.span,
        related=known.declared(operand),
        callee=callee,
        expected=expected,
        found=show_shape(shape),
        role=role,
        hint="put `flatten` before it" if flat else "",
    )


def _sizes(pattern: tree.Shape, inner: Scope) -> str:
    """The sizes bound so far, as `n = 3`."""
    names = [axis.name for axis in pattern.axes if isinstance(axis, tree.Name)]
    bound = [(name, inner.values[name].value) for name in names if name in inner.values]
    return ", ".join(f"{name} = {value}" for name, value in bound) or "other sizes"
