// The page of Review: the slider, a grid of pictures, one of them large, and the keys.

const OUTCOMES = { fn: "missed", fp: "false alarm", tp: "found", tn: "passed", unlabelled: "no label", "": "no score" };
const FILTERS = {
  wrong: ["wrong", "wrong verdicts, the surest first"], fn: ["missed", "anomalies that pass"],
  fp: ["false alarms", "normal images that are called an anomaly"], tp: ["found", "anomalies that are found"],
  tn: ["passed", "normal images that pass"], unlabelled: ["no label", "the closest to the threshold first"],
  all: ["all", "every image, the worst first"],
};
const LAYERS = { heat: "heat map", mask: "mask", none: "image only" };
const COMMANDS = {
  normal: ["normal", ["n", "1"], "the image is normal"], anomaly: ["anomaly", ["a", "2"], "the image is an anomaly"],
  flip: ["flip", ["x"], "turn its label round"], accept: ["right as it is", ["y"], "somebody looked: the label is right"],
  flag: ["flag", ["f", "!"], "mark it for a second look"], undo: ["undo", ["u", "Backspace"], "take back the last act (Ctrl+Z too)"],
  paint: ["paint", ["p"], "paint its mask, beginning with what the model saw"],
  boxes: ["boxes", ["r"], "draw boxes on it, beginning with what the model saw"],
  look: ["look closely", ["Enter", "l"], "large, and back"], zoom: ["enlarge", ["z", "+"], "enlarge under the pointer, when large"],
  layer: ["layer", ["o"], "heat map, mask, or the image only"], help: ["keys", ["h", "?"], "show or hide these keys"],
};
const MOVES = {
  ArrowLeft: "the image before", ArrowRight: "the next one", ArrowUp: "up", ArrowDown: "down", PageUp: "the page before",
  PageDown: "the next page", "[": "threshold down by 0.01", "]": "threshold up by 0.01",
};

class View extends Panel {
  constructor(doc, el) {
    super(doc, el, { name: "vt-review", label: "Review verdicts", role: "review tool" });
    this.place = make("div", { parent: el }); // where what mends a picture is shown
    this.drawTool();
  }

  close() {
    this.unshow?.();
    this.place.remove();
    super.close();
  }

  /** Show what mends a picture in place of this; the keys go where they went before. */
  drawTool() {
    const { tool, tools } = this.doc;
    if (!this.place || (this.shown ?? null) === tool) return;
    this.unshow?.();
    this.shown = tool;
    this.root.hidden = tool !== null;
    this.unshow = tool === null ? null : tools.get(tool).show(this.place);
    if (tool === null) this.root.focus({ preventScroll: true });
  }

  // --- building

  build() {
    this.layer = null; // heat, mask or none; null: what there is
    this.opacity = 0.6;
    const bar = make("div", { parent: this.root, class: "vt-bar" });
    this.counts = make("span", { parent: bar, class: "vt-counts" });
    this.saved = make("span", { parent: bar, class: "vt-saved" });
    this.buildThreshold();
    this.buildFilters();
    this.grid = make("div", { parent: this.root, class: "vt-grid", role: "listbox", "aria-label": "images" });
    this.tiles = Array.from({ length: TILES }, (_, at) => this.buildTile(at));
    this.empty = make("div", { parent: this.root, class: "vt-message" });
    this.buildLarge();
    this.buildPages();
    this.buildCommands();
    this.status = make("div", { parent: this.root, class: "vt-status", role: "status", "aria-live": "polite" });
  }

