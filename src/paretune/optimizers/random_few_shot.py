"""RandomFewShot: a random search over which training examples the prompt shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from paretune.errors import UsageError
from paretune.files import canonical_json
from paretune.optimizers.optimizer import EARNED, Observation, Optimizer, Trainable, shrunk_mean
from paretune.prompting.prompts import Example

__all__ = ["RandomFewShot"]

Sampling = Literal["softmax", "random"]
#: How often a draw is repeated to find a candidate that is new.
_DRAWS = 20

#: For each module, the indices of the examples that it shows.
Choice = dict[str, tuple[int, ...]]


@dataclass
class _Candidate:
    choice: Choice
    total: float = 0.0
    n: int = 0


class RandomFewShot(Optimizer):
    """Draw k examples for each batch, and keep the draw whose batch earned most.

    The pool holds the training examples with their gold outputs (with the model's own ``thinking`` once its reply
    earned the reward); a wrong reply is never shown. A module between others, whose right outputs nobody knows, shows
    what it gave for examples that earned the reward: none at first, and the best draw is completed at the end of an
    epoch. The examples of a candidate are drawn from outside the batch that
    it is scored on, so that no example is asked with its own answer in the prompt.

    Parameters
    ----------
    nb_min_examples, nb_max_examples
        k is drawn uniformly between these, for each candidate.
    sampling
        ``softmax`` prefers examples that were shown in candidates with a high reward, ``random`` does not.
    sampling_temperature
        How much: weights are exp(value / temperature), where the value is the mean reward of the candidates that
        showed the example, shrunk towards the mean of all.
    population_size
        How many of the best candidates are remembered from epoch to epoch.
    stratify
        Spread each draw evenly over the distinct gold outputs (for classification: over the classes).
    nb_examples
        By the names of modules, how many examples these show, whatever the first two arguments say.
    """

    def __init__(
        self,
        nb_min_examples: int = 1,
        nb_max_examples: int = 3,
        sampling: Sampling = "softmax",
        sampling_temperature: float = 0.3,
        population_size: int = 10,
        seed: int = 0,
        stratify: bool = False,
        nb_examples: Mapping[str, int] | None = None,
    ) -> None:
        if not 0 <= nb_min_examples <= nb_max_examples:
            raise UsageError(
                "RandomFewShot needs 0 <= nb_min_examples <= nb_max_examples "
                f"(got {nb_min_examples} and {nb_max_examples})"
            )
        if any(number < 0 for number in (nb_examples or {}).values()):
            raise UsageError(f"RandomFewShot: nb_examples must be at least 0 (got {nb_examples!r})")
        if sampling not in ("softmax", "random"):
            raise UsageError(f"sampling must be 'softmax' or 'random' (got {sampling!r})")
        if sampling_temperature <= 0 or population_size < 1:
            raise UsageError("sampling_temperature must be > 0 and population_size at least 1")
        self.nb_min_examples = nb_min_examples
        self.nb_max_examples = nb_max_examples
        self.sampling = sampling
        self.sampling_temperature = sampling_temperature
        self.population_size = population_size
        self.seed = seed
        self.stratify = stratify
        self.nb_examples = dict(nb_examples or {})
        self._rng = np.random.default_rng(seed)
        #: By module and index: the examples known at the start, and those that may be shown (the same, or learned).
        self._gold: dict[str, dict[int, Example]] = {}
        self._pool: dict[str, dict[int, Example]] = {}
        #: By module and index: their outputs as text, once they were needed.
        self._outputs: dict[tuple[str, int], str] = {}
        self._population: list[_Candidate] = []
        self._current: _Candidate | None = None
        #: By module and index: the sum of rewards of the batches that showed the example, and how many they were.
        self._shown: dict[str, dict[int, list[float]]] = {}
        self._rewards = [0.0, 0]
        self._resumed = False

    def numbers(self, module: str) -> tuple[int, int]:
        """The least and the most examples that a module shows."""
        own = self.nb_examples.get(module)
        return (self.nb_min_examples, self.nb_max_examples) if own is None else (own, own)

    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        if not self._resumed:
            self._rng = np.random.default_rng([self.seed, replicate])
            self._population, self._current, self._shown, self._rewards = [], None, {}, [0.0, 0]
            self._pool = {}
        self._resumed = False
        self._gold = {name: dict(enumerate(examples)) for name, examples in gold.items()}
        for name, examples in self._gold.items():
            self._pool[name] = {**examples, **self._pool.get(name, {})}
        self._outputs = {}

    async def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        candidate = self._draw(modules, set(batch))
        for _ in range(_DRAWS):
            if all(candidate.choice != known.choice for known in self._population):
                break
            candidate = self._draw(modules, set(batch))
        known = next((old for old in self._population if old.choice == candidate.choice), None)
        self._current = known or candidate
        self._install(self._current, modules)

    def observe(self, observations: Sequence[Observation]) -> None:
        current = self._current
        assert current is not None, "observe() before propose()"
        rewards = [seen.reward for seen in observations if seen.reward is not None]
        if rewards:
            current.total += sum(rewards)
            current.n += len(rewards)
            self._rewards[0] += sum(rewards)
            self._rewards[1] += len(rewards)
            if current not in self._population:
                self._population.append(current)
            mean = sum(rewards) / len(rewards)
            for name, indices in current.choice.items():
                for index in indices:
                    entry = self._shown.setdefault(name, {}).setdefault(index, [0.0, 0])
                    entry[0] += mean
                    entry[1] += 1
        for seen in observations:
            if seen.reward is not None and seen.reward >= EARNED:
                for name, example in seen.replies.items():
                    self._learn(name, seen.index, example)

    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        ranked = sorted(self._population, key=self._value, reverse=True)  # stable: ties keep their order
        self._population = ranked[: self.population_size]
        if ranked:
            self._current = ranked[0]
            self._complete(ranked[0], modules)
            self._install(ranked[0], modules)

    def get_state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "learned": {name: self._learned(name) for name in self._pool},
            "population": [
                {"choice": {name: list(c) for name, c in known.choice.items()}, "total": known.total, "n": known.n}
                for known in self._population
            ],
            "shown": {name: {str(i): list(entry) for i, entry in seen.items()} for name, seen in self._shown.items()},
            "rewards": list(self._rewards),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._check_kind(state)
        self._rng.bit_generator.state = state["rng"]
        self._pool = {name: {int(i): example for i, example in pool.items()} for name, pool in state["learned"].items()}
        self._population = [
            _Candidate({name: tuple(c) for name, c in row["choice"].items()}, row["total"], row["n"])
            for row in state["population"]
        ]
        self._shown = {name: {int(i): list(e) for i, e in seen.items()} for name, seen in state["shown"].items()}
        self._rewards = list(state["rewards"])
        self._resumed = True

    def _draw(self, modules: Sequence[Trainable], batch: set[int]) -> _Candidate:
        k = int(self._rng.integers(self.nb_min_examples, self.nb_max_examples + 1))
        choice = {}
        for module in modules:
            pool = self._pool.get(module.name, {})
            free = sorted(set(pool) - batch or pool)
            wanted = self.nb_examples.get(module.name, k)
            choice[module.name] = self._pick(module.name, free, min(wanted, len(free)))
        return _Candidate(choice)

    def _complete(self, candidate: _Candidate, modules: Sequence[Trainable]) -> None:
        """Add examples for a module of which too few were known when the candidate was drawn: those learned since."""
        for module in modules:
            shown = candidate.choice.get(module.name, ())
            free = sorted(set(self._pool.get(module.name, {})) - set(shown))
            missing = min(self.numbers(module.name)[0] - len(shown), len(free))
            if missing > 0:
                candidate.choice[module.name] = (*shown, *self._pick(module.name, free, missing))

    def _pick(self, name: str, free: list[int], k: int) -> tuple[int, ...]:
        if not k:
            return ()
        # Gumbel top-k: adding Gumbel noise to log-weights and sorting draws without replacement by those weights.
        noise = self._rng.gumbel(size=len(free))
        keys = self._log_weights(name, free) + noise
        ranked = [free[position] for position in np.argsort(-keys, kind="stable")]
        if not self.stratify:
            return tuple(ranked[:k])
        return tuple(_spread([(index, self._output(name, index)) for index in ranked], k, self._rng))

    def _output(self, name: str, index: int) -> str:
        """What an example's output is but for the thinking, as text."""
        known = self._outputs.get((name, index))
        if known is None:
            output = {key: value for key, value in self._pool[name][index]["output"].items() if key != "thinking"}
            known = self._outputs[name, index] = canonical_json(output)
        return known

    def _log_weights(self, name: str, free: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        if self.sampling == "random":
            return np.zeros(len(free))
        overall, values = self._overall(), []
        seen = self._shown.get(name, {})
        for index in free:
            total, n = seen.get(index, (0.0, 0))
            values.append((total + overall) / (n + 1))
        return np.array(values) / self.sampling_temperature

    def _overall(self) -> float:
        return self._rewards[0] / self._rewards[1] if self._rewards[1] else 0.0

    def _value(self, candidate: _Candidate) -> float:
        return shrunk_mean(candidate.total, candidate.n, self._overall())

    def _install(self, candidate: _Candidate, modules: Sequence[Trainable]) -> None:
        for module in modules:
            pool = self._pool.get(module.name, {})
            module.examples = tuple(pool[index] for index in candidate.choice.get(module.name, ()))

    def _learned(self, name: str) -> dict[str, Example]:
        """What a module's pool has beside the gold examples, which come with the training data and are not kept."""
        gold = self._gold.get(name, {})
        return {str(i): dict(example) for i, example in self._pool[name].items() if example is not gold.get(i)}

    def _learn(self, name: str, index: int, example: Example) -> None:
        """Add what a right reply had beside the gold output (its thinking), or an example for an inner module."""
        pool = self._pool.setdefault(name, {})
        gold = pool.get(index)
        self._outputs.pop((name, index), None)
        if gold is None:
            pool[index] = example
        elif set(example["output"]) > set(gold["output"]):
            pool[index] = {"input": gold["input"], "output": {**example["output"], **gold["output"]}}


def _spread(ranked: Sequence[tuple[int, str]], k: int, rng: np.random.Generator) -> list[int]:
    """The first k of ``ranked`` (indices with their outputs), taken in turn from the groups of equal outputs, in a
    random order of groups."""
    groups: dict[str, list[int]] = {}
    for index, output in ranked:
        groups.setdefault(output, []).append(index)
    picked: list[int] = []
    while len(picked) < k:
        open_groups = [key for key in sorted(groups) if groups[key]]
        for position in rng.permutation(len(open_groups)):
            if len(picked) < k:
                picked.append(groups[open_groups[position]].pop(0))
    return picked
