// How an image lies in its stage: fitted, enlarged at the pointer, moved about. Lengths are pixels of the page, places
// in the image fractions of it.

const LARGEST = 32; // times the fitted image
const MARGIN = 10; // around a fitted image, so that its edges can be taken hold of

export class Viewport {
  /** `most` is how many pixels of the page one of the image takes at most; null: 32 times as many as when it is fitted. */
  constructor(most = null) {
    this.most = most;
    this.stage = [1, 1];
    this.image = [1, 1];
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.centre = [0.5, 0.5]; // which place of the image is in the middle of the stage
  }

  /** Take the size of the stage and of the image; what is in the middle stays there. */
  fit(stage, image) {
    this.stage = stage.map((side) => Math.max(1, side));
    this.image = image.map((side) => Math.max(1, side));
    this.keepInside();
  }

  /** Return how many pixels of the page one of the image takes when all of it is seen. */
  get fitted() {
    return Math.min(...[0, 1].map((axis) => Math.max(1, this.stage[axis] - 2 * MARGIN) / this.image[axis]));
  }

  /** Return how many it takes now. */
  get scale() {
    return this.zoom * this.fitted;
  }

  /** Return where the image is in the stage: left, top, width, height. */
  get rect() {
    const size = this.image.map((side) => side * this.scale);
    return [...[0, 1].map((axis) => this.stage[axis] / 2 - this.centre[axis] * size[axis]), ...size];
  }

  toImage([x, y]) {
    const [left, top, width, height] = this.rect;
    return [(x - left) / width, (y - top) / height];
  }

  toStage([x, y]) {
    const [left, top, width, height] = this.rect;
    return [left + x * width, top + y * height];
  }

  /** Enlarge by so much; the place under a point of the stage stays under it. */
  zoomTo(zoom, point) {
    const held = this.toImage(point);
    const largest = this.most === null ? LARGEST : this.most / this.fitted;
    this.zoom = Math.max(1, Math.min(largest, zoom));
    const size = this.image.map((side) => side * this.scale);
    this.centre = held.map((place, axis) => place - (point[axis] - this.stage[axis] / 2) / size[axis]);
    this.keepInside();
  }

  pan(by) {
    const size = this.image.map((side) => side * this.scale);
    this.centre = this.centre.map((place, axis) => place - by[axis] / size[axis]);
    this.keepInside();
  }

  keepInside() {
    this.centre = this.centre.map((place, axis) => {
      const size = this.image[axis] * this.scale;
      const reach = (this.stage[axis] / 2 - MARGIN) / size; // from the middle of the stage to its edge
      return reach >= 0.5 ? 0.5 : Math.max(reach, Math.min(1 - reach, place));
    });
  }
}

/** Two fingers enlarge and move the image. */
class Fingers {
  constructor(viewport) {
    this.viewport = viewport;
    this.points = new Map();
  }

  /** Return how many fingers there are now. */
  down(finger, point) {
    this.points.set(finger, point);
    return this.points.size;
  }

  /** Return whether this moved the image. */
  move(finger, point) {
    if (!this.points.has(finger)) return false;
    const before = this.grip();
    this.points.set(finger, point);
    const after = this.grip();
    if (!before) return false;
    this.viewport.zoomTo((this.viewport.zoom * after.apart) / before.apart, before.middle);
    this.viewport.pan([0, 1].map((axis) => after.middle[axis] - before.middle[axis]));
    return true;
  }

  up(finger) {
    this.points.delete(finger);
    return this.points.size;
  }

  grip() {
    if (this.points.size !== 2) return null;
    const [a, b] = [...this.points.values()];
    const apart = Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    return { apart, middle: [0, 1].map((axis) => (a[axis] + b[axis]) / 2) };
  }
}
