"""Which class reaches a model, by its name."""

from __future__ import annotations

from paretune.errors import ConfigError, UsageError
from paretune.lm.backends.litellm_names import is_known
from paretune.lm.backends.recorded import PREFIX, RecordedBackend, Recordings
from paretune.lm.open_files import allow_connections
from paretune.lm.types import Backend, Price

__all__ = ["backend_for"]


def backend_for(
    model: str,
    *,
    api_base: str | None = None,
    api_key_env: str | None = None,
    timeout_s: float = 120.0,
    concurrency: int = 16,
    price: Price | None = None,
    recordings: Recordings | None = None,
) -> Backend:
    """The backend of a model: ``local/…`` is served in this process; the replies of ``recorded/…`` are
    looked up in ``recordings``; ``openai/…`` at an ``api_base`` is called without litellm where litellm knows nothing
    of it; all others go through litellm."""
    if model.startswith("local/"):
        from paretune.lm.backends.local import LocalBackend

        if api_base is not None:
            raise UsageError(f"{model!r} is served by paretune itself: leave api_base empty (got {api_base!r})")
        return LocalBackend(model, timeout_s=timeout_s, slots=concurrency, fixed_price=price)
    if model.startswith(PREFIX):
        if recordings is None:
            raise ConfigError(
                f"{model!r} needs the file of its replies: -S lm=recorded -S lm.source=FILE (in the library: "
                "recordings=paretune.Recording(FILE))"
            )
        return RecordedBackend(model, recordings, price)
    allow_connections(concurrency)
    if api_base is not None and model.startswith("openai/") and not is_known(model):
        from paretune.lm.backends.server import ServerBackend

        return ServerBackend(model, api_base, api_key_env=api_key_env, timeout_s=timeout_s, fixed_price=price)
    from paretune.lm.backends.litellm import LitellmBackend

    return LitellmBackend(model, api_base=api_base, api_key_env=api_key_env, timeout_s=timeout_s, fixed_price=price)
