// Figures as text, and what a function's row is to say. Nothing here touches the document.

const GAP = "\u202f"; // between a number and its unit: narrow, and no line breaks there
const NONE = "–"; // not known, or not there: never 0

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 9 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const three = (number) => grouped.format(Number(number.toPrecision(3)));

const count = (number) => (number == null ? NONE : grouped.format(number));

/** A count in few characters: "999", "12.3k", "4.5M". */
function short(number) {
  if (number < 10_000) return grouped.format(number);
  for (const [size, unit] of [[1e3, "k"], [1e6, "M"], [1e9, "G"]]) {
    const scaled = Number((number / size).toPrecision(3));
    if (scaled < 1000 || unit === "G") return `${grouped.format(scaled)}${unit}`;
  }
}

/** Powers of 1000, three digits, as `print(registry)` writes them. */
function bytes(number) {
  if (number == null) return NONE;
  for (const [power, unit] of ["B", "kB", "MB", "GB", "TB", "PB"].entries()) {
    const scaled = Number((number / 1000 ** power).toPrecision(3));
    if (scaled < 1000 || unit === "PB") return `${grouped.format(scaled)}${GAP}${unit}`;
  }
}

/** Three digits below a minute, two units above; days begin at 48 hours. */
function seconds(number) {
  if (number == null) return NONE;
  if (number < 1e-9) return `0${GAP}s`;
  for (const [per, below, unit] of [[1e6, 1000, "µs"], [1e3, 1000, "ms"], [1, 60, "s"]]) {
    const scaled = Number((number * per).toPrecision(3));
    if (scaled < below) return `${three(scaled)}${GAP}${unit}`;
  }
  const two = (whole, per, large, small) => {
    const rest = whole % per, first = `${grouped.format((whole - rest) / per)}${GAP}${large}`;
    return rest ? `${first} ${rest}${GAP}${small}` : first;
  };
  if (Math.round(number) < 3600) return two(Math.round(number), 60, "min", "s");
  if (Math.round(number / 60) < 48 * 60) return two(Math.round(number / 60), 60, "h", "min");
  return two(Math.round(number / 3600), 24, "d", "h");
}

/** The same to the greater of its two units: for a cell. */
const brief = (number) => seconds(number).split(" ")[0];

/** A share of 1; all and nothing are said of nothing less. */
function percent(share) {
  if (share == null) return NONE;
  const rounded = share > 0 && share < 1 ? Math.min(99.9, Math.max(0.1, share * 100)) : share * 100;
  return `${rounded === 0 || rounded === 100 ? rounded : tenths.format(rounded)}${GAP}%`;
}

function perSecond(rate) {
  if (rate == null) return NONE;
  return rate > 0 && rate < 0.01 ? "<0.01" : three(rate);
}

/** Text that comes from the program, with what cannot be seen, or turns the direction of writing, made visible. */
const visible = (text) =>
  String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);

/** What is in the middle left out; more of the end is kept, which says more. */
function middled(text, most) {
  const signs = text.length > 8 * most ? [...text.slice(0, 4 * most), ...text.slice(-4 * most)] : [...text];
  if (signs.length <= most) return text;
  const end = Math.floor(((most - 1) * 2) / 3);
  return `${signs.slice(0, most - 1 - end).join("")}…${signs.slice(-end).join("")}`;
}

