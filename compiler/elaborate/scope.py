"""Names while a net is elaborated: modules, scopes, name paths, and what one run collects.

Invariant: text is resolved where it stands (a `Scope` keeps its module and bindings), parameters
are named by where a layer is applied (the `Path`). The evaluator is handed down in the session, so
that the rooms which need it do not import it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal, Protocol

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from netc.compiler.elaborate.model import Index, LayerRow, Named, Stored
    from netc.compiler.elaborate.values import Callable_, Known, Number, Operand, Value
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.types import Precision
    from netc.grammar.diagnostics import Diagnostic
    from netc.grammar.source import Source, Span
    from netc.grammar.tree import Const, Definition, Expr, Instance

Kind = Literal["const", "net", "fn", "layer", "init", "optimizer", "train"]


class Trouble(Enum):
    """Why a constant has no value: it is being computed, or a mistake was reported."""

    UNFINISHED = auto()
    FAILED = auto()


class Poisoned(Exception):
    """A value that depends on a mistake already reported; it is dropped without another report."""


class Module(Protocol):
    """A text with definitions: the user's file, a library, or the prelude below them."""

    @property
    def below(self) -> Module | None: ...

    @property
    def imports(self) -> tuple[Module, ...]: ...

    def definition(self, name: str) -> Definition | None: ...

    def constant(self, name: str) -> Const | None: ...

    def names(self) -> Iterable[str]: ...

    def constants(self) -> Iterable[str]: ...

    def override(self, name: str) -> Known | None: ...


def visible(module: Module) -> Iterator[Module]:
    """The texts whose items a text sees: itself, what it imports, the prelude."""
    below: Module | None = module
    while below is not None:
        yield below
        yield from below.imports
        below = below.below


@dataclass(slots=True)
class Path:
    """Where layers are applied: the prefix of the names of their parameters.

    A layer's later uses within one path are numbered; `own` counts the elements of the parameters
    made right here. `shared` marks an instance, whose parameters
    are made at the first application and found again at the next.
    """

    name: str
    shared: bool = False
    uses: Counter[str] = field(default_factory=Counter)
    own: int = 0

    def enter(self, layer: str) -> Path:
        self.uses[layer] += 1
        count = self.uses[layer]
        return self._below(layer if count == 1 else f"{layer}_{count}")

    def repeat(self) -> Path:
        self.uses["repeat"] += 1
        return self._below(f"repeat_{self.uses['repeat']}")

    def _below(self, label: str) -> Path:
        return Path(f"{self.name}.{label}" if self.name else label, self.shared)

    def member(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name


@record
class Bound:
    """What a name means and where; None stands for a value that could not be computed.

    A parameter of a definition also has the text that the call gave for it.
    """

    value: Value | None
    span: Span
    argument: Span | None = None


@record
class Filling:
    """The value being initialised: draws take its shape and its name."""

    name: str
    shape: tuple[int, ...]


@record
class GroupUse:
    """A group of parameters as it was when a text used it."""

    pattern: str
    least_rank: int
    count: int
    span: Span


@dataclass(slots=True)
class Session:
    """One elaboration of a net in one mode, and what it has collected so far.

    `texts` are the user's: the compiled one and its libraries.
    """

    texts: frozenset[Source]
    precision: Precision
    training: bool
    evaluate: Callable[[Expr, Scope], Value]
    apply: Callable[[Callable_, Operand, Scope, Span], Value]
    declared: Mapping[str, Span] = field(default_factory=dict)
    parameters: dict[str, Stored] = field(default_factory=dict)
    states: dict[str, Stored] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    next_states: dict[str, Named] = field(default_factory=dict)
    constants: dict[tuple[Module, str], Known | Trouble] = field(default_factory=dict)
    origins: dict[Node, Span] = field(default_factory=dict)
    counted: set[Node] = field(default_factory=set)
    reports: list[Diagnostic] = field(default_factory=list)
    draws: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    rows: dict[str, LayerRow] = field(default_factory=dict)
    returned: list[Named] = field(default_factory=list)
    """What layers returned, in the order of their applications."""
    indices: dict[tuple[Node, int], Index] = field(default_factory=dict)
    groups: list[GroupUse] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    broken: frozenset[Definition | Instance] = frozenset()
    totals: Mapping[str, int] | None = None
    """`macs` and `memory`, once all statements but penalties and assertions are done."""
    assigned: dict[str, Span] = field(default_factory=dict)
    applied: dict[str, Span] = field(default_factory=dict)
    """Where each state gets a next value, and where each instance is applied first."""

    def note(self, node: Node, span: Span) -> None:
        """Record `span` as the origin of `node` and of what was made for it."""
        stack = [node]
        while stack:
            top = stack.pop()
            if top not in self.origins:
                self.origins[top] = span
                stack.extend(top.args)

    def is_user(self, span: Span) -> bool:
        return span.source in self.texts

    def path(self, name: str) -> Path:
        """The path of the binding `name`, or of the statements with that keyword."""
        return self.paths.setdefault(name, Path(name))


@record
class Scope:
    """Where a text is read: its module, the names bound so far, and the path of new parameters.

    `stored` maps the states of this text to their full names, `assigned` are those given a next
    value. `site` is the user's text that caused all this, when the text itself is the prelude's.
    `dials` turns the numbers of a train block into run-time scalars.
    """

    session: Session
    module: Module
    kind: Kind
    path: Path
    owner: str = ""
    site: Span | None = None
    filling: Filling | None = None
    dials: Callable[[Number], Value] | None = None
    values: dict[str, Bound] = field(default_factory=dict)
    callables: dict[str, Callable_] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)

    def at(self, path: Path) -> Scope:
        """The same names, with parameters made under `path`."""
        return replace(self, path=path)

    def inside(self, name: str, bound: Bound) -> Scope:
        """A scope with one more value, for the body of `name -> …`."""
        return replace(self, values={**self.values, name: bound})

    def without_dials(self) -> Scope:
        """The same scope for conditions, indices and exponents: their numbers stay numbers."""
        return self if self.dials is None else replace(self, dials=None)

    def place(self, span: Span) -> Span:
        """The user's text for `span`: itself, or what brought the prelude's text here."""
        return span if self.site is None or self.session.is_user(span) else self.site

    def evaluate(self, expression: Expr) -> Value:
        return self.session.evaluate(expression, self)

    def apply(self, chain: Callable_, operand: Operand, span: Span) -> Value:
        return self.session.apply(chain, operand, self, span)
