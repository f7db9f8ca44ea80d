// The table of functions: a row for each, made once; afterwards only what differs is written.

const COLUMNS = {
  name: "Function", bytes: "Memory", entries: "Entries", ratio: "Hit ratio", rate: "Calls/s", load: "Load",
  p95: "p95", running: "Running", out: "Evicted", calls: "Window",
};
const FEW_CALLS = 100; // below which a hit ratio says little
const LOW_RATIO = 0.05; // a cache that hits less often is work for nothing
const REST_MS = 4000; // how long rows stay where they are after the pointer has moved over them

/** A piece of text in the document that is written only if it differs. */
class Slot {
  constructor(node) {
    this.text = node.appendChild(document.createTextNode(""));
    this.now = "";
  }

  set(text) {
    if (text === this.now) return;
    this.now = text;
    this.text.data = text;
  }
}

/** One function's row. */
class Line {
  static #model = document.getElementById("line").content.firstElementChild;

  constructor(one) {
    this.one = one;
    this.row = Line.#model.cloneNode(true);
    const cells = this.row.children;
    const pair = (cell) => [new Slot(cell.children[0]), cell.children[1]];
    this.button = cells[0].firstElementChild;
    [this.bytes, this.bytesBar] = pair(cells[1]);
    [this.entries, this.max] = pair(cells[2]).map((it, second) => (second ? new Slot(it) : it));
    [this.ratio, this.ratioBar] = pair(cells[3]);
    [this.rate, this.load, this.p95] = [4, 5, 6].map((at) => new Slot(cells[at].firstElementChild));
    [this.running, this.oldest] = pair(cells[7]).map((it, second) => (second ? new Slot(it) : it));
    [this.out, this.outMore] = pair(cells[8]).map((it, second) => (second ? new Slot(it) : it));
    [this.spark, this.span] = [cells[9].firstElementChild.firstElementChild, new Slot(cells[9].lastElementChild)];
    this.states = {};
    this.drawn = {};
    const { home, own } = nameParts(one.name), bdi = this.button.firstElementChild;
    bdi.children[0].textContent = home;
    bdi.children[1].textContent = own;
    const whole = visible(one.name.length > 1000 ? middled(one.name, 300) : one.name);
    this.button.setAttribute("aria-label", whole); // its two parts would be read as two words
    if (whole !== home + own) this.button.title = whole;
    this.row.dataset.name = one.name;
    this.button.line = this;
  }

  /** Write what differs. *share* is its part of the memory of all. */
  show(figures, share) {
    this.figures = figures;
    this.share = share;
    this.bytes.set(figures.bytes == null ? NONE : `${figures.estimated ? "≈" + GAP : ""}${bytes(figures.bytes)}`);
    this.#bar(this.bytesBar, "bytes", share);
    this.entries.set(count(figures.entries));
    this.max.set(figures.max != null ? ` / ${count(figures.max)}` : figures.unbounded ? " / ∞" : "");
    this.#state("unbounded", figures.unbounded);
    const low = figures.requests >= FEW_CALLS && figures.ratio < LOW_RATIO;
    this.ratio.set(`${low ? "low " : ""}${percent(figures.ratio)}`);
    this.#bar(this.ratioBar, "ratio", figures.ratio);
    this.#state("low", low);
    this.rate.set(perSecond(figures.rate));
    this.load.set(seconds(figures.load));
    this.p95.set(seconds(figures.p95));
    this.running.set(count(figures.running));
    this.oldest.set(figures.running && figures.oldest != null ? `, ${brief(figures.oldest)}` : "");
    this.#state("runs", figures.running > 0);
    const [first, second] = figures.evictions;
    this.out.set(first ? `${short(first[1])} ${first[0]}` : figures.out == null ? NONE : "0");
    this.outMore.set(second ? `, ${short(second[1])} ${second[0]}${figures.evictions.length > 2 ? " …" : ""}` : "");
    this.#drawSpark(figures.spark);
    this.span.set(figures.span == null ? NONE : seconds(figures.span));
    this.#state("idle", !figures.rate);
  }

  #bar(node, which, share) {
    const width = share == null ? -1 : Math.round(share * 200) / 200;
    if (this.drawn[which] === width) return;
    this.drawn[which] = width;
    node.hidden = width < 0;
    node.firstElementChild.style.transform = `scaleX(${Math.max(0, width)})`;
  }

  #drawSpark(text) {
    if (this.drawn.spark === text) return;
    this.drawn.spark = text;
    const svg = this.spark.parentNode;
    svg.toggleAttribute("hidden", !text);
    svg.setAttribute("viewBox", `0 0 ${Math.max(1, text.length)} 8`);
    this.spark.setAttribute("d", sparkPath(text));
  }

  #state(name, on) {
    if (this.states[name] === on) return;
    this.states[name] = on;
    this.row.classList.toggle(name, on);
  }
}

/** Which elements of a list of distinct numbers may stay where they are: a longest rising run. */
function staying(numbers) {
  const tails = [], before = new Array(numbers.length);
  numbers.forEach((number, at) => {
    let low = 0, high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[tails[middle]] < number) low = middle + 1;
      else high = middle;
    }
    before[at] = tails[low - 1];
    tails[low] = at;
  });
  const stay = new Set();
  for (let at = tails.at(-1); at !== undefined; at = before[at]) stay.add(at);
  return stay;
}

