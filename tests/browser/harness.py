"""Start a real Chromium and a real JupyterLab that ask for nothing off this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import nbformat
import pytest

FLAGS = [
    "--no-sandbox",  # root in a container
    "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter,Translate", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip


SHOTS = os.environ.get("VISION_TOOLKIT_SHOTS")  # a folder for screenshots, to look at them
HTML = """<!doctype html><html lang=en><title>t</title><link rel=stylesheet href=widget.css>
<style>body { margin: 8px } body.dark { background: #111; --jp-layout-color1: #111; --jp-layout-color2: #222;
--jp-ui-font-color1: #ddd; --jp-ui-font-color2: #aaa; --jp-border-color1: #444; --jp-brand-color1: #64b5f6;
--jp-error-color1: #ef5350 }</style>
<input id=cell aria-label=cell><div id=app></div><div id=second></div>
<script type=module>
import * as module from './widget.js';
const widget = module.default;
window.module = module;
const setup = SETUP, subscribers = [];
window.line = { up: true, lose: 0, twice: false, sent: [], held: [] };
window.leaks = [];
document.addEventListener('keydown', (event) => window.leaks.push(event.key));
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
// Buffers of a notebook begin anywhere in a larger one.
const shifted = (view) => { const b = new Uint8Array(view.byteLength + 7); b.set(new Uint8Array(view.buffer), 5);
  return new DataView(b.buffer, 5, view.byteLength); };
window.deliver = (answers) => { for (const [content, buffers] of answers)
  for (const hear of [...subscribers]) hear(content, buffers.map((one) => shifted(bytes(one)))); };
const text = (buffer) => { let all = ''; for (const byte of new Uint8Array(buffer)) all += String.fromCharCode(byte);
  return btoa(all); };
const carry = async ([content, buffers]) =>
  deliver(JSON.parse(await window.kernel(JSON.stringify(content), buffers.map(text))));
window.model = {
  get: (name) => (name === '_setup' ? setup : undefined), set() {}, save_changes() {},
  on(_name, hear) { subscribers.push(hear); },
  off(_name, hear) { subscribers.splice(subscribers.indexOf(hear), 1); },
  send(content, _callbacks, buffers = []) {
    const both = [content, buffers];
    line.sent.push(content);
    if (!line.up) throw new Error('no connection');
    if (line.lose > 0 && content.type === 'acts') { line.lose -= 1; return; }
    if (line.hold) { line.held.push(both); return; }
    carry(both);
    if (line.twice) carry(both);
  },
};
window.release = () => { line.hold = false; const held = line.held.splice(0); for (const one of held) carry(one); };
window.closeAll = widget.initialize({ model });
window.closeView = widget.render({ model, el: document.getElementById('app') });
window.second = () => widget.render({ model, el: document.getElementById('second') });
</script></html>"""


class Comm:
    """Keep what the widget sends until the page fetches it."""

    comm_id = "0"

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            held = [base64.b64encode(one).decode() for one in buffers or ()]
            assert sum(map(len, held)) < 10 * 2**20
            self.sent.append([data["content"], held])

    def close(self, *_args: Any) -> None: ...

    on_msg = on_close = close


class WidgetPage:
    """A page with a widget in it: a real browser, the real Python half, and a connection in between that can fail."""

    def __init__(self, browser: Any, widget: Any, *, width: int = 900, height: int = 900) -> None:
        self.widget = widget
        widget.comm = Comm()
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.expose_function("kernel", self.kernel)
        self.page.route("**/*", self.serve)
        self.page.goto("http://widget.test/")
        self.root = self.page.locator(".vt-widget").first
        self.root.wait_for()

    def serve(self, route: Any) -> None:
        address = urlparse(route.request.url)
        files = {
            "/": ("text/html", HTML.replace("SETUP", json.dumps(self.widget._setup))),
            "/widget.js": ("text/javascript", self.widget._esm),
            "/widget.css": ("text/css", self.widget._css),
            "/favicon.ico": ("image/png", ""),
        }
        if address.hostname != "widget.test" or address.path not in files:
            self.foreign.append(route.request.url)
        kind, body = files.get(address.path, ("text/plain", ""))
        route.fulfill(content_type=f"{kind}; charset=utf-8", body=body)

    def pictures(self) -> list[Any]:
        """Return who makes images beside the kernel's thread."""
        return [self.widget._pictures]

    def kernel(self, text: str, buffers: Sequence[str]) -> str:
        data = {"method": "custom", "content": json.loads(text)}
        received = [memoryview(base64.b64decode(one)) for one in buffers]
        self.widget._handle_msg({"content": {"data": data}, "buffers": received})
        for pictures in self.pictures():
            wait(list(pictures.making.values()))
        return self.flush()

    def flush(self) -> str:
        sent, self.widget.comm.sent = self.widget.comm.sent, []
        return json.dumps(sent)

    def told(self) -> None:
        """Deliver what Python sent by itself."""
        self.page.evaluate("(text) => deliver(JSON.parse(text))", self.flush())

    def settled(self) -> None:
        self.page.wait_for_function("() => document.querySelector('.vt-widget').dataset.pending === '0'")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def status(self) -> str:
        return str(self.root.locator(".vt-status").inner_text())

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png")

    def close(self) -> None:
        self.page.close()
        assert self.errors == []
        assert self.foreign == [], "nothing is asked for off-site"


def chromium_path() -> str:
    """Return where Chromium is; skip the test where there is none (in CI a skip fails)."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium, or CHROMIUM=/path/to/it")
    return found


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Give a headless browser."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def jupyter(app: str, root: Path, home: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder by ``lab`` or ``notebook``, or a notebook by ``voila``, on a free port; give address and token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "run",
        "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    environment = dict(os.environ) | {name: str(home / folder) for name, folder in folders.items()}
    for folder in folders.values():
        (home / folder).mkdir(parents=True, exist_ok=True)
    news = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')  # a pop-up would cover the page
    if app == "voila":
        command = [sys.executable, "-m", "voila", str(root), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
        ready = f"http://127.0.0.1:{port}/voila/static/voila.js"
    else:
        exposed = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
        command = [
            sys.executable, "-m", "jupyter", app, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}",
            f"--IdentityProvider.token={token}", f"--{exposed}.expose_app_in_browser=True", "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{port}/api/status?token={token}"
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(ready, server, home / "server.log")
            yield f"http://127.0.0.1:{port}", token
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # a group of its own: the server and its kernels
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(900):
        if server.poll() is not None:
            raise RuntimeError(f"Jupyter ended: {log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # an answer too
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"Jupyter did not start: {log.read_text()[-2000:]}")


CURRENT = "window.jupyterapp?.shell?.currentWidget"


class Notebook:
    """A notebook in JupyterLab or Notebook 7, driven by its own commands and real keys."""

    def __init__(self, page: Any, app: str, address: str, token: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        ours = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(ours) or self.foreign.append(request.url))
        place = "lab/tree" if app == "lab" else "notebooks"
        page.goto(f"{address}/{place}/book.ipynb?token={token}&reset")
        self.idle()
        self.widget = page.locator(".vt-widget")

    def idle(self) -> None:
        kernel = f"{CURRENT}?.sessionContext?.session?.kernel"
        self.page.wait_for_function(
            f"() => {CURRENT}?.context?.isReady && {kernel}?.status === 'idle'"
            f" && {kernel}?.connectionStatus === 'connected'",
            timeout=90_000,
        )

    def command(self, name: str) -> None:
        self.page.evaluate("(name) => window.jupyterapp.commands.execute(name).then(() => null)", name)

    def run(self, *cells: int) -> None:
        for cell in cells:
            self.page.evaluate(f"(cell) => {{ {CURRENT.replace('?.', '.')}.content.activeCellIndex = cell; }}", cell)
            self.command("notebook:run-cell")

    def cells(self) -> list[str]:
        return list(self.page.evaluate(f"() => {CURRENT}.content.widgets.map((cell) => cell.model.sharedModel.source)"))

    def shows(self, item: int, *, place: str = ".vt-widget") -> None:
        """Wait until the widget shows an image, and everything that was done is kept."""
        self.page.wait_for_function(
            "([place, item]) => { const root = document.querySelector(place);"
            " return root?.dataset.item === item && root.dataset.ready === '1' && root.dataset.pending === '0'; }",
            arg=[place, str(item)],
            timeout=60_000,
        )

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png")


@contextlib.contextmanager
def notebook(app: str, browser: Any, place: Path, cells: Sequence[str], **size: int) -> Iterator[Notebook]:
    """Open a new notebook of some cells, book.ipynb in the folder root of ``place``, in ``lab`` or ``notebook``."""
    write_notebook(place, cells)
    with jupyter(app, place / "root", place / "home") as (address, token):
        context = browser.new_context(viewport={"width": 1280, "height": 1000} | size)
        page = context.new_page()
        yield Notebook(page, app, address, token)
        page.evaluate(f"() => {CURRENT}?.context?.sessionContext?.shutdown()")
        context.close()


def write_notebook(place: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of some cells, book.ipynb in the folder root of ``place``."""
    root = place / "root"
    root.mkdir(exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells], metadata={"kernelspec": kernel}
    )
    nbformat.write(made, root / "book.ipynb")
    return root / "book.ipynb"
