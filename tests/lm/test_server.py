"""The way to a server of one's own: which class takes it, and what HTTP does on it beside the calls themselves."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gc
import ipaddress
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai_server as fake
import pytest
from openai_server import OpenAIServer, chat

from paretune.errors import FatalError, LanguageModelError, TransientError, UsageError
from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.choose import backend_for
from paretune.lm.backends.litellm import LitellmBackend
from paretune.lm.backends.local import LocalBackend
from paretune.lm.backends.server import ServerBackend
from paretune.lm.settings import Settings
from paretune.lm.types import Answer, Request

ASK = Request((("user", "so glad"),), structured_output="text")


async def fresh(address: str) -> Answer:
    """One call on an event loop of its own, so that the environment is read again."""
    backend = ServerBackend("openai/m", address)
    await backend.prepare()
    return await backend.send(ASK)


@pytest.mark.parametrize(
    ("model", "api_base", "kind"),
    [
        ("openai/m", "http://127.0.0.1:1/v1", ServerBackend),
        ("openai/gpt-4o-mini", "http://127.0.0.1:1/v1", LitellmBackend),
        ("openai/m", None, LitellmBackend),
        ("mistral/m", "http://127.0.0.1:1/v1", LitellmBackend),
        ("gemini/gemini-2.5-flash", None, LitellmBackend),
        ("local/smollm2-135m-instruct", None, LocalBackend),
    ],
)
def test_the_name_and_the_address_choose(model: str, api_base: str | None, kind: type) -> None:
    """Names that litellm knows go through it, wherever they are; only others, at an address of one's own, do not."""
    assert type(backend_for(model, Settings(api_base=api_base))) is kind


def test_a_local_model_has_no_address() -> None:
    """Who names an address for a model in this process has mixed up two things."""
    with pytest.raises(UsageError, match="leave api_base empty"):
        backend_for("local/smollm2-135m-instruct", Settings(api_base="http://127.0.0.1:1/v1"))


# Proxies


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Calls of another machine go through the proxy, whose login they carry."""
    monkeypatch.setenv(name, server.address.replace("//", "//user:pass@"))
    assert asyncio.run(fresh("http://server.test/v1")).text == "hello"
    assert server.last.path == "http://server.test/v1/chat/completions"
    assert server.last.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'user:pass').decode()}"
    assert server.last.headers["authorization"] == "Bearer none"


def test_no_proxy_for_this_machine(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy elsewhere could not reach it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for host in ("127.0.0.1", "localhost"):
        assert asyncio.run(fresh(server.api_base.replace("127.0.0.1", host))).text == "hello"


def test_what_a_proxy_is_not_asked_for(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that no_proxy names are reached directly: 127.0.0.2 is this machine by another name."""
    monkeypatch.setenv("http_proxy", server.address)
    with pytest.raises(TransientError, match="Connection error"):
        monkeypatch.setenv("no_proxy", "127.0.0.2")
        asyncio.run(fresh("http://127.0.0.2:1/v1"))
    assert server.asked == []
    monkeypatch.setenv("no_proxy", "example.org")
    assert asyncio.run(fresh("http://127.0.0.2:1/v1")).text == "hello"


def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come back."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(TransientError, match=r"Connection error: .*127\.0\.0\.1"):
        asyncio.run(fresh("http://server.test/v1"))


# Redirects, cookies, logins


