"""Definitions, chains, instances and names: what a net's text stands for."""

import numpy as np
import pytest

from netc.compiler.elaborate import elaborate
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.source import Random
from netc.grammar.diagnostics import CompileError
from netc.grammar.parser import parse
from netc.grammar.source import Source
from tests.prelude.harness import model, net


def names(body, before=""):
    return [p.name for p in model(f"{before} net T {{ input x: [4] {body} }}").parameters]


def shapes(body, before=""):
    found = model(f"{before} net T {{ input x: [4] {body} }}")
    return {p.name: p.shape for p in found.parameters}


def test_names_follow_bindings_and_count_uses():
    assert names("h = x |> dense(3) |> relu |> dense(2) output y = h |> dense(1)") == [
        "h.dense.W",
        "h.dense.b",
        "h.dense_2.W",
        "h.dense_2.b",
        "y.dense.W",
        "y.dense.b",
    ]


def test_names_are_stable_under_appending():
    short = names("h = x |> dense(3) |> dense(2)")
    assert names("h = x |> dense(3) |> dense(2) |> dense(5) z = h |> dense(1)")[:4] == short


def test_layers_in_layers_nest():
    body = "h = x |> residual(dense(4, act=prelu) |> dense(4, bias=false)) |> dense(4, act=prelu)"
    assert names(body) == [
        "h.residual.dense.W",
        "h.residual.dense.b",
        "h.residual.dense.prelu.alpha",
        "h.residual.dense_2.W",
        "h.dense.W",
        "h.dense.b",
        "h.dense.prelu.alpha",
    ]


def test_bindings_inside_a_layer_do_not_enter_the_name():
    twice = "layer twice(x) { a = x |> dense(2)  b = a |> dense(2)  return b }"
    assert names("h = x |> twice", twice) == [
        "h.twice.dense.W",
        "h.twice.dense.b",
        "h.twice.dense_2.W",
        "h.twice.dense_2.b",
    ]


def test_bare_parameters_and_statements_without_a_name():
    body = "param W: [4] loss x |> dense(1) |> sum loss x |> dense(1) |> sum"
    assert names(body) == ["W", "loss.dense.W", "loss.dense.b", "loss.dense_2.W", "loss.dense_2.b"]


def test_repeats_of_one_path_count_on():
    body = "h = x |> repeat(2, dense(4, bias=false)) |> relu |> repeat(1, dense(4, bias=false))"
    assert names(body) == ["h.repeat_1.dense.W", "h.repeat_2.dense.W", "h.repeat_3.dense.W"]


def test_repeat_with_an_index():
    found = shapes("h = x |> repeat(3, i -> dense(2 * i, bias=false) |> relu)")
    assert list(found.values()) == [(4, 2), (2, 4), (4, 6)]


def test_an_instance_shares_its_parameters():
    body = "layer enc = dense(3) |> tanh |> dense(2) a = enc(x) b = (2 * x) |> enc output y = a - b"
    assert names(body) == ["enc.dense.W", "enc.dense.b", "enc.dense_2.W", "enc.dense_2.b"]
    same = "layer enc = dense(3) |> tanh a = enc(x) b = x |> enc output y = a - b"
    unit = net(f"net T {{ input x: [4] {same} }}")
    np.testing.assert_array_equal(unit.output("y", x=np.ones((2, 4))), np.zeros((2, 3)))


def test_an_instance_may_be_passed_on():
    body = "layer enc = dense(4) a = x |> residual(enc) b = x |> residual(enc)"
    assert names(body) == ["enc.dense.W", "enc.dense.b"]


def test_a_parameter_of_an_instance_can_be_reached():
    unit = net(
        "net T { input x: [4] layer enc = dense(3, bias=false) "
        "code = enc(x) output y = code @ enc.dense.W' }"
    )
    x, weights = np.random.default_rng(0).normal(size=(2, 4)), unit.parameters["enc.dense.W"]
    np.testing.assert_allclose(unit.output("y", x=x), x @ weights @ weights.T, rtol=1e-12)


def test_arguments_by_name_and_default():
    before = "fn f(x, a = 2, b = a * 10) = x * 0 + a + b"
    for call, expected in [("f(x)", 22), ("f(x, 3)", 33), ("f(b=1, x=x)", 3), ("x |> f(b=5)", 7)]:
        unit = net(f"{before} net T {{ input x: [] output y = {call} }}")
        assert unit.output("y", x=np.zeros(1)) == [expected]


def test_functions_as_arguments():
    before = "fn both(x, f: fn, g: layer) = f(x, 2) + g(x) fn times(a, b) = a * b"
    unit = net(f"{before} net T {{ input x: [] output y = both(x, times, exp |> (z -> z + 1)) }}")
    np.testing.assert_allclose(unit.output("y", x=np.ones(1)), [2 + np.e + 1])


def test_later_bindings_replace_earlier_ones_in_a_function():
    unit = net(
        "fn f(x) { y = x y = y + 1 y = 2 * y return y } net T { input x: [] output z = f(x) }"
    )
    assert unit.output("z", x=np.ones(1)) == [4]


