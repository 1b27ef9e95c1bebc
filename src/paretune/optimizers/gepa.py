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
from paretune.optimizers.optimizer import EARNED, Observation, Optimizer, Trainable
from paretune.optimizers.proposals import Experience, propose_instructions
from paretune.prompting.generate import call_options
from paretune.prompting.prompts import Example

__all__ = ["GEPA"]


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

    The state is the record of what GEPA has been answered, from which it computes its next question anew each time.
    The same record gives the same question, so a search that was killed goes on where it was.

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
        _optimize()  # the missing library shows before anything is paid for
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
        #: What GEPA asked for, in order: runs of examples (``indices``) and new instructions (``module``), answered.
        self._record: list[dict[str, Any]] = []
        self._running: list[int] = []
        self._examples_due = True
        #: Whether a loaded record is one of this training.
        self._checked = True
        self._resumed = False

    @property
    def language_models(self) -> tuple[LanguageModel, ...]:
        own = () if self.language_model is None else (self.language_model,)
        return (*own, *(() if self.few_shot is None else self.few_shot.language_models))

    def begin(self, gold: Mapping[str, Sequence[Example]], replicate: int = 0) -> None:
        if self.few_shot is not None:
            self.few_shot.begin(gold, replicate)
        if not self._resumed:
            self._original, self._record = {}, []
        self._resumed, self._examples_due, self._checked = False, True, not self._record
        self._replicate, self._gold = replicate, dict(gold)

    def planned_calls(self, modules: Sequence[Trainable], batches: int, runs: int) -> int:
        """At most: a proposal follows a minibatch, and may be followed by another one for want of a usable text."""
        own = math.ceil(runs / self.minibatch) if modules else 0
        return own + (self.few_shot.planned_calls(modules, batches, runs) if self.few_shot is not None else 0)

    async def next_batch(self, modules: Sequence[Trainable], batch: Sequence[int], examples: int) -> list[int]:
        if not self._original:
            self._original = {module.name: module.instructions for module in modules}
        if not modules:
            self._running = list(batch)
            return self._running
        if not self._checked:
            self._next_question(examples)
            self._checked = True
        while self._open() is None:
            question = self._next_question(examples)
            if "module" in question:
                question["text"] = await self._new(question["module"], modules)
            elif self._record:
                self._record[-1].pop("replies", None)  # only reflection needs them
            self._record.append(question)
        entry = self._record[-1]
        done = len(entry["rewards"])
        self._running = list(entry["indices"][done : done + len(batch)])
        if self.few_shot is not None and (self._examples_due or not self._is_child()):
            await self.few_shot.propose(modules, self._running)
        self._examples_due = False
        self._install(entry["candidate"], modules)
        return self._running

    async def propose(self, modules: Sequence[Trainable], batch: Sequence[int]) -> None:
        raise UsageError("GEPA chooses the batches itself: call next_batch, not propose")

    def observe(self, observations: Sequence[Observation]) -> None:
        if self.few_shot is not None:
            self.few_shot.observe(observations)
        entry = self._open()
        if entry is None:
            return
        for seen in observations:
            entry["rewards"].append(self._overall() if seen.reward is None else seen.reward)
            entry["replies"].append({name: dict(reply) for name, reply in seen.replies.items()})

    def end_epoch(self, modules: Sequence[Trainable]) -> None:
        self._examples_due = True
        if self.few_shot is not None:
            self.few_shot.end_epoch(modules)
        scored = [entry for entry in self._record if entry.get("front") and _complete(entry)]
        if scored:
            best = max(scored, key=lambda entry: sum(entry["rewards"]))  # the earliest of equals
            self._install(best["candidate"], modules)
        elif self._original:
            self._install({name: text or "" for name, text in self._original.items()}, modules)

    def get_state(self) -> dict[str, Any]:
        return {
            "original": dict(self._original),
            "record": copy.deepcopy(self._record),
            "few_shot": None if self.few_shot is None else self.few_shot.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        if (state["few_shot"] is None) != (self.few_shot is None):
            raise UsageError("the optimizer's state is of a GEPA with few_shot=…, or this one is, but not both")
        if self.few_shot is not None:
            self.few_shot.load_state(state["few_shot"])
        self._original = dict(state["original"])
        self._record = copy.deepcopy(state["record"])
        self._resumed = True

    def _open(self) -> dict[str, Any] | None:
        """The runs that GEPA waits for, if there are any."""
        last = self._record[-1] if self._record else None
        return last if last is not None and "rewards" in last and not _complete(last) else None

    def _is_child(self) -> bool:
        """Whether new instructions run on the minibatch of those that they are to replace."""
        return len(self._record) > 1 and self._record[-2].get("text") is not None

    def _overall(self) -> float:
        rewards = [reward for entry in self._record for reward in entry.get("rewards", ())]
        return sum(rewards) / len(rewards) if rewards else 0.0

    def _next_question(self, examples: int) -> dict[str, Any]:
        """What GEPA asks for after the record so far: it runs from its start, and stops where no answer is known."""
        shuffled = np.random.default_rng([self.seed, self._replicate]).permutation(examples).tolist()
        count = max(1, round(self.pareto_share * examples))
        front, rest = sorted(shuffled[:count]), sorted(shuffled[count:] or shuffled)
        try:
            _optimize()(
                seed_candidate={name: text or "" for name, text in self._original.items()},
                trainset=rest,
                valset=front,
                adapter=_Replay(self._record, front),
                reflection_minibatch_size=min(self.minibatch, len(rest)),
                perfect_score=EARNED,
                stop_callbacks=lambda state: False,
                logger=_Silent(),
                raise_on_exception=True,
                seed=int(np.random.default_rng([self.seed, self._replicate, 1]).integers(2**31)),
            )
        except _Unanswered as unanswered:
            if unanswered.question is None:
                raise UsageError(
                    "GEPA asks for something else than its recorded state has: the state is of other training "
                    "examples, another seed or another version of the library gepa; train anew"
                ) from None
            return unanswered.question
        raise AssertionError("GEPA ended by itself")

    async def _new(self, name: str, modules: Sequence[Trainable]) -> str | None:
        """New instructions for one module, or None where no new ones were proposed."""
        module = next(module for module in modules if module.name == name)
        parent, known = self._record[-1], [entry for entry in self._record if "module" in entry]
        gold = self._gold.get(module.name, ())
        runs = zip(parent["indices"], parent["rewards"], parent["replies"], strict=True)
        shown = [_shown(gold, index, reward, replies.get(module.name)) for index, reward, replies in runs]
        mean = round(sum(parent["rewards"]) / len(shown), 3)
        del parent["replies"]  # nobody asks for them again
        text = await propose_instructions(
            self.language_model or module.language_model,
            Experience(
                tried=[{"instructions": parent["candidate"][module.name], "reward": mean, "examples": len(shown)}],
                examples=[seen for seen in shown if seen["reward"] >= EARNED],
                mistakes=[seen for seen in shown if seen["reward"] < EARNED],
            ),
            options=self.options,
            variant=int(np.random.default_rng([self.seed, self._replicate, 2, len(known)]).integers(2**31)),
            name="gepa",
        )
        # What lost on one minibatch may be proposed again: it is run on another one.
        accepted = {_words(entry["candidate"][name]) for entry in self._record if entry.get("front")}
        return None if text is None or _words(text) in accepted else text

    def _install(self, candidate: Mapping[str, str], modules: Sequence[Trainable]) -> None:
        for module in modules:
            module.instructions = candidate[module.name] or self._original[module.name]


class _Unanswered(BaseException):
    """Ends GEPA where it asks for something that is not on record (it goes on after an Exception, not after this)."""

    def __init__(self, question: dict[str, Any] | None) -> None:
        self.question = question


class _Replay:
    """Answers GEPA from the record."""

    def __init__(self, record: Sequence[dict[str, Any]], front: Sequence[int]) -> None:
        self._answers = iter(record)
        self._front = list(front)

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        from gepa.core.adapter import EvaluationBatch

        entry = self._next({"indices": list(batch), "candidate": dict(candidate), "front": batch == self._front})
        return EvaluationBatch(outputs=list(batch), scores=list(entry["rewards"]), trajectories=list(batch))

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        return {name: [] for name in components_to_update}  # the question is written from the record

    def propose_new_texts(
        self, candidate: dict[str, str], reflective_dataset: Any, components_to_update: list[str]
    ) -> dict[str, str]:
        name = components_to_update[0]  # one a turn
        text = self._next({"module": name})["text"]
        return {} if text is None else {name: text}

    def _next(self, question: dict[str, Any]) -> dict[str, Any]:
        entry = next(self._answers, None)
        if entry is None:
            raise _Unanswered(question if "module" in question else {**question, "rewards": [], "replies": []})
        if any(entry.get(key) != value for key, value in question.items()):
            raise _Unanswered(None)
        if "rewards" in entry and not _complete(entry):
            raise _Unanswered(entry)
        return entry


class _Silent:
    """GEPA's logger: what there is to know is in the ledger and the history."""

    def log(self, message: str) -> None:
        pass


def _optimize() -> Any:
    try:
        from gepa.api import optimize
    except ImportError:
        raise UsageError(
            "GEPA needs the library gepa: pip install 'paretune[gepa]', or search instructions with OPRO (opro)"
        ) from None
    return optimize


def _complete(entry: Mapping[str, Any]) -> bool:
    return len(entry["rewards"]) == len(entry["indices"])


def _shown(gold: Sequence[Example], index: int, reward: float, reply: Mapping[str, Any] | None) -> dict[str, Any]:
    seen = {"output": None if reply is None else reply["output"], "reward": round(reward, 3)}
    if index < len(gold):
        return {"input": gold[index]["input"], **seen, "right_output": gold[index]["output"]}
    return {"input": None if reply is None else reply["input"], **seen}


def _words(text: str) -> tuple[str, ...]:
    """Instructions without what does not tell them apart."""
    return tuple(text.split())
