// The page of Labeler. What it shows is the kernel's last plan plus the acts that the kernel has not yet confirmed,
// replayed; so a key shows the next image at once, and an answer that comes late or twice changes nothing.

const MORE = -1; // more images are to come, but the kernel has not named them yet
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
const atTheEnd = ({ counts }) => (counts.labelled + counts.skipped < counts.total ? MORE : null);

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
  if (left !== null && left !== MORE && left !== item && !isDone(state.items.get(left) ?? blank(left))) {
    state.ahead.unshift(left);
  }
  state.current = item;
}

// ------------------------------------------------------------------ one for each widget, however often it is shown

export class Doc extends Connection {
  constructor(model) {
    super(model, { held: HELD });
    this.plan = null;
    this.state = null;
  }

  get ready() {
    return this.plan !== null;
  }

  take(content) {
    if (content.type !== "plan") return;
    this.plan = content;
    this.acknowledge(content);
    this.refresh();
  }

  needed() {
    const { current, ahead, row, history, firstSkipped } = this.state;
    const at = row.indexOf(current);
    const near = at < 0 ? row.slice(-1) : row.slice(Math.max(0, at - 2), at + 3);
    const items = [current, ...ahead.slice(0, this.setup.prefetch), ...history.slice(0, 3).map((h) => h.item), ...near];
    if (current === null) items.push(firstSkipped);
    return [...new Set(items)].filter((item) => item !== null && item !== MORE);
  }

  refresh() {
    if (!this.plan) return;
    this.state = replay(this.plan, this.pending);
    this.tell();
    this.ask();
  }

  /** Return the image that is shown, if its pixels are there. */
  get shown() {
    const current = this.state?.current ?? null;
    return current === null || current === MORE ? null : (this.images.get(current) ?? null);
  }
}

// ------------------------------------------------------------------ what is seen

const WORDS = {
  undo: "undo", skip: "skip", flag: "flag", note: "note", back: "back", on: "forward", zoom: "enlarge", help: "keys",
};
const HELP = {
  undo: "take back the last act (Ctrl+Z too)", skip: "leave it for later", flag: "mark it for a second look",
  note: "write a note", back: "the image before", on: "the image behind", zoom: "enlarge under the pointer",
  help: "show or hide these keys",
};

class View extends Panel {
  constructor(doc, el) {
    super(doc, el, { name: "vt-labeler", label: "Label images", role: "labelling tool" });
    this.listen();
  }

  build() {
    const { classes, commands } = this.doc.setup;
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
    this.helpList([
      ...classes.map(({ name, keys }) => [keys, name]),
      ...Object.entries(commands).map(([command, keys]) => [keys, HELP[command]]),
    ]);
    this.status = make("div", { parent: this.root, class: "vt-status", role: "status", "aria-live": "polite" });
    for (const { name, keys } of classes) for (const key of keys) this.keys.set(key, () => this.label(name));
    for (const [command, keys] of Object.entries(commands)) {
      for (const key of keys) this.keys.set(key, () => this.command(command));
    }
  }

  listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.closeNote(true);
    });
    this.input.addEventListener("blur", () => this.closeNote(false));
    this.again.addEventListener("click", () => this.doc.act("go", this.doc.state.firstSkipped));
    const button = this.commands.get("zoom");
    this.zoom = new Zoom(this.stage, this.canvas, (on) => button.setAttribute("aria-pressed", String(on)));
  }

  // --- keys

  undo() {
    this.command("undo");
  }

  typed(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      this.closeNote(false);
    }
  }

  // --- acts

  item() {
    const current = this.doc.state?.current ?? null;
    return current === null || current === MORE ? null : current;
  }

  label(name) {
    const item = this.item();
    const shown = this.doc.shown;
    if (item === null || !shown) {
      this.doc.say(item === null && this.doc.state?.current !== MORE ? "Every image is done." : WAIT, true);
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
      this.toggleHelp(this.commands.get("help"));
    } else if (!state) doc.say(WAIT, true);
    else if (command === "undo") {
      if (!state.history.length) doc.say(doc.pending.length ? WAIT : "There is nothing to undo.", true);
      else {
        const { item: back, action } = state.history[0];
        doc.said = { text: `Taken back: ${action} of ${state.items.get(back)?.title ?? ""}`, bad: false };
        doc.act("undo", null);
      }
    } else if (command === "back" || command === "on") this.leaf(command === "back" ? -1 : 1);
    else if (item === null) doc.say(state.current === MORE ? WAIT : "Every image is done.", true);
    else if (command === "skip") {
      doc.said = { text: `${state.items.get(item)?.title}: skipped`, bad: false };
      doc.act("skip", item);
    } else if (command === "flag") {
      const on = !state.items.get(item)?.flagged;
      doc.said = { text: on ? "Flagged." : "No longer flagged.", bad: false };
      doc.act("flag", item, { on });
    } else if (command === "note") this.openNote(item);
    else if (command === "zoom") this.zoom.toggle();
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

  // --- drawing

  draw() {
    const { doc, root } = this;
    const { state, plan } = doc;
    if (!state) {
      this.message.textContent = doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …");
      this.again.hidden = true;
      this.drawSaved(plan);
      return;
    }
    const { current, counts, items } = state;
    const done = counts.labelled + counts.skipped;
    this.progress.max = counts.total;
    this.progress.value = done;
    const facts = current === null || current === MORE ? null : (items.get(current) ?? blank(current));
    this.drawImage(current, facts);
    this.counts.textContent = countsText(counts, plan.pace);
    this.title.textContent = facts ? `${facts.place + 1} of ${counts.total}   ${facts.title}` : "";
    this.drawChips(facts);
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(facts?.name === name));
    this.commands.get("flag").setAttribute("aria-pressed", String(Boolean(facts?.flagged)));
    this.commands.get("undo").disabled = state.history.length === 0;
    this.drawSaved(plan);
    this.drawStatus(plan.told);
  }

  drawImage(current, facts) {
    const { doc, root } = this;
    const shown = doc.shown;
    const left = doc.state.counts.skipped;
    const end = `All ${doc.state.counts.total} images are done.${left ? ` ${left} skipped.` : ""}`;
    this.message.textContent =
      current === null ? end : (shown?.error ?? (shown ? "" : current === MORE ? WAIT : "Loading …"));
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

}

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

export default widget(Doc, View);
