"""Time to compile, by stage: each measurement in a fresh process, so that nothing is warm.

`python -m benchmarks.compiling FILE [NAME=VALUE …]` measures itself and prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

ROOT: Final = Path(__file__).parent.parent

LIBRARIES: Final = ("numpy", "lark", "llvmlite.binding")
"""What netc is built on; its loading is not counted."""

STAGES: Final = (
    *("cache", "loading", "parse", "elaborate", "initial values", "graph", "passes", "plan"),
    *("lower", "emit", "codegen", "load"),
)
"""Stages as `model.timings` has them."""

IMPORTS: Final = ("import netc", "import face")
ORDER: Final = (*IMPORTS, *STAGES, "rest", "total", "from the cache")
Seconds = dict[str, float]


def cold(file: Path, repeats: int, **defines: int) -> Seconds:
    """Medians of several fresh processes; the stages are those of `step` alone.

    `total` is from `import netc` to the end of the first step with an empty cache, `from the cache`
    the same in a second process. Python finds its bytecode on disk, as in an installation: a first
    process leaves it there and does not count.
    """
    words = [f"{name}={value}" for name, value in defines.items()]
    command = [sys.executable, "-m", "benchmarks.compiling", str(file), *words]
    runs = []
    with TemporaryDirectory() as place:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(place, "bytecode"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(repeats + 1):
            environment["NETC_CACHE"] = str(Path(place, str(number)))
            first, second = (_once_in_a_process(command, environment) for _ in range(2))
            runs.append({**first, "from the cache": second["total"]})
    return {name: median(run[name] for run in runs[1:]) for name in ORDER}


def _once_in_a_process(command: list[str], environment: dict[str, str]) -> Seconds:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found: Seconds = json.loads(done.stdout)
    return found


def once(file: str, defines: dict[str, int]) -> Seconds:
    """Compiles a net in this process and makes one step; seconds by stage."""
    for library in LIBRARIES:
        import_module(library)
    start = process_time()
    import netc  # noqa: PLC0415 - what is measured

    imported = process_time()
    netc.compile  # noqa: B018 - loads the face
    loaded = process_time()
    model = netc.compile(file, defines=defines)
    compiled = process_time()
    from benchmarks.nets import random_data  # noqa: PLC0415

    data = tuple(random_data(model.manifest, 4).values())
    before = process_time()
    model.step(data)
    total = compiled - start + process_time() - before
    seconds = {"import netc": imported - start, "import face": loaded - imported}
    seconds |= {name: model.timings.get(name, 0.0) for name in STAGES}
    return {**seconds, "rest": total - sum(seconds.values()), "total": total}


def main(arguments: list[str]) -> None:
    file, *words = arguments
    defines = {name: int(value) for name, value in (word.split("=") for word in words)}
    print(json.dumps(once(file, defines)))


if __name__ == "__main__":
    main(sys.argv[1:])
