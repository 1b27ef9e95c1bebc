"""Read params.yaml, and say everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paretune.errors import ConfigError
from paretune.pipeline.sections.yaml_file import load_yaml
from paretune.schemas.faults import Fault, did_you_mean, find_faults

__all__ = ["Params", "Seed", "check_sections", "read_params", "section", "unset"]

PARAMS_FILE = "params.yaml"
_UNSET = "???"  # Hydra's mark of a value that the user must give


class Params(BaseModel):
    """Base class of every section of params.yaml: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


#: 32 bits: some of the generators that are seeded with it take no more.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


P = TypeVar("P", bound=BaseModel)


def read_params(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole file as plain values.

    Raises ConfigError when it is missing, is not YAML of plain values (with file and line), or holds no sections.
    """
    try:
        params = load_yaml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path} not found; run `paretune compose` in the project's folder") from None
    if not isinstance(params, dict):
        raise ConfigError(f"{path} holds no sections; run `paretune compose`")
    return params


def section(params: Mapping[str, Any], name: str, model: type[P]) -> P:
    """One section as its model. Raises ConfigError with every fault in it, one a line."""
    value, faults = _validate(params, name, model)
    if value is None:
        raise _error(faults)
    return value


def check_sections(params: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> None:
    """Check several sections. Raises ConfigError with every fault in any of them, one a line."""
    found = [fault for name, model in models.items() for fault in _validate(params, name, model)[1]]
    # what a layout takes from the task is wrong in the task
    copied = {fault._replace(place=f"layout.{fault.place.removeprefix('task.')}") for fault in found}
    faults = [fault for fault in found if fault not in copied]
    if faults:
        raise _error(faults)


def _validate(params: Mapping[str, Any], name: str, model: type[P]) -> tuple[P | None, list[Fault]]:
    if name not in params:
        return None, [Fault(name, f"missing section{did_you_mean(name, params)}")]
    if open_places := unset(params[name], name):
        return None, [Fault(place, "must be given (it is still ???)") for place in open_places]
    try:
        return model.model_validate(params[name]), []
    except ValidationError as error:
        found = find_faults(error, model)
        return None, [Fault(f"{name}.{fault.place}" if fault.place else name, fault.text) for fault in found]


def unset(value: Any, place: str = "") -> list[str]:
    """The places of the values that are still ``???``, Hydra's mark of one that the user must give."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [each for key, item in items for each in unset(item, f"{place}.{key}" if place else str(key))]
    return [place] if value == _UNSET else found


def _error(faults: list[Fault]) -> ConfigError:
    lines = "".join(f"\n  {fault}" for fault in faults)
    return ConfigError(f"invalid values in {PARAMS_FILE}:{lines}")