def redirected(target: str, status: int) -> Any:
    """Sends what comes to /v1 to another address."""

    def answer(asked: fake.Asked) -> fake.Answer:
        if asked.path.startswith("/v1"):
            return fake.Answer({}, status, {"Location": target})
        return chat("there")

    return answer


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_keeps_the_request(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """The same request goes to the new path, with its key; to another server it goes without."""
    monkeypatch.setenv("MY_KEY", "sk-test-0123456789")
    with fake.openai_server() as other:
        for target, asked in (("/v2/chat", server), (f"{other.address}/v2/chat", other)):
            server.answer = redirected(target, status)
            other.answer = chat("there")
            backend = ServerBackend("openai/m", server.api_base, api_key_env="MY_KEY")
            assert run_maybe_nested(backend.send(ASK)).text == "there"
            assert asked.last.path == "/v2/chat"
            assert asked.last.body == {"model": "m", "messages": [{"role": "user", "content": "so glad"}]}
            assert ("authorization" in asked.last.headers) == (asked is server)


def test_redirects_without_end(server: OpenAIServer) -> None:
    """A server that sends around in circles is told in one line."""
    server.answer = lambda asked: fake.Answer({}, 307, {"Location": asked.path})
    with pytest.raises(TransientError, match="too many redirects"):
        run_maybe_nested(ServerBackend("openai/m", server.api_base).send(ASK))


def test_no_cookie_is_kept(server: OpenAIServer) -> None:
    """What one answer sets, no later request brings back."""
    server.answer = chat("hello")
    server.answer.headers["Set-Cookie"] = "mine=1; Path=/"
    for _ in range(2):
        run_maybe_nested(ServerBackend("openai/m", server.api_base).send(ASK))
    assert "cookie" not in server.last.headers


def test_a_login_in_the_address(server: OpenAIServer) -> None:
    """It is sent in the place of a key, with its characters decoded."""
    address = server.api_base.replace("//", "//us%C3%A9r:pass%2Fword@")
    run_maybe_nested(ServerBackend("openai/m", address).send(ASK))
    expected = base64.b64encode("usér:pass/word".encode()).decode()
    assert server.last.headers["authorization"] == f"Basic {expected}"


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/v1", "http:///v1"])
def test_an_address_that_no_call_can_reach(address: str) -> None:
    """It is fatal at the first call, not tried again."""
    with pytest.raises(FatalError, match="openai/m"):
        run_maybe_nested(ServerBackend("openai/m", address, label="openai/m").send(ASK))


# Certificates

CALL = """
import asyncio, sys
from paretune.errors import LanguageModelError
from paretune.lm.backends.server import ServerBackend
from paretune.lm.types import Request

try:
    ask = Request((("user", "so glad"),), structured_output="text")
    print(asyncio.run(ServerBackend("openai/m", sys.argv[1]).send(ask)).text)
except LanguageModelError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody signed but itself, with its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    own = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = own.add_extension(place, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"),
    [({}, "certificate verify failed"), ({"SSL_VERIFY": "False"}, "hello")]
    + [({name: "the file"}, "hello") for name in ("SSL_CERT_FILE", "SSL_VERIFY")],
)
def test_whose_certificates_are_trusted(certificate: Path, setting: dict[str, str], said: str) -> None:
    """Those of the usual authorities, or of the file that the environment names, or anybody's where it says so."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    setting = {name: str(certificate) if value == "the file" else value for name, value in setting.items()}
    path = os.pathsep.join(name for name in sys.path if name)
    with fake.openai_server(tls=tls) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CALL, server.api_base],
            capture_output=True,
            text=True,
            env={**os.environ, **setting, "PYTHONPATH": path},
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


# Closing


def test_a_loop_that_is_closed_without_ceremony(server: OpenAIServer) -> None:
    """What such a loop leaves behind is closed when the next one begins."""
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(fresh(server.api_base)).text == "hello"
    with pytest.warns(ResourceWarning, match="unclosed transport|unclosed <socket"):  # asyncio's own, of the loop
        loop.close()
        asyncio.run(fresh(server.api_base))
        gc.collect()
    gc.collect()


def test_an_error_in_a_loop_that_ends(server: OpenAIServer) -> None:
    """A call that was cut off leaves nothing open either."""
    server.answer = fake.Answer(hang=True)

    async def cut_off() -> None:
        await asyncio.wait_for(fresh(server.api_base), timeout=0.2)

    with pytest.raises((TimeoutError, LanguageModelError)):
        asyncio.run(cut_off())
    gc.collect()
