// What the page of BoxLabeler and the kernel say to each other. What is shown is the kernel's last word plus the acts that
// the kernel has not yet confirmed, replayed.

const HELD = 12; // decoded images

// ------------------------------------------------------------------ one for each widget, however often it is shown

export class Doc extends Connection {
  constructor(model) {
    super(model, { held: HELD });
    this.sheet = null;
    this.facts = new Map(); // item -> what the kernel said of it last
    this.name = this.setup.classes[0].name; // of the next box
    this.replays = new Map();
    this.suggested = new Map(); // item -> what is proposed for it, or why nothing is
  }

  get ready() {
    return this.sheet !== null;
  }

  get total() {
    return this.setup.total;
  }

  /** Return the number of the image that is shown. */
  get current() {
    return this.pending.findLast((act) => act.action === "go")?.item ?? this.sheet?.current ?? 0;
  }

  take(content) {
    if (content.type === "suggested") {
      this.suggested.set(content.item, content);
      this.tell();
    }
    if (content.type !== "sheet") return;
    this.sheet = content;
    for (const [item, facts] of Object.entries(content.items)) this.facts.set(Number(item), facts);
    this.acknowledge(content);
    this.refresh();
  }

  /** Return what an image has, or null while the kernel has not told. */
  stateOf(item) {
    if (!this.facts.has(item)) return null;
    if (!this.replays.has(item)) {
      this.replays.set(item, replayed(this.facts.get(item), this.pending.filter((act) => act.item === item)));
    }
    return this.replays.get(item);
  }

  /** Return the suggestions of an image that nobody took yet, each with its number. */
  suggestions(item) {
    const { boxes = [] } = this.suggested.get(item) ?? {};
    const open = this.stateOf(item)?.open ?? boxes.map((_, number) => number);
    return open.filter((number) => boxes[number]).map((number) => ({ ...boxes[number], number }));
  }

  jump(item) {
    this.act("go", item);
  }

  needed() {
    const { current } = this;
    if (this.setup.done) return [current]; // within a review there is one image
    return [current, current + 1, current + 2, current - 1].filter((item) => item >= 0 && item < this.total);
  }

  refresh() {
    this.replays.clear();
    this.tell();
    this.ask();
  }
}

