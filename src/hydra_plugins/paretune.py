"""Teaches Hydra two resolvers: ``${conf_digest:}``, and ``${paretune_conf:}``, the groups that this package brings.

Hydra loads every module of its plug-in packages when it composes.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from paretune.pipeline.conf_digest import conf_digest
from paretune.shared_files import shared_conf

_conf = Path("conf")


class ConfFolder(SearchPathPlugin):
    """Remembers the folder that is composed: a resolver is not told, and DVC resolves when the composition is over."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Change nothing; Hydra calls this with the folder each time before it composes."""
        global _conf
        for part in search_path.get_path():
            if part.provider == "main":
                _conf = Path(part.path.removeprefix("file://"))


OmegaConf.register_new_resolver("conf_digest", lambda: conf_digest(_conf), replace=True)
OmegaConf.register_new_resolver("paretune_conf", lambda: f"file://{shared_conf().as_posix()}", replace=True)
