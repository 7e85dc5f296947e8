// What the page of Review and the kernel say to each other. What is counted and sorted, board.js does here and now; only
// intervals, pictures and what is kept come from the kernel.

const TILES = 24; // of a page
const HELD = 160; // decoded images
const CODES = { normal: NORMAL, anomaly: ANOMALY };

// ------------------------------------------------------------------ one for each widget, however often it is shown

export class Doc extends Connection {
  constructor(model) {
    super(model, { held: HELD });
    this.board = null;
    this.news = null;
    this.tick = null;
    this.moved = false; // the slider, and the kernel has not said so yet
    this.show = "wrong";
    this.type = null;
    this.list = new Uint32Array(0);
    this.place = 0;
    this.isOpen = false;
    this.tools = new Map(); // what mends pictures, once it was opened
    this.tool = null; // which one is shown in place of this
    this.costs = { ...this.setup.costs };
  }

  get ready() {
    return this.board !== null && this.news !== null && this.board.filled >= this.board.total;
  }

  get current() {
    return this.list.length ? this.list[this.place] : null;
  }

  take(content, buffers) {
    if (content.type === "board") this.takeBoard(content, buffers.map(bytesOf));
    else if (content.type === "news") this.takeNews(content);
    else if (content.type === "said") this.say(content.text, true);
    else if (content.type === "inner") this.tools.get(content.tool)?.hear(content.content, buffers);
    else if (content.type === "mended") this.takeMended(content);
    else if (content.type === "tool" && content.page === this.page) this.takeTool(content);
  }

  takeBoard({ page, start, total, types }, numbers) {
    if (page !== this.page) return;
    if (start === 0) {
      this.board = new Board(total, types);
      this.news = null;
    }
    this.board.fill(start, numbers);
  }

  takeNews(news) {
    if (!this.board || this.board.filled < this.board.total) return;
    const first = this.news === null;
    this.news = news;
    this.acknowledge(news);
    const waiting = new Set(this.pending.map((act) => act.item));
    for (const [at, item] of news.items.entries()) {
      if (!waiting.has(item)) this.board.state[item] = news.state[at];
    }
    if (news.items.length) this.board.count();
    if (news.at === this.tick) this.moved = false;
    if (news.done) this.said = { text: news.done, bad: false };
    if (first && this.pending.length) for (const act of this.pending) this.apply(act);
    if (!this.moved && news.at !== this.tick) {
      this.tick = news.at;
      this.relist();
    } else if (first) this.relist();
    if (first && !this.list.length && this.show === "wrong") this.filter("all");
    this.refresh();
  }

  // --- what mends a picture

  async takeTool({ tool, item, ...parts }) {
    try {
      if (!this.tools.has(tool)) this.tools.set(tool, new Inner(this, tool, parts));
      await this.tools.get(tool).opened;
    } catch (error) {
      this.tools.delete(tool);
      return this.say(`This cannot be opened here: ${error.message}`, true);
    }
    this.tools.get(tool).go(item);
    this.tool = tool;
    this.said = { text: "", bad: false };
    this.tell();
  }

  /** Go on at the same image, as it is now. */
  shut() {
    this.tool = null;
    this.refresh();
  }

  takeMended({ item, painted }) {
    this.board?.painted.set(painted, item * painted.length);
    const key = largeKey(item);
    if (this.images.has(key)) release(this.images.get(key));
    this.images.delete(key);
    this.asked.delete(key);
    this.refresh();
  }

  close() {
    for (const tool of this.tools.values()) tool.close?.();
    super.close();
  }

  // --- what is shown

  relist() {
    const current = this.current;
    this.list = this.board.order(this.tick, this.show, this.type);
    this.place = current === null ? 0 : Math.max(0, this.list.indexOf(current));
  }

  filter(show, type = this.type) {
    this.show = show;
    this.type = type;
    this.place = 0;
    this.list = this.board.order(this.tick, show, type);
    this.refresh();
  }

  go(place) {
    this.place = Math.max(0, Math.min(this.list.length - 1, place));
    this.refresh();
  }

  /** Move the threshold here and now; the kernel is told when the slider rests. */
  at(tick) {
    if (!this.ready || !Number.isFinite(tick)) return;
    this.tick = Math.max(0, Math.min(TICKS, Math.round(tick)));
    this.moved = true;
    this.place = 0;
    this.list = this.board.order(this.tick, this.show, this.type);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.post({ type: "at", tick: this.tick }), 120);
    this.refresh();
  }

  /** Let the kernel choose the threshold: on these images as they are, or for the share of bad parts on the line. */
  choose(rule, share = null) {
    clearTimeout(this.resting); // the rule has the last word
    this.moved = false;
    this.post({ type: "rule", rule, prevalence: share > 0 && share < 1 ? share : null });
  }

  get page24() {
    const start = this.place - (this.place % TILES);
    return { start, items: this.list.slice(start, start + TILES) };
  }

  needed() {
    if (this.tool) return [];
    const { start, items } = this.page24;
    const wanted = [...items, ...this.list.slice(start + TILES, start + TILES + 8)];
    if (!this.isOpen || this.current === null) return wanted;
    const near = [0, 1, -1].map((by) => this.list[this.place + by]).filter((item) => item !== undefined);
    return [...near.map(largeKey), ...wanted];
  }

  // --- labels

  act(action, item, more = {}) {
    this.apply({ action, item, ...more });
    super.act(action, item, more);
  }

  /** Show an act before the kernel has it; what an undo restores only the kernel knows. */
  apply({ action, item, name, on }) {
    const { state } = this.board ?? {};
    if (!state || item === null) return;
    if (action === "label") {
      const changed = CODES[name] === (state[item] & TRUTH) ? state[item] & CHANGED : CHANGED;
      state[item] = CODES[name] | (state[item] & FLAGGED) | changed | LOOKED;
      this.board.count();
    } else if (action === "flag") state[item] = on ? state[item] | FLAGGED : state[item] & ~FLAGGED;
  }

  refresh() {
    this.tell();
    if (this.ready) this.ask();
  }
}

