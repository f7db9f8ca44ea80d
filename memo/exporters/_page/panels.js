// What stands around the table: figures of all functions together, findings, running calls, processes, notes.

const $ = (id) => document.getElementById(id);

/** Write a text into the element with this id, if it differs. */
function write(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

/** Bring the children of *node* to what *items* ask for; *shape* says when they are the same. */
function renew(node, items, shape, build) {
  const text = JSON.stringify(items.map(shape));
  if (node.shape === text) return;
  node.shape = text;
  node.replaceChildren(...items.map(build));
}

const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

// -- all functions together

const TREND = 60; // answers that the line of calls a second shows

class Totals {
  constructor() {
    this.pace = new Pace(6);
    this.trend = [];
  }

  show(functions, rows, flights, at) {
    let held = 0, known = 0, estimated = false, asked = 0, hits = 0, calls = 0, running = 0, entries = 0;
    for (const one of functions.values()) {
      const { cache, inflight, adopted } = one.data;
      const figures = rows.lines.get(one.name)?.figures;
      if (figures?.bytes != null) {
        held += figures.bytes;
        known++;
        estimated ||= figures.estimated;
      }
      entries += figures?.entries ?? 0;
      if (cache) {
        hits += cache.hits + cache.stale_hits;
        asked += cache.hits + cache.misses + cache.joins + cache.stale_hits;
      } else if (adopted?.requests) {
        hits += adopted.hits;
        asked += adopted.requests;
      }
      calls += requestsOf(one.data) ?? 0;
      running += inflight?.active ?? 0;
    }
    this.pace.add(at, calls);
    const rate = this.pace.rate;
    if (rate != null && this.at !== at) {
      this.trend.push(rate);
      if (this.trend.length > TREND) this.trend.shift();
      this.#draw();
    }
    this.at = at;
    write("t-functions", count(functions.size));
    write("t-functions-more", plural(entries, "entry", "entries"));
    write("t-bytes", known ? `${estimated ? "≈" + GAP : ""}${bytes(held)}` : NONE);
    write("t-bytes-more", known ? `in ${plural(known, "store")}` : "");
    write("t-ratio", asked ? percent(hits / asked) : NONE);
    write("t-ratio-more", asked ? `of ${short(asked)} calls` : "");
    write("t-running", count(running));
    const oldest = Math.max(...flights.map((flight) => flight.age));
    write("t-running-more", flights.length ? `oldest ${seconds(oldest)}` : "");
    write("t-rate", perSecond(rate));
    write("t-rate-more", this.trend.length > 2 ? `most ${perSecond(Math.max(...this.trend))}` : "");
  }

  #draw() {
    const most = Math.max(...this.trend, 1e-9), from = TREND - this.trend.length;
    const points = this.trend.map((rate, at) => `${from + at + 0.5} ${(19 - (rate / most) * 17).toFixed(2)}`);
    const line = `M${points.join("L")}`;
    const [area, stroke] = $("t-trend").children;
    stroke.setAttribute("d", line);
    area.setAttribute("d", `${line}V20H${from + 0.5}Z`);
  }
}

// -- findings of the leak report

const FEW_FINDINGS = 4;
const SIGNS = { high: "▲", medium: "◆", low: "●" };

class Findings {
  constructor(go) {
    this.go = go;
    this.all = false;
    this.report = null;
    $("findings-more").addEventListener("click", () => {
      this.all = !this.all;
      this.#draw();
    });
  }

  take(report) {
    this.report = report;
    this.stores = new Map(report.stores.map((store) => [store.name, { ...store, at: report.taken }]));
    this.#draw();
  }

  get urgent() {
    return this.report ? this.report.findings.filter((one) => one.severity === "high").length : 0;
  }

  #draw() {
    const { findings } = this.report;
    const shown = this.all ? findings : findings.slice(0, FEW_FINDINGS);
    renew($("findings-list"), shown, (one) => one, (one) => this.#item(one));
    const more = $("findings-more");
    more.hidden = findings.length <= FEW_FINDINGS;
    more.textContent = this.all ? "Show fewer" : `Show all ${count(findings.length)}`;
    more.setAttribute("aria-expanded", String(this.all));
    $("findings").classList.toggle("calm", !findings.length);
    write("findings-head", findings.length ? "Worth a look" : "Nothing to look at");
  }

  #item({ store, severity, what, advice }) {
    const item = make("li", SIGNS[severity] ? severity : "low"), text = make("p");
    const level = make("span", "severity"), sign = make("span", "", `${SIGNS[severity] ?? "●"} `);
    sign.setAttribute("aria-hidden", "true");
    level.append(sign, visible(severity));
    const { home, own } = nameParts(store), whole = visible(middled(store, 300));
    const button = make("button", "name jump");
    button.type = "button";
    if (whole !== home + own) {
      button.title = whole;
      button.setAttribute("aria-label", whole);
    }
    button.append(make("bdi", "", home + own));
    button.addEventListener("click", () => this.go(store));
    text.append(button, ": ", make("bdi", "", visible(middled(what, 600))));
    item.append(level, text, make("p", "advice", visible(middled(advice, 600))));
    return item;
  }

  /** Say how old the report is, and of which process where there are *several*. */
  age(now, several) {
    const of = several ? ` of pid ${this.report?.pid}` : "";
    write("report-age", this.report ? `leak report${of}, ${seconds(Math.max(0, Math.round(now - this.report.taken)))} old` : "");
  }
}

