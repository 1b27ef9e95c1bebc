"""Program: a graph of modules that can be compiled, trained, scored, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.callbacks.callback import Callback
from paretune.callbacks.progress import measures_line, print_line
from paretune.errors import DataError, UsageError
from paretune.files import read_json, write_json
from paretune.lm.language_model import LanguageModel
from paretune.metrics.metric import Metric
from paretune.optimizers.optimizer import Optimizer
from paretune.programs.aims import bound, named
from paretune.programs.examples import Examples, as_arrays, examples_of, with_arrays
from paretune.programs.generator import Generator
from paretune.programs.graph import Graph
from paretune.programs.module import Module, Node, Symbol, inner_modules
from paretune.programs.running import Evaluation, evaluate, predict
from paretune.programs.trainer import FitOptions, History, Verbose, train
from paretune.prompting.trace import Sample
from paretune.rewards.reward import ExactMatch, Reward
from paretune.schemas.data_model import DataModel, as_record

__all__ = ["Program"]


class Program(Module):
    """The modules between one or more inputs and one or more outputs.

    ``await program(record)`` runs one record (of several inputs: ``await program([a, b])``) and gives the output record
    (of several outputs: the list of them). ``fit``, ``evaluate`` and ``predict`` run many, as many at once as the
    language models allow; with several inputs, ``x`` is a list of one sequence of records for each input.

    ``y`` holds the gold records of the *first* output: it alone is scored, the others are only predicted. To score
    several, combine them into one record first: ``outputs=a + b``.
    """

    def __init__(
        self, inputs: Symbol | Sequence[Symbol], outputs: Symbol | Sequence[Symbol], name: str | None = None
    ) -> None:
        super().__init__(name)
        self.inputs, self.outputs = _symbols(inputs), _symbols(outputs)
        self.graph = Graph(self.inputs, self.outputs)
        _check_names(list(inner_modules(self)))
        self.reward: Reward = ExactMatch()
        self.metrics: tuple[Metric, ...] = ()
        self.optimizer: Optimizer | None = None
        self.compiled = False
        #: A callback sets this to end the training after the running batch.
        self.stop_training = False

    @property
    def gold_model(self) -> type[DataModel]:
        """The data model of gold outputs: those of the first output."""
        return self.outputs[0].gold_model

    @property
    def modules(self) -> list[Module]:
        """The modules of the graph in the order in which they run, each once."""
        return self.graph.modules

    @property
    def submodules(self) -> list[Module]:
        return self.modules

    @property
    def generators(self) -> list[Generator]:
        """The modules that training may change, those inside other modules included."""
        return [module for module in inner_modules(self) if isinstance(module, Generator)]

    @property
    def language_models(self) -> list[LanguageModel]:
        """The language models that running and scoring an example calls: each module's, then the reward's."""
        own = [model for module in inner_modules(self) for model in module.called_models]
        return [*own, *self.reward.language_models]

    @property
    def calls_per_run(self) -> int:
        """How many calls one run makes: a module that is used twice asks twice, and one that draws several samples as
        often as that. The generators inside a module of one's own are counted once each, and another process is taken
        to make one."""
        return sum(_calls_of(node.module) for node in self.graph.nodes)

    async def call(self, *inputs: Any) -> Any:
        listed = len(inputs) == 1 and isinstance(inputs[0], list | tuple)
        given = inputs[0] if listed else inputs
        if len(given) == len(self.inputs):
            given = [
                as_record(record, symbol.data_model, f"the input of {self.name}")
                for record, symbol in zip(given, self.inputs, strict=True)
            ]
        outputs = await self.graph.run(given)
        return outputs[0] if len(outputs) == 1 else outputs

    def output_models(self, *inputs: type[DataModel]) -> tuple[type[DataModel], type[DataModel]]:
        return self.outputs[0].data_model, self.gold_model

    def add_node(self, symbols: Sequence[Symbol], listed: bool = False) -> Any:
        if len(symbols) != len(self.inputs):
            raise UsageError(f"{self.name} has {len(self.inputs)} inputs (got {len(symbols)})")
        node = Node(self, tuple(symbols), listed)
        if len(self.outputs) == 1:
            return Symbol(self.outputs[0].data_model, self.gold_model, node)
        return [Symbol(part.data_model, part.gold_model, node, place) for place, part in enumerate(self.outputs)]

    def compile(
        self,
        reward: Any = None,
        metrics: Sequence[Metric] | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        """Choose what training aims at. Raises UsageError for what is no reward, metric or optimizer, and when a mask
        or a metric does not fit the data model."""
        if not isinstance(optimizer, Optimizer | None):
            raise UsageError(f"optimizer must be an Optimizer object, such as RandomFewShot() (got {named(optimizer)})")
        self.reward, self.metrics = bound(reward, metrics, self.gold_model)
        self.optimizer = optimizer
        self.compiled = True

    async def fit(
        self,
        x: Any,
        y: Sequence[DataModel] | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        callbacks: Sequence[Any] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        replicate: int = 0,
    ) -> History:
        """Train on (x, y), and validate after each epoch; see ``programs.trainer.train``.

        A Dataset in the place of ``x`` brings its own ``y``, and its batch size where it has one (else 32); it may also
        stand for the pair ``validation_data``, without which ``validation_split`` sets the last share of the examples
        aside. Another ``replicate`` draws, shuffles and asks with other seeds. After ``load_state`` of a state of
        ``History.states`` and with ``initial_epoch``, the training goes on as if it had never been interrupted.
        Progress goes to stderr (see ``programs.trainer.Verbose``).
        """
        self._require_compiled("fit")
        if isinstance(callbacks, Callback):
            raise UsageError(f"callbacks must be a list (got a {type(callbacks).__name__})")
        fit = with_arrays({"x": x, "y": y, "batch_size": batch_size, "validation_data": validation_data})
        options = FitOptions(
            epochs,
            32 if fit["batch_size"] is None else fit["batch_size"],
            shuffle,
            initial_epoch,
            callbacks or (),
            verbose,
            replicate,
        )
        examples, validation = examples_of(self, {**fit, "validation_split": validation_split})
        return await train(self, examples, validation, options)

    async def evaluate(
        self,
        x: Any,
        y: Sequence[DataModel] | None = None,
        *,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        replicate: int = 0,
    ) -> dict[str, float]:
        """The reward, the metrics and the operational measures over all examples of (x, y), or of a Dataset as ``x`` (a
        mean over examples, whatever the batch size, which only exists for likeness with Keras). Each ``replicate`` asks
        anew."""
        rows, gold = as_arrays(x, y)
        values = (await self.evaluation(rows, gold, replicate)).values
        if verbose:
            print_line(f"{self.name}: {len(gold)} examples  {measures_line(values)}")
        return values

    async def evaluation(self, x: Sequence[Any], y: Sequence[DataModel], replicate: int = 0) -> Evaluation:
        """As ``evaluate``, with every example's outcome."""
        self._require_compiled("evaluate")
        return await evaluate(self, Examples.of(self, x, y), Sample(replicate))

    async def predict(self, x: Any, *, batch_size: int | None = 32, verbose: Verbose = "auto") -> list[Any]:
        """The output record of each input, None where there is no valid one; for a program with several outputs, one
        such list for each. (``batch_size`` and ``verbose`` only exist for likeness with Keras.)"""
        return await predict(self, x.materialize()[0] if hasattr(x, "materialize") else x)

    def get_state(self) -> dict[str, Any]:
        """What training has changed: instructions and examples by module, and where the optimizer stands."""
        return {
            "modules": {name: module.get_state() for name, module in _own_state(self.modules).items()},
            "optimizer": None if self.optimizer is None else self.optimizer.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` of a program with the same modules gave."""
        known = _own_state(self.modules)
        if set(known) != set(state["modules"]):
            raise DataError(
                f"the state is of a program with the modules {sorted(state['modules'])}, this one has {sorted(known)}"
            )
        for name, part in state["modules"].items():
            known[name].load_state(part)
        if self.optimizer is not None and state.get("optimizer") is not None:
            self.optimizer.load_state(state["optimizer"])

    def save_state(self, path: str | Path) -> None:
        """Write the state as JSON."""
        write_json(path, self.get_state())

    def load_state_file(self, path: str | Path) -> None:
        """Read a state that ``save_state`` wrote, or that of a program that ``save`` wrote."""
        saved = read_json(path)
        self.load_state(saved.get("state", saved))

    def save(self, path: str | Path) -> None:
        """Write the program as JSON: its graph, the settings of its modules, its data models and its state.

        Not in the file: code (modules and data models of your own stay in your own source), keys, and what ``compile``
        was given. Raises UsageError for a module that cannot be described in JSON.
        """
        from paretune.programs.saving import write_program

        write_program(self, path)

    @staticmethod
    def load(path: str | Path, custom_objects: Mapping[str, Any] | None = None) -> Program:
        """Build a program again that ``save`` wrote, with its state.

        ``custom_objects`` gives what the file only names: module classes of your own and data models with code of their
        own by class name, and language models by model name (others are made again from name and endpoint; a key comes
        from the environment as always). To go on with a training, ``compile`` it, then ``load_state_file`` the same
        file: then the optimizer goes on too. Raises DataError where something is missing.
        """
        from paretune.programs.loading import load_program

        return load_program(path, custom_objects)

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print the modules, their language models, how these are asked, and the data models between them."""
        from paretune.programs.summary import summary_text

        print_fn(summary_text(self))

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise UsageError(f"{self.name}: call compile(reward=…, metrics=[…]) before {what}()")


def _calls_of(module: Module) -> int:
    if isinstance(module, Program):
        return module.calls_per_run
    if isinstance(module, Generator):
        return module.samples
    return 1 if module.called_models else sum(_calls_of(inner) for inner in module.submodules)


def _symbols(given: Any) -> tuple[Symbol, ...]:
    symbols = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not symbols or not all(isinstance(symbol, Symbol) for symbol in symbols):
        raise UsageError("Program needs inputs=Input(…) and outputs=await some_module(…)(inputs), or lists of these")
    return symbols


def _check_names(modules: Sequence[Module]) -> None:
    """States, examples and traces are kept by module name, so two modules of a program cannot share one."""
    names = [module.name for module in modules]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two modules of the program are called {name!r}: give one of them another name=…")


def _own_state(modules: Sequence[Module]) -> dict[str, Module]:
    """By name, the modules whose states a program keeps; a program inside keeps those of its own modules itself."""
    own: dict[str, Module] = {}
    for module in modules:
        own[module.name] = module
        own |= {} if isinstance(module, Program) else _own_state(module.submodules)
    return own
