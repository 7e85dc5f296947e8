// The page of BoxLabeler: boxes are drawn here and now, and the kernel is told when the mouse is let go.

const LEAST = 3; // pixels of the page that a drag has
const RESTING = 400; // ms without a key, and boxes that were nudged are kept

const COMMANDS = {
  delete: ["delete", "delete the box that is selected"], copy: ["copy", "copy the boxes of the image before"],
  accept: ["accept", "accept the suggestions, which are dashed"], undo: ["undo", "take back the last change of this image (Ctrl+Z too)"],
  redo: ["redo", "do it again (Ctrl+Y, Ctrl+Shift+Z)"], before: ["back", "the image before"], after: ["next", "the next image"],
  larger: ["enlarge", "enlarge; Ctrl and the wheel too, at the pointer"], smaller: ["reduce", "reduce"], reset: ["fit", "the whole image"],
  help: ["keys", "show or hide these keys"],
};
const LEAFING = ["before", "after", "copy"]; // a review has an order of its own
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CURSORS = { nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize", n: "ns-resize", s: "ns-resize", e: "ew-resize", w: "ew-resize" };
const count = (n) => `${n.toLocaleString("en")} box${n === 1 ? "" : "es"}`;

class View extends Panel {
  constructor(doc, el) {
    super(doc, el, { name: "vt-boxes", label: "Draw boxes", role: "box drawing tool" });
    this.listen();
  }

  // --- building

  build() {
    this.viewport = new Viewport();
    this.fingers = new Fingers(this.viewport);
    this.selected = null; // a box and its number, as they were when it was selected
    this.drag = null;
    this.nudge = null;
    const { classes, commands } = this.doc.setup;
    const bar = make("div", { parent: this.root, class: "vt-bar" });
    this.counts = make("span", { parent: bar, class: "vt-counts" });
    this.saved = make("span", { parent: bar, class: "vt-saved" });
    this.stage = make("div", { parent: this.root, class: "vt-stage" });
    this.canvas = make("canvas", { parent: this.stage, role: "img", width: "1", height: "1" });
    this.message = make("div", { parent: this.stage, class: "vt-message" });
    this.caption = make("div", { parent: this.root, class: "vt-caption" });
    this.title = make("span", { parent: this.caption, class: "vt-title" });
    this.chips = make("span", { parent: this.caption, class: "vt-chips" });
    this.classes = make("div", { parent: this.root, class: "vt-classes", role: "group", "aria-label": "classes" });
    this.buttons = new Map();
    this.colours = new Map(classes.map(({ name, colour }) => [name, colour]));
    for (const { name, keys, colour } of classes) {
      const button = this.button(this.classes, `class ${name}`, name, keys);
      button.style.setProperty("--vt-colour", colour);
      button.addEventListener("click", () => this.choose(name));
      this.buttons.set(name, button);
      for (const key of keys) this.keys.set(key, () => this.choose(name));
    }
    const row = make("div", { parent: this.root, class: "vt-commands", role: "group", "aria-label": "commands" });
    this.commands = new Map();
    this.doneButton(row);
    for (const [command, keys] of Object.entries(commands)) {
      if (this.doc.setup.done && LEAFING.includes(command)) continue;
      const [text, title] = COMMANDS[command];
      const button = this.button(row, `command ${command}`, text, keys.slice(0, 1));
      button.title = title;
      button.addEventListener("click", () => this.command(command));
      this.commands.set(command, button);
      for (const key of keys) this.keys.set(key, () => this.command(command));
    }
    for (const key of Object.keys(ARROWS)) this.keys.set(key, () => this.push(ARROWS[key]));
    this.keys.set("Tab", () => this.tab(this.shift ? -1 : 1));
    this.keys.set(" ", () => this.hold(true));
    for (const key of ["+", "=", "-", "Tab"]) this.repeating.add(key);
    this.helpList([
      [["drag"], "draw a box; drag a box to move it, its handles to resize it; with Shift, draw inside a box too"],
      ...classes.map(({ name, keys }) => [keys, `${name}: the next box, and the one that is selected`]),
      ...Object.entries(commands).map(([command, keys]) => [keys, COMMANDS[command][1]]),
      [["Tab"], "select the next box; with Shift the one before"],
      [Object.keys(ARROWS), "move the selected box by a pixel; with Shift by ten"],
      [[" "], "hold it and drag to move the image about; the middle button and two fingers too"],
    ]);
    this.status = make("div", { parent: this.root, class: "vt-status", role: "status", "aria-live": "polite" });
  }

  listen() {
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    for (const kind of ["pointercancel", "lostpointercapture"]) stage.addEventListener(kind, (event) => this.cancel(event));
    stage.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault()); // no scrolling by itself
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the notebook
        event.preventDefault();
        const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
        this.zoomBy(Math.exp(-pixels / 300), this.at(event));
      },
      { passive: false },
    );
    this.root.addEventListener("keyup", (event) => {
      if (event.key === " ") this.hold(false);
      if (event.key in ARROWS) this.keepNudge();
    });
    this.root.addEventListener("focusout", () => {
      this.hold(false);
      this.keepNudge();
    });
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(stage);
  }

  close() {
    this.keepNudge();
    this.sizes.disconnect();
    super.close();
  }

  // --- keys

  pressed(event) {
    this.shift = event.shiftKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((event.ctrlKey || event.metaKey) && (key === "y" || (key === "z" && event.shiftKey))) {
      event.preventDefault();
      event.stopPropagation();
      return this.command("redo");
    }
    if (key === "Tab" && (event.target !== this.root || !this.listed().length)) return event.stopPropagation(); // on to the buttons
    super.pressed(event);
  }

  undo() {
    this.command("undo");
  }

  escape() {
    if (this.drag) this.drop();
    else if (this.index >= 0) this.select(-1);
    else return false;
    return true;
  }

  hold(on) {
    this.space = on;
    this.stage.style.cursor = on ? "grab" : "";
  }

  // --- boxes

  /** Return the boxes of the image that is shown, without what is being dragged. */
  listed() {
    return this.doc.stateOf(this.doc.current)?.boxes ?? [];
  }

  /** Return the number of the box that is selected, else -1; of two that are the same, the one that was meant. */
  get index() {
    if (!this.selected) return -1;
    const boxes = this.listed();
    const { number } = this.selected;
    return boxes[number] && same(boxes[number], this.selected) ? number : boxes.findIndex((box) => same(box, this.selected));
  }

  /** Return whether boxes can be changed now; say why not. */
  mayDraw() {
    const { doc } = this;
    const image = doc.images.get(doc.current);
    const state = doc.stateOf(doc.current);
    if (image?.error) doc.say("This image cannot be shown, so nothing can be drawn on it.", true);
    else if (!image || !state || state.unknown) doc.say(WAIT, true);
    else return true;
    return false;
  }

  /** Send what an image has now. */
  keep(item, boxes, text, open = undefined) {
    const { doc } = this;
    const { most } = doc.setup;
    if (boxes.length > most) return doc.say(`An image has at most ${count(most)}.`, true);
    doc.said = { text: `${text}: ${count(boxes.length)}.`, bad: false };
    const sent = boxes.map(({ name, left, top, width, height }) => ({ name, left, top, width, height }));
    doc.act("boxes", item, open === undefined ? { boxes: sent } : { boxes: sent, open });
  }

  /** Put one box in the place of another, wherever that is by now. */
  replace(item, from, to, text) {
    const boxes = this.doc.stateOf(item)?.boxes ?? [];
    const { number = -1 } = from;
    const index = boxes[number] && same(boxes[number], from) ? number : boxes.findIndex((box) => same(box, from));
    if (index < 0) return this.doc.say("This box was changed elsewhere.", true);
    this.selected = { ...to, number: index };
    if (same(from, to)) return this.doc.tell();
    this.keep(item, boxes.with(index, to), text);
  }

  select(number) {
    const box = this.listed()[number];
    this.selected = box ? { ...box, number } : null;
    if (!box) this.doc.say("");
    else {
      const [width, height] = this.doc.images.get(this.doc.current)?.original ?? [1, 1];
      const [left, top, wide, high] = [box.left * width, box.top * height, box.width * width, box.height * height].map(Math.round);
      this.doc.say(`${box.name}, box ${number + 1} of ${this.listed().length}: left ${left}, top ${top}, ${wide} by ${high} pixels.`);
    }
  }

  choose(name) {
    this.keepNudge();
    this.doc.name = name;
    if (this.index >= 0 && this.mayDraw()) this.replace(this.doc.current, this.selected, { ...this.selected, name }, name);
    else this.doc.say(`The next box is ${name}.`);
  }

  tab(by) {
    this.keepNudge();
    const boxes = this.listed();
    const from = this.index;
    this.select(from < 0 ? (by > 0 ? 0 : boxes.length - 1) : (from + by + boxes.length) % boxes.length);
  }

  /** Move the selected box by pixels of the image; it is kept when the key is let go. */
  push([x, y]) {
    if (this.index < 0 || !this.mayDraw()) return;
    const { current } = this.doc;
    const far = this.shift ? 10 : 1;
    const [width, height] = this.doc.images.get(current).original;
    const from = this.nudge?.from ?? this.selected;
    this.nudge = { item: current, from, to: moved(this.nudge?.to ?? from, [(far * x) / width, (far * y) / height]) };
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.keepNudge(), RESTING);
    this.paint();
  }

  keepNudge() {
    clearTimeout(this.resting);
    const { nudge } = this;
    this.nudge = null;
    if (nudge) this.replace(nudge.item, nudge.from, nudge.to, `${nudge.to.name} moved`);
  }

  command(command) {
    const { doc } = this;
    this.keepNudge();
    this.drop();
    if (command === "help") this.toggleHelp(this.commands.get("help"));
    else if (command === "before" || command === "after") this.leaf(command === "before" ? -1 : 1);
    else if (command === "larger" || command === "smaller") {
      this.zoomBy(command === "larger" ? 1.5 : 1 / 1.5, this.viewport.stage.map((side) => side / 2));
    } else if (command === "reset") {
      this.viewport.reset();
      this.paint();
    } else if (!this.mayDraw()) return;
    else if (command === "undo" || command === "redo") this.step(command);
    else if (command === "delete") this.remove();
    else if (command === "copy") this.copy();
    else if (command === "accept") {
      const found = doc.suggestions(doc.current);
      if (!found.length) doc.say("There are no suggestions.");
      else this.keep(doc.current, [...this.listed(), ...found], "Accepted", []);
    }
  }

  leaf(by) {
    const { doc } = this;
    const to = doc.current + by;
    if (!doc.ready) doc.say(WAIT, true);
    else if (to < 0 || to >= doc.total) doc.say(by < 0 ? "No image before this one." : "This is the last image.");
    else {
      doc.said = { text: "", bad: false };
      doc.act("go", to);
    }
  }

  step(command) {
    const { doc } = this;
    const { past, earlier, future, later } = doc.stateOf(doc.current);
    const there = command === "undo" ? past.length + earlier : future.length + later;
    if (!there) return doc.say(`There is nothing to ${command} in this image.`, true);
    doc.said = { text: command === "undo" ? "Taken back." : "Done again.", bad: false };
    doc.act(command, doc.current);
  }

  remove() {
    const { index } = this;
    if (index < 0) return this.doc.say("Select a box first: click it, or press Tab.", true);
    const { name } = this.selected;
    this.selected = null;
    this.keep(this.doc.current, this.listed().toSpliced(index, 1), `${name} deleted`);
  }

  copy() {
    const { doc } = this;
    if (doc.current === 0) return doc.say("There is no image before this one.", true);
    const before = doc.stateOf(doc.current - 1);
    if (!before || before.unknown) return doc.say(WAIT, true);
    const boxes = [...this.listed()];
    for (const box of before.boxes) if (!boxes.some((one) => same(one, box))) boxes.push(box);
    if (boxes.length === this.listed().length) doc.say("The image before has no box that is not here.");
    else this.keep(doc.current, boxes, `${count(boxes.length - this.listed().length)} copied`);
  }

  // --- the pointer

  /** Return where a pointer is in the stage. */
  at({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  zoomBy(factor, point) {
    this.viewport.zoomTo(this.viewport.zoom * factor, point);
    this.paint();
  }

  /** Return what is under a point: a handle of the selected box, a box, a suggestion, or nothing. */
  under(point, { pointerType, shiftKey }) {
    const reach = pointerType === "touch" ? 14 : 6;
    const { viewport, index } = this;
    const boxes = this.listed().map((box, number) => ({ ...box, number }));
    if (shiftKey) return { kind: "draw" };
    if (index >= 0) {
      const handle = handleUnder(boxes[index], point, viewport, reach);
      if (handle) return { kind: "resize", box: boxes[index], handle };
    }
    const smallest = boxUnder(boxes, point, viewport, 3);
    const held = index >= 0 && boxUnder([boxes[index]], point, viewport, 3) === 0; // moves, however small those in it
    if (smallest >= 0) return { kind: "box", box: boxes[held ? index : smallest], smallest };
    const suggestions = this.doc.suggestions(this.doc.current);
    const number = boxUnder(suggestions, point, viewport, 3);
    return number >= 0 ? { kind: "take", box: suggestions[number] } : { kind: "draw" };
  }

  down(event) {
    const point = this.at(event);
    if (event.pointerType === "touch" && this.fingers.down(event.pointerId, point) > 1) {
      this.drag = { kind: "pinch" }; // whatever the first finger was about to do
      return this.paint();
    }
    if (this.drag || event.button > 1) return;
    this.keepNudge();
    const { doc } = this;
    if (event.button === 1 || this.space) this.drag = { kind: "pan" };
    else if (!this.mayDraw()) return;
    else this.drag = this.under(point, event);
    Object.assign(this.drag, { pointer: event.pointerId, item: doc.current, from: point, start: this.viewport.toImage(point), last: point });
    try {
      this.stage.setPointerCapture(event.pointerId); // else a drag that ends outside never ends
    } catch {
      // The pointer is gone already; its end is heard all the same.
    }
    this.paint();
  }

  move(event) {
    const point = this.at(event);
    const { drag } = this;
    if (this.fingers.move(event.pointerId, point)) this.paint();
    if (!drag) {
      if (this.space) return;
      const { kind, handle } = this.doc.stateOf(this.doc.current) ? this.under(point, event) : {};
      this.stage.style.cursor = kind === "resize" ? CURSORS[handle] : kind === "box" || kind === "take" ? "move" : "";
      return;
    }
    if (event.pointerId !== drag.pointer) return;
    if (drag.kind === "pan") this.viewport.pan([point[0] - drag.last[0], point[1] - drag.last[1]]);
    drag.last = point;
    drag.moved ||= Math.hypot(point[0] - drag.from[0], point[1] - drag.from[1]) >= LEAST;
    if (drag.moved && drag.kind !== "pan") {
      const here = this.viewport.toImage(point);
      const by = [here[0] - drag.start[0], here[1] - drag.start[1]];
      if (drag.kind === "draw") drag.now = between(this.doc.name, drag.start, here);
      else drag.now = drag.kind === "resize" ? resized(drag.box, drag.handle, by) : moved(drag.box, by);
    }
    this.paint();
  }

  up(event) {
    const { drag, doc } = this;
    this.lift(event);
    if (!drag || event.pointerId !== drag.pointer) return;
    this.move(event);
    this.drag = null;
    const { kind, box, item, now } = drag;
    const empty = now && !(now.width > 0 && now.height > 0);
    if (kind === "pan" || empty || item !== doc.current || !this.mayDraw()) this.paint();
    else if (kind === "draw") {
      if (!now) return this.select(-1);
      this.selected = { ...now, number: this.listed().length };
      this.keep(item, [...this.listed(), now], `${now.name} drawn`);
    } else if (kind === "take") {
      const { number, ...taken } = now ?? box;
      const open = doc.suggestions(item).map((one) => one.number).filter((one) => one !== number);
      this.selected = { ...taken, number: this.listed().length };
      this.keep(item, [...this.listed(), taken], `${taken.name} accepted`, open);
    } else if (!now) this.select(drag.smallest ?? box.number);
    else this.replace(item, box, now, `${box.name} ${kind === "resize" ? "resized" : "moved"}`);
  }

  /** Take a finger away; a pinch ends with the last one. */
  lift(event) {
    if (!this.fingers.up(event.pointerId) && this.drag?.kind === "pinch") this.drag = null;
  }

  cancel(event) {
    this.lift(event);
    if (this.drag && event.pointerId === this.drag.pointer) this.drop();
  }

  /** End a drag as if it had not begun. */
  drop() {
    if (!this.drag || this.drag.kind === "pinch") return;
    this.drag = null;
    this.paint();
  }

  // --- drawing

  draw() {
    const { doc, root } = this;
    const { current, sheet } = doc;
    if (this.seen !== current) {
      this.seen = current;
      this.selected = this.drag = null;
      this.viewport.reset();
    }
    this.drawSaved(sheet);
    const image = doc.images.get(current);
    const state = doc.stateOf(current);
    const waiting = doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …");
    write(this.message, image?.error ?? (image && state ? "" : doc.ready ? "Loading …" : waiting));
    if (sheet) {
      write(this.counts, `${count(sheet.boxes)} in ${sheet.images.toLocaleString("en")} of ${doc.total.toLocaleString("en")} images`);
      const there = state ? `, ${count(state.boxes.length)}` : "";
      write(this.title, `${current + 1} of ${doc.total}${there}   ${doc.facts.get(current)?.title ?? ""}`);
    }
    this.drawChips(state);
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(name === doc.name));
    const can = {
      undo: state && state.past.length + state.earlier > 0, redo: state && state.future.length + state.later > 0,
      before: current > 0, after: current + 1 < doc.total, copy: current > 0, accept: doc.suggestions(current).length > 0,
    };
    for (const [command, on] of Object.entries(can)) if (this.commands.has(command)) this.commands.get(command).disabled = !on;
    this.paint();
    const odd = doc.suggested.get(current)?.odd;
    this.drawStatus(odd ? [odd] : []);
    // For whoever waits: which image is on the screen, and how many boxes it has.
    root.dataset.item = String(current);
    root.dataset.boxes = state ? String(state.boxes.length) : "";
    root.dataset.ready = image && state ? "1" : "0";
  }

  drawChips(state) {
    const counts = new Map();
    for (const { name } of state?.boxes ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
    const wanted = [...counts].map(([name, n]) => [this.colours.get(name), `${name} ${n}`]);
    const fixed = this.doc.facts.get(this.doc.current)?.fixed.length ?? 0;
    const open = this.doc.suggestions(this.doc.current).length;
    const waits = this.doc.setup.starts && !this.doc.suggested.has(this.doc.current) && state && !state.boxes.length;
    if (open || waits) wanted.push(["", open ? `${open} suggested` : "suggestions are to come"]);
    if (fixed) wanted.push(["", `${fixed} fixed`]);
    this.chips.replaceChildren(...wanted.map(([colour, text]) => make("span", { text, style: colour ? `--vt-colour: ${colour}` : "" })));
  }

  paint() {
    const { doc, canvas, viewport } = this;
    const { bitmap, original } = doc.images.get(doc.current) ?? {};
    const [width, height] = [this.stage.clientWidth, this.stage.clientHeight];
    const dots = window.devicePixelRatio || 1;
    const size = [Math.max(1, Math.round(width * dots)), Math.max(1, Math.round(height * dots))];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const pen = canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, width, height);
    canvas.setAttribute("aria-label", `image ${doc.facts.get(doc.current)?.title ?? ""}, ${count(this.listed().length)}`);
    if (!bitmap) return;
    viewport.fit([width, height], original);
    const rect = viewport.rect;
    pen.imageSmoothingEnabled = (rect[2] * dots) / bitmap.width < 3;
    pen.drawImage(bitmap, ...rect);
    this.root.dataset.zoom = viewport.zoom.toFixed(3);
    this.root.dataset.rect = rect.map((length) => length.toFixed(3)).join();
    const { index, drag, nudge } = this;
    const paint = (box, more) => paintBox(pen, viewport, box, { colour: this.colours.get(box.name), ...more });
    const pulled = drag?.now ? (drag.box?.number ?? -1) : -1;
    for (const { name, polygon } of doc.facts.get(doc.current)?.fixed ?? []) paintOutline(pen, viewport, polygon, name, { colour: "#bbbbbb", dashes: [2, 3] });
    for (const box of doc.suggestions(doc.current)) {
      if (drag?.kind !== "take" || drag.box.number !== box.number || !drag.now) paint(box, { dashes: [6, 4] });
    }
    this.listed().forEach((box, at) => {
      const now = at === pulled && drag.kind !== "take" ? drag.now : nudge && at === index ? nudge.to : box;
      paint(now, { chosen: at === index || now !== box });
    });
    if (drag?.now && (drag.kind === "draw" || drag.kind === "take")) paint(drag.now, { chosen: true });
  }
}

export default widget(Doc, View);