  buildThreshold() {
    const box = make("div", { parent: this.root, class: "vt-threshold" });
    this.histogram = make("canvas", { parent: box, width: "600", height: "36", role: "img", "aria-label": "scores: normal below, anomalies above" });
    this.slider = make("input", { parent: box, type: "range", min: "0", max: String(TICKS), step: "1", "aria-label": "threshold" });
    this.slider.addEventListener("input", () => this.doc.at(Number(this.slider.value)));
    const row = make("div", { parent: this.root, class: "vt-row" });
    const named = make("label", { parent: row, text: "threshold " });
    this.number = make("input", { parent: named, type: "number", min: "0", max: "1", step: "0.01", class: "vt-number" });
    this.number.addEventListener("change", () => this.doc.at(Number(this.number.value) * TICKS));
    this.rules = {};
    const { doc } = this;
    const rules = {
      own: ["the model's", () => doc.at(doc.news.own)],
      best: ["best F1", () => doc.choose("best_f1")],
      cheap: ["cheapest", () => doc.choose(`at_cost(miss=${doc.costs.miss}, reject=${doc.costs.reject})`, doc.costs.share)],
      keep: ["keep this threshold", () => doc.act("keep", null, { tick: doc.tick })],
    };
    for (const [id, [text, does]] of Object.entries(rules)) {
      this.rules[id] = this.button(row, `rule ${id}`, text);
      this.rules[id].addEventListener("click", () => doc.ready && does());
    }
    this.rules.keep.classList.add("vt-keep");
    const told = make("div", { parent: this.root, class: "vt-row vt-scores" });
    this.scores = {};
    for (const [name, title] of [["f1", "F1"], ["precision", "precision"], ["recall", "recall"]]) {
      const one = make("span", { parent: told });
      make("span", { parent: one, text: `${title} ` });
      this.scores[name] = { value: make("b", { parent: one }), range: make("span", { parent: one, class: "vt-range" }) };
    }
    const cost = make("div", { parent: this.root, class: "vt-row vt-cost" });
    this.costInputs = {};
    for (const [key, before, after, scale] of [["miss", "A miss costs ", "", 1], ["reject", "a reject ", ",", 1], ["share", "", "% of parts are bad:", 100]]) {
      const label = make("label", { parent: cost, text: before });
      const input = make("input", { parent: label, type: "number", min: "0", step: "any", class: "vt-number", "aria-label": { miss: "cost of a miss", reject: "cost of a reject", share: "per cent of parts that are bad" }[key] });
      if (after) label.append(` ${after}`);
      const known = this.doc.costs[key];
      input.value = known === null ? "" : String(Number((known * scale).toPrecision(3)));
      input.addEventListener("input", () => {
        this.doc.costs[key] = input.value === "" ? null : Number(input.value) / scale;
        this.doc.tell();
      });
      this.costInputs[key] = input;
    }
    this.sentence = make("span", { parent: cost, class: "vt-sentence" });
  }

  buildFilters() {
    const row = make("div", { parent: this.root, class: "vt-row vt-filters", role: "group", "aria-label": "which images" });
    this.filters = {};
    for (const [show, [text, title]] of Object.entries(FILTERS)) {
      const button = this.button(row, `show ${show}`, text);
      button.title = title;
      button.addEventListener("click", () => this.doc.ready && this.doc.filter(show));
      this.filters[show] = { button, count: make("span", { parent: button, class: "vt-count" }) };
    }
    this.types = make("select", { parent: row, "aria-label": "anomaly type" });
    this.types.addEventListener("change", () => this.doc.filter(this.doc.show, this.types.value || null));
  }

  buildTile(at) {
    const tile = make("div", { parent: this.grid, class: "vt-tile", role: "option", id: `vt-${this.doc.page}-${Math.random().toString(36).slice(2)}` });
    const frame = make("div", { parent: tile, class: "vt-frame" });
    const canvases = [make("canvas", { parent: frame, width: "1", height: "1" }), make("canvas", { parent: frame, class: "vt-layer", width: "1", height: "1" })];
    const caption = make("div", { parent: tile, class: "vt-caption" });
    const words = { outcome: make("b", { parent: caption }), score: make("span", { parent: caption }), mark: make("span", { parent: caption, class: "vt-mark" }) };
    const note = make("div", { parent: frame, class: "vt-message" });
    tile.addEventListener("click", () => this.doc.go(this.doc.page24.start + at));
    tile.addEventListener("dblclick", () => this.open(true));
    return { tile, canvases, words, note, drawn: null };
  }

