"""The arguments of every subcommand. Nothing heavy is imported before one is chosen."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from importlib import import_module
from typing import TYPE_CHECKING, Final

from netc import __version__
from netc.cli.values import assignment, at_least
from netc.stages import FUNCTIONS, PROFILED, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DATA: Final = (
    "`digits`, a .npz file with arrays named like inputs and targets, a .csv file, "
    "or a folder with MNIST or CIFAR files"
)


def parse_arguments(arguments: Sequence[str] | None) -> Namespace:
    """The options of one command; `run` among them is the function that executes it."""
    return _parser().parse_args(arguments)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="netc",
        allow_abbrev=False,
        description="Compiles network specifications (.net) to native training and inference code.",
    )
    parser.add_argument("--version", action="version", version=f"netc {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, module: str, help: str, epilog: str | None = None) -> ArgumentParser:
        command = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=_runner(module, name))
        return command

    _check(add("check", "inspect", "check a file and print a table of its layers"))
    _train(add("train", "train", "train a net and write a run folder", _TRAIN_EPILOG))
    _eval(add("eval", "score", "measure a trained net on data"))
    _replay(add("replay", "replay", "do a step of a run with --debug again"))
    _predict(add("predict", "score", "compute the outputs of a trained net"))
    _ir(add("ir", "inspect", "print one stage of the compiler, or what a pass did"))
    _run(add("run", "graphs", "compile the text of a graph and run it", _RUN_EPILOG))
    _profile(add("profile", "profile", "time every kernel of a function", _PROFILE_EPILOG))
    _explore(add("explore", "explore", "write a page that shows every stage, linked by line"))
    _probe(
        add("probe", "probe", "statistics of the values and gradients inside a net", _PROBE_EPILOG)
    )
    _gradcheck(
        add(
            "gradcheck",
            "gradcheck",
            "check gradients by finite differences",
            _GRADCHECK_EPILOG,
        )
    )
    _compare(add("compare", "compare", "compare native code with the interpreter", _COMPARE_EPILOG))
    _derive(add("derive", "derive", "print a gradient as mathematics, step by step"))
    _fmt(add("fmt", "texts", "print a file in canonical form"))
    _doc(add("doc", "texts", "print a definition of the prelude with its documentation"))
    _explain(add("explain", "texts", "explain an error code"))
    _cache(add("cache", "cache", "say where compiled programs are kept, and remove them"))
    return parser


_TRAIN_EPILOG: Final = """\
exit status: 0 success, 1 a mistake in the text or the data, 2 wrong usage,
130 after Ctrl-C (the run so far is written first).
"""

_RUN_EPILOG: Final = """\
GRAPH is what `netc ir --stage graph`, `backward` or `simplified` prints, edited or not. Arrays are
named as in it; where two spaces have a name, `parameter:w` and `gradient:w` tell them apart.
"""

_PROFILE_EPILOG: Final = """\
The data are random. Times of several threads are added up. `roofline` is the least time that
arithmetic or traffic allow, over the time taken; it may exceed 100 % in nearer caches.
"""

_PROBE_EPILOG: Final = """\
A unit is an element of a vector, or a channel; it is dead if it is one number throughout. Saturated
are the outermost hundredths of the range. Gradients are those of a sample's own loss.
"""

_GRADCHECK_EPILOG: Final = """\
Compiled gradients in f64 are compared with differences of the compiled objective, those in f32 with
those in f64. exit status: 0 all gradients are right, 1 one is wrong, 2 wrong usage.
"""

_COMPARE_EPILOG: Final = """\
The interpreter computes in double precision what the text means, before any pass.
exit status: 0 all values agree, 1 one differs, 2 wrong usage.
"""


def _runner(module: str, name: str) -> Callable[[Namespace], int]:
    def run(options: Namespace) -> int:
        command: Callable[[Namespace], int] = getattr(import_module(f"netc.cli.{module}"), name)
        return command(options)

    return run


# -- options of each command -----------------------------------------------------------------------


def _check(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--cost", action="store_true", help="what each line costs, before it runs")
    p.add_argument("--function", choices=PROFILED, help="of --cost (default: step, else infer)")
    p.add_argument(
        "--batch", type=at_least(1), metavar="N", help="of --cost (default: a minibatch)"
    )
    _timings(p)
    _json(p)


def _train(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--data", required=True, metavar="D", help=_DATA)
    p.add_argument("--val", metavar="D", help="validation data (default: as the train block says)")
    p.add_argument(
        "--test", metavar="D", help="test data (default: the official test part, if any)"
    )
    p.add_argument("--target", metavar="COLUMN", help="target column of .csv data")
    p.add_argument("--epochs", type=at_least(1), metavar="N", help="epochs in all")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        type=assignment,
        metavar="K=V",
        dest="changes",
        help="a number of the train block: lr=0.1, batch=64, patience=3, enc.*.lr=0.01",
    )
    p.add_argument("--out", metavar="RUN", help="run folder to write (default: runs/<net>-<time>)")
    p.add_argument("--resume", metavar="RUN", help="run folder to go on from")
    p.add_argument("--seed", type=at_least(0), metavar="N", help="seed of all random numbers")
    p.add_argument("--quiet", action="store_true", help="no progress on standard error")
    p.add_argument(
        "--debug", action="store_true", help="stop at the first NaN or infinity and say where it is"
    )
    _timings(p)
    _threads(p)
    _json(p)


def _replay(p: ArgumentParser) -> None:
    p.add_argument("weights", metavar="RUN", help="run folder of `netc train --debug`")
    p.add_argument(
        "--step", type=at_least(1), metavar="N", help="its number (default: the one that is kept)"
    )
    p.add_argument("--values", metavar="OUT", help="all values on the way, as .npz")
    _threads(p)
    _json(p)


def _eval(p: ArgumentParser) -> None:
    _text(p)
    _scored(p)
    _json(p)


def _predict(p: ArgumentParser) -> None:
    _text(p)
    _scored(p)
    p.add_argument("-o", "--output", required=True, metavar="OUT", help="a .npz or .csv file")


def _scored(p: ArgumentParser) -> None:
    p.add_argument("--weights", required=True, metavar="RUN", help="run folder of `netc train`")
    p.add_argument(
        "--data", required=True, metavar="D", help=f"{_DATA}; its test part, if it has one"
    )
    p.add_argument("--target", metavar="COLUMN", help="target column of .csv data")
    _threads(p)


def _ir(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--stage", choices=STAGES, help="how far to compile")
    p.add_argument("--function", default="step", choices=FUNCTIONS, help="default: step")
    p.add_argument("--kernel", metavar="K", help="kernels whose name contains K only")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--dump-after", metavar="PASS", help="the graph after a pass")
    what.add_argument("--diff", metavar="PASS", help="what a pass changed, as a unified diff")
    what.add_argument(
        "--object", metavar="OUT", help="write an object file whose line tables debuggers read"
    )
    what.add_argument(
        "--why",
        metavar="NODE",
        help="the rewrites that made a node, %%4, of the stage (default: simplified)",
    )


def _run(p: ArgumentParser) -> None:
    p.add_argument("file", metavar="GRAPH", help="the text of a graph")
    p.add_argument("--data", metavar="D", help="a .npz file with all that the graph reads")
    p.add_argument("--out", metavar="OUT", help="a .npz file to write (default: print)")
    how = p.add_mutually_exclusive_group()
    how.add_argument(
        "--as-written",
        action="store_const",
        dest="way",
        const="as written",
        default="passes",
        help="without the passes that kernels can do without",
    )
    how.add_argument(
        "--interpreter",
        action="store_const",
        dest="way",
        const="interpreter",
        help="by the interpreter in NumPy, the meaning of graphs",
    )
    p.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="default: 0")
    _threads(p)


def _profile(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--function", default="step", choices=PROFILED, help="default: step")
    p.add_argument(
        "--batch", type=at_least(1), metavar="N", help="samples (default: those of a minibatch)"
    )
    p.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="how long (default: %(default)s)"
    )
    p.add_argument("--order", choices=("time", "plan"), default="time", help="default: time")
    _threads(p)
    _json(p)


def _explore(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("-o", "--output", required=True, metavar="PAGE", help="the .html file to write")
    p.add_argument(
        "--function",
        action="append",
        default=[],
        choices=PROFILED,
        help="may be repeated (default: infer and step)",
    )
    p.add_argument(
        "--batch", type=at_least(1), metavar="N", help="samples (default: those of a minibatch)"
    )
    p.add_argument("--profile", action="store_true", help="run the functions to time their kernels")
    p.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        metavar="S",
        help="how long to run each (default: %(default)s)",
    )


def _probe(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--data", required=True, metavar="D", help=f"{_DATA}; its training part")
    p.add_argument("--target", metavar="COLUMN", help="target column of .csv data")
    p.add_argument("--weights", metavar="RUN", help="run folder (default: initial values)")
    p.add_argument(
        "--samples",
        type=at_least(1),
        default=1024,
        metavar="N",
        help="the first N samples (default: %(default)s)",
    )
    p.add_argument("--batch", type=at_least(1), metavar="N", help="at a time (default: all)")
    p.add_argument("--inference", action="store_true", help="in inference mode, not in training")
    p.add_argument("--plot", metavar="PICTURE", help="histograms, as .png, .svg or .pdf")
    p.add_argument("--seed", type=at_least(0), metavar="N", help="seed of all random numbers")
    _threads(p)
    _json(p)


def _gradcheck(p: ArgumentParser) -> None:
    _text(p)
    _one_batch(p)
    _json(p)


def _compare(p: ArgumentParser) -> None:
    _text(p)
    _one_batch(p)
    _json(p)


def _derive(p: ArgumentParser) -> None:
    _text(p)
    p.add_argument("--wrt", required=True, metavar="NAME", help="a parameter, a binding, an input")
    p.add_argument(
        "--of", choices=("objective", "loss"), default="objective", help="default: objective"
    )
    p.add_argument("--latex", action="store_true", help="as LaTeX, for amsmath")


def _one_batch(p: ArgumentParser) -> None:
    """What a check works on: some samples of data, random ones without any."""
    p.add_argument("--data", metavar="D", help=f"{_DATA}; its training part (default: random)")
    p.add_argument("--target", metavar="COLUMN", help="target column of .csv data")
    p.add_argument("--weights", metavar="RUN", help="run folder (default: initial values)")
    p.add_argument(
        "--batch", type=at_least(1), default=8, metavar="N", help="samples (default: %(default)s)"
    )
    p.add_argument("--seed", type=at_least(0), metavar="N", help="seed of all random numbers")
    _threads(p)


def _fmt(p: ArgumentParser) -> None:
    p.add_argument("files", nargs="+", metavar="FILE")
    how = p.add_mutually_exclusive_group()
    how.add_argument("-w", "--write", action="store_true", help="rewrite the files")
    how.add_argument("--check", action="store_true", help="only say which files would change")


def _doc(p: ArgumentParser) -> None:
    p.add_argument("name", nargs="?", metavar="NAME", help="without one: all names")
    p.add_argument("--file", metavar="FILE", help="look in this file and its imports as well")
    p.add_argument("--root", metavar="FOLDER", help="where its imports stay below")


def _explain(p: ArgumentParser) -> None:
    p.add_argument(
        "code", nargs="?", metavar="CODE", help="as in error[CODE]; without one: all codes"
    )


def _cache(p: ArgumentParser) -> None:
    p.add_argument("--clear", action="store_true", help="remove every file of the cache")
    _json(p)


def _text(p: ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="the .net file")
    p.add_argument(
        "-D",
        action="append",
        default=[],
        type=assignment,
        metavar="CONST=VALUE",
        dest="defines",
        help="another value for a `const`",
    )
    p.add_argument("--precision", choices=("f32", "f64"), help="default: f32")
    p.add_argument(
        "--root", metavar="FOLDER", help="where imports stay below (default: the file's folder)"
    )


def _threads(p: ArgumentParser) -> None:
    p.add_argument(
        "--threads",
        type=at_least(1),
        metavar="N",
        help="threads to use at most (default: one a core)",
    )


def _timings(p: ArgumentParser) -> None:
    p.add_argument(
        "--timings", action="store_true", help="the stages of compiling on standard error"
    )


def _json(p: ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="end standard output with one JSON line")
