"""Matrix products: `@` with NumPy's meaning on the shapes of one sample, and `einsum`."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.build import contract, reshape
from netc.compiler.elaborate.shape_mistakes import ProductMismatch, RankMismatch
from netc.compiler.elaborate.values import Tensor, show_shape
from netc.compiler.ops.movement import transpose
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Operand
    from netc.grammar.source import Span


def matmul(left: Operand, right: Operand, scope: Scope, span: Span) -> Tensor:
    """`a @ b`: the last axis of a meets the second last (or only) axis of b."""
    a = tensor(left, scope, "the left operand of `@`").node
    b = tensor(right, scope, "the right operand of `@`").node
    shape_a, shape_b = a.type.shape, b.type.shape

    def refuse(reason: str, hint: str = "") -> Failure:
        return Failure(
            ProductMismatch(
                span=span,
                related=(*known.declared(left), *known.declared(right)),
                left=show_shape(shape_a),
                right=show_shape(shape_b),
                reason=reason,
                hint=hint,
            )
        )

    if not shape_a or not shape_b:
        raise refuse("both operands need at least one axis", "`*` multiplies by a scalar")
    inner = shape_b[-2] if len(shape_b) > 1 else shape_b[0]
    if shape_a[-1] != inner:
        raise refuse(f"{shape_a[-1]} columns meet {inner} rows")
    spec = _matmul_letters(shape_a, shape_b)
    if spec is None:
        raise refuse("the leading axes do not broadcast")
    (a_letters, a_shape), (b_letters, b_shape), (out_letters, out_shape) = spec
    product = contract(
        f"{a_letters},{b_letters}->{out_letters}", reshape(a, a_shape), reshape(b, b_shape)
    )
    return Tensor(reshape(product, out_shape))


Labelled = tuple[str, tuple[int, ...]]


def _matmul_letters(
    a: tuple[int, ...], b: tuple[int, ...]
) -> tuple[Labelled, Labelled, Labelled] | None:
    """Letters and shapes of both operands and the result; leading size-1 axes are dropped."""
    batch_a, batch_b = a[:-2], b[:-2]
    rank = max(len(batch_a), len(batch_b))
    padded_a = (1,) * (rank - len(batch_a)) + batch_a
    padded_b = (1,) * (rank - len(batch_b)) + batch_b
    letters = ascii_lowercase[:rank]
    first, second, out = "", "", ""
    for letter, m, n in zip(letters, padded_a, padded_b, strict=True):
        if m != n and 1 not in (m, n):
            return None
        first += letter if m > 1 else ""
        second += letter if n > 1 else ""
        out += letter if max(m, n) > 1 else ""
    rows, columns = "x" if len(a) > 1 else "", "z" if len(b) > 1 else ""
    shape_a = (*(n for n in padded_a if n > 1), *a[-2:])
    shape_b = (*(n for n in padded_b if n > 1), *b[-2:])
    leading = tuple(map(max, padded_a, padded_b))
    shape = (*leading, *(a[-2:-1] if rows else ()), *(b[-1:] if columns else ()))
    return (
        (f"{first}{rows}y", shape_a),
        (f"{second}y{columns}", shape_b),
        (f"{out}{rows}{columns}", shape),
    )


def flipped(operand: Operand, scope: Scope) -> Tensor:
    """`a'`: the last two axes exchanged."""
    x = tensor(operand, scope, "the operand of `'`").node
    rank = x.type.rank
    if rank < 2:
        raise Failure(
            RankMismatch(
                span=operand.span,
                related=known.declared(operand),
                operation="'",
                expected="at least two axes",
                found=show_shape(x.type.shape),
            )
        )
    return Tensor(transpose(x, (*range(rank - 2), rank - 1, rank - 2)))
