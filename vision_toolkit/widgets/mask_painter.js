// The page of MaskPainter: tools, keys and pointers. It paints here and now.

const CLOSE = 9; // screen pixels within which a click closes a polygon

const TOOLS = {
  brush: ["brush", ["b"], "paint; Ctrl erases while it is held"], eraser: ["eraser", ["e"], "erase"],
  polygon: ["polygon", ["p"], "click corners; Enter, or a click on the first one, closes it"],
  lasso: ["lasso", ["l"], "draw round it"], fill: ["fill", ["f"], "fill a hole, or a spot of another type"],
  grow: ["grow", ["w"], "paint the region of one colour under a click; drag sideways for more or less"],
  pan: ["hand", [" "], "drag the image; while the space bar is held, with any tool"],
};
const COMMANDS = {
  undo: ["undo", ["u", "Backspace"], "take back the last stroke (Ctrl+Z too)"], redo: ["redo", ["r"], "do it again (Ctrl+Y too)"],
  normal: ["normal", ["n"], "nothing to paint: the image is normal, and the next one"],
  start: ["from the model", ["m"], "take the model's mask, and correct it"],
  hide: ["hide", ["v"], "hide or show what is painted"], fit: ["fit", ["0"], "the whole image"],
  smaller: ["smaller", ["["], "a smaller brush"], larger: ["larger", ["]"], "a larger brush"],
  back: ["before", ["PageUp"], "the image before"], on: ["next", ["PageDown"], "the next image"],
  help: ["keys", ["h", "?"], "show or hide these keys"],
};

const LEAFING = ["normal", "back", "on"]; // a review has these itself

class View extends Panel {
  constructor(doc, el) {
    super(doc, el, { name: "vt-painter", label: "Paint masks", role: "painting tool" });
    this.observer = new ResizeObserver(() => this.lay());
    this.observer.observe(this.sheet.stage);
    this.repaint = (item, box) => item === this.drawn && this.sheet.paint(box);
    doc.changed.add(this.repaint);
    this.draw();
  }

  close() {
    this.observer.disconnect();
    this.doc.changed.delete(this.repaint);
    super.close();
  }

  // --- building

  build() {
    Object.assign(this, { tool: "brush", type: 1, size: 12, tolerance: 24, corners: [], drawn: null });
    const bar = make("div", { parent: this.root, class: "vt-bar" });
    this.title = make("span", { parent: bar, class: "vt-title" });
    this.saved = make("span", { parent: bar, class: "vt-saved" });
    const types = make("div", { parent: this.root, class: "vt-row", role: "group", "aria-label": "anomaly types" });
    this.types = this.doc.setup.types.map(({ name, colour }, at) => {
      const button = this.button(types, `type ${name}`, name, at < 9 ? [String(at + 1)] : []);
      button.prepend(make("span", { class: "vt-swatch", style: `background: ${colour}` }));
      button.addEventListener("click", () => this.pick(at + 1));
      if (at < 9) this.keys.set(String(at + 1), () => this.pick(at + 1));
      return button;
    });
    const tools = make("div", { parent: this.root, class: "vt-row", role: "group", "aria-label": "tools" });
    this.tools = {};
    for (const [tool, [text, keys, title]] of Object.entries(TOOLS)) {
      this.tools[tool] = this.button(tools, `tool ${tool}`, text, keys);
      this.tools[tool].title = title;
      this.tools[tool].addEventListener("click", () => this.take(tool));
      if (tool !== "pan") for (const key of keys) this.keys.set(key, () => this.take(tool));
    }
    this.number = this.slider(tools, "size", { min: 1, max: 200, value: this.size }, (value) => this.resize(value));
    this.sliders(make("div", { parent: this.root, class: "vt-row" }));
    this.sheet = new MaskSheet(this.root, this.doc.setup.types);
    this.fingers = new Fingers(this.sheet.viewport);
    const row = make("div", { parent: this.root, class: "vt-commands", role: "group", "aria-label": "commands" });
    this.commands = {};
    this.doneButton(row);
    const { model, done } = this.doc.setup;
    for (const [command, [text, keys, title]] of Object.entries(COMMANDS)) {
      if ((command === "start" && !model) || (done && LEAFING.includes(command))) continue;
      const button = this.button(row, `command ${command}`, text, keys.slice(0, 1));
      button.title = title;
      button.addEventListener("click", () => this.command(command));
      this.commands[command] = button;
      for (const key of keys) this.keys.set(key, () => this.command(command));
    }
    for (const key of ["[", "]"]) this.repeating.add(key);
    this.keys.set("Enter", () => this.closePolygon());
    this.where = make("span", { parent: row, class: "vt-where" });
    this.helpList([
      [["1"], "to 9: the anomaly type"], ...Object.values(TOOLS).map(([, keys, title]) => [keys, title]),
      ...Object.values(COMMANDS).map(([, keys, title]) => [keys, title]), [["Ctrl"], "and the wheel, or two fingers: zoom at the pointer, up to 32 times"],
    ]);
    this.status = make("div", { parent: this.root, class: "vt-status", role: "status", "aria-live": "polite" });
    this.listen();
  }

