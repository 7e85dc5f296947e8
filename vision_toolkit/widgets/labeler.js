// The page of Labeler. What it shows is the kernel's last plan plus the acts that the kernel has not yet confirmed,
// replayed; so a key shows the next image at once, and an answer that comes late or twice changes nothing.

const PROTOCOL = 1;
const WAITING = -1; // more images are to come, but the kernel has not named them yet
const FIRST_RETRY = 1500;
const LONGEST_RETRY = 30000;
const HELD = 40; // decoded images
const LONGEST_NOTE = 2000;

// ------------------------------------------------------------------ what acts do

const isDone = (facts) => facts.name !== null || facts.skipped;

/** Return what there is to show: a plan, and on top of it acts that are not confirmed. */
export function replay(plan, acts) {
  const state = {
    current: plan.current,
    ahead: [...plan.ahead],
    row: plan.row,
    history: [...plan.history],
    firstSkipped: plan.first_skipped,
    counts: { ...plan.counts },
    items: new Map(Object.entries(plan.items).map(([item, facts]) => [Number(item), { ...facts }])),
  };
  for (const act of acts) step(state, act);
  return state;
}

function step(state, act) {
  if (act.action === "undo") {
    const past = state.history.shift();
    if (past) {
      change(state, past.item, past.before);
      goTo(state, past.item);
    }
    return;
  }
  if (act.action === "go") {
    goTo(state, act.item);
    return;
  }
  const { name, skipped, flagged, note } = state.items.get(act.item) ?? blank(act.item);
  state.history.unshift({ item: act.item, action: act.action, before: { name, skipped, flagged, note } });
  if (act.action === "label") change(state, act.item, { name: act.name, skipped: false });
  else if (act.action === "skip") change(state, act.item, { name: null, skipped: true });
  else if (act.action === "flag") change(state, act.item, { flagged: act.on });
  else if (act.action === "note") change(state, act.item, { note: act.text });
  if (act.action === "label" || act.action === "skip") {
    state.ahead = state.ahead.filter((item) => item !== act.item);
    if (act.item === state.current) state.current = state.ahead.length ? state.ahead.shift() : atTheEnd(state);
  }
}

const blank = (item) => ({ title: "", place: item, name: null, skipped: false, flagged: false, note: "" });
const atTheEnd = ({ counts }) => (counts.labelled + counts.skipped < counts.total ? WAITING : null);

function change(state, item, facts) {
  const before = state.items.get(item) ?? blank(item);
  const after = { ...before, ...facts };
  state.counts.labelled += (after.name !== null) - (before.name !== null);
  state.counts.skipped += after.skipped - before.skipped;
  state.counts.flagged += after.flagged - before.flagged;
  state.items.set(item, after);
}

function goTo(state, item) {
  const left = state.current;
  state.ahead = state.ahead.filter((one) => one !== item);
  if (left !== null && left !== WAITING && left !== item && !isDone(state.items.get(left) ?? blank(left))) {
    state.ahead.unshift(left);
  }
  state.current = item;
}

// ------------------------------------------------------------------ one for each widget, however often it is shown

export class Doc {
  constructor(model) {
    this.model = model;
    this.setup = model.get("_setup");
    this.page = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
    this.plan = null;
    this.state = null;
    this.pending = []; // acts that the kernel has not confirmed, oldest first
    this.seq = 0;
    this.acked = 0;
    this.images = new Map(); // item -> { bitmap, original } or { error }
    this.asked = new Map(); // item -> when
    this.said = { text: "", bad: false };
    this.trouble = null; // why acts are not kept
    this.late = false;
    this.watchers = new Set();
    this.retry = FIRST_RETRY;
    this.onMessage = (content, buffers) => this.hear(content, buffers);
    model.on("msg:custom", this.onMessage);
    this.onUnload = (event) => this.pending.length && event.preventDefault();
    window.addEventListener("beforeunload", this.onUnload);
    this.post({ type: "hello", page: this.page });
    this.schedule();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("beforeunload", this.onUnload);
    for (const { bitmap } of this.images.values()) bitmap?.close();
    this.images.clear();
  }

