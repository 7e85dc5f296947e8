// A mask and what paints on it: pixel for pixel what raster.py does. What a stroke costs follows the stroke, not the image:
// tiles are set aside when they are first touched, and only the box that changed is kept for undo and sent.

const TILE = 64;
const WRAPPED = 16384; // bytes that are sent as they are
const LEAVE = 255; // a pixel that a change did not touch: another page may have painted it meanwhile

/** Hold the class of every pixel, what is being changed, and what undo and redo restore. */
export class Painting {
  constructor(width, height, data = new Uint8Array(width * height)) {
    Object.assign(this, { width, height, data, undos: [], redos: [], tiles: null, box: null });
  }

  // --- one change

  begin() {
    this.tiles = new Map();
    this.box = null;
  }

  /** Set aside the tiles under a box before they are painted over. */
  touch(left, top, right, bottom) {
    const across = Math.ceil(this.width / TILE);
    for (let row = Math.floor(top / TILE); row <= Math.floor(bottom / TILE); row += 1) {
      for (let column = Math.floor(left / TILE); column <= Math.floor(right / TILE); column += 1) {
        const key = row * across + column;
        if (!this.tiles.has(key)) this.tiles.set(key, this.crop(this.tileBox(key)));
      }
    }
  }

  /** Undo what was painted since the change began, and end it; return its box, or null. */
  revert() {
    const { box, tiles } = this;
    for (const [key, pixels] of tiles) this.paste(this.tileBox(key), pixels);
    this.tiles = this.box = null;
    return box;
  }

  tileBox(key) {
    const across = Math.ceil(this.width / TILE);
    const [left, top] = [(key % across) * TILE, Math.floor(key / across) * TILE];
    return [left, top, Math.min(TILE, this.width - left), Math.min(TILE, this.height - top)];
  }

  /** End a change: return its box and its pixels before and after, or null where nothing is different. */
  commit() {
    const { box, tiles } = this;
    this.tiles = null;
    this.box = null;
    if (!box) return null;
    const after = this.crop(box);
    const before = after.slice();
    for (const [key, pixels] of tiles) copy(pixels, this.tileBox(key), before, box);
    let changed = 0;
    for (let at = 0; at < after.length; at += 1) {
      if (after[at] === before[at]) after[at] = before[at] = LEAVE;
      else changed += 1;
    }
    if (!changed) return null;
    const change = { box, before, after };
    this.undos.push(change);
    this.redos = [];
    return change;
  }

  /** Take back the last change, or do it again; return its box and pixels, or null. */
  back() {
    return this.restore(this.undos, this.redos, "before");
  }

  again() {
    return this.restore(this.redos, this.undos, "after");
  }

  restore(from, to, which) {
    const change = from.pop();
    if (!change) return null;
    to.push(change);
    this.paste(change.box, change[which]);
    return { box: change.box, pixels: change[which] };
  }

  crop([left, top, width, height]) {
    const out = new Uint8Array(width * height);
    copy(this.data, [0, 0, this.width, this.height], out, [left, top, width, height]);
    return out;
  }

  /** Put pixels into a box, but those that are to be left as they are. */
  paste([left, top, width, height], pixels) {
    for (let row = 0; row < height; row += 1) {
      const [from, to] = [row * width, (top + row) * this.width + left];
      for (let x = 0; x < width; x += 1) if (pixels[from + x] !== LEAVE) this.data[to + x] = pixels[from + x];
    }
  }

  /** Put in what somebody else painted; a change that has begun is not to claim it. */
  pasteOther(box, pixels) {
    this.paste(box, pixels);
    const [left, top, width, height] = box;
    for (const [key, tile] of this.tiles ?? []) {
      const [x, y, across, down] = this.tileBox(key);
      for (let row = Math.max(top, y); row < Math.min(top + height, y + down); row += 1) {
        for (let column = Math.max(left, x); column < Math.min(left + width, x + across); column += 1) {
          const value = pixels[(row - top) * width + column - left];
          if (value !== LEAVE) tile[(row - y) * across + column - x] = value;
        }
      }
    }
  }

  painted(left, top, right, bottom) {
    const { box } = this;
    if (!box) this.box = [left, top, right - left + 1, bottom - top + 1];
    else {
      const [x, y] = [Math.min(box[0], left), Math.min(box[1], top)];
      this.box = [x, y, Math.max(box[0] + box[2], right + 1) - x, Math.max(box[1] + box[3], bottom + 1) - y];
    }
    return [left, top, right - left + 1, bottom - top + 1];
  }

  // --- tools; each returns the box that it painted, or null

