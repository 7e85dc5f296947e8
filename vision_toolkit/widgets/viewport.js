// How an image lies in its stage: fitted, enlarged at the pointer, moved about. Lengths are pixels of the page, places
// in the image fractions of it.

const LARGEST = 32;
const MARGIN = 10; // around a fitted image, so that its edges can be taken hold of

export class Viewport {
  constructor() {
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

  /** Return how many pixels of the page one of the image takes. */
  get scale() {
    return this.zoom * Math.min(...[0, 1].map((axis) => Math.max(1, this.stage[axis] - 2 * MARGIN) / this.image[axis]));
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
    this.zoom = Math.max(1, Math.min(LARGEST, zoom));
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