def test_patterns_bind_sizes():
    before = (
        "fn f(x: [c, .., n], y: [n]) = sum(x) * 0 + 100 * c + n "
        "fn g(x: [..]) = sum(x) fn h(x: [2 * 2, n]) = n"
    )
    unit = net(f"{before} net T {{ input x: [4, 5, 6] input y: [6] output a = f(x, y) + g(y) * 0"
               " output b = sum(x) * 0 + h(x[.., 0]) }")  # fmt: skip
    x, y = np.zeros((1, 4, 5, 6)), np.zeros((1, 6))
    assert unit.output("a", x=x, y=y) == [406]
    assert unit.output("b", x=x, y=y) == [5]


def test_if_encloses_statements_and_opens_no_scope():
    text = (
        "const deep = {} net T {{ input x: [4] "
        "if deep {{ h = x |> dense(3) }} else {{ h = x }} output h }}"
    )
    assert [p.name for p in model(text.format("true")).parameters] == ["h.dense.W", "h.dense.b"]
    assert model(text.format("false")).parameters == ()


def test_initial_values():
    unit = net(
        "init small(c = 0.5) = c * uniform(1, 2) net T { input x: [3] param a: [3] = small "
        "param b: [3] = small(c=0) param c: [2, 3] = he_normal param d = 7 param e: [2] = [1, 2] "
        "h = x |> dense(2, init=constant(4)) "
        "k = x |> dense(2, init=if 2 > 1 then zeros else he_normal, bias=false) }"
    )
    assert ((unit.parameters["a"] >= 0.5) & (unit.parameters["a"] <= 1)).all()
    np.testing.assert_array_equal(unit.parameters["b"], 0)
    assert unit.parameters["c"].shape == (2, 3)
    assert unit.parameters["d"] == 7
    np.testing.assert_array_equal(unit.parameters["e"], [1, 2])
    np.testing.assert_array_equal(unit.parameters["h.dense.W"], np.full((3, 2), 4))
    np.testing.assert_array_equal(unit.parameters["h.dense.b"], 0)
    np.testing.assert_array_equal(unit.parameters["k.dense.W"], 0)


def draws(text):
    found = model(text)
    roots = [o.node for o in found.training.outputs]
    return sorted(n.op.path for n in toposort(roots) if isinstance(n.op, Random))


def test_equal_looking_draws_are_never_merged():
    text = (
        "net T { input x: [4] h = x |> dropout(0.5) |> dropout(0.5) y = x |> dropout(0.5) "
        "output z = h + y }"
    )
    assert draws(text) == ["h.dropout", "h.dropout_2", "y.dropout"]
    text = "net T { input x: [4] output y = x + normal(0, 1, [4]) + normal(0, 1, [4]) }"
    assert draws(text) == ["y", "y#2"]
    text = "net T { input x: [4] layer n = gaussian_noise(1) a = n(x) b = n(x) output y = a - b }"
    assert draws(text) == ["n.gaussian_noise", "n.gaussian_noise#2"]


def test_a_shared_draw_is_one_for_the_step():
    x = np.ones((6, 4))
    text = "net T {{ input x: [4] output y = x |> dropout(0.5, shared={}) }}"
    same = net(text.format("true"), training=True).output("y", x=x)
    assert (same == same[0]).all()
    each = net(text.format("false"), training=True).output("y", x=x)
    assert not (each == each[0]).all()
    np.testing.assert_array_equal(net(text.format("false")).output("y", x=x), x)


def test_bernoulli_and_normal_have_their_moments():
    x = np.zeros((20000, 1))
    text = (
        "net T { input x: [1] output b = bernoulli(0.3, [1]) + x output n = normal(1, 2, [1]) + x }"
    )
    unit = net(text)
    assert abs(unit.output("b", x=x).mean() - 0.3) < 0.01
    assert abs(unit.output("n", x=x).mean() - 1) < 0.05
    assert abs(unit.output("n", x=x).std() - 2) < 0.05


def test_states_move_in_training_only():
    text = (
        "net T { input x: [] state m = 1 m <- 0.5 * m + 0.5 * batch_mean(x) output y = x * 0 + m }"
    )
    found = model(text)
    assert [s.name for s in found.states] == ["m"]
    assert [s.name for s in found.training.next_states] == ["m"]
    assert found.inference.next_states == ()


def test_a_state_means_its_next_value_after_the_arrow():
    from netc.compiler.ir.interpret import evaluate
    from netc.compiler.ir.op import Environment

    text = "net T { input x: [] state m = 1 a = m * 1 m <- m + 2 output y = 10 * m + a + x }"
    found = model(text)
    values = {("state", "m"): np.float64(5), ("input", "x"): np.zeros(1)}
    outputs = [found.training.outputs[0].node, found.inference.outputs[0].node]
    training, inference = evaluate(outputs, Environment(values))
    assert training == [75]
    assert inference == [55]