  slider(parent, name, { min, max, value }, does) {
    const label = make("label", { parent, text: name });
    const input = make("input", { parent: label, type: "range", min, max, value: String(value), "aria-label": name });
    const shown = make("span", { parent: label, text: String(value) });
    input.addEventListener("input", () => {
      write(shown, input.value);
      does(Number(input.value));
    });
    return { input, shown };
  }

  sliders(row) {
    const look = { brightness: 100, contrast: 100 };
    const filtered = (name) => (value) => {
      look[name] = value;
      this.sheet.base.style.filter = `brightness(${look.brightness}%) contrast(${look.contrast}%)`; // the picture only
    };
    this.slider(row, "opacity", { min: 0, max: 100, value: 55 }, (value) => (this.sheet.over.style.opacity = String(value / 100)));
    this.slider(row, "brightness", { min: 20, max: 300, value: 100 }, filtered("brightness"));
    this.slider(row, "contrast", { min: 20, max: 300, value: 100 }, filtered("contrast"));
    this.reach = this.slider(row, "tolerance", { min: 0, max: 128, value: this.tolerance }, (value) => (this.tolerance = value));
  }

  // --- choosing

  pick(type) {
    if (type > this.types.length) return;
    this.type = type;
    if (this.tool === "eraser" || this.tool === "pan") this.tool = "brush";
    this.draw();
  }

  take(tool) {
    this.tool = tool;
    this.corners = [];
    this.draw();
  }

  resize(size) {
    this.size = Math.max(1, Math.min(200, Math.round(size)));
    this.number.input.value = String(this.size);
    write(this.number.shown, String(this.size));
    this.drawCursor();
  }

  undo() {
    this.command("undo");
  }

  command(command) {
    const { doc } = this;
    if (command === "help") this.toggleHelp(this.commands.help);
    else if (command === "smaller" || command === "larger") this.resize(command === "larger" ? Math.max(this.size + 1, this.size * 1.25) : Math.min(this.size - 1, this.size * 0.8));
    else if (command === "hide") {
      this.sheet.over.hidden = !this.sheet.over.hidden;
      this.draw();
    } else if (command === "fit") {
      this.sheet.fit();
      this.lay();
    } else if (command === "back" || command === "on") doc.go(doc.current + (command === "on" ? 1 : -1));
    else if (!doc.painting) doc.say(doc.shown?.error ?? WAIT, true);
    else if (command === "undo" || command === "redo") doc.step(command);
    else if (command === "start") doc.later(() => doc.act("start", doc.current, { type: doc.setup.types[this.type - 1].name }));
    else if (doc.painting.data.some((value) => value)) doc.say("Something is painted here: undo or erase it first.", true);
    else {
      const item = doc.current;
      doc.later(() => doc.act("label", item, { name: "normal" }));
      doc.said = { text: `${doc.shown.title}: normal`, bad: false };
      if (item + 1 < doc.plan.total) doc.go(item + 1);
    }
  }

  escape() {
    if (!this.corners.length) return false;
    this.corners = [];
    this.drawCursor();
    return true;
  }

