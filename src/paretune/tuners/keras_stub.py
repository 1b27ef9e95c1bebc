"""A minimal stand-in for Keras, so that Keras-Tuner's oracles work without Keras and without a tensor library.

Keras-Tuner imports ``keras`` when it is loaded, but its oracles and hyperparameters use hardly anything of it. What
they touch, at import or later, is listed here and nothing else: an attribute that is missing fails loudly.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

__all__ = ["disable_keras_backend"]


def disable_keras_backend() -> None:
    """Install the stand-in. May be called any number of times; with the real Keras already imported it does nothing."""
    if "keras" not in sys.modules:
        sys.modules.update(_modules())


def _modules() -> dict[str, types.ModuleType]:
    names = ("keras", "keras.random", "keras.src", "keras.src.ops")
    modules = {name: types.ModuleType(name, "A stand-in for Keras; see paretune.tuners.keras_stub.") for name in names}
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
        module.__path__ = []
    keras: Any = modules["keras"]
    keras.__version__ = "3.0.0"
    keras.version = lambda: keras.__version__
    keras.random, keras.src, keras.ops = modules["keras.random"], modules["keras.src"], modules["keras.src.ops"]
    modules["keras.src"].ops = modules["keras.src.ops"]  # type: ignore[attr-defined]
    keras.config = _namespace(backend=lambda: "none")
    keras.applications = _namespace(efficientnet=_namespace(**{f"EfficientNetB{i}": _absent for i in range(8)}))
    keras.layers = _namespace(**{name: type(name, (), {}) for name in ("Layer", "RandomRotation", "RandomContrast")})
    keras.saving = _namespace(register_keras_serializable=lambda package="Custom", name=None: lambda target: target)
    keras.callbacks = _namespace(**{name: type(name, (), {}) for name in ("Callback", "History")})
    keras.utils = _namespace(deserialize_keras_object=_deserialize, serialize_keras_object=_serialize)
    keras.metrics = _namespace(deserialize=_unknown)
    keras.losses = _namespace(deserialize=_unknown)
    return modules


def _namespace(**content: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**content)


def _absent(*_: Any, **__: Any) -> Any:
    raise RuntimeError("paretune runs without Keras: models of Keras are not available")


def _unknown(name: str) -> Any:
    """Keras-Tuner asks Keras for a metric's direction; the answer for a name that Keras does not know."""
    raise ValueError(f"unknown name {name!r}: paretune runs without Keras")


def _deserialize(config: Any, custom_objects: Any = None, module_objects: Any = None, **_: Any) -> Any:
    known = {**(custom_objects or {}), **(module_objects or {})}
    return known[config["class_name"]].from_config(config["config"])


def _serialize(value: Any) -> dict[str, Any]:
    return {"class_name": type(value).__name__, "config": value.get_config()}