  post(message) {
    try {
      this.model.send({ v: PROTOCOL, ...message });
    } catch {
      // The connection is gone; the timer tries again.
    }
  }

  // --- acts

  act(action, item, more = {}) {
    const act = { seq: ++this.seq, action, item, ...more };
    this.pending.push(act);
    this.post({ type: "acts", page: this.page, acts: [act] });
    this.refresh();
    this.schedule();
  }

  schedule() {
    if (this.timer || this.closed) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (!this.plan) this.post({ type: "hello", page: this.page });
      if (this.pending.length) this.post({ type: "acts", page: this.page, acts: this.pending.slice(0, 400) });
      this.late = this.pending.length > 0 || !this.plan;
      this.asked.clear();
      if (this.plan) this.ask();
      this.retry = Math.min(2 * this.retry, LONGEST_RETRY);
      this.tell();
      if (this.late || this.lacking().length) this.schedule();
    }, this.retry);
  }

  // --- what the kernel says

  hear(content, buffers) {
    if (content?.v !== PROTOCOL) {
      this.trouble = "The kernel speaks another version than this page. Reload the page and run the cell again.";
      this.tell();
    } else if (content.type === "plan") this.takePlan(content);
    else if (content.type === "image") this.takeImage(content, buffers);
    else if (content.type === "gap" && content.page === this.page) this.again(content.acked);
    else if (content.type === "error") {
      this.trouble = content.text;
      this.tell();
    }
  }

  takePlan(plan) {
    this.plan = plan;
    if (plan.page === this.page) {
      this.confirm(plan.acked);
      this.trouble = null;
      if (plan.refused.length) this.say(plan.refused.at(-1), true);
    }
    this.refresh();
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
    if (this.pending.length) this.post({ type: "acts", page: this.page, acts: this.pending.slice(0, 400) });
  }

  // --- images

  needed() {
    const { current, ahead, row, history, firstSkipped } = this.state;
    const at = row.indexOf(current);
    const near = at < 0 ? row.slice(-1) : row.slice(Math.max(0, at - 2), at + 3);
    const items = [current, ...ahead.slice(0, this.setup.prefetch), ...history.slice(0, 3).map((h) => h.item), ...near];
    if (current === null) items.push(firstSkipped);
    return [...new Set(items)].filter((item) => item !== null && item !== WAITING);
  }

  lacking() {
    return this.state ? this.needed().filter((item) => !this.images.has(item)) : [];
  }

  ask() {
    const now = performance.now();
    const items = this.lacking().filter((item) => !this.asked.has(item)).slice(0, 64);
    for (const item of items) this.asked.set(item, now);
    if (items.length) {
      this.post({ type: "want", items });
      this.schedule();
    }
  }

  async takeImage(content, buffers) {
    const { item } = content;
    if (this.images.has(item)) return;
    let found = { error: content.error };
    if (!content.error) {
      const view = buffers[0]; // its bytes may begin anywhere in the buffer
      const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
      try {
        const bitmap = await createImageBitmap(new Blob([bytes], { type: content.media }));
        found = { bitmap, original: content.original };
      } catch {
        found = { error: "The browser cannot decode this image." };
      }
    }
    if (this.closed) return found.bitmap?.close();
    this.images.get(item)?.bitmap?.close();
    this.images.set(item, found);
    this.asked.delete(item);
    if (this.images.size > HELD) {
      const keep = new Set(this.needed());
      for (const [old, { bitmap }] of this.images) {
        if (this.images.size <= HELD) break;
        if (!keep.has(old)) {
          bitmap?.close();
          this.images.delete(old);
        }
      }
    }
    this.tell();
  }

  // --- views

  refresh() {
    if (!this.plan) return;
    this.state = replay(this.plan, this.pending);
    this.tell();
    this.ask();
  }

  say(text, bad = false) {
    this.said = { text, bad };
    this.tell();
  }

  tell() {
    for (const watcher of this.watchers) watcher();
  }

  /** Return the image that is shown, if its pixels are there. */
  get shown() {
    const current = this.state?.current ?? null;
    return current === null || current === WAITING ? null : (this.images.get(current) ?? null);
  }
}

