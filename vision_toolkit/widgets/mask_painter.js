// The page of MaskPainter. It paints here and now; a finished stroke goes to the kernel as the pixels of its box, so that
// what is sent again paints the same. What Python paints comes as such a box too.

const HELD = 5; // images, with their masks
const MOST_ZOOM = 32;
const CLOSE = 9; // screen pixels within which a click closes a polygon

// ------------------------------------------------------------------ one for each widget, however often it is shown

export class Doc extends Connection {
  constructor(model) {
    super(model, { held: HELD });
    this.plan = null;
    this.current = 0;
    this.queue = Promise.resolve(); // acts in order, although packing takes a moment
    this.packing = 0;
    this.changed = new Set(); // told (item, box) when pixels changed
    this.unsure = []; // strokes that the kernel has not confirmed
    this.arriving = Promise.resolve(); // images that are being unpacked
  }

  get ready() {
    return this.plan !== null;
  }

  get shown() {
    return this.images.get(this.current) ?? null;
  }

  get painting() {
    return this.shown?.painting ?? null;
  }

  needed() {
    const near = this.setup.done ? [] : [this.current + 1, this.current - 1]; // within a review there is one image
    const items = [this.current, ...near, ...this.pending.map((act) => act.item)];
    return [...new Set(items)].filter((item) => item >= 0 && item < this.plan.total);
  }

  async unpack([picture, mask], media, { width, height }) {
    const [bitmap, data] = await Promise.all([decode(picture, media), inflated(bytesOf(mask))]);
    if (data.length !== width * height) throw new Error("the mask has another size");
    return { bitmap, painting: new Painting(width, height, data) };
  }

  take(content, buffers) {
    if (content.type === "plan") this.takePlan(content);
    else if (content.type === "patch") this.takePatch(content, bytesOf(buffers[0]));
  }

  takePlan(plan) {
    const first = this.plan === null;
    this.plan = plan;
    this.acknowledge(plan);
    const going = this.pending.some(({ action }) => action === "go");
    if ((first || plan.page === null) && !going && plan.current !== this.current) this.current = plan.current;
    this.refresh();
  }

  takeImage(content, buffers) {
    const taken = super.takeImage(content, buffers);
    this.arriving = Promise.allSettled([this.arriving, taken]);
    return taken;
  }

  confirm(acked) {
    super.confirm(acked);
    this.unsure = this.unsure.filter(({ seq }) => seq > this.acked);
  }

  /** Take what Python or another page painted. Strokes that are not confirmed come after it, as the kernel will see them. */
  takePatch({ item, box, op, from }, bytes) {
    if (from === this.page) return;
    const { arriving } = this;
    const later = this.unsure.filter((one) => one.item === item);
    this.queue = this.queue.then(async () => {
      await arriving;
      const painting = this.images.get(item)?.painting;
      if (!painting) return;
      const pixels = await inflated(bytes);
      if (op === "undo") painting.redos.push(...painting.undos.splice(-1));
      else if (op === "redo") painting.undos.push(...painting.redos.splice(-1));
      else if (op === "paint") {
        painting.undos.push({ box, before: painting.crop(box), after: pixels });
        painting.redos = [];
      }
      painting.pasteOther(box, pixels);
      for (const told of this.changed) told(item, box);
      for (const one of new Set([...later, ...this.unsure.filter((act) => act.item === item)])) {
        painting.paste(one.box, one.pixels);
        for (const told of this.changed) told(item, one.box);
      }
      this.tell();
    });
  }

  // --- acts

  later(act) {
    this.packing += 1;
    this.tell();
    this.queue = this.queue
      .then(act)
      .catch((error) => this.say(`This stroke could not be sent: ${error.message}`, true)) // the ones behind it go on
      .finally(() => {
        this.packing -= 1;
        this.tell();
      });
  }

  stroke(item, op, box, pixels) {
    for (const told of this.changed) told(item, box);
    const one = { seq: Infinity, item, box, pixels };
    this.unsure.push(one);
    this.later(async () => {
      const bytes = await deflated(pixels);
      one.seq = this.seq + 1;
      this.act("stroke", item, { op, box, bytes });
    });
  }

