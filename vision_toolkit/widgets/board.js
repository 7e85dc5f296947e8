// The numbers of a review: a score and a label of every image, so small that a slider counts and sorts them all in a few
// milliseconds without asking the kernel. verdicts.py does the same; a test compares the two.

const TICKS = 10000; // what a score of 1 is: verdicts round to four digits, so these are exact
const NO_SCORE = 65535;
const BINS = 100; // of the histogram
const TRUTH = 3, FLAGGED = 4, CHANGED = 8, LOOKED = 16; // bits of the state of an image
const NORMAL = 1, ANOMALY = 2;

/** Hold a score and a label of every image, and count and sort them at any threshold. */
export class Board {
  constructor(total, types) {
    this.total = total;
    this.types = types;
    this.ticks = new Uint16Array(total).fill(NO_SCORE);
    this.state = new Uint8Array(total);
    this.painted = new Uint8Array(total * types.length);
    this.filled = 0;
  }

  /** Take the numbers of some images. */
  fill(start, [ticks, state, painted]) {
    this.ticks.set(new Uint16Array(ticks.slice().buffer), start);
    this.state.set(state, start);
    this.painted.set(painted, start * this.types.length);
    this.filled += state.length;
    if (this.filled >= this.total) this.count();
  }

  /** Count how many normal images and anomalies reach each threshold; again after a label has changed. */
  count() {
    const reach = [0, NORMAL, ANOMALY].map(() => new Int32Array(TICKS + 2));
    for (let item = 0; item < this.total; item += 1) {
      if (this.ticks[item] !== NO_SCORE) reach[this.state[item] & TRUTH][this.ticks[item]] += 1;
    }
    this.bins = reach.map((counts) => binned(counts));
    for (const counts of reach) for (let tick = TICKS; tick >= 0; tick -= 1) counts[tick] += counts[tick + 1];
    this.reach = reach;
  }

  /** Return hits and misses at a threshold. */
  counts(tick) {
    const [unlabelled, normal, anomaly] = this.reach;
    const [tp, fp] = [anomaly[tick], normal[tick]];
    const [fn, tn] = [anomaly[0] - tp, normal[0] - fp];
    return { tp, fp, fn, tn, wrong: fp + fn, unlabelled: unlabelled[0], all: this.total };
  }

  /** Return fn, fp, tp, tn or unlabelled; nothing where there is no score. */
  outcome(item, tick) {
    const [score, truth] = [this.ticks[item], this.state[item] & TRUTH];
    if (score === NO_SCORE) return "";
    if (!truth) return "unlabelled";
    return truth === ANOMALY ? (score >= tick ? "tp" : "fn") : score >= tick ? "fp" : "tn";
  }

  /** Return which images to show, the worst first, as verdicts.py does: sorted by counting, in one pass each. */
  order(tick, show, type = null) {
    const { total, ticks, state, painted, types } = this;
    const column = type === null ? -1 : types.indexOf(type);
    const keys = new Uint16Array(total);
    const starts = new Uint32Array(60002);
    let wanted = 0;
    for (let item = 0; item < total; item += 1) {
      keys[item] = NO_SCORE;
      if (column >= 0 && !painted[item * types.length + column]) continue;
      const [score, truth] = [ticks[item], state[item] & TRUTH];
      const called = score >= tick;
      const wrong = truth && called !== (truth === ANOMALY);
      if (score === NO_SCORE) {
        if (show !== "all") continue;
        keys[item] = 60000;
      } else if (!truth) {
        if (show !== "all" && show !== "unlabelled") continue;
        keys[item] = 40000 + Math.abs(score - tick);
      } else {
        if (show === "wrong" ? !wrong : show !== "all" && show !== (called ? (wrong ? "fp" : "tp") : wrong ? "fn" : "tn")) continue;
        keys[item] = (wrong ? 0 : 20000) + (truth === ANOMALY ? score : TICKS - score);
      }
      starts[keys[item] + 1] += 1;
      wanted += 1;
    }
    for (let key = 1; key < starts.length; key += 1) starts[key] += starts[key - 1];
    const order = new Uint32Array(wanted);
    for (let item = 0; item < total; item += 1) {
      if (keys[item] !== NO_SCORE) order[starts[keys[item]]++] = item;
    }
    return order;
  }
}

function binned(counts) {
  const bins = new Int32Array(BINS);
  for (let tick = 0; tick <= TICKS; tick += 1) bins[Math.min(BINS - 1, Math.floor((tick * BINS) / TICKS))] += counts[tick];
  return bins;
}

/** Return F1, precision and recall: 0 where nothing was called though there is something, nan where there is nothing. */
export function rates({ tp, fp, fn }) {
  const ratio = (part, whole, empty) => (whole ? part / whole : empty);
  return {
    f1: ratio(2 * tp, 2 * tp + fp + fn, NaN), precision: ratio(tp, tp + fp, fn ? 0 : NaN), recall: ratio(tp, tp + fn, NaN),
  };
}

/** Return what to expect of 1,000 parts of which this share are anomalies; null where one kind is not there. */
export function expected({ tp, fp, fn, tn }, { miss, reject, share }) {
  if (!(tp + fn) || !(fp + tn) || !(share > 0 && share < 1)) return null;
  const missed = (1000 * share * fn) / (tp + fn);
  const rejected = (1000 * (1 - share) * fp) / (fp + tn);
  return { missed, rejected, cost: missed * miss + rejected * reject };
}

