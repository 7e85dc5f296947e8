"""What the kernel's half of every widget does: read messages, count each act once, answer, and never raise."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from vision_toolkit.core.errors import Invalid, NotFound, VisionError
from vision_toolkit.widgets import wire

__all__ = ["Carry", "PageWidget", "module", "style"]

_HERE = Path(__file__).parent
Carry = Callable[[dict[str, Any], Sequence[bytes]], None]
"""Brings what a widget says, and the bytes that belong to it, to pages of another one."""


def module(*names: str) -> str:
    """Return the ES module of a widget: what all pages share (page.js), then its own files."""
    return "".join((_HERE / one).read_text(encoding="utf-8") for one in ("page.js", *names))


def style(name: str) -> str:
    """Return the style sheet of a widget: what all pages share (page.css), then its own."""
    return "".join((_HERE / one).read_text(encoding="utf-8") for one in ("page.css", name))


class PageWidget(anywidget.AnyWidget):
    """Keep the truth of a widget, and tell it to its pages; a subclass says what its messages do.

    Acts of a page are numbered; each counts once, however often it is sent, and a gap is asked for. Whatever a page
    says, nothing is raised into the user's notebook: what was wrong goes back to the page and to :attr:`last_error`.

    Parameters
    ----------
    setup
        what pages need to know before anything else.
    traits
        values of further traits.
    """

    _setup = traitlets.Dict().tag(sync=True)

    def __init__(self, setup: dict[str, Any], **traits: Any) -> None:
        self._kept: dict[str, int] = {}  # by page: up to which number its acts are kept
        self.last_error: str | None = None
        self._carry: Carry | None = None
        self._is_shown = False  # in a place of its own
        super().__init__(_setup={"v": wire.PROTOCOL, "id": uuid.uuid4().hex} | setup, **traits)
        self.on_msg(self._on_message)

    # ---------------------------------------------------------------- what a subclass says

    def _greet(self, page: str) -> None:
        """Tell a page that came all there is to show."""
        raise NotImplementedError

    def _send_image(self, item: int, *, large: bool) -> None:
        """Send an image now, or as soon as it is ready."""
        raise NotImplementedError

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:
        """Do what somebody did in a page; ``id`` tells the act from all others."""
        raise NotImplementedError

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        """Tell the pages what there is to show; ``page`` learns up to which number its acts are kept."""
        raise NotImplementedError

    def _take_other(self, message: wire.Message) -> None:
        """Take a message that only this widget knows."""
        raise Invalid(f"This widget takes no message {type(message).__name__}.")

    def _picture(self) -> str:
        """Draw what remains in a saved notebook when the kernel is gone: a PNG in base 64."""
        raise NotImplementedError

    # ---------------------------------------------------------------- the notebook

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        shown, metadata = bundle
        return {"image/png": self._picture()} | shown, metadata

    # ---------------------------------------------------------------- messages

    def carried(self, carry: Carry) -> None:
        """Be shown within another widget, which carries what this one says; its pages are heard by :meth:`hear`."""
        self._carry = carry

    def parts(self) -> dict[str, Any]:
        """Return what a page of another widget needs to show this one."""
        return {"setup": dict(self._setup), "esm": str(self._esm), "css": str(self._css)}

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        self._is_shown = True
        self.hear(content, buffers)

    def hear(self, content: Any, buffers: Any) -> None:
        """Take what a page said."""
        try:
            message = wire.read_message(content, buffers or ())
        except Invalid as error:
            self._complain("message", str(error))
            return
        try:
            if isinstance(message, wire.Hello):
                self._greet(message.page)
            elif isinstance(message, wire.Want):
                for item in message.items:
                    self._send_image(item, large=message.large)
            elif isinstance(message, wire.Acts):
                self._take(message)
            else:
                self._take_other(message)
        except VisionError as error:  # of the file: the page keeps its acts and sends them again
            self._complain("file", str(error))
        except Exception as error:  # noqa: BLE001 (a mistake of ours must neither be lost nor stop the work)
            self._complain("bug", f"{type(error).__name__}: {error}")

    def _take(self, message: wire.Acts) -> None:
        kept = self._kept.get(message.page, 0)
        if message.acts and message.acts[0].seq > kept + 1:
            self._post({"type": "gap", "page": message.page, "acked": kept})
            return
        refused = []
        try:
            for act in message.acts:
                if act.seq <= kept:
                    continue  # sent again, because the answer was lost
                try:
                    self._take_act(act, id=f"{message.page}-{act.seq}")
                except (NotFound, Invalid) as error:
                    refused.append(str(error))
                kept = act.seq
        finally:
            self._kept[message.page] = kept
        if refused:
            self.last_error = refused[-1]
        self._tell(message.page, refused)

    def _acked(self, page: str | None, refused: Sequence[str] = ()) -> dict[str, Any]:
        """Return what tells a page which of its acts are kept."""
        return {"page": page, "acked": self._kept.get(page or "", 0), "refused": list(refused)}

    def _complain(self, code: str, text: str) -> None:
        self.last_error = text
        self._post({"type": "error", "code": code, "text": text})

    def _post(self, message: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        said = _sendable({"v": wire.PROTOCOL} | message)
        if self._carry is not None:
            self._carry(said, buffers or ())
        if self._carry is None or self._is_shown:
            self.send(said, buffers)


def _sendable(value: Any) -> Any:
    """Replace what no browser reads: halves of letters, from names of files that were no UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _sendable(one) for key, one in value.items()}
    return [_sendable(one) for one in value] if isinstance(value, list) else value
