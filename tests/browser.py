"""A headless Chromium, driven through its DevTools protocol over a pipe."""

import json
import os
import shutil
import subprocess
from base64 import b64decode

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")


class Browser:
    """One page in a browser that keeps what it complains of.

    Attributes:
        complaints: Console errors, exceptions, and requests that failed or were refused.
        requests: Addresses that the page asked for, itself first.
    """

    def __init__(self, folder):
        to_browser, own_out = os.pipe()
        own_in, from_browser = os.pipe()

        def wire():  # Chromium reads its orders from 3 and answers on 4
            os.dup2(to_browser, 100)
            os.dup2(from_browser, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._out, self._in = os.fdopen(own_out, "wb"), os.fdopen(own_in, "rb")
        self._count, self._session, self._left = 0, None, b""
        self.complaints, self.requests = [], []
        (target,) = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self._count += 1
        order = {"id": self._count, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        self._out.write(json.dumps(order).encode() + b"\0")
        self._out.flush()
        while (message := self._read()).get("id") != self._count:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    def _read(self):
        while b"\0" not in self._left:
            part = os.read(self._in.fileno(), 1 << 16)
            assert part, "the browser is gone"
            self._left += part
        message, self._left = self._left.split(b"\0", 1)
        return json.loads(message)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif (
            method in ("Runtime.exceptionThrown", "Network.loadingFailed")
            or (method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"))
            or (method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"))
        ):
            self.complaints.append(params)

    def show(self, path, width=1400, height=1000, dark=False, scripts=True):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=path.as_uri())
        while self._read_noting() != "Page.loadEventFired":
            pass

    def _read_noting(self):
        message = self._read()
        self._note(message)
        return message.get("method")

    def run(self, script):
        """The value of an expression, awaited."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def picture(self, path):
        """A PNG of the whole page."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(taken["data"]))

    def close(self):
        self._process.terminate()
        self._process.wait()
        self._out.close()
        self._in.close()
