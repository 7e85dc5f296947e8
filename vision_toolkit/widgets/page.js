// What the pages of all widgets have in common; the module of each widget begins with this text (page.py).
// What somebody does is numbered, kept here, and sent until the kernel confirms it: a connection that breaks, or a
// kernel that is busy, loses nothing. What the kernel says late or twice changes nothing.

const PROTOCOL = 1;
const FIRST_RETRY = 1500;
const LONGEST_RETRY = 30000;
const MOST_ACTS = 400; // of one message
const MOST_BYTES = 6_000_000; // a notebook's server closes the connection at 10 MiB
const MOST_WANTED = 64;
const WAIT = "Waiting for the kernel …";

// ------------------------------------------------------------------ one for each widget, however often it is shown

/** Hold the connection to the kernel. A widget adds `ready`, `needed()`, `take(content, buffers)` and `refresh()`. */
class Connection {
  constructor(model, { held }) {
    this.model = model;
    this.setup = model.get("_setup");
    this.page = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
    this.pending = []; // acts that the kernel has not confirmed, oldest first
    this.seq = 0;
    this.acked = 0;
    this.held = held; // how many decoded images are kept
    this.images = new Map(); // item, or largeKey(item) -> { bitmap, layers, ... } or { error }
    this.asked = new Map(); // key -> when
    this.said = { text: "", bad: false };
    this.trouble = null; // why acts are not kept
    this.late = false;
    this.watchers = new Set();
    this.retry = FIRST_RETRY;
  }

  open() {
    this.onMessage = (content, buffers) => this.hear(content, buffers);
    this.model.on("msg:custom", this.onMessage);
    this.onUnload = (event) => this.pending.length && event.preventDefault();
    window.addEventListener("beforeunload", this.onUnload);
    this.post({ type: "hello", page: this.page });
    this.schedule();
    return this;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("beforeunload", this.onUnload);
    for (const image of this.images.values()) release(image);
    this.images.clear();
  }

  post(message, buffers) {
    try {
      this.model.send({ v: PROTOCOL, ...message }, undefined, buffers);
    } catch {
      // The connection is gone; the timer tries again.
    }
  }

  // --- acts

  act(action, item, more = {}) {
    const act = { seq: ++this.seq, action, item, ...more };
    this.pending.push(act);
    this.postActs([act]);
    this.refresh();
    this.schedule();
  }

  schedule() {
    if (this.timer || this.closed) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (!this.ready) this.post({ type: "hello", page: this.page });
      if (this.pending.length) this.postActs(this.pending);
      this.late = this.pending.length > 0 || !this.ready;
      this.asked.clear();
      if (this.ready) this.ask();
      this.retry = Math.min(2 * this.retry, LONGEST_RETRY);
      this.tell();
      if (this.late || this.lacking().length) this.schedule();
    }, this.retry);
  }

  /** Send acts, as many as a message holds, one at least; the bytes of an act travel beside it. */
  postActs(acts) {
    const [sent, buffers] = [[], []];
    let size = 0;
    for (const { bytes, ...act } of acts.slice(0, MOST_ACTS)) {
      size += JSON.stringify(act).length + (bytes?.length ?? 0);
      if (sent.length && size > MOST_BYTES) break;
      sent.push(bytes ? { ...act, buffer: buffers.length } : act);
      if (bytes) buffers.push(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    }
    this.post({ type: "acts", page: this.page, acts: sent }, buffers);
  }

  // --- what the kernel says

  hear(content, buffers) {
    if (content?.v !== PROTOCOL) {
      this.trouble = "The kernel speaks another version than this page. Reload the page and run the cell again.";
      this.tell();
    } else if (content.type === "image") this.takeImage(content, buffers);
    else if (content.type === "gap" && content.page === this.page) this.again(content.acked);
    else if (content.type === "error") {
      this.trouble = content.text;
      this.tell();
    } else this.take(content, buffers);
  }

  /** Take the kernel's word for what it has kept, if it speaks to this page. */
  acknowledge({ page, acked, refused }) {
    if (page !== this.page) return;
    this.confirm(acked);
    this.trouble = null;
    if (refused.length) this.said = { text: refused.at(-1), bad: true };
  }

  confirm(acked) {
    if (acked < this.acked) return;
    this.acked = acked;
    this.pending = this.pending.filter((act) => act.seq > acked);
    this.late = false;
    this.retry = FIRST_RETRY;
    clearTimeout(this.timer);
    this.timer = null;
    if (this.pending.length) this.schedule();
  }

  again(acked) {
    if (acked < this.acked) {
      // A kernel that has forgotten this page: sending more would never come to an end.
      this.trouble = "The kernel began anew. Run the cell again.";
      return this.tell();
    }
    this.confirm(acked);
    if (this.pending.length) this.postActs(this.pending);
  }

  // --- images

  lacking() {
    return this.ready ? this.needed().filter((key) => !this.images.has(key)) : [];
  }

  ask() {
    const now = performance.now();
    const keys = this.lacking().filter((key) => !this.asked.has(key)).slice(0, MOST_WANTED);
    for (const key of keys) this.asked.set(key, now);
    const small = keys.filter((key) => typeof key === "number");
    const large = keys.filter((key) => typeof key === "string").map((key) => Number(key.slice(1)));
    if (large.length) this.post({ type: "want", items: large, large: true });
    if (small.length) this.post({ type: "want", items: small });
    if (keys.length) this.schedule();
  }

  async takeImage(content, buffers) {
    const { item, large, error, media, ...facts } = content;
    const key = large ? largeKey(item) : item;
    if (this.images.has(key)) return;
    let found = { error };
    if (!error) {
      try {
        found = { ...facts, ...(await this.unpack(buffers, media, facts)) };
      } catch {
        found = { error: "The browser cannot decode this image." };
      }
    }
    if (this.closed) return release(found);
    if (this.images.has(key)) release(this.images.get(key));
    this.images.set(key, found);
    this.asked.delete(key);
    if (this.images.size > this.held) {
      const keep = new Set(this.needed());
      for (const [old, image] of this.images) {
        if (this.images.size <= this.held) break;
        if (!keep.has(old)) {
          release(image);
          this.images.delete(old);
        }
      }
    }
    this.tell();
  }

  /** Turn the buffers of an image into what is drawn: the picture, then what is laid over it. */
  async unpack(buffers, media) {
    const [bitmap, ...layers] = await Promise.all(buffers.map((view, at) => decode(view, at ? "image/png" : media)));
    return { bitmap, layers };
  }

  // --- views

  say(text, bad = false) {
    this.said = { text, bad };
    this.tell();
  }

  tell() {
    for (const watcher of this.watchers) watcher();
  }
}

