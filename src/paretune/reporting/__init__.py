"""Tables, numbers and pictures of a finished search. Import the submodules: drawing is not needed to summarise."""

from __future__ import annotations
