// The sheet that MaskPainter paints on: the picture, the mask over it, and over both what the pointer is about to do.

const MOST_ZOOM = 32; // pixels of the page that one of the image takes

class MaskSheet {
  constructor(parent, types) {
    this.viewport = new Viewport(MOST_ZOOM);
    this.words = [0, ...types.map(({ colour }) => {
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    })];
    this.stage = make("div", { parent, class: "vt-stage", "data-jp-suppress-context-menu": "true" });
    this.base = make("canvas", { parent: this.stage, role: "img", width: "1", height: "1" });
    this.over = make("canvas", { parent: this.stage, class: "vt-sharp", width: "1", height: "1" });
    this.cursor = make("canvas", { parent: this.stage, class: "vt-cursor", width: "1", height: "1" });
    this.message = make("div", { parent: this.stage, class: "vt-message" });
    this.over.style.opacity = "0.55";
    this.painting = null;
  }

  // --- where the image lies

  /** Return where a pointer is in the stage. */
  at({ clientX, clientY }) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  /** Return where it is in the image, in pixels of it. */
  pixelAt(event) {
    return this.viewport.toImage(this.at(event)).map((place, axis) => place * this.viewport.image[axis]);
  }

  onStage(pixel) {
    return this.viewport.toStage(pixel.map((place, axis) => place / this.viewport.image[axis]));
  }

  fit() {
    this.viewport.reset();
    this.lay();
  }

  /** Lay the image where it is by now: it was enlarged or moved, or the stage has another size. */
  lay() {
    const { stage, viewport, base, over } = this;
    const { clientWidth, clientHeight } = stage;
    if (this.cursor.width !== clientWidth || this.cursor.height !== clientHeight) {
      [this.cursor.width, this.cursor.height] = [clientWidth, clientHeight];
    }
    if (!this.painting) return;
    viewport.fit([clientWidth, clientHeight], [this.painting.width, this.painting.height]);
    const { rect, scale } = viewport;
    const [left, top, width] = rect;
    base.style.transform = `translate(${left}px, ${top}px) scale(${width / base.width})`;
    over.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    base.classList.toggle("vt-sharp", scale >= 3);
  }

  // --- drawing

  /** Show another image, or none yet. */
  show(shown) {
    const { base, over } = this;
    this.painting = shown?.painting ?? null;
    this.read = null;
    this.bitmap = shown?.bitmap ?? null;
    base.hidden = !this.bitmap;
    over.width = over.height = 1;
    if (!this.bitmap) return;
    [base.width, base.height] = [this.bitmap.width, this.bitmap.height];
    base.getContext("2d").drawImage(this.bitmap, 0, 0);
    base.setAttribute("aria-label", `image ${shown.title}`);
    [over.width, over.height] = [this.painting.width, this.painting.height];
    this.paint([0, 0, over.width, over.height]);
    this.fit();
  }

  /** Show the pixels of a box as they are by now. */
  paint(box) {
    const { painting } = this;
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

  /** Return the pixels of the picture at the size of the mask, RGBA. */
  pixels() {
    const { bitmap, painting } = this;
    if (!this.read) {
      const canvas = new OffscreenCanvas(painting.width, painting.height);
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(bitmap, 0, 0, painting.width, painting.height);
      this.read = pen.getImageData(0, 0, painting.width, painting.height).data;
    }
    return this.read;
  }

  /** Draw a line through points of the image, and a disc of a brush round one. */
  draw({ line = [], isClosed = false, disc = null, size = 1 }) {
    const pen = this.cursor.getContext("2d");
    pen.clearRect(0, 0, this.cursor.width, this.cursor.height);
    const strokes = () => {
      for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) {
        Object.assign(pen, { strokeStyle: colour, lineWidth: wide });
        pen.stroke();
      }
    };
    pen.beginPath();
    line.forEach((point, at) => pen[at ? "lineTo" : "moveTo"](...this.onStage(point)));
    if (isClosed) pen.closePath();
    if (line.length) strokes();
    if (!disc) return;
    const [x, y] = this.onStage(size <= 1 ? disc.map((value) => Math.floor(value) + 0.5) : disc);
    pen.beginPath();
    pen.arc(x, y, Math.max(1, (size / 2) * this.viewport.scale), 0, 2 * Math.PI);
    strokes();
  }
}

