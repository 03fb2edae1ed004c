"""A real headless Chromium, driven by its DevTools protocol: opens a page and sees what a person and a firewall see."""

import asyncio
import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from streams.errors import UsageError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
START_S = 60.0
ANSWER_S = 120.0  # a long page printed on a machine that does something else as well
MESSAGE_BYTES_MAX = 256 * 1024 * 1024  # a screenshot of a whole long page comes in one
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")
_OPTIONS = (
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)
# What a browser asks of its maker by itself is no request of the page, and would not be answered here.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-default-browser-check",
)


def find() -> str:
    """The browser's path. There is none: a usage error that says how to get it."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise UsageError("no Chromium is installed", where=", ".join(NAMES), advice="Debian: apt-get install chromium")


@asynccontextmanager
async def browser() -> "AsyncIterator[Browser]":
    """Runs for as long as the block does, with a profile of its own that is removed."""
    with tempfile.TemporaryDirectory(prefix="driftline-browser-", ignore_cleanup_errors=True) as profile:
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # for root it has none
        words = [find(), *_OPTIONS, *_QUIET, *sandbox, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        process = await asyncio.create_subprocess_exec(
            *words, "about:blank", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(START_S):
                address = await _address(process)
            drain = asyncio.create_task(_drain(process))
            async with (
                ClientSession() as session,
                session.ws_connect(address, max_msg_size=MESSAGE_BYTES_MAX) as socket,
            ):
                running = Browser(socket)
                yield running
                await running.close()
            await drain
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    while line := await process.stderr.readline():
        said.append(line.decode(errors="replace").strip())
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise UsageError(f"Chromium ended before it listened: {' / '.join(said[-5:])}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.readline():
        pass


class Browser:
    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._next = 0
        self._reader = asyncio.create_task(self._read())

    async def page(self) -> "Page":
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attached = await self.call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        page = Page(self, attached["sessionId"])
        self._pages[attached["sessionId"]] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.call(f"{domain}.enable")
        return page

    async def call(
        self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        self._next += 1
        answer = self._answers[self._next] = asyncio.get_running_loop().create_future()
        whose = {"sessionId": session} if session else {}
        await self._socket.send_str(
            json.dumps({"id": self._next, "method": method, "params": parameters or {}, **whose})
        )
        async with asyncio.timeout(ANSWER_S):
            told: dict[str, Any] = await answer
            return told

    async def close(self) -> None:
        await self.call("Browser.close")
        await self._reader

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            if (answer := self._answers.pop(said.get("id", -1), None)) is not None:
                if "error" in said:
                    answer.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            elif (page := self._pages.get(said.get("sessionId", ""))) is not None:
                page.heard(said["method"], said["params"])


class Page:
    """One tab. ``requests`` are all that it asked of any address but the file itself; ``complaints`` its errors."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._browser, self._session = browser, session
        self._loaded = asyncio.Event()
        self._address = ""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, parameters, self._session)

    def heard(self, event: str, told: Mapping[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Network.requestWillBeSent" and told["request"]["url"].partition("#")[0] != self._address:
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(each.get("value", "")) for each in told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])

    async def window(self, width: int, height: int, *, scale: float = 1.0, phone: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    async def prefers(self, media: str = "", **features: str) -> None:
        """Such as ``color_scheme="dark"``."""
        wanted = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", media=media, features=wanted)

    async def open(self, file: Path, fragment: str = "") -> None:
        """Waits until all of it is loaded. The path is absolute."""
        self._address = file.as_uri()
        self._loaded.clear()
        told = await self.call("Page.navigate", url=self._address + (f"#{fragment}" if fragment else ""))
        if "loaderId" not in told:
            return  # another place in the page that is open
        async with asyncio.timeout(ANSWER_S):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"]))
        return told["result"].get("value")

    async def press(self, key: str) -> None:
        typed = {"Enter": "\r", " ": " "}.get(key)
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": typed} if typed else {}))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG."""
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(taken["data"])

    async def pdf(self) -> bytes:
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}  # A4, in inches
        printed = await self.call("Page.printToPDF", **paper, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])
