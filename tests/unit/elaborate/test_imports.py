"""Imports: what a file sees of a library, and in which order names are looked up."""

import numpy as np
import pytest

from netc.compiler.elaborate import elaborate
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.grammar.diagnostics import CompileError
from netc.grammar.folder import Kept
from netc.grammar.parser import parse
from netc.grammar.source import Source

NET = "net N { input x: [2] output y = f(x) }"
X = np.array([[1.0, 2.0]])


def compiled(text, defines=None, **files):
    sources = {f"{name}.net": Source(f"{name}.net", body) for name, body in files.items()}
    library = Kept("main.net", {}, sources)
    return elaborate(parse(Source("main.net", text)), defines=defines, library=library)


def value(text, defines=None, **files):
    """The first element of `y` for x = [1, 2]."""
    model = compiled(text, defines, **files)
    env = Environment({("input", "x"): X}, batch=1, seed=0, step=1)
    return float(evaluate([model.inference.outputs[0].node], env)[0].flat[0])


def slugs(text, **files):
    with pytest.raises(CompileError) as caught:
        compiled(text, **files)
    return [(d.slug, d.span.source.name) for d in caught.value.diagnostics]


def test_the_file_comes_before_its_imports_and_these_before_the_prelude():
    assert value('import "a.net" ' + NET, a="fn f(x) = 3 * x") == 3
    assert value(f'import "a.net" fn f(x) = 5 * x {NET}', a="fn f(x) = 3 * x") == 5
    text = 'import "a.net" net N { input x: [2] output y = relu(x) }'
    assert value(text, a="fn relu(x) = 7 * x") == 7


def test_a_library_reads_its_own_text():
    """Its names mean what they mean there: not the caller's, and the prelude's keeps its own."""
    files = {"a": "fn relu(x) = 7 * x  fn g(x) = 2 * x  fn f(x) = g(x)  const k = 3"}
    text = 'import "a.net" fn g(x) = 100 * x  const k = 5 '
    assert value(text + NET, **files) == 2
    assert value(text + "net N { input x: [2] output y = k * x }", **files) == 5
    prelude = 'import "a.net" net N { input x: [2] output y = hinge_at(x) }'
    assert value(prelude, a="fn identity(x) = 7 * x  fn hinge_at(x) = identity(x)") == 7
    assert value(prelude, a="fn max_of(x) = x  fn hinge_at(x) = leaky_relu(x)") == 1


def test_constants_are_imported():
    assert value('import "a.net" net N { input x: [2] output y = k * x }', a="const k = 4") == 4
    assert value('import "a.net" const k = 2 * j ' + NET, a="const j = 4 fn f(x) = j * x") == 4


def test_only_the_files_own_constants_are_replaced():
    files = {"a": "const k = 4 fn f(x) = k * x"}
    assert value(f'import "a.net" const k = 3 {NET}', {"k": 9}, **files) == 4
    text = 'import "a.net" const k = 3 net N { input x: [2] output y = k * x }'
    assert value(text, {"k": 9}, **files) == 9
    with pytest.raises(CompileError) as caught:
        compiled('import "a.net" ' + NET, {"k": 9}, **files)
    assert [d.slug for d in caught.value.diagnostics] == ["unknown-constant"]


def test_imports_of_imports_are_not_seen_but_used():
    files = {"a": 'import "b.net" fn f(x) = g(x)', "b": "fn g(x) = 6 * x"}
    assert value('import "a.net" ' + NET, **files) == 6
    text = 'import "a.net" net N { input x: [2] output y = g(x) }'
    assert slugs(text, **files) == [("unknown-function", "main.net")]


def test_a_file_reached_by_two_ways_is_one():
    files = {
        "a": 'import "c.net" fn f(x) = c(x)',
        "b": 'import "c.net" fn g(x) = c(x)',
        "c": "fn c(x) = 2 * x",
    }
    text = 'import "a.net" import "b.net" import "c.net" import "./c.net" '
    model = compiled(text + "net N { input x: [2] output y = f(x) + g(x) + c(x) }", **files)
    assert [i.file for i in model.imports] == ["a.net", "c.net", "b.net"]


def test_ambiguous_names_of_a_library_are_its_own_matter():
    files = {"a": "fn g(x) = x", "b": "fn g(x) = 2 * x", "c": 'import "a.net" import "b.net"'}
    text = 'import "c.net" net N { input x: [2] output x }'
    assert slugs(text, **files) == [("ambiguous-import", "c.net")]


def test_layers_inits_and_optimizers_are_imported():
    files = {
        "a": "init start() = 0.5  layer own(x: [n], act: layer = tanh) "
        "{ param W: [n, 3] = start return act(x @ W) } "
        "optimizer half(lr = 0.5) { w <- w - lr * g }"
    }
    text = (
        'import "a.net" net N { input x: [2] target t: [3] y = x |> own(act=relu) output y '
        "loss squared_error(y, t) } train { optimizer = half(lr=0.25) }"
    )
    model = compiled(text, **files)
    assert [(p.name, p.shape) for p in model.parameters] == [("y.own.W", (2, 3))]
    assert [u.optimizer for u in model.updates] == ["half"]
    assert (evaluate([model.parameters[0].initial], Environment({}))[0] == 0.5).all()


def test_origins_of_library_text_are_its_own():
    model = compiled('import "a.net" ' + NET, a="\nfn f(x) = 3 * x")
    span = model.origins[model.inference.outputs[0].node.args[0]]
    assert (span.source.name, span.line) in {("a.net", 2), ("main.net", 1)}
    sources = {s.source.name for s in model.origins.values()}
    assert sources <= {"a.net", "main.net"}


def test_mistakes_are_ordered_file_by_file():
    text = 'import "a.net" net N { input x: [2] output y = danse(x) }'
    assert slugs(text, a="fn f(x) { x = 1 } fn g(x) = nothing(x)") == [
        ("unknown-function", "main.net"),
        ("missing-return", "a.net"),
        ("unknown-function", "a.net"),
    ]


def test_a_broken_library_definition_is_reported_once():
    assert slugs('import "a.net" ' + NET, a="fn f(x) = nothing(x)") == [
        ("unknown-function", "a.net")
    ]


def test_several_failing_imports_are_all_reported():
    text = 'import "a.net" import "b.net" import "c.net" ' + NET
    assert slugs(text, a="fn (", c='import "d.net"') == [
        ("syntax-error", "a.net"),
        ("import-missing", "main.net"),
        ("import-missing", "c.net"),
    ]


def test_a_long_chain_of_libraries():
    files = {f"l{i}": f'import "l{i + 1}.net" fn f(x) = x' for i in range(1500)}
    assert slugs('import "l0.net" ' + NET, **files) == [("import-missing", "l1499.net")]
    files["l1500"] = "fn f(x) = x"
    assert value('import "l0.net" ' + NET, **files) == 1
    files["l1500"] = 'import "l0.net"'
    assert slugs('import "l0.net" ' + NET, **files) == [("import-cycle", "l1500.net")]


def test_without_a_library_nothing_is_imported():
    with pytest.raises(CompileError) as caught:
        elaborate(parse(Source("main.net", 'import "a.net" ' + NET)))
    assert [d.slug for d in caught.value.diagnostics] == ["import-without-root"]
