"""Mistakes with names, definitions and calls. `hint` is the advice, empty when there is none."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class UnknownName(Diagnostic):
    """A name that is bound nowhere.

    Value names are inputs, targets, parameters, states, constants and bindings above the place of
    use.
    """

    slug: ClassVar[str] = "unknown-name"
    title: ClassVar[str] = "unknown name `{name}`"
    label: ClassVar[str] = "nothing with this name is bound here"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class UnknownCallable(Diagnostic):
    """A call of something that does not exist.

    Callables are looked up locally, then in the file, the prelude and the primitives.
    """

    slug: ClassVar[str] = "unknown-function"
    title: ClassVar[str] = "unknown function `{name}`"
    label: ClassVar[str] = "no fn, layer, init or primitive has this name"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class UnknownParameter(Diagnostic):
    """A path such as `enc.dense.W` names a parameter or state that exists already.

    The parameters of an instance exist from its first application on.
    """

    slug: ClassVar[str] = "unknown-parameter"
    title: ClassVar[str] = "no parameter is called `{name}`"
    label: ClassVar[str] = "not made yet, or misspelt"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class NotAValue(Diagnostic):
    """A callable stands where a value is needed.

    Functions and layers are called, or passed to parameters of the kinds layer, init and fn.
    """

    slug: ClassVar[str] = "not-a-value"
    title: ClassVar[str] = "`{name}` is {found}, not a value"
    label: ClassVar[str] = "a value is needed here"
    help: ClassVar[str] = "{hint}"

    name: str
    found: str
    hint: str = ""


class NotCallable(Diagnostic):
    """A value stands where something is called. Value names and callable names are separate."""

    slug: ClassVar[str] = "not-a-function"
    title: ClassVar[str] = "`{name}` is a value, not a function"
    label: ClassVar[str] = "it cannot be called"

    name: str


class NotAStage(Diagnostic):
    """On the right of a pipe and in a chain stands something that takes a tensor.

    Examples are `relu`, `dense(64)` and `z -> z / 2`.
    """

    slug: ClassVar[str] = "not-a-stage"
    title: ClassVar[str] = "a chain is made of functions and layers"
    label: ClassVar[str] = "this is {found}"
    help: ClassVar[str] = "write a name, a call without its tensor, or `z -> …`"

    found: str


class UsedBeforeBound(Diagnostic):
    """In a block the order of the text counts. A name is bound before it is used."""

    slug: ClassVar[str] = "used-before-bound"
    title: ClassVar[str] = "`{name}` is used before it is bound"
    label: ClassVar[str] = "bound only further down"
    help: ClassVar[str] = "move the binding above this line"

    name: str


class BoundTwice(Diagnostic):
    """In a net every name is bound once.

    In an fn or a layer a later binding replaces an earlier one.
    """

    slug: ClassVar[str] = "bound-twice"
    title: ClassVar[str] = "`{name}` is bound twice"
    label: ClassVar[str] = "a second value with the name"
    help: ClassVar[str] = "choose another name: names of a net are the public names of its values"

    name: str


class DefinedTwice(Diagnostic):
    """Two definitions, constants or header parameters of one text have the same name."""

    slug: ClassVar[str] = "defined-twice"
    title: ClassVar[str] = "`{name}` is defined twice"
    label: ClassVar[str] = "a second definition"

    name: str


class PrimitiveRedefined(Diagnostic):
    """Primitives are fixed; names of the prelude may be redefined."""

    slug: ClassVar[str] = "primitive-redefined"
    title: ClassVar[str] = "`{name}` is a primitive and cannot be redefined"
    label: ClassVar[str] = "the compiler knows it already"
    help: ClassVar[str] = "choose another name, for example `my_{name}`"

    name: str


class NumberedLayer(Diagnostic):
    """Parameters of the second use of `dense` are named `dense_2`.

    A layer of that name would make parameter names ambiguous.
    """

    slug: ClassVar[str] = "numbered-layer"
    title: ClassVar[str] = "a layer name may not end in `{suffix}`"
    label: ClassVar[str] = "`{suffix}` numbers the uses of a layer in parameter names"
    help: ClassVar[str] = "choose another name"

    suffix: str


class Recursion(Diagnostic):
    """Definitions may call each other in any order, but never themselves.

    A net has a fixed size.
    """

    slug: ClassVar[str] = "recursion"
    title: ClassVar[str] = "`{name}` calls itself"
    label: ClassVar[str] = "through {cycle}"
    help: ClassVar[str] = "use `repeat(n, …)` for a fixed number of copies"

    name: str
    cycle: str


class ConstantCycle(Diagnostic):
    """Constants may refer to each other in any order, but not in a circle."""

    slug: ClassVar[str] = "constant-cycle"
    title: ClassVar[str] = "the constant `{name}` depends on itself"
    label: ClassVar[str] = "needed for its own value"

    name: str


class UnknownArgument(Diagnostic):
    """A named argument that the callee does not have."""

    slug: ClassVar[str] = "unknown-argument"
    title: ClassVar[str] = "`{callee}` has no argument `{name}`"
    label: ClassVar[str] = "{known}"
    help: ClassVar[str] = "{hint}"

    callee: str
    name: str
    known: str
    hint: str = ""


class TwiceGiven(Diagnostic):
    """An argument is given once, by position or by name."""

    slug: ClassVar[str] = "argument-twice"
    title: ClassVar[str] = "`{name}` of `{callee}` is given twice"
    label: ClassVar[str] = "the second value"

    callee: str
    name: str


class TooMany(Diagnostic):
    """More positional arguments than the callee has parameters.

    The tensor that a pipe sends counts as the first.
    """

    slug: ClassVar[str] = "too-many-arguments"
    title: ClassVar[str] = "too many arguments for `{callee}`"
    label: ClassVar[str] = "it takes {expected}"

    callee: str
    expected: str


class Missing(Diagnostic):
    """An argument without a default value must be given."""

    slug: ClassVar[str] = "missing-argument"
    title: ClassVar[str] = "`{callee}` needs `{name}`"
    label: ClassVar[str] = "the argument is missing"
    help: ClassVar[str] = "{hint}"

    callee: str
    name: str
    hint: str = ""


class WrongKind(Diagnostic):
    """A value or callable of another kind than the place needs.

    Kinds are numbers, booleans, strings, tensors, chains and initialisers.
    """

    slug: ClassVar[str] = "wrong-kind"
    title: ClassVar[str] = "{what} must be {expected}"
    label: ClassVar[str] = "found {found}"
    help: ClassVar[str] = "{hint}"

    what: str
    expected: str
    found: str
    hint: str = ""


class NotForCalls(Diagnostic):
    """Initialisers are called where a parameter is made.

    Optimizers are called in the train block.
    """

    slug: ClassVar[str] = "wrong-definition"
    title: ClassVar[str] = "`{name}` is {found} and cannot be called here"
    label: ClassVar[str] = "{expected}"

    name: str
    found: str
    expected: str


class ImpureFunction(Diagnostic):
    """An fn is pure, so that its value depends on its arguments only.

    Parameters, states and random draws belong to layers.
    """

    slug: ClassVar[str] = "impure-function"
    title: ClassVar[str] = "an fn owns no parameters and draws no numbers"
    label: ClassVar[str] = "`{name}` does"
    help: ClassVar[str] = "make it a layer: `layer {owner}(…)`"

    name: str
    owner: str


class MissingReturn(Diagnostic):
    """Every path through an fn, layer or init ends in exactly one `return`."""

    slug: ClassVar[str] = "missing-return"
    title: ClassVar[str] = "`{name}` does not return a value on every path"
    label: ClassVar[str] = "a path ends here without `return`"
    help: ClassVar[str] = "add `return …` at the end"

    name: str


class AfterReturn(Diagnostic):
    """Every path ends in exactly one `return`, which is its last statement."""

    slug: ClassVar[str] = "after-return"
    title: ClassVar[str] = "this statement is never reached"
    label: ClassVar[str] = "it follows a `return`"


class Misplaced(Diagnostic):
    """Each kind of block has its own statements.

    `loss`, `input` and `output` stand in a net, `return` in an fn, layer or init.
    """

    slug: ClassVar[str] = "misplaced-statement"
    title: ClassVar[str] = "{statement} does not belong in {place}"
    label: ClassVar[str] = "not allowed here"
    help: ClassVar[str] = "{hint}"

    statement: str
    place: str
    hint: str = ""


class NotSupported(Diagnostic):
    """The language has this, this version of the compiler has not."""

    slug: ClassVar[str] = "not-supported"
    title: ClassVar[str] = "{what} is not supported yet"
    label: ClassVar[str] = "this version cannot compile it"
    help: ClassVar[str] = "{hint}"

    what: str
    hint: str = ""


class TooDeep(Diagnostic):
    """Definitions that call definitions, hundreds of levels deep."""

    slug: ClassVar[str] = "elaboration-too-deep"
    title: ClassVar[str] = "definitions are nested too deeply"
    label: ClassVar[str] = "too many calls within calls here"
    help: ClassVar[str] = "use `repeat`, or name the parts"
