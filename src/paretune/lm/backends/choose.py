"""Which class reaches a model, by its name."""

from __future__ import annotations

from typing import Any

from paretune.errors import ConfigError, UsageError
from paretune.lm.backends.litellm_names import is_known
from paretune.lm.backends.recorded import PREFIX, RecordedBackend
from paretune.lm.open_files import allow_connections
from paretune.lm.settings import Settings
from paretune.lm.types import Backend

__all__ = ["backend_for"]


def backend_for(model: str, settings: Settings) -> Backend:
    """The backend of a model: ``local/…`` is served in this process; the replies of ``recorded/…`` are
    looked up in ``recordings``; ``openai/…`` at an ``api_base`` is called without litellm where litellm knows nothing
    of it; all others go through litellm."""
    api_base = settings.api_base
    if model.startswith("local/"):
        from paretune.lm.backends.local import LocalBackend

        if api_base is not None:
            raise UsageError(f"{model!r} is served by paretune itself: leave api_base empty (got {api_base!r})")
        slots = settings.concurrency
        return LocalBackend(model, timeout_s=settings.timeout_s, slots=slots, fixed_price=settings.price)
    if model.startswith(PREFIX):
        if settings.recordings is None:
            raise ConfigError(
                f"{model!r} needs the file of its replies: -S lm=recorded -S lm.source=FILE (in the library: "
                "recordings=paretune.Recording(FILE))"
            )
        return RecordedBackend(model, settings.recordings, settings.price)
    allow_connections(settings.concurrency)
    reached: dict[str, Any] = {"api_key_env": settings.api_key_env, "timeout_s": settings.timeout_s}
    if api_base is not None and model.startswith("openai/") and not is_known(model):
        from paretune.lm.backends.server import ServerBackend

        return ServerBackend(model, api_base, fixed_price=settings.price, **reached)
    from paretune.lm.backends.litellm import LitellmBackend

    return LitellmBackend(model, api_base=api_base, fixed_price=settings.price, **reached)