  step(op) {
    const { painting, current } = this;
    const done = op === "undo" ? painting?.back() : painting?.again();
    if (!done) return this.say(`There is nothing to ${op} on this image.`, true);
    this.said = { text: op === "undo" ? "Taken back." : "Done again.", bad: false };
    this.stroke(current, op, done.box, done.pixels);
  }

  /** Be at an image, which is the first thing that is said. */
  jump(item) {
    this.current = item;
    if (this.setup.model) this.said = { text: "Press m to begin with what the model saw.", bad: false };
    this.act("go", item);
  }

  go(item) {
    if (!this.plan || item < 0 || item >= this.plan.total) return this.say(item < 0 ? "No image before this one." : "No image behind this one.");
    this.current = item;
    this.said = { text: "", bad: false };
    this.later(() => this.act("go", item));
    this.refresh();
  }

  refresh() {
    this.tell();
    if (this.ready) this.ask();
  }
}

// ------------------------------------------------------------------ what is seen

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
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.stage);
    this.repaint = (item, box) => item === this.drawn && this.paintBox(box);
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
    Object.assign(this, { tool: "brush", type: 1, size: 12, tolerance: 24, zoom: 1, left: 0, top: 0, corners: [], drawn: null });
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
    this.colours = this.doc.setup.types.map(({ colour }) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
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
    this.stage = make("div", { parent: this.root, class: "vt-stage", "data-jp-suppress-context-menu": "true" });
    this.base = make("canvas", { parent: this.stage, role: "img", width: "1", height: "1" });
    this.over = make("canvas", { parent: this.stage, width: "1", height: "1" });
    this.cursor = make("canvas", { parent: this.stage, class: "vt-cursor", width: "1", height: "1" });
    this.message = make("div", { parent: this.stage, class: "vt-message" });
    this.over.style.opacity = "0.55";
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
      ...Object.values(COMMANDS).map(([, keys, title]) => [keys, title]), [["Ctrl"], "and the wheel: zoom at the pointer, up to 32 times"],
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
      this.base.style.filter = `brightness(${look.brightness}%) contrast(${look.contrast}%)`; // the picture only
    };
    this.slider(row, "opacity", { min: 0, max: 100, value: 55 }, (value) => (this.over.style.opacity = String(value / 100)));
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
      this.over.hidden = !this.over.hidden;
      this.draw();
    } else if (command === "fit") this.fit();
    else if (command === "back" || command === "on") doc.go(doc.current + (command === "on" ? 1 : -1));
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
    const { stage } = this;
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
        this.zoomAt(event, this.zoom * Math.exp(-event.deltaY / 300));
      },
      { passive: false },
    );
  }

  /** Return where the pointer is, in pixels of the image. */
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [(event.clientX - box.left - this.left) / this.zoom, (event.clientY - box.top - this.top) / this.zoom];
  }

  down(event) {
    const { doc } = this;
    if (this.drag || (event.pointerType !== "touch" && event.button > 1)) return;
    this.stage.setPointerCapture(event.pointerId); // a release outside is heard too
    const point = this.at(event);
    if (this.held || this.tool === "pan" || event.button === 1) {
      this.drag = { kind: "pan", x: event.clientX - this.left, y: event.clientY - this.top };
      return;
    }
    const painting = doc.painting;
    if (!painting) return doc.say(doc.shown?.error ?? WAIT, true);
    const value = this.tool === "eraser" || event.ctrlKey || event.metaKey ? 0 : this.type;
    if (this.tool === "polygon") return this.corner(point, value);
    this.drag = { kind: this.tool, last: point, value, painting, item: doc.current, points: [point], x: event.clientX };
    painting.begin();
    if (this.tool === "brush" || this.tool === "eraser") this.paintBox(painting.line(point, point, this.size, value));
    else if (this.tool === "fill") this.finish(() => painting.fill(point, value));
    else if (this.tool === "grow") this.paintBox(painting.grow(this.pixels(), point, this.tolerance, value));
  }

  move(event) {
    const { drag } = this;
    if (!drag) return this.drawCursor(this.at(event));
    if (drag.kind === "pan") return this.place(this.zoom, event.clientX - drag.x, event.clientY - drag.y);
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length ? passed : [event]) {
      const point = this.at(one);
      if (drag.kind === "lasso") drag.points.push(point);
      else if (drag.kind === "brush" || drag.kind === "eraser") {
        this.paintBox(drag.painting.line(drag.last, point, this.size, drag.value));
        drag.last = point;
      }
    }
    if (drag.kind === "grow") this.regrow(Math.max(0, Math.min(128, this.tolerance + Math.round((event.clientX - drag.x) / 4))));
    this.drawCursor(this.at(event));
  }

  up(event) {
    const { drag } = this;
    if (!drag) return;
    if (drag.kind === "pan") this.drag = null;
    else if (drag.kind === "lasso") this.finish(() => drag.painting.polygon(drag.points, drag.value));
    else {
      if (drag.kind === "grow" && drag.tolerance !== undefined) {
        this.tolerance = drag.tolerance;
        this.reach.input.value = String(this.tolerance);
        write(this.reach.shown, String(this.tolerance));
      }
      this.finish(() => null);
    }
    this.drawCursor(this.at(event));
  }

  /** End a stroke, and send it if it changed anything. */
  finish(paint) {
    const { painting, item } = this.drag;
    this.paintBox(paint());
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
    const { painting } = drag;
    for (const [key, pixels] of painting.tiles) painting.paste(painting.tileBox(key), pixels);
    if (painting.box) this.paintBox(painting.box);
    painting.begin();
    this.paintBox(painting.grow(this.pixels(), drag.points[0], tolerance, drag.value));
    this.doc.say(`Tolerance ${tolerance}.`);
  }

  corner(point, value) {
    const [first] = this.corners;
    if (first && this.corners.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) * this.zoom < CLOSE) return this.closePolygon();
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

  /** Return the pixels of the picture at the size of the mask, RGBA. */
  pixels() {
    const { bitmap, painting } = this.doc.shown;
    if (this.read?.bitmap !== bitmap) {
      const canvas = new OffscreenCanvas(painting.width, painting.height);
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(bitmap, 0, 0, painting.width, painting.height);
      this.read = { bitmap, data: pen.getImageData(0, 0, painting.width, painting.height).data };
    }
    return this.read.data;
  }

  // --- looking

  place(zoom, left, top) {
    Object.assign(this, { zoom, left, top });
    const scale = this.doc.painting ? this.doc.painting.width / this.base.width : 1;
    this.base.style.transform = `translate(${left}px, ${top}px) scale(${zoom * scale})`;
    this.over.style.transform = `translate(${left}px, ${top}px) scale(${zoom})`;
    this.base.classList.toggle("vt-sharp", zoom >= 3);
    this.over.classList.add("vt-sharp");
    this.root.dataset.zoom = zoom.toFixed(5);
    this.root.dataset.offset = `${left.toFixed(3)},${top.toFixed(3)}`;
    const size = this.doc.painting ? [this.doc.painting.width, this.doc.painting.height] : [1, 1];
    this.root.dataset.rect = [left, top, ...size.map((side) => side * zoom)].map((length) => length.toFixed(3)).join();
    this.drawCursor(this.pointer);
  }

  fit() {
    const { painting } = this.doc;
    if (!painting) return;
    const { clientWidth, clientHeight } = this.stage;
    this.fitted = Math.min(clientWidth / painting.width, clientHeight / painting.height, 8);
    this.place(this.fitted, (clientWidth - painting.width * this.fitted) / 2, (clientHeight - painting.height * this.fitted) / 2);
  }

  zoomAt(event, zoom) {
    const box = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const to = Math.max(Math.min(this.fitted ?? 1, 1) / 2, Math.min(MOST_ZOOM, zoom));
    this.place(to, x - ((x - this.left) * to) / this.zoom, y - ((y - this.top) * to) / this.zoom);
  }

  resized() {
    this.cursor.width = this.stage.clientWidth;
    this.cursor.height = this.stage.clientHeight;
    if (this.zoom === this.fitted) this.fit();
  }

  // --- drawing

  paintBox(box) {
    const { painting } = this.doc;
    if (!box || !painting) return;
    const [left, top, width, height] = box;
    const image = new ImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    for (let row = 0; row < height; row += 1) {
      const base = (top + row) * painting.width + left;
      for (let column = 0; column < width; column += 1) {
        const value = painting.data[base + column];
        if (value) words[row * width + column] = this.words[value];
      }
    }
    this.over.getContext("2d").putImageData(image, left, top);
  }

  drawImage() {
    const { doc } = this;
    const { shown, current } = doc;
    if (this.drawn === current && this.bitmap === shown?.bitmap) return;
    [this.drawn, this.bitmap] = [current, shown?.bitmap];
    this.corners = [];
    this.read = null;
    this.base.hidden = !shown?.bitmap;
    this.over.width = this.over.height = 1;
    if (!shown?.bitmap) return;
    const { bitmap, painting } = shown;
    this.words = [0, ...this.colours.map(([red, green, blue]) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0)];
    [this.base.width, this.base.height] = [bitmap.width, bitmap.height];
    this.base.getContext("2d").drawImage(bitmap, 0, 0);
    this.base.setAttribute("aria-label", `image ${shown.title}`);
    [this.over.width, this.over.height] = [painting.width, painting.height];
    this.paintBox([0, 0, painting.width, painting.height]);
    this.fit();
  }

  drawCursor(point = this.pointer) {
    this.pointer = point;
    const pen = this.cursor.getContext("2d");
    pen.clearRect(0, 0, this.cursor.width, this.cursor.height);
    const onScreen = ([x, y]) => [x * this.zoom + this.left, y * this.zoom + this.top];
    const line = (points, isClosed) => {
      pen.beginPath();
      points.forEach((one, at) => pen[at ? "lineTo" : "moveTo"](...onScreen(one)));
      if (isClosed) pen.closePath();
      for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) Object.assign(pen, { strokeStyle: colour, lineWidth: wide }) && pen.stroke();
    };
    if (this.corners.length) line([...this.corners, ...(point ? [point] : [])], false);
    else if (this.drag?.kind === "lasso") line(this.drag.points, true);
    else if (point && (this.tool === "brush" || this.tool === "eraser")) {
      const [x, y] = onScreen(this.size <= 1 ? point.map((value) => Math.floor(value) + 0.5) : point);
      for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) {
        pen.beginPath();
        pen.arc(x, y, Math.max(1, (this.size / 2) * this.zoom), 0, 2 * Math.PI);
        Object.assign(pen, { strokeStyle: colour, lineWidth: wide }) && pen.stroke();
      }
    }
  }

  draw() {
    const { doc, root } = this;
    this.drawSaved(doc.plan);
    root.dataset.pending = doc.pending.length + doc.packing;
    if (!doc.ready) {
      write(this.message, doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …"));
      this.drawStatus();
      return;
    }
    this.drawImage();
    const { shown, plan, current, painting } = doc;
    write(this.message, shown?.error ?? (shown ? "" : "Loading …"));
    write(this.title, `${shown?.title ?? ""}${painting ? `   ${painting.width} x ${painting.height}` : ""}`);
    write(this.where, doc.setup.done ? "" : `${current + 1} of ${plan.total}, ${plan.painted} painted`);
    this.types.forEach((button, at) => button.setAttribute("aria-pressed", String(this.type === at + 1)));
    const tool = this.held ? "pan" : this.tool;
    for (const [name, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", String(name === tool));
    this.stage.classList.toggle("vt-pan", tool === "pan");
    this.commands.undo.disabled = !painting?.undos.length;
    this.commands.redo.disabled = !painting?.redos.length;
    this.commands.hide.setAttribute("aria-pressed", String(this.over.hidden));
    if (this.commands.back) this.commands.back.disabled = current === 0;
    if (this.commands.on) this.commands.on.disabled = current + 1 >= plan.total;
    this.drawStatus(plan.told);
    root.dataset.item = String(current);
    root.dataset.tool = tool;
    root.dataset.ready = shown ? "1" : "0";
  }
}

export default widget(Doc, View);
