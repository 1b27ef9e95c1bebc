"""The metrics and the reward that section ``layout`` declares: ``{name: …, as: name in reports, **arguments}``.

The name is that of a class of this package, or ``module:name`` of one's own: a class, or a function of (y_true,
y_pred). The ``rewards`` of a Weighted are declared alike; a ``language_model`` is named, and reached as section ``lm``
says.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from paretune import metrics as known_metrics
from paretune import rewards as known_rewards
from paretune.errors import ConfigError, UsageError
from paretune.metrics.metric import Metric
from paretune.metrics.wrapper import MeanMetricWrapper
from paretune.pipeline.own_code import load_watched
from paretune.rewards.field_match import FieldMatch
from paretune.rewards.reward import ExactMatch, Reward, RewardFunctionWrapper, as_reward
from paretune.rewards.weighted import Weighted
from paretune.schemas.faults import did_you_mean, shown

if TYPE_CHECKING:
    from paretune.lm.language_model import LanguageModel

__all__ = ["METRICS", "LanguageModels", "declared_metric", "declared_reward"]

#: The language model of a name.
LanguageModels: TypeAlias = Callable[[str], "LanguageModel"]

#: The metrics that conf can name, each also as a reward: all but the base class, and the one that needs a function.
METRICS: dict[str, type[Metric]] = {
    kind.__name__: kind
    for kind in (getattr(known_metrics, name) for name in known_metrics.__all__)
    if issubclass(kind, Metric) and kind not in (Metric, MeanMetricWrapper)
}
REWARDS: dict[str, type[Any] | None] = {
    "ExactMatch": ExactMatch,
    "FieldMatch": FieldMatch,
    "LMAsJudge": None,
    "Weighted": Weighted,
    **METRICS,
}


class _Kind(NamedTuple):
    """What may be declared in a place: classes by name, base classes of one's own, and what wraps a function."""

    known: Mapping[str, type[Any] | None]
    bases: tuple[type[Any], ...]
    wrapper: Callable[..., Any]


_METRIC = _Kind(METRICS, (Metric,), MeanMetricWrapper)
_REWARD = _Kind(REWARDS, (Reward, Metric), RewardFunctionWrapper)


def declared_metric(declared: Mapping[str, Any], place: str, source: str) -> Metric:
    """The metric declared in a place of params.yaml; one of one's own is in the file ``source``.

    Raises ConfigError for a name, a kind or an argument that is none, and for what the class itself refuses.
    """
    metric: Metric = _declared(_METRIC, declared, place, source)
    return metric


def declared_reward(
    declared: Mapping[str, Any], place: str, source: str, language_models: LanguageModels | None = None
) -> Reward:
    """The reward declared in a place of params.yaml; otherwise as ``declared_metric``.

    Without ``language_models`` those of the reward are made by their names alone: they are not to be called.
    """
    return as_reward(_declared(_REWARD, declared, place, source, language_models))


def _declared(
    kind: _Kind,
    declared: Mapping[str, Any],
    place: str,
    source: str,
    language_models: LanguageModels | None = None,
) -> Any:
    name, alias = str(declared.get("name")), declared.get("as")
    make = _own(kind, name, f"{place}.name", source) if ":" in name else _known(kind, name, f"{place}.name")
    arguments = {key: value for key, value in declared.items() if key not in ("name", "as")}
    parameters = _parameters(make)
    if alias is not None and "name" in parameters:
        arguments["name"] = alias
    _check_arguments(name, arguments, parameters, place)
    if make is Weighted:
        arguments["rewards"] = [
            declared_reward(each, f"{place}.rewards.{index}", source, language_models)
            for index, each in enumerate(_declarations(arguments["rewards"], f"{place}.rewards"))
        ]
    if language_models is not None and isinstance(arguments.get("language_model"), str):
        arguments["language_model"] = language_models(arguments["language_model"])
    try:
        scorer = make(**arguments)
    except UsageError as error:
        raise ConfigError(f"{place}: {error}") from None
    if alias is not None:  # the constructor may take no name
        scorer.name = alias
    if not isinstance(getattr(scorer, "name", None), str):
        raise ConfigError(f"{place}: {name!r} has no name for reports; give it one: as: …")
    return scorer


def _known(kind: _Kind, name: str, place: str) -> Callable[..., Any]:
    if name not in kind.known:
        raise ConfigError(
            f"{place}: must be one of {', '.join(kind.known)}, or module:name of your own (got {name!r})"
            f"{did_you_mean(name, kind.known)}"
        )
    # A judge calls language models, which those who score recorded answers have no need to load.
    return kind.known[name] or getattr(known_rewards, name)


def _declarations(declared: Any, place: str) -> list[Mapping[str, Any]]:
    if not isinstance(declared, list | tuple) or not all(isinstance(each, Mapping) for each in declared):
        raise ConfigError(f"{place}: must be a list of rewards, each {{name: …, …}} (got {shown(declared)})")
    return list(declared)


def _own(kind: _Kind, name: str, place: str, source: str) -> Callable[..., Any]:
    found = load_watched(name, source, place)
    if isinstance(found, type) and issubclass(found, kind.bases):
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise ConfigError(f"{place}: {name!r} is abstract; define {', '.join(missing)}")
        return found
    if not isinstance(found, type) and callable(found) and not isinstance(found, (Metric, Reward)):
        try:
            inspect.signature(found).bind(None, None)
        except TypeError:
            raise ConfigError(f"{place}: {name!r} must be a function of (y_true, y_pred)") from None
        return functools.partial(kind.wrapper, found)
    bases = " or ".join(base.__name__ for base in kind.bases)
    raise ConfigError(
        f"{place}: {name!r} must be a subclass of {bases}, or a function of (y_true, y_pred) (got {found!r})"
    )


def _parameters(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if isinstance(make, type) and make.__init__ is object.__init__:  # type: ignore[misc]
        return {}
    return inspect.signature(make).parameters


def _check_arguments(
    name: str, arguments: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], place: str
) -> None:
    """Raise ConfigError for an argument that a class does not take, and for one that it needs and does not get."""
    named = {key: one for key, one in parameters.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    takes = ["as", *(key for key in named if key != "name")]
    for key in arguments:
        if key not in named and not takes_any:
            hint = did_you_mean(key, takes)
            raise ConfigError(f"{place}: {name} takes no {key!r} (it takes: {', '.join(takes)}){hint}")
    for key, one in named.items():
        if one.default is one.empty and key not in arguments:
            raise ConfigError(f"{place}: {name} needs {'as' if key == 'name' else key!r}")
