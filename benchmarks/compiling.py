"""Time to compile, by stage: each measurement in a fresh process, so that nothing is warm.

`python -m benchmarks.compiling FILE [NAME=VALUE …]` measures itself and prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parent.parent

STAGES: Final = (
    ("parse", "driver", "parse"),
    ("elaborate", "driver", "elaborate"),
    ("initial values", "driver", "interpret"),
    ("graph", "driver", "function_graph"),
    ("passes", "pipeline", "run"),
    ("plan", "driver", "build_plan"),
    ("plan", "driver", "place"),
    ("lower", "driver", "lower"),
    ("emit", "driver", "emit_module"),
    ("codegen", "jit", "compile_object"),
    ("load", "jit", "load"),
)
"""Name, and the function that the driver calls for it: module and attribute."""

IMPORTS: Final = ("import netc", "import compiler")
ORDER: Final = (*IMPORTS, *dict.fromkeys(name for name, _, _ in STAGES), "rest", "total")
Seconds = dict[str, float]


def cold(file: Path, repeats: int, **defines: int) -> Seconds:
    """Medians of several fresh processes; the stages are those of `step` alone.

    `total` is from `netc.compile` to the end of the first step, imports excluded. Python finds its
    bytecode on disk, as in an installation: a first process leaves it there and does not count.
    """
    words = [f"{name}={value}" for name, value in defines.items()]
    command = [sys.executable, "-m", "benchmarks.compiling", str(file), *words]
    runs = []
    with TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(repeats + 1):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
            )
            runs.append(json.loads(done.stdout))
    return {name: median(run[name] for run in runs[1:]) for name in ORDER}


def once(file: str, defines: dict[str, int]) -> Seconds:
    """Compiles a net in this process and makes one step; seconds by stage."""
    start = process_time()
    import netc  # noqa: PLC0415 - what is measured

    imported = process_time()
    from netc.compiler import driver  # noqa: PLC0415
    from netc.compiler.backend import jit  # noqa: PLC0415
    from netc.compiler.passes import pipeline  # noqa: PLC0415

    netc.compile  # noqa: B018 - loads the face
    loaded = process_time()
    seconds = dict.fromkeys(ORDER, 0.0)
    seconds["import netc"] = imported - start
    seconds["import compiler"] = loaded - imported
    modules = {"driver": driver, "pipeline": pipeline, "jit": jit}
    for name, module, attribute in STAGES:
        _time(modules[module], attribute, name, seconds)

    from benchmarks.nets import random_data  # noqa: PLC0415

    before = process_time()
    model = netc.compile(file, defines=defines)
    compiled = process_time() - before
    data = tuple(random_data(model.manifest, 4).values())
    before = process_time()
    model.step(data)
    seconds["total"] = compiled + process_time() - before
    stages = sum(seconds[name] for name in dict.fromkeys(n for n, _, _ in STAGES))
    seconds["rest"] = seconds["total"] - stages
    return seconds


def _time(module: Any, attribute: str, name: str, seconds: Seconds) -> None:
    """Replaces a function by one that adds its time to `seconds[name]`."""
    function: Callable[..., object] = getattr(module, attribute)

    def timed(*arguments: object, **named: object) -> object:
        start = process_time()
        try:
            return function(*arguments, **named)
        finally:
            seconds[name] += process_time() - start

    setattr(module, attribute, timed)


def main(arguments: list[str]) -> None:
    file, *words = arguments
    defines = {name: int(value) for name, value in (word.split("=") for word in words)}
    print(json.dumps(once(file, defines)))


if __name__ == "__main__":
    main(sys.argv[1:])