// -- running calls

const MOST_FLIGHTS = 100;

/** Running calls of each function: how many of them, and the age of the oldest. */
function byFunction(flights, byProcess) {
  const flown = new Map();
  for (const { function: own, process, age } of flights) {
    const name = byProcess ? `${own}@${process}` : own, oldest = flown.get(name)?.oldest ?? 0;
    flown.set(name, { oldest: Math.max(oldest, age) });
  }
  return flown;
}

function cell(className, label, text) {
  const node = make("td", className), inner = make("bdi", "", text);
  node.setAttribute("role", "cell");
  node.dataset.label = label;
  node.append(inner);
  return node;
}

function showFlights(flights, { all, keys, pids }) {
  const shown = [...flights].sort((a, b) => b.age - a.age).slice(0, MOST_FLIGHTS);
  const left = all - shown.length;
  $("air-table").hidden = !shown.length;
  write("air-more", !shown.length ? "no call is running" : left ? `the ${shown.length} oldest, and ${count(left)} more` : plural(shown.length, "running call"));
  $("air-key").hidden = !keys;
  const shape = ({ age, ...rest }) => [seconds(age), rest, keys, pids];
  renew($("air-rows"), shown, shape, ({ function: name, process, age, waiters, leader, key }) => {
    const row = make("tr"), head = make("th", "c-name"), { home, own } = nameParts(name);
    row.setAttribute("role", "row");
    head.setAttribute("role", "rowheader");
    head.scope = "row";
    head.title = visible(middled(name, 300));
    head.append(make("bdi", "", home + own));
    const by = visible(middled(String(leader ?? NONE), 40)) + (pids ? ` in ${process}` : "");
    row.append(head, cell("n", "Running for", seconds(age)), cell("n", "Waiting", count(waiters)), cell("leader", "Led by", by));
    if (keys) row.append(cell("key", "Key", visible(middled(String(key ?? NONE), 120))));
    return row;
  });
}

// -- tiers that functions share their results through

/** The state of a tier in words; where processes differ, how many find it in which. */
function stateText({ state, states }) {
  const told = Object.entries(states ?? {});
  if (told.length < 2) return visible(middled(String(state ?? NONE), 40));
  return told.map(([one, number]) => `${visible(middled(one, 40))} in ${count(number)}`).join(", ");
}

function showTiers(tiers) {
  $("tiers").hidden = !tiers.length;
  const ill = tiers.filter(({ state }) => state !== "up").length;
  write("tiers-more", ill ? `${count(ill)} of ${count(tiers.length)} not up` : tiers.length > 1 ? "all are up" : "");
  const shape = ({ lag, seconds: spent, sent, received, ...rest }) => [seconds(lag), rest];
  renew($("tiers-rows"), tiers, shape, (tier) => {
    const row = make("tr"), head = make("th", "c-name"), { name, server, process, lag, pending, leases, gaps, opened, connections } = tier;
    row.setAttribute("role", "row");
    head.setAttribute("role", "rowheader");
    head.scope = "row";
    const where = `${server ? ` at ${visible(middled(String(server), 80))}` : ""}${process == null ? "" : ` in ${process}`}`;
    head.title = `${visible(middled(String(name), 60))}${where}`; // there may not be room for all of it
    head.append(make("bdi", "", visible(middled(String(name), 60))), make("span", "soft", where));
    row.append(head, cell(tier.state === "up" ? "soft" : "error", "State", stateText(tier)), cell("n", "Lag", seconds(lag)));
    for (const [label, figure] of Object.entries({ Pending: pending, Leases: leases, Gaps: gaps, Outages: opened, Connections: connections })) {
      row.append(cell("n", label, count(figure)));
    }
    return row;
  });
}

// -- processes and notes

function showProcesses(processes, own) {
  renew($("process-rows"), processes, (one) => ({ ...one, uptime: seconds(one.uptime) }), (one) => {
    const row = make("tr"), head = make("th", "", String(one.pid));
    head.scope = "row";
    if (one.pid === own) head.append(make("span", "soft", " answers here"));
    const figure = (text) => make("td", "n", text);
    row.append(head, figure(seconds(one.uptime)), figure(count(one.functions)));
    row.append(make("td", one.error ? "error" : "soft", one.error ? visible(middled(String(one.error), 200)) : "answers"));
    return row;
  });
}

function showNotes(notes) {
  $("notes").hidden = !notes.length;
  renew($("notes-list"), notes, (note) => note, (note) => make("li", "", visible(middled(String(note), 400))));
}