def test_the_next_value_of_a_state_has_no_gradient():
    unit = net(
        "net T { input x: [] param w = 3 state m = 0 m <- batch_mean(w * x) loss m + 2 * w }",
        training=True,
    )
    slope = unit.gradient(unit.values.loss, "parameter", "w", x=np.ones(1))
    assert slope == 2


def test_groups():
    found = model(
        "net T { input x: [4] layer enc = dense(3) h = x |> enc |> dense(2) "
        "assert count(params) == 4 * 3 + 3 + 3 * 2 + 2  assert count(weights) == 18 "
        'assert count(params("enc.*")) == 15 assert count(params("*.b")) == 5 '
        "assert macs == 0 output h assert shape(h) == [2] }".replace("macs == 0", "macs == 18")
    )
    assert sum(np.prod(p.shape, dtype=int) for p in found.parameters) == 23


def test_a_group_counts_as_one_vector():
    unit = net(
        "net T { input x: [4] h = x |> dense(3) |> dense(2) output h penalty "
        "sum(weights^2) + 10 * max(weights) + 100 * sum(abs(weights - 1)) + logsumexp(weights) "
        "+ mean(weights) }"
    )
    both = np.concatenate([unit.parameters[n].ravel() for n in ("h.dense.W", "h.dense_2.W")])
    expected = (both**2).sum() + 10 * both.max() + 100 * np.abs(both - 1).sum()
    expected += np.log(np.exp(both).sum()) + both.mean()
    np.testing.assert_allclose(unit.penalty(), expected, rtol=1e-12)


def test_losses_and_penalties_add_up():
    unit = net(
        "net T { input x: [2] param w: [3] = 2 loss sum(x) loss x[0] loss 1 "
        "penalty sum(w) penalty 0.5 }"
    )
    np.testing.assert_allclose(unit.loss(x=np.array([[1.0, 2], [3, 4]])), [5, 11])
    assert unit.penalty() == 6.5


def test_ports():
    found = model("net T { input a: [2, 3] missing input k: int[2] target t: class[5] output a }")
    a, k = found.inputs
    assert (a.name, a.shape, a.kind, a.missing) == ("a", (2, 3), "real", True)
    assert (k.kind, k.shape) == ("int", (2,))
    (t,) = found.targets
    assert (t.kind, t.classes, t.shape) == ("class", 5, ())


def test_outputs_are_batched():
    found = model("net T { input x: [2] param w: [3] output w output c = 4 metric m = 2 }")
    assert all(o.node.type.batched for o in (*found.inference.outputs, *found.inference.metrics))


def test_constants_come_from_outside():
    file = parse(Source("t", "const n = 3 const m = 2 * n net T { input x: [m] output x }"))
    assert elaborate(file).inputs[0].shape == (6,)
    assert elaborate(file, defines={"n": 5}).inputs[0].shape == (10,)
    with pytest.raises(CompileError, match="no constant is called `nn`"):
        elaborate(file, defines={"nn": 5})


def test_precision_is_one_for_the_whole_program():
    file = parse(Source("t", "net T { input x: [2] output y = x |> dense(3) }"))
    for precision in ("f32", "f64"):
        nodes = toposort([elaborate(file, precision=precision).training.outputs[0].node])
        assert {n.type.precision for n in nodes} == {precision}


def test_every_node_comes_from_the_users_text():
    text = (
        "net T { input x: [4] target t: class[3] h = x |> dense(5, act=elu) |> dropout(0.1) "
        "z = h |> dense(3) loss cross_entropy(z, t) penalty l2(weights) output p = softmax(z) } "
        "train { optimizer = adam(lr = warmup(10)) }"
    )
    found = model(text)
    roots = [found.training.loss, found.training.penalty, *(u.new for u in found.updates)]
    roots += [o.node for o in (*found.training.outputs, *found.inference.outputs)]
    for node in toposort(roots):
        assert found.origins[node].source.text == text
    logits = next(n for n in toposort(roots) if n.type.shape == (3,) and n.op.word == "contract")
    assert found.origins[logits].text == "dense(3)"


def test_the_summary_counts_what_a_layer_owns():
    rows = model("net T { input x: [4] h = x |> residual(dense(8) |> dense(4)) output h }").layers
    assert [(r.name, r.layer, r.shape, r.parameters, r.macs) for r in rows] == [
        ("h.residual.dense", "dense", (8,), 40, 32),
        ("h.residual.dense_2", "dense", (4,), 36, 32),
        ("h.residual", "residual", (4,), 0, 0),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "h = x |> repeat(1000, dense(4) |> tanh)",
        "h = x" + " |> dense(4) |> tanh" * 1000,
        "h = x" + " + x" * 5000,
        "h = x" + " * 2" * 5000,
    ],
)
def test_long_chains_do_not_recurse(body):
    found = model(f"net T {{ input x: [4] {body} output h }}")
    assert found.training.outputs[0].node.type.shape == (4,)
