"""Mistakes in what a net and its training rule say."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class NoNet(Diagnostic):
    """A model file has one net. A file without one is a library."""

    slug: ClassVar[str] = "no-net"
    title: ClassVar[str] = "the file has no net"
    label: ClassVar[str] = "nothing to compile"
    help: ClassVar[str] = "add `net Name {{ … }}`"


class SeveralNets(Diagnostic):
    """A model file has one net and at most one train block."""

    slug: ClassVar[str] = "several-nets"
    title: ClassVar[str] = "a file has one net"
    label: ClassVar[str] = "a second one"
    help: ClassVar[str] = "move it to a file of its own"


class SeveralTrains(Diagnostic):
    """A model file has one net and at most one train block."""

    slug: ClassVar[str] = "several-trains"
    title: ClassVar[str] = "a file has at most one train block"
    label: ClassVar[str] = "a second one"
    help: ClassVar[str] = "merge the two"


class LossShape(Diagnostic):
    """`loss` takes a scalar for each sample.

    The objective is its mean over the batch plus the penalties.
    """

    slug: ClassVar[str] = "loss-not-scalar"
    title: ClassVar[str] = "a loss is one number for each sample, found {found}"
    label: ClassVar[str] = "shape {found}"
    help: ClassVar[str] = "sum or average its elements: `sum(…)` or `mean(…)`"

    found: str


class PenaltyShape(Diagnostic):
    """`penalty` takes an unbatched scalar."""

    slug: ClassVar[str] = "penalty-not-scalar"
    title: ClassVar[str] = "a penalty is one number, found {found}"
    label: ClassVar[str] = "shape {found}"
    help: ClassVar[str] = "sum or average its elements: `sum(…)` or `mean(…)`"

    found: str


class PenaltyBatched(Diagnostic):
    """`penalty` takes an unbatched scalar of parameters or of batch statistics."""

    slug: ClassVar[str] = "penalty-per-sample"
    title: ClassVar[str] = "a penalty is one number for the whole batch"
    label: ClassVar[str] = "this has one value for each sample"
    help: ClassVar[str] = "write `loss` for a term of each sample, or take `batch_mean(…)`"


class MetricShape(Diagnostic):
    """`metric` takes a scalar, reported as a mean over the samples."""

    slug: ClassVar[str] = "metric-not-scalar"
    title: ClassVar[str] = "a metric is one number for each sample, found {found}"
    label: ClassVar[str] = "shape {found}"
    help: ClassVar[str] = "sum or average its elements: `sum(…)` or `mean(…)`"

    found: str


class ReservedMetric(Diagnostic):
    """`loss` and `objective` are reported for every net."""

    slug: ClassVar[str] = "reserved-metric"
    title: ClassVar[str] = "a metric may not be called `{name}`"
    label: ClassVar[str] = "every history has an entry of this name"
    help: ClassVar[str] = "choose another name"

    name: str


class AssertFailed(Diagnostic):
    """`assert` is checked at compile time."""

    slug: ClassVar[str] = "assert-failed"
    title: ClassVar[str] = "the assertion does not hold"
    label: ClassVar[str] = "{actual}"

    actual: str


class TotalEarly(Diagnostic):
    """`macs` and `memory` are of the whole net. Assertions and penalties see them."""

    slug: ClassVar[str] = "known-at-the-end"
    title: ClassVar[str] = "`{name}` is known only at the end of the net"
    label: ClassVar[str] = "the net is not complete here"
    help: ClassVar[str] = "use it in an `assert`"

    name: str


class AssignedInInference(Diagnostic):
    """States move on in training only. In inference `<-` does nothing."""

    slug: ClassVar[str] = "assigned-outside-training"
    title: ClassVar[str] = "`{name}` gets its next value in inference only"
    label: ClassVar[str] = "this never happens: states move on in training"
    help: ClassVar[str] = "write it where `training` is true"

    name: str


class NotAState(Diagnostic):
    """`s <- e` needs `state s` in the same block. In an optimizer `w` can be assigned too."""

    slug: ClassVar[str] = "not-a-state"
    title: ClassVar[str] = "`{name}` is not a state"
    label: ClassVar[str] = "`<-` gives a state its next value"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class AssignedTwice(Diagnostic):
    """A state has at most one `<-` for each application."""

    slug: ClassVar[str] = "assigned-twice"
    title: ClassVar[str] = "`{name}` gets two next values"
    label: ClassVar[str] = "the second one"

    name: str


class NextShape(Diagnostic):
    """`<-` keeps the shape."""

    slug: ClassVar[str] = "next-value-shape"
    title: ClassVar[str] = "the next value of `{name}` has shape {found}, expected {expected}"
    label: ClassVar[str] = "shape {found}"

    name: str
    found: str
    expected: str


class NextBatched(Diagnostic):
    """A state is not batched. Its next value is a statistic of the batch."""

    slug: ClassVar[str] = "next-value-per-sample"
    title: ClassVar[str] = "the next value of `{name}` has one value for each sample"
    label: ClassVar[str] = "a state has one value for all"
    help: ClassVar[str] = "take `batch_mean(…)`"

    name: str


class GroupEmpty(Diagnostic):
    """Groups are shell patterns over the whole parameter name."""

    slug: ClassVar[str] = "group-matches-nothing"
    title: ClassVar[str] = 'no parameter matches "{pattern}"'
    label: ClassVar[str] = "the parameters are {known}"
    help: ClassVar[str] = "patterns match the whole name: `enc.*`, `*.W`"

    pattern: str
    known: str


class GroupEarly(Diagnostic):
    """A group in a binding holds the parameters made so far. Penalties and assertions see all."""

    slug: ClassVar[str] = "group-too-early"
    title: ClassVar[str] = "more parameters join this group further down"
    label: ClassVar[str] = "{before} here, {after} at the end of the net"
    help: ClassVar[str] = "use the group in a `penalty`, or after the last layer"

    before: str
    after: str


class UnknownSetting(Diagnostic):
    """The train block has a fixed list of settings."""

    slug: ClassVar[str] = "unknown-setting"
    title: ClassVar[str] = "unknown setting `{name}`"
    label: ClassVar[str] = "the train block does not know it"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class BadSetting(Diagnostic):
    """A setting of the train block with a value outside its range."""

    slug: ClassVar[str] = "bad-setting"
    title: ClassVar[str] = "`{name}` must be {expected}, found {found}"
    label: ClassVar[str] = "not a valid value"
    help: ClassVar[str] = "{hint}"

    name: str
    expected: str
    found: str
    hint: str = ""


class SetTwice(Diagnostic):
    """Each setting is given once."""

    slug: ClassVar[str] = "set-twice"
    title: ClassVar[str] = "`{name}` is set twice"
    label: ClassVar[str] = "the second value"

    name: str


class GroupedSetting(Diagnostic):
    """`optimizer("enc.*") = …` sets the optimizer of a group of parameters."""

    slug: ClassVar[str] = "setting-without-group"
    title: ClassVar[str] = "`{name}` has no groups"
    label: ClassVar[str] = "only `optimizer` and `freeze` take a pattern"

    name: str


class NotAnOptimizer(Diagnostic):
    """`optimizer =` takes an optimizer of the prelude or of the file, with its arguments."""

    slug: ClassVar[str] = "not-an-optimizer"
    title: ClassVar[str] = "expected an optimizer, found {found}"
    label: ClassVar[str] = "write for example `adam(lr = 1e-3)`"
    help: ClassVar[str] = "{hint}"

    found: str
    hint: str = ""


class NoOptimizer(Diagnostic):
    """If optimizers are given for groups only, every parameter belongs to one or is frozen."""

    slug: ClassVar[str] = "parameter-without-optimizer"
    title: ClassVar[str] = "`{name}` has no optimizer"
    label: ClassVar[str] = "its optimizers match only some parameters"
    help: ClassVar[str] = 'add `optimizer = …` for all others, or `freeze("{name}")`'

    name: str


class NoUpdate(Diagnostic):
    """An optimizer says what the next value of the parameter `w` is."""

    slug: ClassVar[str] = "optimizer-without-update"
    title: ClassVar[str] = "the optimizer `{name}` never changes `w`"
    label: ClassVar[str] = "it needs `w <- …`"

    name: str


class ReservedArgument(Diagnostic):
    """`w`, `g`, `step`, `epoch`, `steps`, `epochs`, `batch_size` and `objective` are given."""

    slug: ClassVar[str] = "reserved-argument"
    title: ClassVar[str] = "an optimizer may not have an argument `{name}`"
    label: ClassVar[str] = "the word has a meaning in optimizers"
    help: ClassVar[str] = "choose another name"

    name: str


class UnknownConstant(Diagnostic):
    """Definitions from outside replace the value of a `const` of the file."""

    slug: ClassVar[str] = "unknown-constant"
    title: ClassVar[str] = "no constant is called `{name}`"
    label: ClassVar[str] = "defined from outside, but not in this file"
    help: ClassVar[str] = "{hint}"

    name: str
    hint: str = ""


class NothingToTrain(Diagnostic):
    """An optimizer needs at least one parameter that is not frozen."""

    slug: ClassVar[str] = "nothing-to-train"
    title: ClassVar[str] = "the net has no parameters to train"
    label: ClassVar[str] = "the train block has an optimizer"
