"""Program: a graph of modules that can be compiled, trained, scored, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paretune.errors import DataError, UsageError
from paretune.files import read_json, write_json
from paretune.metrics.base import Metric
from paretune.optimizers.base import Optimizer
from paretune.programs.generator import Generator
from paretune.programs.module import Module, Node, Symbol
from paretune.programs.trainer import Evaluation, History, evaluate, predict, train
from paretune.rewards.base import ExactMatch, Reward, as_reward
from paretune.schemas.data_model import DataModel

__all__ = ["Program"]


class Program(Module):
    """The modules between an input and an output.

    ``await program(record)`` runs one record; ``fit``, ``evaluate`` and ``predict`` run many, as many at once as the
    language models allow.
    """

    def __init__(self, inputs: Symbol, outputs: Symbol, name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(inputs, Symbol) or not isinstance(outputs, Symbol):
            raise UsageError("Program needs inputs=Input(…) and outputs=await some_module(…)(inputs)")
        self.inputs = inputs
        self.outputs = outputs
        self._order = _topological(inputs, outputs)
        _check_names(self.modules)
        self.reward: Reward = ExactMatch()
        self.metrics: tuple[Metric, ...] = ()
        self.optimizer: Optimizer | None = None
        self.compiled = False

    @property
    def gold_model(self) -> type[DataModel]:
        """The data model of gold outputs."""
        return self.outputs.gold_model

    @property
    def modules(self) -> list[Module]:
        """The modules in the order in which they run, each once."""
        return list(dict.fromkeys(symbol.node.module for symbol in self._order if symbol.node is not None))

    @property
    def generators(self) -> list[Generator]:
        """The modules that training may change, those inside other programs included."""
        found: list[Generator] = []
        for module in self.modules:
            found += [module] if isinstance(module, Generator) else []
            found += module.generators if isinstance(module, Program) else []
        return list(dict.fromkeys(found))

    async def call(self, *inputs: Any) -> Any:
        values: dict[Symbol, Any] = {self.inputs: inputs[0]}
        for symbol in self._order:
            node: Node | None = symbol.node
            if node is not None:
                values[symbol] = await node.module(*(values[source] for source in node.inputs))
        return values[self.outputs]

    def output_models(self, *inputs: type[DataModel]) -> tuple[type[DataModel], type[DataModel]]:
        return self.outputs.data_model, self.outputs.gold_model

    def compile(
        self,
        reward: Any = None,
        metrics: Sequence[Metric] | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        """Choose what training aims at. Raises UsageError when a mask or a metric does not fit the data model."""
        self.reward = as_reward(reward if reward is not None else ExactMatch()).bind(self.gold_model)
        self.metrics = tuple(metric.bind(self.gold_model) for metric in metrics or ())
        names = ["reward", *(metric.name for metric in self.metrics)]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two metrics are called {name!r}: give one of them another name=…")
        self.optimizer = optimizer
        self.compiled = True

    async def fit(
        self,
        x: Sequence[DataModel],
        y: Sequence[DataModel],
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[Sequence[DataModel], Sequence[DataModel]] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        initial_epoch: int = 0,
        callbacks: Sequence[Any] = (),
        verbose: Any = 0,
        replicate: int = 0,
    ) -> History:
        """Train on (x, y), and validate after each epoch; see ``programs.trainer.train``."""
        self._require_compiled("fit")
        return await train(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            shuffle=shuffle,
            initial_epoch=initial_epoch,
            callbacks=callbacks,
            verbose=verbose,
            replicate=replicate,
        )

    async def evaluate(
        self, x: Sequence[DataModel], y: Sequence[DataModel], *, batch_size: int = 32, verbose: Any = 0
    ) -> dict[str, float]:
        """The reward, the metrics and the operational measures over all examples (a mean over examples, whatever the
        batch size, which only exists for likeness with Keras)."""
        return (await self.evaluation(x, y)).values

    async def evaluation(self, x: Sequence[DataModel], y: Sequence[DataModel], replicate: int = 0) -> Evaluation:
        """As ``evaluate``, with every example's outcome."""
        self._require_compiled("evaluate")
        return await evaluate(self, x, y, replicate=replicate)

    async def predict(self, x: Sequence[DataModel], *, batch_size: int = 32, verbose: Any = 0) -> list[Any]:
        """The output record of each input; None where there is no valid one."""
        return await predict(self, x)

    def get_state(self) -> dict[str, Any]:
        """What training has changed: instructions and examples by module, and where the optimizer stands."""
        return {
            "modules": {module.name: module.get_state() for module in self.modules},
            "optimizer": None if self.optimizer is None else self.optimizer.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a state that ``get_state`` of a program with the same modules gave."""
        known = {module.name: module for module in self.modules}
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
        """Read a state that ``save_state`` wrote."""
        self.load_state(read_json(path))

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise UsageError(f"{self.name}: call compile(reward=…, metrics=[…]) before {what}()")


def _check_names(modules: Sequence[Module]) -> None:
    """States, examples and traces are kept by module name, so two modules of a program cannot share one."""
    inner = [part for module in modules if isinstance(module, Program) for part in module.generators]
    names = [module.name for module in dict.fromkeys([*modules, *inner])]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two modules of the program are called {name!r}: give one of them another name=…")


def _topological(inputs: Symbol, outputs: Symbol) -> list[Symbol]:
    """The symbols between inputs and outputs, each after those that it needs."""
    order: list[Symbol] = []
    seen: set[Symbol] = set()

    def visit(symbol: Symbol) -> None:
        if symbol in seen:
            return
        seen.add(symbol)
        if symbol.node is None and symbol is not inputs:
            raise UsageError("the outputs depend on an Input that is not the program's own")
        for source in symbol.node.inputs if symbol.node is not None else ():
            visit(source)
        order.append(symbol)

    visit(outputs)
    if inputs not in seen:
        raise UsageError("the outputs do not depend on the inputs")
    return order
