// The page itself: asks the server, shows what it says, listens to keys and buttons.

const EVERY_MS = 2000;
const REPORT_MS = 60_000;
const PATIENCE_MS = 10_000; // for one answer
const LONGEST_MS = 30_000; // between two tries while there is no answer

const base = location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`;

class Refused extends Error {
  constructor(status, why) {
    super(`The server answered ${status}${why ? `: ${why}` : ""}.`);
    this.status = status;
  }
}

let token = null; // the operator's; never stored, never in an address

async function ask(path, body) {
  const headers = { Accept: "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(base + path, {
    method: body ? "POST" : "GET", body: body && JSON.stringify(body), headers,
    cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.ok) return answer.json();
  const text = (await answer.text()).slice(0, 2000);
  let why = text;
  try {
    why = JSON.parse(text).error ?? text;
  } catch { /* not JSON: the text itself */ }
  throw new Refused(answer.status, visible(middled(String(why).trim().replace(/\.$/, ""), 300)));
}

// -- what is known

const functions = new Map(); // name to {name, data, pace}
const rows = new Rows(confirmed);
const totals = new Totals();
const findings = new Findings((store) => {
  $("filter").value = "";
  filter();
  if (!rows.go(store)) say(`${middled(visible(store), 80)} is not among the functions any more.`);
});
let latest = null; // the last answer
let since = null; // its token
let byProcess = false;

/** Say something to who listens rather than looks; never the same thing twice in a row. */
function say(text) {
  write("status", text);
}

function take(answer) {
  if (answer.full) {
    for (const name of functions.keys()) if (!Object.hasOwn(answer.rows, name)) functions.delete(name);
  }
  for (const name of answer.gone ?? []) functions.delete(name);
  for (const [name, data] of Object.entries(answer.rows)) {
    const one = functions.get(name);
    if (one) one.data = data;
    else functions.set(name, { name, data, pace: new Pace(6) });
  }
  for (const one of functions.values()) one.pace.add(answer.taken, requestsOf(one.data));
  [latest, since] = [answer, answer.token];
  draw();
}

function forget() {
  functions.clear();
  since = null;
}

function draw() {
  if (!latest) return;
  const begun = performance.now();
  const { flights, process, processes, taken, actions } = latest;
  rows.show(functions, storesOf(), byFunction(flights, byProcess), taken, actions);
  totals.show(functions, rows, flights, taken);
  showFlights(flights, { all: latest.flying ?? flights.length, keys: latest.show_keys, pids: processes.length > 1 });
  showProcesses(processes, process.pid);
  showTiers(latest.tiers ?? []); // a server of an earlier version has none
  showNotes(latest.notes);
  findings.age(taken, processes.length > 1);
  showMatches();
  showProcess(process, processes.length);
  $("by-process").hidden = processes.length < 2;
  for (const id of ["cleanup", "clear-all"]) $(id).hidden = !actions;
  performance.clearMeasures("memo:draw");
  performance.measure("memo:draw", { start: begun });
}

/** What the leak report says of each row. It is of the process that made it: nothing to set beside sums over several. */
function storesOf() {
  const stores = findings.stores ?? new Map();
  if (!byProcess) return latest.processes.length > 1 ? new Map() : stores;
  return new Map([...stores].map(([name, store]) => [`${name}@${findings.report.pid}`, store]));
}

function showProcess(process, processes) {
  const name = visible(middled(String(process.name ?? "memo"), 60));
  write("process", name);
  write("about", processes > 1 ? `${plural(processes, "process", "processes")}, this one pid ${process.pid}` : `pid ${process.pid}, up ${seconds(process.uptime)}`);
  write("foot", `memo ${process.memo} on Python ${process.python}, calls run in ${process.path}, started ${new Date(process.started * 1000).toLocaleString("sv-SE")}`);
  const urgent = findings.urgent;
  const title = `${link.state === "gone" ? "no answer: " : urgent ? `(${urgent} high) ` : ""}${name} · memo`;
  if (document.title !== title) document.title = title;
}

function showMatches() {
  const found = rows.matching, all = functions.size;
  write("matches", rows.words.length ? `${count(found)} of ${count(all)}` : "");
  $("table").hidden = !found;
  $("empty").hidden = found > 0;
  write("empty", all ? "No function has that in its name or tags. Esc clears the filter." : "This registry has no decorated function yet.");
}

// -- the link to the server

const link = { state: "starting", failures: 0, timer: 0, asking: false, paused: false, at: null };
const WORDS_OF = { starting: "Connecting", live: "Live", paused: "Paused", gone: "No answer", ask: "Locked" };

function become(state) {
  const before = link.state;
  link.state = state;
  $("link").dataset.state = state;
  write("link-text", WORDS_OF[state]);
  $("shown").hidden = !latest || state === "ask";
  $("ask").hidden = state !== "ask";
  $("gone").hidden = state !== "gone";
  document.body.classList.toggle("stale", state === "gone");
  if (before === "gone" && state === "live") say("The server answers again.");
  if (before !== state && state === "ask") $("token").focus();
}

/** Whether an answer is awaited: who looks on is told once all that follows from it is done, the next try's time included. */
function awaiting(asking) {
  link.asking = asking;
  $("link").toggleAttribute("data-asking", asking);
}

function later(ms) {
  clearTimeout(link.timer);
  link.timer = setTimeout(poll, ms);
}

async function poll() {
  clearTimeout(link.timer);
  if (link.asking || link.paused || document.hidden || link.state === "ask") return;
  const query = new URLSearchParams(), grouping = byProcess;
  if (since !== null) query.set("since", since);
  if (byProcess) query.set("by", "process");
  let answer;
  awaiting(true);
  try {
    answer = await ask(`stats.json?${query}`);
  } catch (error) {
    if (error.status === 401 || (error.status === 429 && latest === null)) locked(error);
    else gone(error);
    return;
  } finally {
    awaiting(false); // in one piece with what follows
  }
  if (grouping !== byProcess) return later(0); // asked before the button was pressed
  later(EVERY_MS); // first, so that a fault below ends nothing
  link.failures = 0;
  link.at = Date.now();
  take(answer);
  become(link.paused ? "paused" : "live");
  showProcess(latest.process, latest.processes.length);
  report();
}

function gone(error) {
  const wait = Math.min(LONGEST_MS, EVERY_MS * 2 ** link.failures++);
  const why = error instanceof Refused ? error.message : error.name === "TimeoutError" ? `Nothing came within ${seconds(PATIENCE_MS / 1000)}.` : "It does not listen, or cannot be reached.";
  write("gone-why", why);
  write("gone-next", `The next try is in ${seconds(wait / 1000)}.`);
  write("gone-since", link.at ? new Date(link.at).toLocaleTimeString("sv-SE") : "before");
  if (link.failures === 1) say("No answer from the server. What is shown is old.");
  become("gone");
  if (latest) showProcess(latest.process, latest.processes.length);
  later(wait + Math.random() * 250); // so that many pages do not come back in one moment
}

function locked(error) {
  const wrong = error.status === 401 ? "That is not the token. Look at what serve() was given." : error.message;
  write("ask-why", token === null ? "" : wrong);
  token = null;
  $("token").value = "";
  become("ask");
}

const reporting = { at: -Infinity, asking: false };

/** The leak report, once a minute; *now* at once, as far as the server makes a new one. */
async function report(now = false) {
  if (reporting.asking || document.hidden || (!now && performance.now() - reporting.at < REPORT_MS)) return;
  reporting.asking = true;
  reporting.at = performance.now();
  $("recheck").disabled = true;
  let answer;
  try {
    answer = await ask("report.json");
  } catch (error) {
    if (!findings.report) write("report-age", "the leak report is not there");
    if (now) say(`The leak report did not come. ${error.message}`);
    return;
  } finally {
    reporting.asking = false;
    $("recheck").disabled = false;
  }
  findings.take(answer);
  draw();
  const found = answer.findings.length;
  if (now) say(found ? `The leak report has ${plural(found, "finding")}.` : "The leak report finds nothing.");
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(link.timer) : poll()));
$("again").addEventListener("click", poll);
$("recheck").addEventListener("click", () => report(true));
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  become("starting");
  poll();
});

function pause(paused = !link.paused) {
  link.paused = paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  write("pause", paused ? "Go on" : "Pause");
  if (link.state === "ask") return;
  if (paused) {
    clearTimeout(link.timer);
    become("paused");
    say("Paused.");
  } else {
    say("Going on.");
    poll();
  }
}
$("pause").addEventListener("click", () => pause());

$("by-process").addEventListener("click", () => {
  byProcess = !byProcess;
  $("by-process").setAttribute("aria-pressed", String(byProcess));
  forget();
  poll();
});

// -- order and filter

function sortBy(by, falling = rows.by === by ? !rows.falling : by !== "name") {
  rows.sort(by, falling);
  for (const button of document.querySelectorAll("#table [data-sort]")) {
    const order = button.dataset.sort !== by ? null : falling ? "descending" : "ascending";
    if (order) button.parentNode.setAttribute("aria-sort", order);
    else button.parentNode.removeAttribute("aria-sort");
  }
  $("sort").value = by;
  write("turn", falling ? "↓" : "↑");
  $("turn").setAttribute("aria-label", falling ? "Greatest first; turn round" : "Least first; turn round");
}

$("sort").append(...Object.entries(COLUMNS).map(([by, words]) => new Option(words, by)));
$("sort").addEventListener("change", (event) => sortBy(event.target.value, event.target.value !== "name"));
$("turn").addEventListener("click", () => sortBy(rows.by));
for (const button of document.querySelectorAll("#table [data-sort]")) {
  button.addEventListener("click", () => {
    sortBy(button.dataset.sort);
    say(`Sorted by ${COLUMNS[rows.by]}, ${rows.falling ? "falling" : "rising"}.`);
  });
}
sortBy("bytes", true);

let pausing = 0;

function filter() {
  rows.filter($("filter").value);
  showMatches();
  clearTimeout(pausing);
  pausing = setTimeout(() => rows.words.length && say(`${count(rows.matching)} of ${plural(functions.size, "function")}.`), 700);
}
$("filter").addEventListener("input", filter);
$("filter").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    if (event.target.value) event.target.value = "";
    else event.target.blur();
    filter();
  } else if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    rows.entry?.button.focus();
  }
});
document.addEventListener("opened", draw);
addEventListener("resize", () => rows.opened.size && requestAnimationFrame(draw));

// -- keys

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea") || $("shown").hidden) return;
  const does = { "/": () => $("filter").focus(), p: () => pause(), r: () => report(true), "?": () => $("keys-dialog").showModal() }[event.key];
  if (does && $("single").checked) {
    event.preventDefault();
    does();
  } else if (event.key === "Escape" && $("filter").value) {
    $("filter").value = "";
    filter();
  }
});
$("keys").addEventListener("click", () => $("keys-dialog").showModal());

// -- what changes something: only where the server allows it, and after a question

const ASKED = {
  cleanup: ["Clean up everywhere?", "Drops entries past their life and detaches calls that are stuck. Nothing that is still good goes.", "Clean up"],
  all: ["Clear every function?", "All entries of all functions go; each next call runs its function again.", "Clear all"],
  clear: ["Clear this function?", "All its entries go, in each process of this name; each next call runs the function again.", "Clear"],
  invalidate: ["Invalidate this tag?", "The entries that bear it go, of whichever function.", "Invalidate"],
};
let asked = null;

function confirmed(what, name = "") {
  if (what === "clear" && byProcess) name = name.replace(/@\d+$/, "");
  asked = { what, name };
  const [head, text, yes] = ASKED[what];
  write("confirm-head", head);
  write("confirm-text", text);
  write("confirm-name", visible(name));
  $("confirm-name").hidden = !name;
  write("confirm-yes", yes);
  $("confirm").returnValue = "";
  $("confirm").showModal();
}

$("confirm").addEventListener("close", async () => {
  if ($("confirm").returnValue !== "yes") return;
  const { what, name } = asked;
  const [path, body] = { cleanup: ["cleanup", {}], all: ["clear", { all: true }], clear: ["clear", { function: name }], invalidate: ["invalidate", { tag: name }] }[what];
  try {
    const { done } = await ask(`actions/${path}`, body);
    tell(`${ASKED[what][2]}: done. ${doneText(done)}`);
  } catch (error) {
    tell(`${ASKED[what][2]} did not work. ${error.message}`);
  }
  poll();
});

/** The figures of what an action did, in its server's own words. */
function doneText(done) {
  const figures = Object.entries(done ?? {}).filter(([, value]) => typeof value === "number");
  return figures.map(([what, value]) => `${visible(what)}: ${figureText(what, value)}`).join(", ");
}

let telling = 0;

/** Say it, and show it for a while. */
function tell(text) {
  say(text);
  write("told", text);
  $("told").hidden = false;
  clearTimeout(telling);
  telling = setTimeout(() => { $("told").hidden = true; }, 8000);
}

$("cleanup").addEventListener("click", () => confirmed("cleanup"));
$("clear-all").addEventListener("click", () => confirmed("all"));

poll();
