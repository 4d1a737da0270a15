"""Functions that overwrite what they read: exchanges, shared results, chains through kernels."""

from __future__ import annotations

from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract, contract
from netc.compiler.ops.movement import pad, reshape, slice_, transpose
from netc.compiler.ops.reduce import BatchReduce, Reduce, broadcast, lift
from netc.compiler.ops.source import constant, source

p, q, r = (source("parameter", name, (5, 5), False, "f64") for name in "pqr")
u, v = (source("parameter", name, (7,), False, "f64") for name in "uv")
w = source("parameter", "w", (7, 6), False, "f64")
w2 = source("parameter", "w2", (7, 6), False, "f64")
long = source("parameter", "long", (4, 64), False, "f64")
number = source("parameter", "number", (), False, "f64")
x = source("input", "x", (7,), True, "f64")


def function(outputs: dict[str, Node] | None = None, **parameters: Node) -> Graph:
    """A function that assigns parameters; names with a colon are `space:name`."""
    found = [Output("parameter", n, node) for n, node in parameters.items()]
    for key, node in (outputs or {}).items():
        space, name = key.split(":")
        found.append(Output(space, name, node))
    return Graph("step", tuple(found))


def sum_all(node: Node) -> Node:
    return make(Reduce("sum", tuple(range(node.type.rank))), node)


def spread(node: Node, like: Node) -> Node:
    return broadcast(node, like.type.shape, ())


turned = transpose(q, (1, 0))
mixed = e.add(e.mul(p, 0.5), q)
share = sum_all(e.mul(mixed, mixed))
gradient = make(BatchReduce("sum"), make(e.Tanh(), e.add(lift(e.add(u, v)), x)))
most = make(BatchReduce("max"), x)
first, second = contract("k,kn->n", x, w), contract("k,kn->n", x, w2)
forward = make(e.Tanh(), first)
across = transpose(w, (1, 0))
weight_gradient = make(Contract("k,n->kn", sum_batch=True), x, forward)
after_product = make(e.Tanh(), transpose(make(Contract("ab,bc->ac"), r, r), (1, 0)))
padded = pad(p, (1, 1), (0, 0))

CASES = {
    "two values change places": function(p=q, q=p),
    "and a third reads both": function(p=q, q=p, r=e.add(q, p)),
    "three values rotate": function(p=q, q=r, r=p),
    "a value is turned": function(p=transpose(p, (1, 0))),
    "each reads the other turned": function(p=e.add(p, turned), q=e.add(q, transpose(p, (1, 0)))),
    "each reads the other": function(p=e.add(p, q), q=e.sub(q, p)),
    "each becomes the other, changed": function(p=e.add(q, 1.0), q=e.mul(p, 2.0)),
    "each reads the other, a third turns one": function(
        r=e.add(r, turned), p=e.add(p, q), q=e.sub(q, p)
    ),
    "a sum of the new value decides": function(p=mixed, q=e.sub(q, e.mul(p, spread(share, q)))),
    "and the other way round": function(q=mixed, p=e.sub(p, e.mul(mixed, spread(share, p)))),
    "a result is what was there before": function(
        {"result:old": number}, number=e.add(number, 1.0)
    ),
    "an output is what was there before": function({"output:old": p}, p=e.add(p, 1.0)),
    "two values get the same sum": function(u=gradient, v=gradient),
    "two values move by the same sum": function(u=e.sub(u, gradient), v=e.sub(v, gradient)),
    "two values get the same reduction": function({"state:a": share, "state:b": share}, p=mixed),
    "two values get the same padded one": function(
        {"state:a": padded, "state:b": padded}, p=e.add(p, 1.0)
    ),
    "a largest sample is stored where another reads": function(v=most, u=e.add(u, v)),
    "one element scales a matrix": function(
        p=e.mul(p, spread(reshape(slice_(u, (2,), (3,)), ()), p)), u=e.mul(u, 2.0)
    ),
    "a product waits for a sum of another, and back": function(
        {
            "output:a": e.mul(first, spread(sum_all(second), first)),
            "output:b": e.mul(second, spread(sum_all(first), second)),
        }
    ),
    "two values get what follows a product": function(
        u=e.mul(u, 2.0), p=after_product, q=after_product
    ),
    "a weight moves by its own gradient": function(w=e.sub(w, e.mul(0.1, weight_gradient))),
    "a weight moves, another reads it": function(
        w=e.sub(w, weight_gradient), w2=e.add(w2, e.mul(w, weight_gradient))
    ),
    "a view of a product's operand is stored": function(
        {"output:y": contract("n,nk->k", first, across), "state:turned": across},
        w=e.sub(w, weight_gradient),
    ),
    "a slice ends with the memory": function(
        {"state:a": make(Reduce("sum", (1,)), slice_(long, (0, 61), (4, 64)))}, long=e.neg(long)
    ),
    "constants leave": function(
        {"result:c": constant(3.0, (), "f64"), "output:d": constant(2.0, (3,), "f64")}
    ),
}
