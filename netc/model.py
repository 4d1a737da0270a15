"""A compiled net as a Python object: NumPy arrays in, NumPy arrays out.

Invariant: a refused call changes nothing; parameters, states, optimizer states and the step counter
always belong together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netc.runtime.arguments import Batch, Signature
from netc.runtime.arrays import Array, address, single
from netc.runtime.blocks import Values, aligned_bytes
from netc.runtime.errors import DataError, UsageError, count
from netc.runtime.evaluate import EVALUATION_BATCH, addresses, evaluation, outputs_of, predictions
from netc.runtime.executable import Counters, Executable, Scalars
from netc.runtime.history import History
from netc.runtime.inference import Inference
from netc.runtime.options import RunOptions
from netc.runtime.split import hold_out
from netc.runtime.stepping import Stepping
from netc.saving import imported, read_run, restore, save
from netc.settings import CLIPS, checked_seed, checked_threads, given, numbers_of, options_of
from netc.stages import need, show
from netc.summary import summary_text

if TYPE_CHECKING:
    import os

    import numpy as np

    from netc.compiler import driver
    from netc.compiler.program import FunctionName, Manifest
    from netc.runtime.checkpoint import Run

Precision = Literal["f32", "f64"]
Defines = Mapping[str, int | float | bool | str]
Outputs = Array | dict[str, Array]


class Model:
    """A net with its parameters. Made by `netc.compile` and `netc.load`.

    `history` is that of the last `fit`; `scalars` are the run-time numbers of the train block.
    """

    _EXECUTABLE: ClassVar[type[Executable]] = Executable

    def __init__(
        self, program: driver.Program, *, defines: Defines, seed: int | None, threads: int
    ) -> None:
        settings = program.settings
        self.name = program.manifest.name
        self.history = History()
        self._program = program
        self._defines = dict(defines)
        self._defaults = options_of(settings)
        self._changes: dict[str, Any] = {}  # options of the last fit that differ from the text
        self._signature = Signature(program.manifest)
        seed = settings.seed if seed is None else seed
        initial = program.initial(seed)
        self._executable = self._EXECUTABLE(
            program.manifest, program.native, initial, seed, threads=threads, team=program.team
        )
        self._executable.counters = Counters(epochs=settings.epochs, steps=settings.max_steps or 1)
        self._executable.gradients.guarded(self._need_gradients)
        self._inference: Inference | None = None
        self._stepping: Stepping | None = None
        self._states_before = aligned_bytes(program.manifest.states.size)
        self._over_data = False  # whether the values over the training data have been computed
        self._batch: Batch | None = None  # what the last training forward was given
        self._gradient_samples = 0  # samples behind `grads`; 0: there are none
        self._no_data = [0] * len(addresses(self._executable, Batch({}, 0), {}))

    def __repr__(self) -> str:
        ports = ", ".join(f"{p.name}: {list(p.shape)}" for p in self._program.manifest.inputs)
        return f"<netc.Model {self.name}({ports})>"

    # -- values --------------------------------------------------------------------------------

    @property
    def params(self) -> Values:
        """Live arrays of the parameters, by name; `.flat` is all of them as one vector."""
        return self._executable.parameters

    @property
    def grads(self) -> Values:
        """Gradients of the last `backward`; a UsageError when there are none."""
        self._need_gradients()
        return self._executable.gradients

    @property
    def state(self) -> Values:
        """Live arrays of the states of the net."""
        return self._executable.states

    @property
    def optimizer_state(self) -> Values:
        """Live arrays of the states of the optimizer, named `<parameter>.<state>`."""
        return self._executable.optimizer

    @property
    def scalars(self) -> Scalars:
        """The run-time numbers of the train block: `model.scalars["lr"] = 0.1`."""
        return self._executable.scalars

    # -- functions -----------------------------------------------------------------------------

    def __call__(self, /, *inputs: object, **named: object) -> Outputs:
        """The outputs in inference mode: an array, or a dict if there are several."""
        return self.forward(*inputs, training=False, **named)

    def forward(self, /, *inputs: object, training: bool = False, **named: object) -> Outputs:
        """The outputs for any number of samples: an array, or a dict if there are several.

        With `training` the training function runs (dropout on, states move on) and the batch is
        remembered for `backward`.
        """
        if training:
            return self._training_forward(inputs, named)
        if self._inference is None:
            self._need("infer")
            self._inference = Inference(self._executable, self._signature)
        if inputs and not named and len(inputs) == len(self._signature.inputs):
            found = self._inference(inputs)
            if found is not None:
                return found
        return single(outputs_of(self._executable, "infer", self._inputs(inputs, named)))

    def predict(self, /, *inputs: object, **named: object) -> Outputs:
        """Like `forward` in inference mode, 1024 samples at a time, for data of any length."""
        self._need("infer")
        batch = self._inputs(inputs, named)
        return single(predictions(self._executable, batch, EVALUATION_BATCH))

    def backward(self, /, *targets: object, **named: object) -> float:
        """The objective of the remembered batch; its gradients are in `grads` afterwards."""
        self._need("backward")
        if self._batch is None:
            raise UsageError("backward needs a batch", "call `forward(…, training=True)` before")
        names = self._signature.targets
        given = self._signature.bind(names, names, targets, named)
        if names and given.samples != self._batch.samples:
            raise DataError(
                f"the targets have {count(given.samples, 'sample')}, "
                f"the inputs of the last training forward had {self._batch.samples:,}"
            )
        batch = self._batch.joined(given)
        data = addresses(self._executable, batch, {})
        before = address(self._states_before)
        results = self._executable.run("backward", batch.samples, data, before)
        self._gradient_samples = batch.samples
        return results[0]

    def update(self) -> None:
        """One step of the optimizer from `grads`; then the step counter goes up."""
        self._need("update")
        self._need_gradients()
        self._executable.run("update", self._gradient_samples, self._no_data)
        self._count_step()

    def step(self, /, *data: object, **named: object) -> float:
        """Forward, backward and update in one call; the objective before the update."""
        if self._stepping is None:
            self._need("step")
            self._stepping = Stepping(self._executable, self._signature)
        objective = None if named else self._stepping(data)
        if objective is None:
            batch, executable = self._all(data, named), self._executable
            objective = executable.step(batch.samples, addresses(executable, batch, {}))
        self._gradient_samples = 0
        self._count_step()
        return objective

    def evaluate(
        self, /, *data: object, batch: int = EVALUATION_BATCH, **named: object
    ) -> dict[str, Any]:
        """Means over all samples in inference mode: the loss (without penalties) and the metrics.

        Outputs that depend on a target are in the dict as arrays. `batch` samples at a time.
        """
        self._need("evaluate")
        size = RunOptions().override({"batch": batch}).batch
        values, outputs = evaluation(self._executable, self._all(data, named), size)
        values.pop("objective", None)
        return {**values, **outputs}

    # -- training ------------------------------------------------------------------------------

    def fit(
        self,
        /,
        *data: object,
        validation: object = None,
        epochs: int | None = None,
        batch: int | None = None,
        max_steps: int | None = None,
        shuffle: bool | str | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        min_delta: float | None = None,
        restore_best: bool | None = None,
        stop_change: float | None = None,
        progress: bool = True,
        resume: bool = False,
        **named: object,
    ) -> History:
        """Trains on inputs and targets, given by position, by name, or as a tuple or dict.

        `validation` is a fraction to hold out, or inputs and targets. Options left out are those
        of the train block; any other name is a run-time number of it, for this fit only:
        `fit(x, y, lr=0.1)`. `resume` goes on with the epochs of the last fit or the loaded run.
        Ctrl-C ends the run after the step at hand; the history so far is returned.
        """
        from netc.runtime.fit import Training  # noqa: PLC0415 - not every process trains
        from netc.runtime.progress import reporter  # noqa: PLC0415

        self._need("train")
        changes = given(
            epochs=epochs,
            batch=batch,
            max_steps=max_steps,
            shuffle=shuffle,
            monitor=monitor,
            patience=patience,
            min_delta=min_delta,
            restore_best=restore_best,
            stop_change=stop_change,
            validation=validation if isinstance(validation, int | float) else None,
        )
        if resume:
            changes = {**self._changes, **changes}
        options = self._defaults.override(changes)
        scalars = numbers_of(named, self.scalars, self._signature.names)
        samples, held = self._all(data, named), None
        if validation is not None and not isinstance(validation, int | float):
            pair = tuple(validation) if isinstance(validation, list) else validation
            held = self._all((pair,), {})
        elif options.validation > 0:
            seed, shuffled = self._executable.seed, options.shuffle != "false"
            samples, held = hold_out(samples, options.validation, seed, shuffled=shuffled)
        self.switch_on(scalars)
        history = self.history if resume else History()
        training = Training(
            self._executable,
            data=samples,
            validation=held,
            options=options,
            reporter=reporter(progress),
            history=history,
        )
        self._changes, self.history = changes, history
        self._forget()
        self._take_over_data(samples)
        with self.scalars.replaced(scalars):
            return training.run()

    # -- files and texts -----------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a run folder: all values, the history and the text; all of it, or nothing."""
        self.save_run(path, {})

    def save_run(self, path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
        """Like `save`; `data` says how the columns of a table were used."""
        save(
            path,
            self._program,
            self._executable,
            self.history,
            defines=self._defines,
            options=self._changes,
            data=data,
            over_data=self._over_data,
        )

    def load(self, path: str | os.PathLike[str]) -> None:
        """Takes over everything saved in a run folder; DataError if it is of another model."""
        self.take(read_run(path))

    def take(self, run: Run, *, optimizer: bool = True) -> None:
        """Takes over a run that was read; without `optimizer`, only what `forward` needs."""
        restore(run, self._executable, optimizer)
        self._over_data = run.description.over_data
        self._forget()
        if optimizer:
            self.history = run.history
            self._changes = dict(run.description.options)
            self.switch_on(run.description.scalars)
            for name, value in run.description.scalars.items():
                if name in self.scalars:
                    self.scalars[name] = float("nan") if value is None else value

    def switch_on(self, names: Collection[str]) -> None:
        """Compiles the clipping in that the text lacks; without a limit until its number is set."""
        for name in CLIPS:
            if name in names and name not in self.scalars:
                self._program = self._program.clipped(name)
                self._executable.replace(self._program.manifest, self._program.native)

    def ir(self, stage: str, function: str = "step", kernel: str | None = None) -> str:
        """The text of one stage of the compiler for one function, or for one of its kernels."""
        return show(self._program, stage, function, kernel)

    def value(self, name: str) -> Array:
        """A named value of the last call, of a model compiled with `debug=True`."""
        raise UsageError(f"`{name}` is not kept", "compile the model with `debug=True`")

    def summary(self) -> str:
        """A table of the layers: output shape, parameters, multiplications, memory."""
        return summary_text(self._program.model)

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of processor time of every stage that compiling has taken so far."""
        return dict(self._program.timings)

    @property
    def manifest(self) -> Manifest:
        """What the program takes and gives: inputs, targets, outputs, results, functions."""
        return self._program.manifest

    @property
    def imports(self) -> dict[str, str]:
        """The texts of the imported files, by their paths from the folder that holds them all."""
        return imported(self._program)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs of `forward`, in declaration order."""
        return tuple(self.manifest.inference.outputs)

    @property
    def seed(self) -> int:
        """The seed of all random draws; setting it changes those to come, no parameters."""
        return self._executable.seed

    @seed.setter
    def seed(self, value: int) -> None:
        self._executable.seed = checked_seed(value)

    @property
    def threads(self) -> int:
        """How many threads a call may use; no result depends on it."""
        return self._executable.threads

    @threads.setter
    def threads(self, value: int) -> None:
        self._executable.threads = checked_threads(value)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all arrays that come out."""
        return self._executable.dtype

    # -- internals -----------------------------------------------------------------------------

    def _inputs(self, values: Sequence[object], named: Mapping[str, object]) -> Batch:
        """The inputs of an inference call; those that no output needs may be left out."""
        names, needed = self._signature.inputs, self.manifest.inference.inputs
        required = [n for n in names if n in needed] or names
        return self._signature.bind(names, required, values, named)

    def _all(self, values: Sequence[object], named: Mapping[str, object]) -> Batch:
        names = self._signature.names
        return self._signature.bind(names, names, values, named)

    def _training_forward(self, values: Sequence[object], named: Mapping[str, object]) -> Outputs:
        self._need("forward")
        names = self._signature.inputs
        batch = self._signature.bind(names, names, values, named).owned([*values, *named.values()])
        self._states_before[:] = self._executable.states.memory
        outputs = outputs_of(self._executable, "forward", batch)
        self._batch = batch
        return single(outputs)

    def _take_over_data(self, batch: Batch) -> None:
        """Sets the values over the training data, before the first step of the first training."""
        if not self._over_data:
            self._executable.assign(self._program.over_data(batch.arrays, batch.samples))
            self._over_data = True

    def _need(self, function: FunctionName) -> None:
        need(self.manifest, function)

    def _need_gradients(self) -> None:
        if not self._gradient_samples:
            help_ = "call `forward(…, training=True)` and `backward(…)` before"
            raise UsageError("there are no gradients: `step` and `fit` keep none", help_)

    def _forget(self) -> None:
        """Drops the remembered batch and the gradients: they are of other parameters now."""
        self._batch, self._gradient_samples = None, 0

    def _count_step(self) -> None:
        counters = self._executable.counters
        counters.step += 1
        counters.steps = max(counters.steps, counters.step)
        self._batch = None