  /** Draw a disc of a diameter of `size` from one point to another. */
  line(start, end, size, value) {
    const { width, height, data } = this;
    const centred = ([x, y]) => (size <= 1 ? [Math.floor(x) + 0.5, Math.floor(y) + 0.5] : [x, y]);
    const [[x0, y0], [x1, y1]] = [centred(start), centred(end)];
    const radius = Math.max(size, 1) / 2;
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
    const right = Math.min(width - 1, Math.ceil(Math.max(x0, x1) + radius));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
    const bottom = Math.min(height - 1, Math.ceil(Math.max(y0, y1) + radius));
    if (right < left || bottom < top) return null;
    this.touch(left, top, right, bottom);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    let [l, t, r, b] = [right + 1, bottom + 1, -1, -1];
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) {
        const [px, py] = [x + 0.5, y + 0.5];
        const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((px - x0) * dx + (py - y0) * dy) / length));
        const [ex, ey] = [px - (x0 + along * dx), py - (y0 + along * dy)];
        if (ex * ex + ey * ey <= radius * radius) {
          data[y * width + x] = value;
          if (x < l) l = x;
          if (x > r) r = x;
          if (y < t) t = y;
          if (y > b) b = y;
        }
      }
    }
    return r < 0 ? null : this.painted(l, t, r, b);
  }

  /** Fill a polygon, odd crossings inside. */
  polygon(points, value) {
    if (points.length < 3) return null;
    const { width, height, data } = this;
    const ys = points.map(([, y]) => y);
    const top = Math.max(0, Math.floor(Math.min(...ys)));
    const bottom = Math.min(height - 1, Math.ceil(Math.max(...ys)));
    const spans = [];
    let [l, t, r, b] = [width, height, -1, -1];
    for (let row = top; row <= bottom; row += 1) {
      const centre = row + 0.5;
      const crossings = [];
      points.forEach(([ax, ay], at) => {
        const [bx, by] = points[(at + 1) % points.length];
        if (ay <= centre !== by <= centre) crossings.push(ax + ((centre - ay) * (bx - ax)) / (by - ay));
      });
      crossings.sort((one, other) => one - other);
      for (let at = 0; at + 1 < crossings.length; at += 2) {
        const first = Math.max(0, Math.ceil(crossings[at] - 0.5));
        const last = Math.min(width - 1, Math.ceil(crossings[at + 1] - 0.5) - 1);
        if (last < first) continue;
        spans.push([row, first, last]);
        [l, t, r, b] = [Math.min(l, first), Math.min(t, row), Math.max(r, last), Math.max(b, row)];
      }
    }
    if (r < 0) return null;
    this.touch(l, t, r, b);
    for (const [row, first, last] of spans) data.fill(value, row * width + first, row * width + last + 1);
    return this.painted(l, t, r, b);
  }

  /** Fill the patch of one class around a point. */
  fill([px, py], value) {
    const { width, height, data } = this;
    const [x, y] = [Math.floor(px), Math.floor(py)];
    if (x < 0 || y < 0 || x >= width || y >= height || data[y * width + x] === value) return null;
    const old = data[y * width + x];
    return this.flood(x, y, value, (at) => data[at] === old);
  }

  /** Paint the patch around a point where the image, RGBA, is close to the colour under it. */
  grow(image, [px, py], tolerance, value) {
    const { width, height } = this;
    const [x, y] = [Math.floor(px), Math.floor(py)];
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const seed = 4 * (y * width + x);
    const [red, green, blue] = [image[seed], image[seed + 1], image[seed + 2]];
    return this.flood(x, y, value, (at) => {
      const place = 4 * at;
      return (
        Math.abs(image[place] - red) <= tolerance && Math.abs(image[place + 1] - green) <= tolerance &&
        Math.abs(image[place + 2] - blue) <= tolerance
      );
    });
  }

  /** Paint what can be reached from a pixel, side by side, run by run. */
  flood(x, y, value, isOpen) {
    const { width, height, data } = this;
    const seen = new Uint8Array(width * height);
    const runs = [];
    const stack = [[x, y]];
    let [l, t, r, b] = [width, height, -1, -1];
    while (stack.length) {
      const [column, row] = stack.pop();
      const base = row * width;
      if (seen[base + column] || !isOpen(base + column)) continue;
      let [first, last] = [column, column];
      while (first > 0 && !seen[base + first - 1] && isOpen(base + first - 1)) first -= 1;
      while (last < width - 1 && !seen[base + last + 1] && isOpen(base + last + 1)) last += 1;
      seen.fill(1, base + first, base + last + 1);
      runs.push([row, first, last]);
      [l, t, r, b] = [Math.min(l, first), Math.min(t, row), Math.max(r, last), Math.max(b, row)];
      for (const near of [row - 1, row + 1]) {
        if (near < 0 || near >= height) continue;
        let inside = false;
        for (let at = first; at <= last; at += 1) {
          const open = !seen[near * width + at] && isOpen(near * width + at);
          if (open && !inside) stack.push([at, near]);
          inside = open;
        }
      }
    }
    this.touch(l, t, r, b);
    for (const [row, first, last] of runs) data.fill(value, row * width + first, row * width + last + 1);
    return this.painted(l, t, r, b);
  }
}

/** Copy what two boxes have in common from the pixels of one to those of the other. */
function copy(from, [fx, fy, fw, fh], to, [tx, ty, tw, th]) {
  const [left, right] = [Math.max(fx, tx), Math.min(fx + fw, tx + tw)];
  for (let y = Math.max(fy, ty); y < Math.min(fy + fh, ty + th); y += 1) {
    const at = (y - fy) * fw + left - fx;
    if (right > left) to.set(from.subarray(at, at + right - left), (y - ty) * tw + left - tx);
  }
}

/** Pack pixels. Those of a small stroke are only wrapped: a stream would wait for frames, and a large image's are slow. */
async function deflated(pixels) {
  if (pixels.length <= WRAPPED) {
    const [low, high] = [pixels.length & 255, pixels.length >> 8];
    return Uint8Array.of(1, low, high, ~low, ~high, ...pixels); // one last block of deflate, as it is
  }
  const packed = new Blob([pixels]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

async function inflated(bytes) {
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

