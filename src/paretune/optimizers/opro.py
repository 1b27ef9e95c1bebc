"""OPRO: a language model proposes instructions, and the rewards decide which ones stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Unpack

import numpy as np

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallKeywords
from paretune.optimizers.optimizer import (
    EARNED,
    PRIOR_EXAMPLES,
    Observation,
    Optimizer,
    Trainable,
    shrunk_mean,
)
from paretune.optimizers.proposals import Experience, propose_instructions
from paretune.prompting.generate import call_options
from paretune.prompting.prompts import Example

__all__ = ["OPRO"]

#: How many of a candidate's latest mistakes are remembered, for each module.
_REMEMBERED = 12
#: The largest standard deviation that rewards between 0 and 1 can have.
_SPREAD = 0.5


@dataclass
class _Candidate:
    """Instructions by module, the rewards of the examples that ran under them, and mistakes by module."""

    instructions: dict[str, str | None]
    total: float = 0.0
    n: int = 0
    mistakes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class OPRO(Optimizer):
    """Search the modules' instructions: a language model writes new ones, knowing how earlier ones did.

    Optimization by PROmpting (Yang et al., "Large Language Models as Optimizers", ICLR 2024, arXiv:2309.03409): the
    question shows the instructions tried so far with their rewards, the best last, and a few training examples. Beside
    these it shows mistakes made under the best instructions, as ProTeGi does (Pryzant et al., "Automatic Prompt
    Optimization with 'Gradient Descent' and Beam Search", EMNLP 2023, arXiv:2305.03495).

    The first batch runs under the instructions that the program came with. From the second on, before every
    ``every``-th batch one call proposes instructions for one module (the modules take turns) in place of those in the
    best candidate, and the batch runs under them. The batches between run again under a candidate of before, drawn by
    Thompson sampling, so that a lucky first batch does not decide. A proposal that is invalid or was made before is
    dropped, and its batch is such a batch between. At the end of an epoch the candidate with the best mean reward,
    shrunk for few examples, is installed; of equals the earliest, so that instructions are changed for a reason only.

    Examples of the batch that a proposal is first scored on are not shown in its question.

    Parameters
    ----------
    language_model
        Who proposes (a LanguageModel or its name); None: each module's own model.
    few_shot
        An optimizer of the examples that works beside this one: ``OPRO(few_shot=RandomFewShot())``.
    k_best
        How many tried instructions are shown, the best ones.
    nb_examples, nb_mistakes
        How many training examples, and how many mistakes, are shown.
    every
        1: each batch but the first tries new instructions.
    options
        Call options of the proposing calls (see ``CallOptions``); a temperature of 1.0 and ``max_tokens`` of 1024 where
        nothing else is said.
    """

    def __init__(
        self,
        language_model: LanguageModel | str | None = None,
        few_shot: Optimizer | None = None,
        *,
        k_best: int = 10,
        nb_examples: int = 3,
        nb_mistakes: int = 3,
        every: int = 2,
        seed: int = 0,
        **options: Unpack[CallKeywords],
    ) -> None:
        if k_best < 1 or every < 1 or nb_examples < 0 or nb_mistakes < 0:
            raise UsageError(
                "OPRO needs k_best and every of at least 1, nb_examples and nb_mistakes of at least 0 "
                f"(got {k_best}, {every}, {nb_examples} and {nb_mistakes})"
            )
        self.language_model = LanguageModel(language_model) if isinstance(language_model, str) else language_model
        self.few_shot = few_shot
        self.k_best = k_best
        self.nb_examples = nb_examples
        self.nb_mistakes = nb_mistakes
        self.every = every
        self.options = call_options("OPRO", {"temperature": 1.0, "max_tokens": 1024, **options})
        self.seed = seed
        self._rng = np.random.default_rng(seed)
        self._gold: dict[str, Sequence[Example]] = {}
        #: The first one is the program as it came.
        self._candidates: list[_Candidate] = []
        self._current: _Candidate | None = None
        #: How many batches were proposed for.
        self._step = 0
        self._resumed = False

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        own = () if self.language_model is None else (self.language_model,)
        return (*own, *(() if self.few_shot is None else self.few_shot.language_models))

    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        if self.few_shot is not None:
            self.few_shot.begin(gold, replicate)
        if not self._resumed:
            self._rng = np.random.default_rng([self.seed, replicate])
            self._candidates, self._step = [], 0
        self._resumed = False
        self._current = None
        self._gold = dict(gold)

    def planned_calls(self, modules: Sequence[Trainable], examples: int, batch_size: int, epochs: int) -> int:
        first = self._step if self._resumed else 0
        steps = range(first, first + math.ceil(examples / batch_size) * epochs)
        own = sum(self._proposes_at(step) for step in steps) if modules else 0
        few_shot = self.few_shot
        return own + (0 if few_shot is None else few_shot.planned_calls(modules, examples, batch_size, epochs))

    async def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        if self.few_shot is not None:
            await self.few_shot.propose(modules, batch)
        if not self._candidates:
            self._candidates = [_Candidate({module.name: module.instructions for module in modules})]
        current = None
        if modules and self._proposes_at(self._step):
            module = modules[(self._step - 1) // self.every % len(modules)]
            current = await self._new(module, set(batch))
        self._step += 1
        self._current = self._drawn() if current is None else current
        self._install(self._current, modules)

    def observe(self, observations: Sequence[Observation]) -> None:
        if self.few_shot is not None:
            self.few_shot.observe(observations)
        current = self._current
        assert current is not None, "observe() before propose()"
        for seen in observations:
            if seen.reward is None:
                continue
            current.total += seen.reward
            current.n += 1
            if seen.reward < EARNED:
                for name in current.instructions:
                    self._remember(current.mistakes.setdefault(name, []), name, seen)

    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        if self.few_shot is not None:
            self.few_shot.end_epoch(modules)
        if self._candidates:
            self._install(self._best(), modules)

    def get_state(self) -> dict[str, Any]:
        return {
            "rng": self._rng.bit_generator.state,
            "step": self._step,
            "candidates": [asdict(candidate) for candidate in self._candidates],
            "few_shot": None if self.few_shot is None else self.few_shot.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._check_kind(state)
        if (state["few_shot"] is None) != (self.few_shot is None):
            raise UsageError("the optimizer's state is of an OPRO with few_shot=…, or this one is, but not both")
        if self.few_shot is not None:
            self.few_shot.load_state(state["few_shot"])
        self._rng.bit_generator.state = state["rng"]
        self._step = state["step"]
        self._candidates = [
            _Candidate(
                dict(row["instructions"]),
                row["total"],
                row["n"],
                {name: list(seen) for name, seen in row["mistakes"].items()},
            )
            for row in state["candidates"]
        ]
        self._resumed = True

    def _proposes_at(self, step: int) -> bool:
        return step > 0 and (step - 1) % self.every == 0

    async def _new(self, module: Trainable, batch: set[int]) -> _Candidate | None:
        """The best candidate with new instructions for one module, or None where no new ones were proposed."""
        best, gold = self._best(), self._gold.get(module.name, ())
        mistakes = [seen for seen in best.mistakes.get(module.name, ()) if seen["index"] not in batch]
        free = [index for index in range(len(gold)) if index not in batch]
        text = await propose_instructions(
            self.language_model or module.language_model,
            Experience(
                tried=self._tried(module.name),
                examples=[dict(gold[index]) for index in self._sample(free, self.nb_examples)],
                mistakes=[self._shown(seen, gold) for seen in self._sample(mistakes, self.nb_mistakes)],
            ),
            options=self.options,
            variant=int(self._rng.integers(2**31)),
            name="opro",
        )
        if text is None or _words(text) in {_words(known.instructions[module.name]) for known in self._candidates}:
            return None
        self._candidates.append(_Candidate({**best.instructions, module.name: text}))
        return self._candidates[-1]

    def _tried(self, name: str) -> list[dict[str, Any]]:
        """The best instructions of a module, as the question shows them: the best last."""
        sums: dict[str | None, tuple[float, int]] = {}
        for candidate in self._scored():
            total, n = sums.get(candidate.instructions[name], (0.0, 0))
            sums[candidate.instructions[name]] = total + candidate.total, n + candidate.n
        overall = self._overall()
        earlier_last = reversed(sums.items())  # the sort keeps this order of equals
        ranked = sorted(earlier_last, key=lambda item: shrunk_mean(item[1][0], item[1][1], overall))
        return [
            {"instructions": text or "", "reward": round(total / n, 3) if n else None, "examples": n}
            for text, (total, n) in ranked[-self.k_best :]
        ]

    def _sample(self, items: Sequence[Any], k: int) -> list[Any]:
        """At most k of the items, in their order."""
        chosen = self._rng.permutation(len(items))[:k]
        return [items[position] for position in sorted(chosen.tolist())]

    def _remember(self, mistakes: list[dict[str, Any]], name: str, seen: Observation) -> None:
        reply = seen.replies.get(name)
        known = seen.index < len(self._gold.get(name, ()))
        if reply is None and not known:
            return  # nothing to show: neither what went in nor what came out
        mistake = {"index": seen.index, "output": None if reply is None else dict(reply["output"])}
        if reply is not None and not known:  # a known input comes with the training data
            mistake["input"] = dict(reply["input"])
        mistakes.append(mistake)
        del mistakes[:-_REMEMBERED]

    def _shown(self, mistake: Mapping[str, Any], gold: Sequence[Example]) -> dict[str, Any]:
        if "input" in mistake:
            return {"input": mistake["input"], "output": mistake["output"]}
        right = gold[mistake["index"]]
        return {"input": right["input"], "output": mistake["output"], "right_output": right["output"]}

    def _drawn(self) -> _Candidate:
        """A candidate by Thompson sampling: the highest of one draw from what each one's mean reward may be."""
        noise, overall = self._rng.standard_normal(len(self._candidates)), self._overall()
        drawn = [
            shrunk_mean(candidate.total, candidate.n, overall)
            + _SPREAD / math.sqrt(candidate.n + PRIOR_EXAMPLES) * chance
            for candidate, chance in zip(self._candidates, noise.tolist(), strict=True)
        ]
        return self._candidates[max(range(len(drawn)), key=drawn.__getitem__)]

    def _best(self) -> _Candidate:
        overall = self._overall()
        return max(self._scored(), key=lambda one: shrunk_mean(one.total, one.n, overall))  # the earliest of equals

    def _scored(self) -> list[_Candidate]:
        return [candidate for candidate in self._candidates if candidate.n] or self._candidates[:1]

    def _overall(self) -> float:
        n = sum(candidate.n for candidate in self._candidates)
        return sum(candidate.total for candidate in self._candidates) / n if n else 0.0

    def _install(self, candidate: _Candidate, modules: Sequence[Trainable]) -> None:
        for module in modules:
            module.instructions = candidate.instructions[module.name]


def _words(text: str | None) -> tuple[str, ...]:
    """Instructions without what does not tell them apart."""
    return tuple((text or "").split())
