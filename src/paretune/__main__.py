"""``python -m paretune`` is the command ``paretune``."""

from __future__ import annotations

from paretune.commands.main import main

if __name__ == "__main__":
    main()
