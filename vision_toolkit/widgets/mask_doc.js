// What the page of MaskPainter and the kernel say to each other. A finished stroke goes to the kernel as the pixels of its
// box, so that what is sent again paints the same. What Python or another page paints comes as such a box too.

const HELD = 5; // images, with their masks

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

