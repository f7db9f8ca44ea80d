// What opens below a function's row: every figure that there is of it, by the names that `stats()` gives them.

const PARTS = { cache: "Cache", inflight: "Running calls", window: "Window", limit: "Limit", adopted: "Adopted cache" };
const DURATIONS = /(^|_)(seconds|mean|oldest|span|p\d\d|lease|age|delay)$/;
const SHARES = /(^|_)(ratio|share)$/;
const WORDS = { bytes: "memory", max_bytes: "most memory", max: "most entries", size: "entries", p50: "median", served_ratio: "calls that ran no function" };
const HIDDEN = new Set(["name", "oldest", "oldest_lease"]); // ages come anew only with a change of something else

function figureText(key, value) {
  if (typeof value === "string") return visible(middled(value, 200));
  if (typeof value !== "number") return typeof value === "boolean" ? (value ? "yes" : "no") : NONE;
  if (SHARES.test(key)) return percent(value);
  if (/(^|_)bytes$/.test(key)) return bytes(value);
  if (DURATIONS.test(key)) return seconds(value);
  return key === "rate" ? `${perSecond(value)}/s` : Number.isInteger(value) ? count(value) : three(value);
}

/** The figures of one part by their words, those that are not there left out. */
function* linesOf(part) {
  for (const [key, value] of Object.entries(part)) {
    if (value === null || HIDDEN.has(key)) continue;
    if (typeof value !== "object") yield [WORDS[key] ?? key.replace(/^l2_/, "tier_").replaceAll("_", " "), figureText(key, value), value === 0];
    else if (key !== "evictions" && !Array.isArray(value)) for (const [what, n] of Object.entries(value)) yield [what, figureText(key, n), n === 0];
  }
}

/** Title and lines of each block that a function's details have. */
function blocksOf(one, store, now) {
  const blocks = [];
  for (const [key, part] of Object.entries(one.data)) {
    if (!part || typeof part !== "object" || Array.isArray(part)) continue;
    blocks.push([PARTS[key] ?? key.replaceAll("_", " "), [...linesOf(part)]]);
    const gone = Object.entries(part.evictions ?? {}).filter(([, times]) => times);
    if (gone.length) blocks.push(["Evicted, by reason", gone.sort((a, b) => b[1] - a[1]).map(([why, n]) => [why, count(n), false])]);
  }
  if (store) {
    const lines = [["memory of values", `${store.measured < store.entries ? "≈" + GAP : ""}${bytes(store.bytes)}`, false]];
    if (store.oldest != null) lines.push(["oldest entry", seconds(store.oldest + Math.max(0, now - store.at)), false]);
    if (store.oldest_lease != null) lines.push(["oldest lease", seconds(store.oldest_lease + Math.max(0, now - store.at)), false]);
    if (store.never_hit != null) lines.push(["never hit", count(store.never_hit), store.never_hit === 0]);
    if (store.expired != null) lines.push(["past their life", count(store.expired), store.expired === 0]);
    for (const [type, n] of Object.entries(store.instances ?? {})) lines.push([`keeps ${visible(type)}`, count(n), false]);
    for (const [name, n] of Object.entries(store.arguments ?? {})) lines.push([`argument ${visible(name)}`, bytes(n), n === 0]);
    blocks.push(["Leak report", lines]);
  }
  return blocks;
}

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

class Details {
  /** The opened row of *one*; *act(what, name)* asks for a clear or an invalidation. */
  constructor(one, act) {
    this.one = one;
    this.shape = "";
    this.able = "";
    this.slots = [];
    this.row = make("tr", "details");
    this.row.setAttribute("role", "row");
    const cell = make("td");
    cell.setAttribute("role", "cell");
    this.cell = cell;
    const name = make("p", "full");
    name.append(make("bdi", "", visible(one.name)));
    this.tags = make("p", "tags");
    this.blocks = make("div", "blocks");
    this.tools = make("p", "tools");
    this.act = act;
    cell.append(name, this.tags, this.blocks, this.tools);
    this.row.append(cell);
  }

  /** Write the figures; *columns* is how many the table shows, *share* the row's part of the memory of all. */
  show({ store, now, actions, columns, share }) {
    if (this.cell.colSpan !== columns) this.cell.colSpan = columns;
    const tags = this.one.data.tags ?? [];
    const blocks = blocksOf(this.one, store, now);
    if (share != null) blocks[0][1].push(["share of all memory", percent(share), share === 0]);
    const shape = JSON.stringify(blocks.map(([title, lines]) => [title, lines.map(([label]) => label)]));
    if (shape !== this.shape) this.#build(blocks);
    const able = JSON.stringify([tags, actions]);
    if (able !== this.able) this.#enable(tags, actions); // apart: a button that is made anew has lost the focus
    [this.shape, this.able] = [shape, able];
    let at = 0;
    for (const [, lines] of blocks) {
      for (const [, text, nought] of lines) {
        const slot = this.slots[at++];
        if (slot.textContent !== text) slot.textContent = text;
        slot.classList.toggle("nought", nought);
      }
    }
  }

  #build(blocks) {
    this.slots = [];
    this.blocks.replaceChildren(...blocks.map(([title, lines]) => {
      const block = make("div"), list = make("dl");
      for (const [label] of lines) {
        const line = make("div"), figure = make("dd");
        line.append(make("dt", "", label), figure);
        list.append(line);
        this.slots.push(figure);
      }
      block.append(make("h3", "", title), list);
      return block;
    }));
  }

  #enable(tags, actions) {
    const button = (label, danger, ...asked) => {
      const node = make("button", danger ? "plain danger" : "plain", label);
      node.type = "button";
      node.addEventListener("click", () => this.act(...asked));
      return node;
    };
    this.tags.hidden = !tags.length;
    this.tags.replaceChildren(...(tags.length ? [make("span", "soft", "Tags ")] : []), ...tags.map((tag) => make("span", "tag", visible(tag))));
    this.tools.hidden = !actions;
    this.tools.replaceChildren(...(actions ? [
      button("Clear this function…", true, "clear", this.one.name),
      ...tags.map((tag) => button(`Invalidate tag ${visible(tag)}…`, true, "invalidate", tag)),
    ] : []));
  }
}
