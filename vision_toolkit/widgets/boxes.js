// Boxes as they are drawn and changed; numbers are fractions of the image, as in the kernel.

const SLACK = 1e-9;
const HANDLES = {
  nw: [0, 0], n: [0.5, 0], ne: [1, 0], e: [1, 0.5], se: [1, 1], s: [0.5, 1], sw: [0, 1], w: [0, 0.5],
};

const inside = (value) => Math.max(0, Math.min(1, value));

/** Return the box between two corners, cut at the edges of the image. */
export function between(name, [ax, ay], [bx, by]) {
  const [left, right] = [inside(Math.min(ax, bx)), inside(Math.max(ax, bx))];
  const [top, bottom] = [inside(Math.min(ay, by)), inside(Math.max(ay, by))];
  return { name, left, top, width: right - left, height: bottom - top };
}

/** Return a box at another place; it stops at the edges of the image. */
export function moved(box, [dx, dy]) {
  const left = Math.max(0, Math.min(1 - box.width, box.left + dx));
  const top = Math.max(0, Math.min(1 - box.height, box.top + dy));
  return { ...box, left, top };
}

/** Return a box with a handle moved; pulled over the opposite edge it turns over. */
export function resized(box, handle, [dx, dy]) {
  const [x, y] = HANDLES[handle];
  const [right, bottom] = [box.left + box.width, box.top + box.height];
  const near = [box.left + (x === 0 ? dx : 0), box.top + (y === 0 ? dy : 0)];
  const far = [right + (x === 1 ? dx : 0), bottom + (y === 1 ? dy : 0)];
  return between(box.name, near, far);
}

export function same(a, b) {
  return (
    a.name === b.name && ["left", "top", "width", "height"].every((side) => Math.abs(a[side] - b[side]) <= SLACK)
  );
}

/** Return where a handle of a box is. */
export function handleAt(box, handle) {
  const [x, y] = HANDLES[handle];
  return [box.left + x * box.width, box.top + y * box.height];
}

/** Return which handle of a box is within `reach` of a point of the stage, the nearest one; else null. */
export function handleUnder(box, point, viewport, reach) {
  let [found, least] = [null, reach];
  for (const handle of Object.keys(HANDLES)) {
    const [x, y] = viewport.toStage(handleAt(box, handle));
    const far = Math.max(Math.abs(x - point[0]), Math.abs(y - point[1]));
    if (far <= least) [found, least] = [handle, far - 0.01];
  }
  return found;
}

/** Return the number of the smallest box under a point of the stage; -1 where there is none. */
export function boxUnder(boxes, point, viewport, reach) {
  let [found, least] = [-1, Infinity];
  boxes.forEach((box, index) => {
    const [left, top] = viewport.toStage([box.left, box.top]);
    const [right, bottom] = viewport.toStage([box.left + box.width, box.top + box.height]);
    const is = point[0] >= left - reach && point[0] <= right + reach && point[1] >= top - reach && point[1] <= bottom + reach;
    if (is && box.width * box.height < least) [found, least] = [index, box.width * box.height];
  });
  return found;
}

// ------------------------------------------------------------------ how they look

/** Draw a box; one that is chosen with its handles. */
function paintBox(pen, viewport, box, { colour, dashes = [], chosen = false }) {
  const [right, bottom] = [box.left + box.width, box.top + box.height];
  const corners = [[box.left, box.top], [right, box.top], [right, bottom], [box.left, bottom]];
  paintOutline(pen, viewport, corners, box.name, { colour, dashes, chosen });
  if (!chosen) return;
  for (const handle of Object.keys(HANDLES)) {
    const [x, y] = viewport.toStage(handleAt(box, handle));
    pen.fillStyle = "#ffffff";
    pen.fillRect(x - 4, y - 4, 8, 8);
    pen.strokeStyle = "#000000";
    pen.lineWidth = 1;
    pen.strokeRect(x - 4, y - 4, 8, 8);
  }
}

function paintOutline(pen, viewport, corners, name, { colour, dashes, chosen = false }) {
  const at = corners.map((corner) => viewport.toStage(corner));
  pen.beginPath();
  at.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  pen.setLineDash(dashes);
  // A dark line below the coloured one is seen on bright parts, the coloured one on dark parts.
  for (const [style, width] of [["rgba(0, 0, 0, 0.6)", chosen ? 5 : 4], [colour, chosen ? 3 : 2]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.font = "12px system-ui, sans-serif";
  const [x, y] = [0, 1].map((axis) => Math.min(...at.map((one) => one[axis])));
  const wide = pen.measureText(name).width + 8;
  if (Math.max(...at.map((one) => one[0])) - x < Math.min(wide, 40)) return; // no words that hide a small box
  const above = y >= 18 ? y - 17 : y + 2;
  pen.fillStyle = "rgba(0, 0, 0, 0.7)";
  pen.fillRect(x - 1, above, wide, 15);
  pen.fillStyle = colour;
  pen.fillText(name, x + 3, above + 11.5);
}

// ------------------------------------------------------------------ what acts do

/** Return what an image has: what the kernel said of it, and on top of it acts that are not confirmed. */
export function replayed(facts, acts) {
  const state = { boxes: facts.boxes, open: facts.open, past: [...facts.past], future: [...facts.future] };
  Object.assign(state, { earlier: facts.earlier, later: facts.later, unknown: false });
  for (const act of acts) {
    const now = { boxes: state.boxes, open: state.open };
    if (act.action === "boxes") {
      state.past.push(now);
      Object.assign(state, { boxes: act.boxes, open: act.open ?? state.open, future: [], later: 0 });
    } else if (act.action === "undo") step(state, now, "past", "earlier", "future");
    else if (act.action === "redo") step(state, now, "future", "later", "past");
  }
  return state;
}

function step(state, now, from, more, to) {
  if (state[from].length) {
    state[to].push(now);
    Object.assign(state, state[from].pop());
  } else if (state[more]) state.unknown = true; // the kernel knows, and will say
}