  typed(event) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    event.preventDefault();
    this.root.focus({ preventScroll: true });
  }

  pressed(event) {
    if (event.key === " " && !event.target.closest("input, select, button")) {
      event.preventDefault();
      event.stopPropagation();
      this.held = true;
      this.draw();
      return;
    }
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (key === "y" || (key === "z" && event.shiftKey))) {
      event.preventDefault();
      event.stopPropagation();
      this.command("redo");
      return;
    }
    super.pressed(event);
  }

  // --- pointer

  listen() {
    this.root.addEventListener("keyup", (event) => {
      if (event.key !== " ") return;
      this.held = false;
      this.draw();
    });
    const { stage } = this.sheet;
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", (event) => this.up(event));
    stage.addEventListener("pointerleave", () => this.drawCursor(null));
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the notebook
        event.preventDefault();
        const { viewport } = this.sheet;
        viewport.zoomTo(viewport.zoom * Math.exp(-event.deltaY / 300), this.sheet.at(event));
        this.lay();
      },
      { passive: false },
    );
  }

  down(event) {
    const { doc, sheet } = this;
    if (event.pointerType === "touch" && this.fingers.down(event.pointerId, sheet.at(event)) > 1) return this.pinch();
    if (this.drag || (event.pointerType !== "touch" && event.button > 1)) return;
    try {
      sheet.stage.setPointerCapture(event.pointerId); // a release outside is heard too
    } catch {
      // The pointer is gone already; its end is heard all the same.
    }
    const point = sheet.pixelAt(event);
    if (this.held || this.tool === "pan" || event.button === 1) {
      this.drag = { kind: "pan", at: sheet.at(event) };
      return;
    }
    const painting = doc.painting;
    if (!painting) return doc.say(doc.shown?.error ?? WAIT, true);
    const value = this.tool === "eraser" || event.ctrlKey || event.metaKey ? 0 : this.type;
    if (this.tool === "polygon") return this.corner(point, value);
    this.drag = { kind: this.tool, last: point, value, painting, item: doc.current, points: [point], x: event.clientX };
    painting.begin();
    if (this.tool === "brush" || this.tool === "eraser") sheet.paint(painting.line(point, point, this.size, value));
    else if (this.tool === "fill") this.finish(() => painting.fill(point, value));
    else if (this.tool === "grow") sheet.paint(painting.grow(sheet.pixels(), point, this.tolerance, value));
  }

  /** Enlarge and move with two fingers; what the first one has begun to paint is no stroke. */
  pinch() {
    if (this.drag?.painting) this.revert();
    else if (this.tool === "polygon" && this.drag?.kind !== "pinch") this.corners.pop();
    this.drag = { kind: "pinch" };
    this.drawCursor(null);
  }

  move(event) {
    const { drag, sheet } = this;
    if (this.fingers.move(event.pointerId, sheet.at(event))) this.lay();
    if (!drag) return this.drawCursor(sheet.pixelAt(event));
    if (drag.kind === "pinch") return;
    if (drag.kind === "pan") {
      const to = sheet.at(event);
      sheet.viewport.pan([0, 1].map((axis) => to[axis] - drag.at[axis]));
      drag.at = to;
      return this.lay();
    }
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length ? passed : [event]) {
      const point = sheet.pixelAt(one);
      if (drag.kind === "lasso") drag.points.push(point);
      else if (drag.kind === "brush" || drag.kind === "eraser") {
        sheet.paint(drag.painting.line(drag.last, point, this.size, drag.value));
        drag.last = point;
      }
    }
    if (drag.kind === "grow") this.regrow(Math.max(0, Math.min(128, this.tolerance + Math.round((event.clientX - drag.x) / 4))));
    this.drawCursor(sheet.pixelAt(event));
  }

  up(event) {
    const { drag } = this;
    const left = this.fingers.up(event.pointerId);
    if (!drag || (drag.kind === "pinch" && left)) return; // a pinch ends with the last finger
    if (drag.kind === "pan" || drag.kind === "pinch") this.drag = null;
    else if (drag.kind === "lasso") this.finish(() => drag.painting.polygon(drag.points, drag.value));
    else {
      if (drag.kind === "grow" && drag.tolerance !== undefined) {
        this.tolerance = drag.tolerance;
        this.reach.input.value = String(this.tolerance);
        write(this.reach.shown, String(this.tolerance));
      }
      this.finish(() => null);
    }
    this.drawCursor(this.sheet.pixelAt(event));
  }

  /** End a stroke, and send it if it changed anything. */
  finish(paint) {
    const { painting, item } = this.drag;
    this.sheet.paint(paint());
    this.drag = null;
    const change = painting.commit();
    if (change) {
      this.doc.said = { text: "", bad: false };
      this.doc.stroke(item, "paint", change.box, change.after);
    }
  }

  /** Begin a growing region anew, with another tolerance. */
  regrow(tolerance) {
    const { drag } = this;
    if (drag.tolerance === tolerance) return;
    drag.tolerance = tolerance;
    this.revert();
    drag.painting.begin();
    this.sheet.paint(drag.painting.grow(this.sheet.pixels(), drag.points[0], tolerance, drag.value));
    this.doc.say(`Tolerance ${tolerance}.`);
  }

  /** Take back what was painted since the mouse was pressed. */
  revert() {
    const { painting } = this.drag;
    this.sheet.paint(painting.revert());
  }

  corner(point, value) {
    const [first] = this.corners;
    if (first && this.corners.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) * this.sheet.viewport.scale < CLOSE) return this.closePolygon();
    this.corners.push(point);
    this.cornerValue = value;
    this.drawCursor(point);
  }

  closePolygon() {
    const { painting } = this.doc;
    if (this.corners.length < 3 || !painting) return;
    const [points, value] = [this.corners, this.cornerValue];
    this.corners = [];
    this.drag = { painting, item: this.doc.current };
    painting.begin();
    this.finish(() => painting.polygon(points, value));
    this.drawCursor();
  }

  // --- drawing

  lay() {
    const { sheet, root } = this;
    sheet.lay();
    const { rect, scale } = sheet.viewport;
    root.dataset.zoom = scale.toFixed(5);
    root.dataset.rect = rect.map((length) => length.toFixed(3)).join();
    this.drawCursor();
  }

  drawImage() {
    const { shown, current } = this.doc;
    if (this.drawn === current && this.sheet.bitmap === (shown?.bitmap ?? null)) return;
    this.drawn = current;
    this.corners = [];
    this.sheet.show(shown);
    this.lay();
  }

  drawCursor(point = this.pointer) {
    this.pointer = point;
    const { corners, drag, tool, size } = this;
    if (corners.length) this.sheet.draw({ line: [...corners, ...(point ? [point] : [])] });
    else if (drag?.kind === "lasso") this.sheet.draw({ line: drag.points, isClosed: true });
    else this.sheet.draw({ disc: tool === "brush" || tool === "eraser" ? point : null, size });
  }

  draw() {
    const { doc, root } = this;
    this.drawSaved(doc.plan);
    root.dataset.pending = doc.pending.length + doc.packing;
    if (!doc.ready) {
      write(this.sheet.message, doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …"));
      this.drawStatus();
      return;
    }
    this.drawImage();
    const { shown, plan, current, painting } = doc;
    write(this.sheet.message, shown?.error ?? (shown ? "" : "Loading …"));
    write(this.title, `${shown?.title ?? ""}${painting ? `   ${painting.width} x ${painting.height}` : ""}`);
    write(this.where, doc.setup.done ? "" : `${current + 1} of ${plan.total}, ${plan.painted} painted`);
    this.types.forEach((button, at) => button.setAttribute("aria-pressed", String(this.type === at + 1)));
    const tool = this.held ? "pan" : this.tool;
    for (const [name, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", String(name === tool));
    this.sheet.stage.classList.toggle("vt-pan", tool === "pan");
    this.commands.undo.disabled = !painting?.undos.length;
    this.commands.redo.disabled = !painting?.redos.length;
    this.commands.hide.setAttribute("aria-pressed", String(this.sheet.over.hidden));
    if (this.commands.back) this.commands.back.disabled = current === 0;
    if (this.commands.on) this.commands.on.disabled = current + 1 >= plan.total;
    this.drawStatus(plan.told);
    root.dataset.item = String(current);
    root.dataset.tool = tool;
    root.dataset.ready = shown ? "1" : "0";
  }
}

export default widget(Doc, View);