const docs = new Map();

function docOf(model) {
  // initialize and render get proxies of their own; the id is the same.
  const id = model.get("_setup").id;
  if (!docs.has(id)) docs.set(id, new Doc(model));
  return docs.get(id);
}

function initialize({ model }) {
  const id = model.get("_setup").id;
  docOf(model);
  return () => {
    docs.get(id)?.close();
    docs.delete(id);
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

const NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", Enter: "↵", Backspace: "⌫" };
const keyName = (key) => NAMES[key] ?? key;
const WORDS = {
  undo: "undo", skip: "skip", flag: "flag", note: "note", back: "back", on: "forward", zoom: "enlarge", help: "keys",
};
const HELP = {
  undo: "take back the last act (Ctrl+Z too)", skip: "leave it for later", flag: "mark it for a second look",
  note: "write a note", back: "the image before", on: "the image behind", zoom: "enlarge under the pointer",
  help: "show or hide these keys",
};

class View {
  constructor(doc, el) {
    this.doc = doc;
    this.build(el);
    this.listen();
    this.watcher = () => this.draw();
    doc.watchers.add(this.watcher);
    this.draw();
  }

  close() {
    this.doc.watchers.delete(this.watcher);
    this.root.remove();
  }

  build(el) {
    const { classes, commands } = this.doc.setup;
    this.root = make("div", {
      parent: el, class: "vt-labeler", tabindex: "0", role: "application", "aria-label": "Label images",
      "aria-roledescription": "labelling tool", "data-lm-suppress-shortcuts": "true",
    });
    const bar = make("div", { parent: this.root, class: "vt-bar" });
    this.progress = make("progress", { parent: bar, "aria-label": "images done", max: "1", value: "0" });
    this.counts = make("span", { parent: bar, class: "vt-counts" });
    this.saved = make("span", { parent: bar, class: "vt-saved" });
    this.stage = make("div", { parent: this.root, class: "vt-stage" });
    this.canvas = make("canvas", { parent: this.stage, role: "img", width: "1", height: "1" });
    this.message = make("div", { parent: this.stage, class: "vt-message" });
    this.again = make("button", { parent: this.stage, type: "button", class: "vt-again" });
    this.caption = make("div", { parent: this.root, class: "vt-caption" });
    this.title = make("span", { parent: this.caption, class: "vt-title" });
    this.chips = make("span", { parent: this.caption, class: "vt-chips" });
    this.classes = make("div", { parent: this.root, class: "vt-classes", role: "group", "aria-label": "classes" });
    this.buttons = new Map();
    for (const { name, keys, label } of classes) {
      const button = this.button(this.classes, `class ${name}`, name, keys);
      if (label) button.dataset.label = label;
      button.addEventListener("click", () => this.label(name));
      this.buttons.set(name, button);
    }
    const row = make("div", { parent: this.root, class: "vt-commands", role: "group", "aria-label": "commands" });
    this.commands = new Map();
    for (const [command, keys] of Object.entries(commands)) {
      const button = this.button(row, `command ${command}`, WORDS[command], keys.slice(0, 1));
      button.title = HELP[command];
      button.addEventListener("click", () => this.command(command));
      this.commands.set(command, button);
    }
    this.form = make("form", { parent: this.root, class: "vt-note" });
    this.input = make("input", {
      parent: this.form, type: "text", "aria-label": "note; Enter keeps it, Escape does not", maxlength: LONGEST_NOTE,
      placeholder: "Note: Enter keeps it, Esc does not", autocomplete: "off",
    });
    this.form.hidden = true;
    this.help = make("dl", { parent: this.root, class: "vt-help" });
    this.help.hidden = true;
    const listed = [
      ...classes.map(({ name, keys }) => [keys, name]),
      ...Object.entries(commands).map(([command, keys]) => [keys, HELP[command]]),
      [["Esc"], "leave: keys work in the notebook again"],
    ];
    for (const [keys, text] of listed) {
      const term = make("dt", { parent: this.help });
      for (const key of keys) make("kbd", { parent: term, text: keyName(key) });
      make("dd", { parent: this.help, text });
    }
    this.status = make("div", { parent: this.root, class: "vt-status", role: "status", "aria-live": "polite" });
    this.keys = new Map();
    for (const { name, keys } of classes) for (const key of keys) this.keys.set(key, () => this.label(name));
    for (const [command, keys] of Object.entries(commands)) {
      for (const key of keys) this.keys.set(key, () => this.command(command));
    }
  }

  button(parent, id, text, keys) {
    const button = make("button", { parent, type: "button", "data-id": id });
    make("span", { parent: button, text });
    for (const key of keys) make("kbd", { parent: button, text: keyName(key), "aria-hidden": "true" });
    if (keys.length) {
      const named = keys.map((key) => (key === " " ? "Space" : key));
      button.setAttribute("aria-keyshortcuts", named.join(" "));
    }
    return button;
  }

  listen() {
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    for (const kind of ["focusin", "focusout"]) this.root.addEventListener(kind, () => queueMicrotask(() => this.draw()));
    // Notebooks listen to these too; what is typed here is ours.
    for (const kind of ["keyup", "keypress"]) this.root.addEventListener(kind, (event) => event.stopPropagation());
    this.root.addEventListener("pointerdown", (event) => {
      if (event.target === this.input) return;
      event.preventDefault(); // a button would take the focus, and the keys with it
      this.root.focus({ preventScroll: true });
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.closeNote(true);
    });
    this.input.addEventListener("blur", () => this.closeNote(false));
    this.again.addEventListener("click", () => this.doc.act("go", this.doc.state.firstSkipped));
    this.stage.addEventListener("pointermove", (event) => this.aim(event));
    this.stage.addEventListener("dblclick", () => this.enlarge());
    this.stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the notebook
        event.preventDefault();
        this.aim(event);
        this.enlarge(Math.min(16, Math.max(1, (this.scale ?? 1) * Math.exp(-event.deltaY / 300))));
      },
      { passive: false },
    );
  }

  // --- keys

  pressed(event) {
    event.stopPropagation();
    if (event.target === this.input) {
      if (event.key === "Escape") {
        event.preventDefault();
        this.closeNote(false);
      }
      return;
    }
    if (event.isComposing) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" && !event.shiftKey) {
        event.preventDefault();
        this.command("undo");
      } else if (key === "s") {
        event.preventDefault();
        this.doc.say("Labels are kept as you give them. Esc leaves the widget; then Ctrl+S saves the notebook.");
      }
      return;
    }
    if (event.altKey) return;
    if (key === "Escape") {
      event.preventDefault();
      this.root.blur();
      this.root.closest(".jp-Notebook")?.focus({ preventScroll: true });
      return;
    }
    const onButton = event.target !== this.root && event.target.closest("button");
    if (onButton && (key === "Enter" || key === " ")) return; // presses the button
    const does = this.keys.get(key);
    if (!does) return;
    event.preventDefault();
    if (event.repeat && !["ArrowLeft", "ArrowRight"].includes(key)) return; // a key held down labels one image
    does();
  }

  // --- acts

  item() {
    const current = this.doc.state?.current ?? null;
    return current === null || current === WAITING ? null : current;
  }

  label(name) {
    const item = this.item();
    const shown = this.doc.shown;
    if (item === null || !shown) {
      this.doc.say(item === null && this.doc.state?.current !== WAITING ? "Every image is done." : WAIT, true);
    } else if (shown.error) this.doc.say("This image cannot be shown, so it gets no label: skip or flag it.", true);
    else {
      const { title } = this.doc.state.items.get(item) ?? blank(item);
      const seconds = this.since ? (performance.now() - this.since) / 1000 : undefined;
      this.doc.said = { text: `${title}: ${name}`, bad: false };
      this.doc.act("label", item, { name, seconds });
    }
  }

  command(command) {
    const { doc } = this;
    const item = this.item();
    const state = doc.state;
    if (command === "help") {
      this.help.hidden = !this.help.hidden;
      this.commands.get("help").setAttribute("aria-expanded", String(!this.help.hidden));
    } else if (!state) doc.say(WAIT, true);
    else if (command === "undo") {
      if (!state.history.length) doc.say(doc.pending.length ? WAIT : "There is nothing to undo.", true);
      else {
        const { item: back, action } = state.history[0];
        doc.said = { text: `Taken back: ${action} of ${state.items.get(back)?.title ?? ""}`, bad: false };
        doc.act("undo", null);
      }
    } else if (command === "back" || command === "on") this.leaf(command === "back" ? -1 : 1);
    else if (item === null) doc.say(state.current === WAITING ? WAIT : "Every image is done.", true);
    else if (command === "skip") {
      doc.said = { text: `${state.items.get(item)?.title}: skipped`, bad: false };
      doc.act("skip", item);
    } else if (command === "flag") {
      const on = !state.items.get(item)?.flagged;
      doc.said = { text: on ? "Flagged." : "No longer flagged.", bad: false };
      doc.act("flag", item, { on });
    } else if (command === "note") this.openNote(item);
    else if (command === "zoom") this.enlarge();
  }

  leaf(by) {
    const { row, current } = this.doc.state;
    const at = current === null ? row.length : row.indexOf(current);
    const to = at < 0 ? undefined : row[at + by];
    if (to === undefined) this.doc.say(by < 0 ? "No image before this one." : "No image behind this one.");
    else {
      this.doc.said = { text: "", bad: false };
      this.doc.act("go", to);
    }
  }

  openNote(item) {
    this.noted = item;
    this.input.value = this.doc.state.items.get(item)?.note ?? "";
    this.form.hidden = false;
    this.input.focus({ preventScroll: true });
    this.input.select();
  }

  closeNote(keep) {
    if (this.form.hidden) return;
    const hadFocus = this.root.getRootNode().activeElement === this.input;
    this.form.hidden = true;
    const text = this.input.value.trim();
    const before = this.doc.state.items.get(this.noted)?.note ?? "";
    if (keep && text !== before) {
      this.doc.said = { text: text ? "Note kept." : "Note taken away.", bad: false };
      this.doc.act("note", this.noted, { text });
    }
    if (hadFocus) this.root.focus({ preventScroll: true });
  }

  // --- enlarging

  aim(event) {
    const box = this.stage.getBoundingClientRect();
    const x = (100 * (event.clientX - box.left)) / box.width;
    const y = (100 * (event.clientY - box.top)) / box.height;
    this.canvas.style.transformOrigin = `${x}% ${y}%`;
  }

  enlarge(scale = (this.scale ?? 1) > 1 ? 1 : 3) {
    this.scale = scale;
    this.canvas.style.transform = scale > 1 ? `scale(${scale})` : "";
    this.canvas.classList.toggle("vt-large", scale >= 4);
    this.commands.get("zoom").setAttribute("aria-pressed", String(scale > 1));
  }

  // --- drawing

  draw() {
    const { doc, root } = this;
    const { state, plan } = doc;
    root.dataset.pending = doc.pending.length;
    if (!state) {
      this.message.textContent = doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …");
      this.again.hidden = true;
      this.drawSaved();
      return;
    }
    const { current, counts, items } = state;
    const done = counts.labelled + counts.skipped;
    this.progress.max = counts.total;
    this.progress.value = done;
    const facts = current === null || current === WAITING ? null : (items.get(current) ?? blank(current));
    this.drawImage(current, facts);
    this.counts.textContent = countsText(counts, plan.pace);
    this.title.textContent = facts ? `${facts.place + 1} of ${counts.total}   ${facts.title}` : "";
    this.drawChips(facts);
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(facts?.name === name));
    this.commands.get("flag").setAttribute("aria-pressed", String(Boolean(facts?.flagged)));
    this.commands.get("undo").disabled = state.history.length === 0;
    this.drawSaved();
    const idle = root.contains(root.getRootNode().activeElement) ? "" : "Click here, then press a key.";
    const told = doc.said.text || plan.told.join(" ") || idle;
    if (this.status.textContent !== told) this.status.textContent = told;
    this.status.classList.toggle("vt-bad", Boolean(doc.said.text) && doc.said.bad);
  }

  drawImage(current, facts) {
    const { doc, root } = this;
    const shown = doc.shown;
    const left = doc.state.counts.skipped;
    const end = `All ${doc.state.counts.total} images are done.${left ? ` ${left} skipped.` : ""}`;
    this.message.textContent =
      current === null ? end : (shown?.error ?? (shown ? "" : current === WAITING ? WAIT : "Loading …"));
    this.again.hidden = current !== null || doc.state.firstSkipped === null || left === 0;
    this.again.textContent = "Look at the skipped ones";
    this.canvas.hidden = !shown?.bitmap;
    if (shown?.bitmap && this.drawn !== shown.bitmap) {
      const { bitmap } = shown;
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
      this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
      this.canvas.setAttribute("aria-label", `image ${facts.title}`);
      this.since = performance.now();
    }
    this.drawn = shown?.bitmap ?? null;
    // For whoever waits: which image's pixels are on the screen.
    if (root.dataset.item !== String(current)) root.dataset.item = String(current);
    root.dataset.ready = shown || current === null ? "1" : "0";
  }

  drawChips(facts) {
    const wanted = [];
    if (facts?.name) wanted.push(["vt-name", facts.name]);
    if (facts?.skipped) wanted.push(["vt-skipped", "skipped"]);
    if (facts?.flagged) wanted.push(["vt-flagged", "⚑ flagged"]);
    if (facts?.note) wanted.push(["vt-noted", `“${facts.note}”`]);
    this.chips.replaceChildren(...wanted.map(([kind, text]) => make("span", { class: kind, text })));
  }

  drawSaved() {
    const { doc, saved } = this;
    const n = doc.pending.length;
    let text = "";
    if (doc.trouble) text = `${n ? `${n} not kept: ` : ""}${doc.trouble}`;
    else if (doc.late && n) text = `${n} not kept yet: the kernel is busy or gone. They are sent again.`;
    else if (doc.plan && !doc.plan.file) text = "In memory only: give file= to keep labels.";
    else if (doc.plan) text = n ? "Keeping …" : `Kept in ${doc.plan.file}`;
    if (saved.textContent !== text) saved.textContent = text;
    saved.classList.toggle("vt-bad", Boolean(doc.trouble) || (doc.late && n > 0));
    if (doc.plan?.annotator) saved.title = `Labels of ${doc.plan.annotator}`;
  }
}

const WAIT = "Waiting for the kernel …";

function countsText({ total, labelled, skipped, flagged }, pace) {
  const parts = [`${labelled} of ${total} labelled`];
  if (skipped) parts.push(`${skipped} skipped`);
  if (flagged) parts.push(`${flagged} flagged`);
  const left = total - labelled - skipped;
  if (pace && left) {
    const minutes = left / pace;
    parts.push(`${Math.round(pace)} a minute`, minutes < 1 ? "less than a minute left" : `about ${Math.round(minutes)} min left`);
  }
  return parts.join(" · ");
}

function render({ model, el }) {
  const view = new View(docOf(model), el);
  return () => view.close();
}

export default { initialize, render };