const largeKey = (item) => `L${item}`;

/** Return the bytes of a buffer of a message; they may begin anywhere in a larger one. */
function bytesOf(view) {
  return new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
}

function decode(view, type) {
  return createImageBitmap(new Blob([bytesOf(view)], { type }));
}

function release({ bitmap, layers = [] }) {
  for (const one of [bitmap, ...layers]) one?.close();
}

/** Return what anywidget calls: one connection for each widget, one view for each output that shows it; and the connection. */
function widget(Doc, View) {
  const docs = new Map(); // initialize and render get proxies of their own; the id is the same
  const docOf = (model) => {
    const { id } = model.get("_setup");
    if (!docs.has(id)) docs.set(id, new Doc(model).open());
    return docs.get(id);
  };
  return {
    initialize({ model }) {
      const doc = docOf(model);
      return () => {
        doc.close();
        docs.delete(doc.setup.id);
      };
    },
    render({ model, el }) {
      const view = new View(docOf(model), el);
      return () => view.close();
    },
    docOf,
  };
}

// ------------------------------------------------------------------ what is seen

function make(tag, { parent, text, ...attributes } = {}) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const NAMES = {
  " ": "space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "↵", Backspace: "⌫",
  PageUp: "PgUp", PageDown: "PgDn", Escape: "Esc",
};
const keyName = (key) => NAMES[key] ?? key;

/** Show a connection in one output, and keep its keys to itself. A widget adds `build()`, `draw()`, `undo()` and `typed(event)`. */
class Panel {
  constructor(doc, el, { name, label, role }) {
    this.doc = doc;
    this.keys = new Map(); // key -> what it does
    this.repeating = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown"]);
    this.root = make("div", {
      parent: el, class: `vt-widget ${name}`, tabindex: "0", role: "application", "aria-label": label,
      "aria-roledescription": role, "data-lm-suppress-shortcuts": "true",
    });
    this.build();
    this.guard();
    this.watcher = () => this.draw();
    doc.watchers.add(this.watcher);
    this.draw();
  }

  close() {
    this.doc.watchers.delete(this.watcher);
    this.root.remove();
  }

  button(parent, id, text, keys = []) {
    const button = make("button", { parent, type: "button", "data-id": id });
    make("span", { parent: button, text });
    for (const key of keys) make("kbd", { parent: button, text: keyName(key), "aria-hidden": "true" });
    if (keys.length) {
      const named = keys.map((key) => (key === " " ? "Space" : key));
      button.setAttribute("aria-keyshortcuts", named.join(" "));
    }
    return button;
  }