  buildLarge() {
    this.large = make("div", { parent: this.root, class: "vt-large-view" });
    this.large.hidden = true;
    this.stage = make("div", { parent: this.large, class: "vt-stage" });
    this.sheet = make("div", { parent: this.stage, class: "vt-sheet" });
    this.closeUp = ["image", "layer", "truth"].map((name) => make("canvas", { parent: this.sheet, class: `vt-${name}`, width: "1", height: "1" }));
    this.closeNote = make("div", { parent: this.stage, class: "vt-message" });
    this.facts = make("div", { parent: this.large, class: "vt-caption" });
    this.title = make("span", { parent: this.facts, class: "vt-title" });
    this.chips = make("span", { parent: this.facts, class: "vt-chips" });
    this.zoom = new Zoom(this.stage, this.sheet);
  }

  buildPages() {
    const row = make("div", { parent: this.root, class: "vt-row vt-pages" });
    this.before = this.button(row, "page before", "←");
    this.where = make("span", { parent: row });
    this.after = this.button(row, "page after", "→");
    this.before.setAttribute("aria-label", "the page before");
    this.after.setAttribute("aria-label", "the next page");
    this.before.addEventListener("click", () => this.turn(-1));
    this.after.addEventListener("click", () => this.turn(1));
    const label = make("label", { parent: row, class: "vt-opacity", text: "opacity " });
    this.fade = make("input", { parent: label, type: "range", min: "0", max: "100", value: String(100 * this.opacity) });
    this.fade.addEventListener("input", () => {
      this.opacity = Number(this.fade.value) / 100;
      this.root.style.setProperty("--vt-opacity", String(this.opacity));
    });
    this.root.style.setProperty("--vt-opacity", String(this.opacity));
    this.export = this.button(row, "export", `write ${this.doc.setup.export}`);
    this.export.title = "a new manifest with the labels as they are now; the one that was given stays as it is";
    this.export.addEventListener("click", () => this.doc.act("export", null));
  }

