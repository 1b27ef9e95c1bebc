"""A headless Chromium, driven by its own protocol over loopback; nothing of it reaches the network."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import aiohttp

__all__ = ["Browser", "find_chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", "--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def find_chromium() -> str | None:
    """The program: that of ``CHROMIUM``, or what is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One page of a browser. ``messages`` are those of its console and its uncaught errors since the last ``open``."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [program, *_FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self.messages: list[str] = []
        self._asked: dict[str, str] = {}
        self._loop.run_until_complete(self._connect())
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._session.close())
        self._process.terminate()
        self._process.wait(20)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._folder.cleanup()

    async def _connect(self) -> None:
        port_file = Path(self._folder.name) / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not port_file.exists() or not port_file.read_text().strip():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("Chromium did not start")
            await asyncio.sleep(0.05)
        address = f"http://127.0.0.1:{port_file.read_text().split()[0]}"
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"{address}/json/list") as answer:
            targets = await answer.json()
        page = next(target for target in targets if target["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    @property
    def requests(self) -> list[str]:
        """The addresses that the page asked for, but for those that its policy stopped, since the last ``open``."""
        return list(self._asked.values())

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._number += 1
        return self._loop.run_until_complete(self._call(self._number, method, params))

    async def _call(self, number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=120)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        if event == "Runtime.consoleAPICalled":
            self.messages.append(str([each.get("value") for each in params["args"]]))
        elif event == "Runtime.exceptionThrown":
            self.messages.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self._asked[params["requestId"]] = params["request"]["url"]
        elif event == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self._asked.pop(params["requestId"], None)  # it never left

    def open(self, page: Path, view: str = "") -> None:
        """Open a file from disk, anew, and wait until a view of it is drawn."""
        self.call("Page.navigate", url="about:blank")
        self.messages.clear()
        self._asked.clear()
        self.call("Page.navigate", url=f"{page.as_uri()}{view}")
        self.wait("document.querySelector('nav[aria-label=Views]') !== null")

    def go(self, view: str) -> None:
        """Go to another view of the page, and wait until it is drawn."""
        self.evaluate("window.before = document.querySelector('#main').firstElementChild")
        self.evaluate(f"location.hash = {view!r}")
        self.wait("document.querySelector('#main').firstElementChild !== window.before")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true after {seconds} s: {expression}; {self.messages}")
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """The text of the first element that a selector names."""
        return str(self.evaluate(f"document.querySelector({selector!r}).textContent"))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        codes = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}
        for key in keys:
            text = {"text": "\r"} if key == "Enter" else {}
            down = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **text}
            self.call("Input.dispatchKeyEvent", type="keyDown", **down)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=codes[key])

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, and the colours that its reader prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """The whole page as a picture."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
