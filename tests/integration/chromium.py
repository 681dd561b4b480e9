"""Debian's Chromium without a screen, told what to do by the DevTools protocol."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.programs import running
from tests.tools import tool
from tests.waiting import BUSY, until

LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
# Root has no sandbox in Chromium. The pages are the tests' own.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Browser:
    """A browser; `page` opens an address in it. Source: the DevTools protocol (`Target`, `Page`, `Runtime`)."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}

    async def listen(self) -> None:
        """Hand on what the browser says, until it goes."""
        async for received in self._socket:
            message = json.loads(received.data)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif (listener := self._listeners.get(message.get("sessionId", ""))) is not None:
                listener(message["method"], message["params"])

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        target = {} if session is None else {"sessionId": session}
        await self._socket.send_json({"id": number, "method": method, "params": params} | target)
        message = await asyncio.wait_for(answer, 20 * BUSY)
        assert "error" not in message, message
        found: dict[str, Any] = message["result"]
        return found

    async def page(self, address: str, say: Callable[[dict[str, Any]], None]) -> "Page":
        """Open a page in a tab of its own. `say` gets what the page says by `window.say(JSON)`."""
        tab = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        page = Page(self, attached["sessionId"], say)
        self._listeners[attached["sessionId"]] = page.hear
        for domain in ("Page", "Runtime", "Log"):
            await page.ask(f"{domain}.enable")
        await page.ask("Runtime.addBinding", name="say")
        await page.ask("Page.navigate", url=address)
        await until(lambda: page.is_loaded)
        return page


class Page:
    """A page; `complaints` are exceptions that nobody caught, and errors in its console."""

    def __init__(self, browser: Browser, session: str, say: Callable[[dict[str, Any]], None]) -> None:
        self.is_loaded = False
        self.complaints: list[str] = []
        self._browser = browser
        self._session = session
        self._say = say

    def hear(self, event: str, params: dict[str, Any]) -> None:
        """Take an event of the protocol."""
        if event == "Page.loadEventFired":
            self.is_loaded = True
        elif event == "Runtime.bindingCalled":
            self._say(json.loads(params["payload"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol in this page."""
        return await self._browser.ask(method, self._session, **params)

    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the page; its value as JSON, that of a promise once it is kept."""
        words = ", ".join(map(json.dumps, arguments))
        # Not every value can be handed over: an open stream is not.
        expression = f"(async () => JSON.stringify(await {function}({words})))()"
        answer = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)


@asynccontextmanager
async def chromium(directory: Path) -> AsyncIterator[Browser]:
    """Start the browser with `directory` as its profile; it is asked to close when the block ends."""

    def address(line: str) -> str | None:
        match = LISTENING.search(line)
        return match and match[1]

    async with running(tool("chromium"), *OPTIONS, f"--user-data-dir={directory}", "about:blank") as program:
        url = await program.printed(address, 60)
        async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
            browser = Browser(socket)
            listener = asyncio.create_task(browser.listen())
            try:
                yield browser
            finally:
                # Its children go with it when it closes, not when it is killed.
                await socket.send_json({"id": 0, "method": "Browser.close"})
                await until(lambda: program.exit_code is not None)
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)