const DOTTED = /^[\p{L}\p{N}_<>#@]+(\.[\p{L}\p{N}_<>#@]+)+$/u;
const NAME_ROOM = 35;

/**
 * A function's name in two parts: where it is at home, and its own. A long home is told by the first letters of its
 * outer packages, as loggers do: "shop.services.catalogue.prices.fetch" is "s.s.catalogue.prices." and "fetch".
 */
function nameParts(name) {
  const text = visible(name.length > 4000 ? middled(name, 400) : name);
  if (!DOTTED.test(text)) return { home: "", own: middled(text, NAME_ROOM) };
  const parts = text.split(".");
  let own = parts.pop();
  if (parts.length && /^\p{Lu}/u.test(parts.at(-1))) own = `${parts.pop()}.${own}`; // a method with its class
  own = middled(own, NAME_ROOM);
  const length = () => own.length + parts.reduce((sum, part) => sum + part.length + 1, 0);
  for (let i = 0; i < parts.length - 1 && length() > NAME_ROOM; i++) parts[i] = [...parts[i]][0];
  let home = parts.map((part) => `${part}.`).join("");
  if (home.length + own.length > NAME_ROOM) {
    const room = Math.max(2, NAME_ROOM - own.length);
    home = home.length > room ? `…${home.slice(-(room - 1))}` : home;
  }
  return { home, own };
}

const SPARKS = "▁▂▃▄▅▆▇█";

/** A line of bars (▁▃█) as the path of an SVG that is 8 high and as wide as it has characters. */
function sparkPath(text) {
  let path = "";
  [...text].forEach((sign, at) => {
    const height = Math.max(0, SPARKS.indexOf(sign)) + 0.6;
    path += `M${at + 0.1} 8h.8v-${height.toFixed(1)}h-.8z`;
  });
  return path;
}

/** All calls that a function counts; null if it counts none. */
function requestsOf({ cache, inflight, limit, adopted }) {
  if (cache) return cache.requests;
  if (adopted) return adopted.requests ?? null;
  if (limit) return limit.allowed + limit.refused;
  return inflight ? inflight.started + inflight.joined : null;
}

/** Calls a second over the last so many answers: a line of [time, calls] that grows at its end. */
class Pace {
  constructor(most) {
    this.most = most;
    this.points = [];
  }

  /** Workers of one service may answer in turns, each a little behind the others; one that counts anew begins at 0. */
  add(at, calls) {
    const last = this.points.at(-1);
    if (last && (calls == null || at < last[0] - 60 || calls < last[1] * 0.9)) this.points = [];
    else if (last && (at <= last[0] || calls < last[1])) return;
    if (calls == null) return;
    this.points.push([at, calls]);
    if (this.points.length > this.most) this.points.shift();
  }

  get rate() {
    if (this.points.length < 2) return null;
    const [from, to] = [this.points[0], this.points.at(-1)];
    return (to[1] - from[1]) / (to[0] - from[0]);
  }
}

/** What one function's row says, each as the number that it is sorted by, or null. */
function figuresOf(one, store, flown) {
  const { cache, inflight, window: recent, adopted } = one.data;
  const hasCalls = cache ? cache.requests : adopted?.requests;
  const evictions = cache ? Object.entries(cache.evictions ?? {}).filter(([, times]) => times).sort((a, b) => b[1] - a[1]) : [];
  return {
    name: one.name,
    bytes: cache?.bytes ?? store?.bytes ?? null,
    estimated: cache?.bytes == null && store != null && store.measured + store.unmeasured < (store.entries ?? 0),
    maxBytes: cache?.max_bytes ?? null,
    entries: cache?.size ?? adopted?.size ?? null,
    max: cache?.max ?? adopted?.max ?? null,
    unbounded: cache ? cache.max == null && cache.max_bytes == null : adopted?.bounded === false,
    ratio: hasCalls ? (cache ?? adopted).hit_ratio : null,
    requests: hasCalls ?? null,
    rate: one.pace.rate ?? (requestsOf(one.data) == null && recent ? recent.rate : null),
    load: cache?.loads ? cache.load_mean : null,
    p95: recent?.p95 ?? null,
    running: inflight?.active ?? null,
    oldest: flown?.oldest ?? null,
    out: cache ? evictions.reduce((sum, [, times]) => sum + times, 0) : null,
    evictions,
    calls: recent?.count ?? null,
    span: recent?.span ?? null,
    spark: one.data.sparkline || "",
  };
}