class Rows {
  constructor(act) {
    this.act = act;
    this.body = document.getElementById("rows");
    this.lines = new Map();
    this.order = [];
    this.opened = new Map();
    this.by = "bytes";
    this.falling = true;
    this.words = [];
    this.moved = -REST_MS;
    this.entry = null; // the line whose button Tab reaches
    this.body.addEventListener("pointermove", () => { this.moved = performance.now(); }, { passive: true });
    this.body.addEventListener("pointerleave", () => { this.moved = -REST_MS; });
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button.name");
      if (button) this.toggle(button.line);
    });
    this.body.addEventListener("focusin", (event) => { if (event.target.line) this.#enterBy(event.target.line); });
    this.body.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Bring the rows to what *functions* are now: name to {name, data, pace}. */
  show(functions, stores, flown, now, actions) {
    for (const [name, line] of this.lines) if (functions.get(name) !== line.one) this.#drop(name, line);
    const all = [], fresh = [];
    let whole = 0;
    for (const one of functions.values()) {
      const figures = figuresOf(one, stores.get(one.name), flown.get(one.name));
      whole += figures.bytes ?? 0;
      all.push([one, figures]);
    }
    for (const [one, figures] of all) {
      let line = this.lines.get(one.name);
      if (!line) {
        this.lines.set(one.name, (line = new Line(one)));
        fresh.push(line);
        this.#match(line);
      }
      line.show(figures, whole && figures.bytes != null ? figures.bytes / whole : null);
    }
    const columns = this.opened.size ? this.#columns : 0;
    for (const [name, details] of this.opened) {
      details.show({ store: stores.get(name), now, actions, columns, share: this.lines.get(name).share });
    }
    this.#arrange(fresh);
  }

  #drop(name, line) {
    this.opened.get(name)?.row.remove();
    this.opened.delete(name);
    line.row.remove();
    this.lines.delete(name);
    this.order = this.order.filter((other) => other !== line);
    if (this.entry === line) this.entry = null;
  }

  /** Whether somebody aims at the rows or walks through them by keyboard, so that they stay where they are. */
  get #held() {
    return performance.now() - this.moved < REST_MS || this.body.querySelector(":focus-visible") !== null;
  }

  /** How many columns there is room for: the style decides. */
  get #columns() {
    const heads = [...document.querySelectorAll("#table thead th")];
    return heads.filter((head) => getComputedStyle(head).display !== "none").length;
  }

  #arrange(fresh, even = false) {
    if (!even && this.#held && this.order.length) {
      for (const line of fresh) this.body.append(line.row);
      this.order.push(...fresh);
    } else {
      const wanted = [...this.lines.values()].sort((a, b) => this.#compare(a, b));
      const places = new Map(this.order.map((line, at) => [line, at]));
      const known = wanted.filter((line) => places.has(line));
      const stay = new Set([...staying(known.map((line) => places.get(line)))].map((at) => known[at]));
      let next = null;
      for (const line of wanted.toReversed()) {
        if (!stay.has(line)) {
          this.body.insertBefore(line.row, next);
          const details = this.opened.get(line.one.name);
          if (details) line.row.after(details.row);
        }
        next = line.row;
      }
      this.order = wanted;
    }
    if (!this.entry || this.entry.row.hidden) this.#enterBy(this.order.find((line) => !line.row.hidden) ?? null);
  }

  #compare(a, b) {
    const [x, y] = [a.figures[this.by], b.figures[this.by]];
    if (x !== y) {
      if (x == null) return 1; // what is not known comes last either way
      if (y == null) return -1;
      const order = typeof x === "string" ? (x < y ? -1 : 1) : x - y;
      return this.falling ? -order : order;
    }
    return a.one.name < b.one.name ? -1 : 1;
  }

  sort(by, falling) {
    [this.by, this.falling] = [by, falling];
    this.#arrange([], true);
  }

  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const line of this.lines.values()) this.#match(line);
    this.#arrange([], true);
  }

  #match(line) {
    line.text ??= [line.one.name, ...(line.one.data.tags ?? [])].join("\n").toLowerCase();
    const hidden = !this.words.every((word) => line.text.includes(word));
    if (line.row.hidden !== hidden) line.row.hidden = hidden;
    const details = this.opened.get(line.one.name);
    if (details) details.row.hidden = hidden;
  }

  get matching() {
    return this.order.reduce((sum, line) => sum + !line.row.hidden, 0);
  }

  toggle(line) {
    const details = this.opened.get(line.one.name);
    if (details) details.row.remove();
    else {
      const made = new Details(line.one, this.act);
      made.row.id = `details-${Rows.#serial++}`;
      line.button.setAttribute("aria-controls", made.row.id);
      this.opened.set(line.one.name, made);
      line.row.after(made.row);
    }
    if (details) {
      this.opened.delete(line.one.name);
      line.button.removeAttribute("aria-controls");
    }
    line.row.classList.toggle("open", !details);
    line.button.setAttribute("aria-expanded", String(!details));
    this.body.dispatchEvent(new CustomEvent("opened", { bubbles: true }));
  }

  static #serial = 0;

  /** Show the row of *name*, opened, and go there. */
  go(name) {
    const line = this.lines.get(name);
    if (!line) return false;
    if (!this.opened.has(name)) this.toggle(line);
    line.button.focus();
    line.row.scrollIntoView({ block: "center" });
    return true;
  }

  #enterBy(line) {
    if (this.entry === line) return;
    if (this.entry) this.entry.button.tabIndex = -1;
    this.entry = line;
    if (line) line.button.tabIndex = 0;
  }

  #onKey(event) {
    const row = event.target.closest("tr");
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      const line = event.target.line ?? row?.previousElementSibling?.querySelector("button.name")?.line;
      if (line && this.opened.has(line.one.name)) {
        this.toggle(line);
        line.button.focus();
        event.stopPropagation();
      }
      return;
    }
    if (!event.target.line) return;
    const shown = this.order.filter((line) => !line.row.hidden), at = shown.indexOf(event.target.line);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    shown[next]?.button.focus();
  }
}
