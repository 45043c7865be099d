"""A headless Chromium that shows a page: its text, errors, requests and width. Over the DevTools protocol on a pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (Debian: apt install chromium)")
_TIMEOUT_S = 60
_MEASURE = """({
  text: document.body.innerText, title: document.title, width: document.documentElement.scrollWidth,
  background: getComputedStyle(document.body).backgroundColor,
  smallest: Math.min(...[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0)
    .flatMap(s => [...s.querySelectorAll('text')].map(t => t.getBoundingClientRect().height))),
  outside: [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
    const box = s.getBoundingClientRect();
    return [...s.querySelectorAll('text')].filter(t => { const b = t.getBoundingClientRect();
      return b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 2 || b.bottom > box.bottom + 2;
    }).map(t => t.textContent) }),
  broken: [...document.images].filter(i => !i.naturalWidth).length,
})"""


@dataclass(frozen=True)
class Shown:
    """A page as it was shown.

    Attributes:
        text, title: as a reader sees them. errors: what the console said. requests: what was asked for, but for the page and its data.
        width: of the document in CSS pixels. background: of its body. broken: pictures that do not show.
        smallest: height of the smallest text in a plot, in CSS pixels. outside: texts that stick out of their plot.
        picture: a PNG of the window.
    """

    text: str
    title: str
    errors: tuple[str, ...]
    requests: tuple[str, ...]
    width: int
    background: str
    smallest: float
    outside: tuple[str, ...]
    broken: int
    picture: bytes


class Browser:
    """One Chromium; see `browser`."""

    def __init__(self, profile: Path) -> None:
        to_it, from_us = os.pipe()
        from_it, to_us = os.pipe()
        flags = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        )
        # Chromium reads commands on descriptor 3 and writes answers on 4.
        move = f'exec 3<&{to_it} 4>&{to_us}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", move, "bash", str(CHROMIUM), *flags, "about:blank"],
            pass_fds=(to_it, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_it)
        os.close(to_us)
        self._out, self._in, self._rest, self._number = from_us, from_it, b"", 0
        self._events: list[dict[str, Any]] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"}, session=None)["targetId"]
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True}, session=None)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def show(self, page: Path, width: int = 1000, height: int = 900, *, dark: bool = False) -> Shown:
        """Load a file into a window of so many CSS pixels."""
        self._events.clear()
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        self._ask("Emulation.setEmulatedMedia", media)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", size)
        self._ask("Page.navigate", {"url": page.as_uri()})
        self._wait_for("Page.loadEventFired")
        found = self._ask("Runtime.evaluate", {"expression": _MEASURE, "returnByValue": True})["result"]["value"]
        picture = base64.b64decode(self._ask("Page.captureScreenshot", {"format": "png"})["data"])
        asked = [
            event["params"]["request"]["url"]
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]
        outside = tuple(found.pop("outside"))
        return Shown(
            **found, outside=outside, picture=picture, errors=tuple(self._errors()),
            requests=tuple(url for url in asked if url != page.as_uri() and not url.startswith("data:")),
        )  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_TIMEOUT_S)
        os.close(self._out)
        os.close(self._in)

    def _errors(self) -> Iterator[str]:
        for event in self._events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                yield str(told["exceptionDetails"])
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
                yield str(told["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                yield str(told["args"])

    def _ask(self, method: str, params: dict[str, Any] | None = None, session: str | None = "") -> Any:
        self._number += 1
        number = self._number
        told: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            told["sessionId"] = self._session
        os.write(self._out, json.dumps(told).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._next()

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._rest:
            assert time.monotonic() < end, "Chromium does not answer"
            new = os.read(self._in, 1 << 20)
            assert new, "Chromium has gone"
            self._rest += new
        message, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self._events.append(found)
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """``with browser(tmp_path) as it: it.show(page)``; the folder is for Chromium's own files."""
    opened = Browser(profile)
    try:
        yield opened
    finally:
        opened.close()
