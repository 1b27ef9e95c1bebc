"""GEPA: instructions that a language model improves by reflection, kept on a Pareto front of examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallKeywords
from paretune.optimizers.gepa_search import Answer, GEPASearch, Reflection, Runs, check_library
from paretune.optimizers.optimizer import EARNED, Observation, Optimizer, Trainable
from paretune.optimizers.proposals import Experience, propose_instructions
from paretune.prompting.generate import call_options
from paretune.prompting.prompts import Example

__all__ = ["GEPA"]

_OTHER = (
    "GEPA asks for something else than its recorded state has: the state is of other training examples, modules or "
    "options, another seed or replicate, or another version of the library gepa; train anew"
)


class GEPA(Optimizer):
    """Search the modules' instructions by reflection, with the library ``gepa`` (``pip install 'paretune[gepa]'``).

    GEPA (Agrawal et al., "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning", 2025,
    arXiv:2507.19457) runs a candidate from the Pareto front on a minibatch of training examples, has a language model
    write new instructions for one module (the modules take turns) from what went in, came out and was earned, and runs
    these on the same minibatch. Where they earn more they are scored on ``pareto_share`` of the training examples,
    which no minibatch has; a candidate that is best on any of these examples is on the front. At the end of an epoch
    the candidate with the best mean reward on them is installed; of equals the earliest.

    GEPA chooses which training examples run next, so that an epoch may run some several times and others never; it has
    as many runs as every epoch: one for each training example. Validation examples are never shown to it. A failed
    example counts as the mean reward so far.

    The state is the record of what GEPA asked and was answered. The same answers lead to the same questions, so a
    search that was killed goes on where it was.

    Parameters
    ----------
    language_model
        Who proposes (a LanguageModel or its name); None: each module's own model.
    few_shot
        An optimizer of the examples that works beside this one. New instructions run under the same examples as those
        that they are to replace.
    minibatch
        How many examples a reflection sees.
    pareto_share
        The share of the training examples that accepted candidates are scored on, above 0 and below 1.
    options
        Call options of the proposing calls (see ``CallOptions``); a temperature of 1.0 and ``max_tokens`` of 1024 where
        nothing else is said.
    """

    plans_exactly = False

    def __init__(
        self,
        language_model: LanguageModel | str | None = None,
        few_shot: Optimizer | None = None,
        *,
        minibatch: int = 3,
        pareto_share: float = 0.25,
        seed: int = 0,
        **options: Unpack[CallKeywords],
    ) -> None:
        if minibatch < 1 or not 0 < pareto_share < 1:
            raise UsageError(
                "GEPA needs a minibatch of at least 1 and a pareto_share above 0 and below 1 "
                f"(got {minibatch} and {pareto_share})"
            )
        check_library()  # the missing library shows before anything is paid for
        self.language_model = LanguageModel(language_model) if isinstance(language_model, str) else language_model
        self.few_shot = few_shot
        self.minibatch = minibatch
        self.pareto_share = pareto_share
        self.options = call_options("GEPA", {"temperature": 1.0, "max_tokens": 1024, **options})
        self.seed = seed
        self._replicate = 0
        self._gold: dict[str, Sequence[Example]] = {}
        #: The instructions that the program came with.
        self._original: dict[str, str | None] = {}
        self._examples = 0
        #: What GEPA asked, as a digest, and was answered, in order. The last question is open, with the rewards so far.
        self._record: list[dict[str, Any]] = []
        #: GEPA at its open question; None: to be brought there from the record.
        self._search: GEPASearch | None = None
        #: Of the minibatch that the next reflection sees.
        self._replies: list[dict[str, Example]] = []
        #: The sum of all rewards so far, and their number.
        self._earned: tuple[float, int] = (0.0, 0)
        self._examples_due = True
        self._resumed = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_search": None}  # a running generator has no copy

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        own = () if self.language_model is None else (self.language_model,)
        return (*own, *(() if self.few_shot is None else self.few_shot.language_models))

    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        if self.few_shot is not None:
            self.few_shot.begin(gold, replicate)
        if not self._resumed:
            self._original, self._record, self._replies, self._earned = {}, [], [], (0.0, 0)
        self._search, self._resumed, self._examples_due = None, False, True
        self._replicate, self._gold = replicate, dict(gold)

    def planned_calls(self, modules: Sequence[Trainable], examples: int, batch_size: int, epochs: int) -> int:
        """At most: a proposal follows a minibatch, and may be followed by another one for want of a usable text."""
        minibatch = min(self.minibatch, len(self._parts(examples)[1]))
        own = math.ceil(examples * epochs / minibatch) if modules and examples else 0
        few_shot = self.few_shot
        return own + (0 if few_shot is None else few_shot.planned_calls(modules, examples, batch_size, epochs))

    async def next_batch(self, modules: Sequence[Trainable], batch: Sequence[int], examples: int) -> list[int]:
        if not modules:
            return list(batch)
        original = self._original or {module.name: module.instructions for module in modules}
        if set(original) != {module.name for module in modules}:
            raise UsageError(_OTHER)
        self._original = {module.name: original[module.name] for module in modules}  # in the order of their turns
        self._examples = examples
        search = self._asking()
        if isinstance(search.question, Reflection):
            self._answer(await self._new(search.question, modules))
        runs = search.question
        assert isinstance(runs, Runs), "GEPA reflects on new runs only"
        running = list(runs.indices[len(self._record[-1]["answer"]) :][: len(batch)])
        # New instructions run under the same examples as those that they are to replace.
        if self.few_shot is not None and (self._examples_due or runs.part != "child"):
            await self.few_shot.propose(modules, running)
        self._examples_due = False
        self._install(runs.candidate, modules)
        return running

    async def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        raise UsageError(
            "GEPA chooses the batches itself and cannot be the few_shot of another optimizer; it may have one: "
            "GEPA(few_shot=RandomFewShot())"
        )

    def observe(self, observations: Sequence[Observation]) -> None:
        if self.few_shot is not None:
            self.few_shot.observe(observations)
        if not self._record:
            return
        runs, rewards = self._asking().question, self._record[-1]["answer"]
        assert isinstance(runs, Runs), "observe() before next_batch()"
        for seen in observations:
            total, n = self._earned
            reward = (total / n if n else 0.0) if seen.reward is None else float(seen.reward)
            self._earned = total + reward, n + 1
            rewards.append(reward)
            if runs.part == "parent":
                self._replies.append({name: dict(reply) for name, reply in seen.replies.items()})
        if len(rewards) == len(runs.indices):
            self._answer(rewards)

    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        self._examples_due = True
        if self.few_shot is not None:
            self.few_shot.end_epoch(modules)
        if self._record:
            self._install(self._asking().best(), modules)

    def get_state(self) -> dict[str, Any]:
        return {
            "original": dict(self._original),
            "record": [*self._record[:-1], *copy.deepcopy(self._record[-1:])],  # only the last one changes
            "replies": copy.deepcopy(self._replies),
            "earned": list(self._earned),
            "few_shot": None if self.few_shot is None else self.few_shot.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._check_kind(state)
        if (state["few_shot"] is None) != (self.few_shot is None):
            raise UsageError("the optimizer's state is of a GEPA with few_shot=…, or this one is, but not both")
        if self.few_shot is not None:
            self.few_shot.load_state(state["few_shot"])
        self._original, self._replies = dict(state["original"]), copy.deepcopy(state["replies"])
        self._record = [*state["record"][:-1], *copy.deepcopy(state["record"][-1:])]
        self._earned = state["earned"][0], state["earned"][1]
        self._resumed = True

    def _parts(self, examples: int) -> tuple[list[int], list[int]]:
        """Which examples accepted candidates are scored on, and which ones the minibatches have: one may be both."""
        shuffled = np.random.default_rng([self.seed, self._replicate]).permutation(examples).tolist()
        count = max(1, round(self.pareto_share * examples))
        return sorted(shuffled[:count]), sorted(shuffled[count:] or shuffled)

    def _asking(self) -> GEPASearch:
        """GEPA at its open question, which it reaches by the record."""
        if self._search is not None:
            return self._search
        front, others = self._parts(self._examples)
        search = GEPASearch(
            {name: text or "" for name, text in self._original.items()},
            front,
            others,
            minibatch=min(self.minibatch, len(others)),
            seed=int(np.random.default_rng([self.seed, self._replicate, 1]).integers(2**31)),
        )
        self._record = self._record or [{"question": search.digest, "answer": []}]
        for number, entry in enumerate(self._record, 1):
            if entry["question"] != search.digest:
                raise UsageError(_OTHER)
            if number < len(self._record):
                search.answer(entry["answer"])
        self._search = search
        return search

    def _answer(self, answer: Answer) -> None:
        """Answer the open question, and note the next one."""
        search = self._asking()
        self._record[-1]["answer"] = answer
        search.answer(answer)
        self._record.append({"question": search.digest, "answer": []})
        if not isinstance(search.question, Reflection):
            self._replies = []  # only reflection needs them

    async def _new(self, reflection: Reflection, modules: Sequence[Trainable]) -> str | None:
        """New instructions for one module, or None where no new ones were proposed."""
        name, (candidate, indices, _) = reflection.module, reflection.runs
        module = next(module for module in modules if module.name == name)
        gold, mean = self._gold.get(name, ()), sum(reflection.rewards) / len(indices)
        right: list[dict[str, Any]] = []
        wrong: list[dict[str, Any]] = []
        for index, reward, replies in zip(indices, reflection.rewards, self._replies, strict=True):
            (right if reward >= EARNED else wrong).append(_shown(gold, index, reward, replies.get(name)))
        text = await propose_instructions(
            self.language_model or module.language_model,
            Experience(
                tried=[{"instructions": candidate[name], "reward": round(mean, 3), "examples": len(indices)}],
                examples=right,
                mistakes=wrong,
            ),
            options=self.options,
            variant=int(np.random.default_rng([self.seed, self._replicate, 2, reflection.number]).integers(2**31)),
            name="gepa",
        )
        # What lost on one minibatch may be proposed again: it is run on another one.
        accepted = {_words(known[name]) for known in self._asking().candidates}
        return None if text is None or _words(text) in accepted else text

    def _install(self, candidate: Mapping[str, str], modules: Sequence[Trainable]) -> None:
        for module in modules:
            module.instructions = candidate[module.name] or self._original[module.name]


def _shown(gold: Sequence[Example], index: int, reward: float, reply: Mapping[str, Any] | None) -> dict[str, Any]:
    seen = {"output": None if reply is None else reply["output"], "reward": round(reward, 3)}
    if index < len(gold):
        return {"input": gold[index]["input"], **seen, "right_output": gold[index]["output"]}
    return {"input": None if reply is None else reply["input"], **seen}


def _words(text: str) -> tuple[str, ...]:
    """Instructions without what does not tell them apart."""
    return tuple(text.split())
