"""Teaches Hydra the resolver ``${conf_digest:}``; Hydra imports every module of this folder when it composes.

The function is run from the file of this very checkout: the ``paretune`` that is installed may be another one.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parent.parent
digest = runpy.run_path(str(ROOT / "src/paretune/pipeline/conf_digest.py"))["conf_digest"]
OmegaConf.register_new_resolver("conf_digest", lambda: digest(ROOT / "conf"), replace=True)
