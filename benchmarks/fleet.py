"""The processes that are compared: one for each framework, each with the same number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import peers
from benchmarks.server import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
THREADED: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ProcessError(Exception):
    """A process ended instead of answering; the message ends with what it said last."""


class Worker:
    """A process that answers commands; `ways` are what its framework offers."""

    def __init__(
        self,
        framework: str,
        ways: Sequence[str],
        threads: int,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.ways = ways
        self._framework = framework
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", framework, str(threads)],
            cwd=ROOT,
            env={**environment(threads), **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def send(self, do: str, **command: object) -> None:
        """Gives a command; its answer is read by `answer`."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **command}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self.answer()

    def answer(self) -> Any:
        """Waits for the answer. Raises ProcessError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise ProcessError(f"{self._framework}: {self._errors.read()[-2000:]}")
        return json.loads(line)

    def ask(self, do: str, **command: object) -> Any:
        """A command and its answer."""
        self.send(do, **command)
        return self.answer()

    def end(self) -> None:
        """Lets the process go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._errors.close()


def environment(threads: int) -> dict[str, str]:
    """The variables that fix the number of threads of a framework before it loads."""
    found = {**os.environ, **dict.fromkeys(THREADED, str(threads))}
    several = str(threads > 1).lower()
    flags = f"--xla_cpu_multi_thread_eigen={several} intra_op_parallelism_threads={threads}"
    return found | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@contextmanager
def fleet(names: Sequence[str], threads: int) -> Iterator[dict[str, Worker]]:
    """The compiler and the frameworks of these peers, running; by framework."""
    ways: dict[str, list[str]] = {OWN: []}
    for name in names:
        ways.setdefault(peers.WAYS[name].framework, []).append(name)
    workers = {framework: Worker(framework, own, threads) for framework, own in ways.items()}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.end()