  buildCommands() {
    const row = make("div", { parent: this.root, class: "vt-commands", role: "group", "aria-label": "commands" });
    this.commands = {};
    for (const [command, [text, keys, title]] of Object.entries(COMMANDS)) {
      const button = this.button(row, `command ${command}`, text, keys.slice(0, 1));
      if (command in CODES) button.dataset.label = command;
      button.title = title;
      button.addEventListener("click", () => this.command(command));
      this.commands[command] = button;
      for (const key of keys) this.keys.set(key, () => this.command(command));
    }
    const moves = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), ArrowUp: () => this.step(-this.columns()),
      ArrowDown: () => this.step(this.columns()), PageUp: () => this.turn(-1), PageDown: () => this.turn(1),
      "[": () => this.doc.at(this.doc.tick - 100), "]": () => this.doc.at(this.doc.tick + 100),
    };
    for (const [key, does] of Object.entries(moves)) this.keys.set(key, () => this.doc.ready && does());
    this.repeating.add("[").add("]");
    this.helpList([
      ...Object.values(COMMANDS).map(([, keys, title]) => [keys, title]),
      ...Object.entries(MOVES).map(([key, title]) => [[key], title]),
    ]);
  }

  // --- acting

  typed(event) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    if (event.key === "Enter") event.target.dispatchEvent(new Event("change"));
    event.preventDefault();
    this.root.focus({ preventScroll: true });
  }

  undo() {
    this.command("undo");
  }

  escape() {
    if (!this.doc.isOpen) return false;
    this.open(false);
    return true;
  }

  open(on) {
    if (this.doc.current === null) return;
    this.doc.isOpen = on;
    this.zoom.to(1);
    this.doc.refresh();
  }

  columns() {
    const tops = this.tiles.filter(({ tile }) => !tile.hidden).map(({ tile }) => tile.offsetTop);
    return this.doc.isOpen ? 1 : Math.max(1, tops.filter((top) => top === tops[0]).length);
  }

  step(by) {
    const { doc } = this;
    const to = doc.place + by;
    if (to < 0 || to >= doc.list.length) doc.say(by < 0 ? "No image before this one." : "No image behind this one.");
    else {
      doc.said = { text: "", bad: false };
      doc.go(to);
    }
  }

  turn(by) {
    const { doc } = this;
    const start = doc.page24.start + by * TILES;
    if (start >= 0 && start < doc.list.length) doc.go(start);
  }

  command(command) {
    const { doc } = this;
    const item = doc.current;
    if (command === "help") this.toggleHelp(this.commands.help);
    else if (command === "layer") this.nextLayer();
    else if (!doc.ready) doc.say(WAIT, true);
    else if (command === "undo") {
      doc.said = { text: "Taking back …", bad: false };
      doc.act("undo", null);
    } else if (item === null) doc.say("There is no image here.", true);
    else if (command === "look") this.open(!doc.isOpen);
    else if (command === "zoom") doc.isOpen ? this.zoom.toggle() : this.open(true);
    else if (command === "paint" || command === "boxes") {
      doc.said = { text: "Opening …", bad: false };
      doc.act("open", item, { tool: command });
    } else if (command === "flag") doc.act("flag", item, { on: !(doc.board.state[item] & FLAGGED) });
    else this.judge(command, item);
  }

  judge(command, item) {
    const { doc } = this;
    const truth = doc.board.state[item] & TRUTH;
    const shown = doc.images.get(doc.isOpen ? largeKey(item) : item);
    if (!truth && !(command in CODES)) return doc.say("It has no label yet: n is normal, a is an anomaly.", true);
    if (!shown) return doc.say(WAIT, true);
    if (shown.error) return doc.say("This image cannot be shown, so it gets no label.", true);
    const code = { ...CODES, flip: 3 - truth, accept: truth }[command];
    const name = code === NORMAL ? "normal" : "anomaly";
    doc.said = { text: `${shown.title}: ${name}${command === "accept" ? " is right" : ""}`, bad: false };
    if (doc.place < doc.list.length - 1) doc.place += 1;
    doc.act("label", item, { name });
  }

  nextLayer() {
    const there = [...this.kinds(), "none"];
    this.layer = there[(there.indexOf(this.shownLayer()) + 1) % there.length];
    this.doc.say(`Shown: ${LAYERS[this.layer]}.`);
  }

  /** Return which layers the images have, the one to show first ahead. */
  kinds() {
    const found = new Set([...this.doc.images.values()].flatMap(({ layers, kinds }) => (layers?.length ? kinds : [])));
    return ["mask", "heat"].filter((kind) => found.has(kind));
  }

  shownLayer() {
    return this.layer ?? this.kinds()[0] ?? "none";
  }

  /** Return what to lay over an image: what was chosen; else its mask where anything is painted, else its heat map. */
  layerOf(image) {
    return this.layer === null ? (layerOf(image, "mask") ?? layerOf(image, "heat")) : layerOf(image, this.layer);
  }

  // --- drawing

  draw() {
    const { doc } = this;
    this.drawTool();
    this.drawSaved(doc.news);
    this.grid.hidden = !doc.ready || doc.isOpen;
    this.large.hidden = !doc.ready || !doc.isOpen;
    if (!doc.ready) {
      this.empty.hidden = false;
      write(this.empty, doc.trouble ?? (doc.late ? "The kernel does not answer. Run the cell again." : "Loading …"));
      this.drawStatus();
      return;
    }
    const counts = doc.board.counts(doc.tick);
    this.drawThreshold(counts);
    this.drawFilters(counts);
    this.drawTiles();
    if (doc.isOpen) this.drawLarge();
    this.empty.hidden = doc.list.length > 0;
    write(this.empty, doc.show === "wrong" ? "No verdict is wrong at this threshold." : "There is no such image.");
    const { start, items } = doc.page24;
    write(this.where, items.length ? `${doc.isOpen ? doc.place + 1 : `${start + 1} to ${start + items.length}`} of ${doc.list.length.toLocaleString("en")}` : "");
    this.before.disabled = start === 0;
    this.after.disabled = start + TILES >= doc.list.length;
    this.drawStatus(doc.news.told);
    this.root.dataset.item = String(doc.current);
    this.root.dataset.tick = String(doc.tick);
    this.root.dataset.ready = doc.lacking().length ? "0" : "1";
  }

  drawThreshold(counts) {
    const { doc } = this;
    const { tick, news } = doc;
    if (Number(this.slider.value) !== tick) this.slider.value = String(tick);
    this.slider.setAttribute("aria-valuetext", (tick / TICKS).toFixed(4));
    const focused = this.root.getRootNode().activeElement;
    if (focused !== this.number) this.number.value = String(tick / TICKS);
    this.rules.own.disabled = news.own === tick;
    this.rules.keep.disabled = news.own === tick || !news.keeps;
    this.rules.keep.title = news.keeps ? "write this threshold into the model" : "an evaluation is reviewed, not a model";
    this.drawHistogram();
    const told = rates(counts);
    const known = [counts.tp, counts.fp, counts.fn, counts.tn].every((n, at) => n === news.scores.counts[at]);
    for (const [name, { value, range }] of Object.entries(this.scores)) {
      write(value, Number.isNaN(told[name]) ? "–" : told[name].toFixed(3));
      const ends = known ? news.scores[name] : null;
      write(range, ends ? ` (${ends.map((end) => end.toFixed(2)).join("–")})` : "");
    }
    const now = expected(counts, doc.costs);
    const then = expected(doc.board.counts(news.own), doc.costs);
    write(this.sentence, now === null ? "needs normal images and anomalies, and a share." : costText(now, then, news.own === tick));
    let text = `${doc.board.total.toLocaleString("en")} images`;
    if (news.changed) text += ` · ${news.changed} label${news.changed === 1 ? "" : "s"} changed`;
    write(this.counts, text);
  }

  drawHistogram() {
    const { bins } = this.doc.board;
    const own = this.doc.news.own;
    if (this.drawnBins === bins && this.drawnOwn === own) return;
    [this.drawnBins, this.drawnOwn] = [bins, own];
    const { width, height } = this.histogram;
    const pen = this.histogram.getContext("2d");
    const style = getComputedStyle(this.root);
    const most = Math.max(1, ...bins[NORMAL], ...bins[ANOMALY]);
    pen.clearRect(0, 0, width, height);
    for (const [code, colour, up] of [[ANOMALY, "--vt-anomaly", true], [NORMAL, "--vt-normal", false]]) {
      pen.fillStyle = style.getPropertyValue(colour);
      bins[code].forEach((count, bin) => {
        if (!count) return;
        const bar = Math.max(2, (height / 2 - 1) * Math.sqrt(count / most)); // the square root shows the few as well
        pen.fillRect((bin * width) / BINS + 1, up ? height / 2 - bar : height / 2, width / BINS - 2, bar);
      });
    }
    pen.fillStyle = style.color;
    pen.fillRect((own * (width - 2)) / TICKS, 0, 2, height);
  }

  drawFilters(counts) {
    const { doc } = this;
    for (const [show, { button, count }] of Object.entries(this.filters)) {
      write(count, counts[show].toLocaleString("en"));
      button.setAttribute("aria-pressed", String(doc.show === show));
      button.hidden = show === "unlabelled" && !counts[show];
    }
    this.types.hidden = !doc.board.types.length;
    if (this.types.options.length !== doc.board.types.length + 1) {
      this.types.replaceChildren(make("option", { value: "", text: "any type" }), ...doc.board.types.map((type) => make("option", { value: type, text: type })));
    }
    this.types.value = doc.type ?? "";
  }

  drawTiles() {
    const { doc } = this;
    const { start, items } = doc.page24;
    this.tiles.forEach(({ tile, canvases, words, note }, at) => {
      tile.hidden = at >= items.length;
      if (tile.hidden) return;
      const item = items[at];
      const image = doc.images.get(item);
      const outcome = doc.board.outcome(item, doc.tick);
      const [score, state] = [doc.board.ticks[item], doc.board.state[item]];
      const marks = [state & CHANGED ? "✎" : state & LOOKED ? "✓" : "", state & FLAGGED ? "⚑" : ""].join("");
      tile.dataset.outcome = outcome;
      tile.dataset.item = String(item);
      tile.setAttribute("aria-selected", String(start + at === doc.place));
      tile.setAttribute("aria-label", `${OUTCOMES[outcome]}, score ${score === NO_SCORE ? "none" : (score / TICKS).toFixed(2)}, labelled ${labelOf(state)}, ${image?.title ?? ""}`);
      if (start + at === doc.place) this.grid.setAttribute("aria-activedescendant", tile.id);
      write(words.outcome, OUTCOMES[outcome]);
      write(words.score, score === NO_SCORE ? "" : (score / TICKS).toFixed(2));
      write(words.mark, marks);
      write(note, image?.error ?? (image ? "" : "…"));
      tile.title = image?.title ?? "";
      paint(canvases[0], image?.bitmap);
      paint(canvases[1], this.layerOf(image));
    });
  }

  drawLarge() {
    const { doc } = this;
    const item = doc.current;
    if (item === null) return;
    const small = doc.images.get(item);
    const image = doc.images.get(largeKey(item));
    const shown = image?.bitmap ? image : small;
    if (this.looked !== item) {
      this.looked = item;
      this.zoom.to(1);
    }
    const { width = 1, height = 1 } = shown?.bitmap ?? {};
    this.sheet.style.aspectRatio = `${width} / ${height}`;
    this.sheet.style.setProperty("--vt-ratio", String(width / height));
    const truth = this.layer === "none" ? null : layerOf(image, "truth");
    for (const [canvas, bitmap] of [[0, shown?.bitmap], [1, this.layerOf(shown)], [2, truth]]) {
      paint(this.closeUp[canvas], bitmap);
    }
    write(this.closeNote, image?.error ?? "");
    const [score, state] = [doc.board.ticks[item], doc.board.state[item]];
    const said = score === NO_SCORE ? "no score" : `score ${(score / TICKS).toFixed(4)}`;
    write(this.title, `${(small ?? image)?.title ?? ""}   ${said}`);
    const chips = [OUTCOMES[doc.board.outcome(item, doc.tick)], `labelled ${labelOf(state)}`];
    if (state & CHANGED) chips.push("✎ changed");
    else if (state & LOOKED) chips.push("✓ looked at");
    if (state & FLAGGED) chips.push("⚑ flagged");
    for (const [type, [predicted, true_]] of Object.entries(image?.areas ?? {})) {
      const told = [predicted !== null && `${share(predicted)} predicted`, true_ !== null && `${share(true_)} true`].filter(Boolean);
      chips.push(`${type}: ${told.join(", ")}`);
    }
    this.chips.replaceChildren(...chips.map((text) => make("span", { text })));
    this.root.dataset.large = image ? String(item) : "";
  }
}

const labelOf = (state) => ["nothing", "normal", "anomaly"][state & TRUTH];
const share = (fraction) => `${(100 * fraction).toPrecision(2)} %`;

function costText({ missed, rejected, cost }, then, isOwn) {
  const round = (value) => (value >= 9.95 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(2))));
  const text = `of 1,000 parts ${round(missed)} missed, ${round(rejected)} good ones rejected: cost ${round(cost)}`;
  return isOwn ? `${text}.` : `${text} (${round(then.cost)} at the model's threshold).`;
}

function layerOf(image, kind) {
  const at = image?.kinds?.indexOf(kind) ?? -1;
  return at < 0 ? null : image.layers[at];
}

function paint(canvas, bitmap) {
  if (canvas.bitmap === bitmap) return;
  canvas.bitmap = bitmap;
  canvas.hidden = !bitmap;
  if (!bitmap) return;
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

export default widget(Doc, View);