  helpList(listed) {
    this.help = make("dl", { parent: this.root, class: "vt-help" });
    this.help.hidden = true;
    const leave = this.doc.setup.done ? "done: back to where it was opened" : "leave: keys work in the notebook again";
    for (const [keys, text] of [...listed, [["Esc"], leave]]) {
      const term = make("dt", { parent: this.help });
      for (const key of keys) make("kbd", { parent: term, text: keyName(key) });
      make("dd", { parent: this.help, text });
    }
  }

  toggleHelp(button) {
    this.help.hidden = !this.help.hidden;
    button.setAttribute("aria-expanded", String(!this.help.hidden));
  }

  guard() {
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    for (const kind of ["focusin", "focusout"]) this.root.addEventListener(kind, () => queueMicrotask(() => this.draw()));
    // Notebooks listen to these too; what is typed here is ours.
    for (const kind of ["keyup", "keypress"]) this.root.addEventListener(kind, (event) => event.stopPropagation());
    this.root.addEventListener("pointerdown", (event) => {
      if (event.target.closest("input, select")) return;
      event.preventDefault(); // a button would take the focus, and the keys with it
      this.root.focus({ preventScroll: true });
    });
  }

  pressed(event) {
    event.stopPropagation();
    if (event.target.closest("input, select")) return this.typed(event);
    if (event.isComposing) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" && !event.shiftKey) {
        event.preventDefault();
        this.undo();
      } else if (key === "s") {
        event.preventDefault();
        this.doc.say("All is kept as you do it. Esc leaves the widget; then Ctrl+S saves the notebook.");
      }
      return;
    }
    if (event.altKey) return;
    if (key === "Escape") {
      event.preventDefault();
      if (!this.escape?.()) this.leave();
      return;
    }
    const onButton = event.target !== this.root && event.target.closest("button");
    if (onButton && (key === "Enter" || key === " ")) return; // presses the button
    const does = this.keys.get(key);
    if (!does) return;
    event.preventDefault();
    if (event.repeat && !this.repeating.has(key)) return; // a key held down labels one image
    does();
  }

  /** Offer the way back, if this is shown in the place of another widget. */
  doneButton(parent) {
    const { done } = this.doc.setup;
    if (done) this.button(parent, "done", "done", ["Escape"]).addEventListener("click", done);
  }

  leave() {
    if (this.doc.setup.done) return this.doc.setup.done();
    this.root.blur();
    this.root.closest(".jp-Notebook")?.focus({ preventScroll: true });
  }

  get hasFocus() {
    return this.root.contains(this.root.getRootNode().activeElement);
  }

  /** Say what was said last, else what is odd, else how to begin. */
  drawStatus(told = []) {
    const { said } = this.doc;
    write(this.status, said.text || told.join(" ") || (this.hasFocus ? "" : "Click here, then press a key."));
    this.status.classList.toggle("vt-bad", Boolean(said.text) && said.bad);
  }

  /** Say where what was done is kept, or why it is not. */
  drawSaved(known) {
    const { doc, saved } = this;
    const n = doc.pending.length;
    let text = "";
    if (doc.trouble) text = `${n ? `${n} not kept: ` : ""}${doc.trouble}`;
    else if (doc.late && n) text = `${n} not kept yet: the kernel is busy or gone. They are sent again.`;
    else if (known && !known.file) text = "In memory only: give file= to keep it.";
    else if (known) text = n ? "Keeping …" : `Kept in ${known.file}`;
    write(saved, text);
    saved.classList.toggle("vt-bad", Boolean(doc.trouble) || (doc.late && n > 0));
    if (known?.annotator) saved.title = `Labels of ${known.annotator}`;
    this.root.dataset.pending = n;
  }
}

/** Enlarge what is under the pointer: Ctrl and the wheel, a double click, or `toggle()`. */
class Zoom {
  constructor(stage, node, changed = () => {}) {
    Object.assign(this, { stage, node, changed, scale: 1 });
    stage.addEventListener("pointermove", (event) => this.aim(event));
    stage.addEventListener("dblclick", () => this.toggle());
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the notebook
        event.preventDefault();
        this.aim(event);
        this.to(Math.min(16, Math.max(1, this.scale * Math.exp(-event.deltaY / 300))));
      },
      { passive: false },
    );
  }

  aim(event) {
    const box = this.stage.getBoundingClientRect();
    const x = (100 * (event.clientX - box.left)) / box.width;
    const y = (100 * (event.clientY - box.top)) / box.height;
    this.node.style.transformOrigin = `${x}% ${y}%`;
  }

  toggle() {
    this.to(this.scale > 1 ? 1 : 3);
  }

  to(scale) {
    this.scale = scale;
    this.node.style.transform = scale > 1 ? `scale(${scale})` : "";
    this.node.classList.toggle("vt-large", scale >= 4);
    this.changed(scale > 1);
  }
}

