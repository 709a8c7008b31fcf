"use strict";

// Amounts stay text from end to end: a JavaScript number would round them.

const REFRESH_EVERY_MS = 1000;
const ANNOUNCE_EVERY_MS = 30000;
const NOTICE_AFTER_MS = 1500;
const SLEEP_AFTER_MS = 60000;
// A worker that lives says something at each heartbeat, or that there was none.
const DEAD_AFTER_MS = 1.5 * SILENT_AFTER_MS;

const every = (selector) => [...document.querySelectorAll(selector)];
const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// Runs `work` at once, then at most once in the given time, and always after the last call.
function spaced(milliseconds, work) {
  let wanted = false;
  let running = false;
  return async () => {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      await work();
      await pause(milliseconds);
    }
    running = false;
  };
}

// ---- amounts, built exactly as the server writes them ----

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function amount(number, split) {
  const [, sign, digits, fraction = ""] = /^(-?)(\d+)(\.\d+)?$/.exec(number);
  const whole = digits.match(/\d{1,3}(?=(?:\d{3})*$)/g);
  const parts = fraction.match(/\.?\d{1,3}/g) ?? [];
  const simple = whole.length === 1 && parts.length <= 1;
  const made = element("data", {
    class: simple ? "amount" : `amount ${size(number)}`, value: number, translate: "no",
  });
  if (sign || !simple || (split && fraction)) {
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", minus(number));
  }
  if (sign) {
    whole[0] = [element("span", { class: "minus" }, element("span", {}, sign)), whole[0]];
  }
  const spans = (kind, texts) =>
    element("span", { class: kind }, ...texts.map((text) => element("span", {}, ...[text].flat())));
  if (simple && !split) made.append(...[whole[0], fraction].flat().filter(Boolean));
  else made.append(spans("whole", whole), spans("fraction", parts));
  return made;
}

const minus = (number) => number.replace("-", "−");

function size(number) {
  const sizes = [[11, "short"], [18, "medium"], [27, "long"]];
  return (sizes.find(([most]) => number.length <= most) ?? [0, "huge"])[1];
}

const entries = (count) => (count === 1 ? "entry" : "entries");

// ---- the live total ----

const readout = document.querySelector("[data-events]");
const past = document.querySelector("[data-refresh]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let latest = null;

const typing = () => document.activeElement?.matches("input, textarea") ?? false;

// Screen readers say it, unless somebody types.
function say(text) {
  if (!typing()) document.querySelector("[data-announce]").textContent = text;
}

const announce = spaced(ANNOUNCE_EVERY_MS, () =>
  say(`Total ${minus(latest.sum)}, ${latest.count} ${entries(latest.count)}`));

// A tab shows the total, until its title says what was done.
function retitle() {
  if (!latest || !("page" in document.querySelector("title").dataset)) return;
  document.title = `${minus(latest.sum)} · ${document.title.replace(/^[−\d.]+ · /, "")}`;
}

// As the server writes it.
function showAge(behind) {
  const place = document.querySelector("[data-behind]");
  place.hidden = behind === undefined;
  if (place.hidden) return;
  const unitOf = (seconds) =>
    [[3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => seconds >= size) ?? [1, ""];
  const most = Math.ceil(behind / unitOf(behind)[0]) * unitOf(behind)[0];
  const [size, unit] = unitOf(most);
  const count = Math.floor(most / size);
  const old = `up to ${count} ${unit}${count === 1 ? "" : "s"} behind`;
  place.textContent = `Read from a standby, which is ${behind < 1 ? "up to date" : old}.`;
}

// Refreshes the chart and the table from the page itself, so only the server draws them.
const refresh = spaced(REFRESH_EVERY_MS, async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById(past.id)) throw new Error(`the page answered ${answer.status}`);
    localize(page);
    keepPast(page);
    morph(past, page.getElementById(past.id));
  } catch (problem) {
    console.warn("Tally: the history could not be refreshed,", problem);
    const old = past.querySelector("[data-old]");
    if (old) old.hidden = false;
    setTimeout(refresh, RETRY_AFTER_MS);
  }
});

function show(total) {
  const moved = latest !== null && (latest.sum !== total.sum || latest.count !== total.count);
  const first = latest === null;
  latest = total;
  for (const place of every("[data-sum]")) {
    const now = place.querySelector("data")?.value;
    if (now === total.sum) continue;
    place.replaceChildren(amount(total.sum, place.dataset.sum === "split"));
    if (place.dataset.size) place.dataset.size = size(total.sum);
    if (!first && !calm.matches) place.animate({ opacity: [0.4, 1] }, 350);
  }
  for (const place of every("[data-count]")) {
    place.replaceChildren(amount(String(total.count), false), ` ${entries(total.count)}`);
  }
  for (const place of every("[data-when]")) {
    place.hidden = place.dataset.when !== (total.count === 0 ? "empty" : "filled");
  }
  retitle();
  if (moved) announce();
  const now = [total.sum, total.count, total.last_id].join("/");
  if (past && !["fixed", now].includes(past.dataset.refresh)) refresh();
}

// Before the page is renewed: where the total is live, it knows better than an answer on its way.
// And what could not be read replaces nothing that was.
function keepKnown(page) {
  const place = document.getElementById("readout");
  const fresh = page.getElementById("readout");
  const live = document.querySelector("[data-link]").dataset.link === "live";
  if (live || !fresh.querySelector("data")) fresh.replaceWith(place.cloneNode(true));
  if (!live) known = { ...known, total: null };
  if (past) keepPast(page);
}

function keepPast(page) {
  const fresh = page.getElementById(past.id);
  if (fresh.dataset.refresh) return;
  setTimeout(refresh, RETRY_AFTER_MS);
  if (!past.querySelector("[data-old]")) return;
  const kept = past.cloneNode(true);
  kept.dataset.refresh = "";
  kept.querySelector("[data-old]").hidden = false;
  fresh.replaceWith(kept);
}

let known = { total: null, currentAt: performance.timeOrigin, lostAt: null };
// What the browser says, until a stream knows better: it may lead to this very machine.
let offline = !navigator.onLine;
let asleep = document.hidden;
// Somebody wants the page to stand still.
let paused = false;
let sleepAfter = SLEEP_AFTER_MS;
let heardAt;

function hear(state) {
  heardAt = Date.now();
  if (paused) return;
  // A new worker knows nothing yet; an old one may hold what it heard before this page was made.
  if (state.total === null || (known.total === null && state.currentAt < performance.timeOrigin)) {
    known.lostAt = state.lostAt;
  } else {
    if (state.currentAt !== known.currentAt) offline = false;
    if (state.total !== known.total) show(JSON.parse(state.total));
    known = state;
    showAge(known.behind);
  }
  showWhetherLive();
}

// Says whether the total is live. Only a look may say that it is not: a window that slept first
// hears what was sent meanwhile.
function showWhetherLive({ looking = false } = {}) {
  if (asleep || paused) return;
  const silent = since(known.currentAt) > SILENT_AFTER_MS;
  // A server that restarts is back within this time, so nobody needs to know.
  const lost = silent || (known.lostAt !== null && since(known.lostAt) > NOTICE_AFTER_MS);
  if (offline || (looking && lost)) showLink(navigator.onLine ? "lost" : "offline");
  else if (known.total !== null && known.lostAt === null && !silent) showLink("live");
}

function showLink(state) {
  const place = document.querySelector("[data-link]");
  const told = { lost: "Reconnecting…", offline: "Offline", live: "Live", paused: "Paused" }[state] ?? "";
  const stale = told && state !== "live" && document.querySelector(".sum data");
  const at = stale ? new Date(known.currentAt).toLocaleTimeString() : "";
  const text = stale ? `${told} last updated at ${at}` : told;
  const was = place.dataset.link;
  if (was === state && place.textContent === text) return;
  place.dataset.link = state;
  place.textContent = text;
  // What is usual needs no word.
  if (was !== state && (was ? state : state !== "live")) say(text);
}

const isCurrent = () => known.lostAt === null && since(known.currentAt) < 1.5 * HEARTBEAT_MS;

// Follows together with the other windows, or alone: without SharedWorker, where the browser
// forbids it, or where its script could not be loaded.
class Link {
  // Whole, for to a worker the address of its script would be the base.
  #address = new URL(readout.dataset.events, location.href).href;
  #worker;
  #alone;

  constructor() {
    this.join();
  }

  // Also when the worker says nothing: browsers do not tell that one has died with the process that
  // it ran in, but start the next for who asks.
  join() {
    heardAt = Date.now();
    if (this.#alone) return;
    this.#worker?.port.postMessage({ gone: true });
    try {
      this.#worker = new SharedWorker(readout.dataset.live);
      this.#worker.port.onmessage = ({ data }) => hear(data);
      this.#worker.onerror = () => this.#part();
      this.tell();
    } catch {
      this.#part();
    }
  }

  tell(more) {
    const message = { address: this.#address, watching: !asleep && !paused, ...more };
    if (this.#alone) this.#alone.obey(message);
    else this.#worker.port.postMessage(message);
  }

  #part() {
    this.#alone = new Follower(this.#address, hear);
    // A window that nobody sees leaves the few connections to others.
    sleepAfter = 0;
    this.tell();
  }
}

if (readout) {
  let sleep;
  const link = new Link();
  const rest = () => {
    asleep = true;
    if (!paused) showLink("");
    link.tell();
  };
  const wake = () => {
    if (!isCurrent()) showLink("");
    link.tell({ woke: !isCurrent() });
    if (past && latest) show(latest);
  };
  lookOften(() => {
    showWhetherLive({ looking: true });
    if (!asleep && !paused && since(heardAt) > DEAD_AFTER_MS) link.join();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(sleep);
    if (document.hidden) {
      sleep = setTimeout(rest, sleepAfter);
      return;
    }
    asleep = false;
    if (!paused) wake();
  });
  const pausing = document.querySelector("[data-pause]");
  pausing.hidden = false;
  pausing.addEventListener("click", () => {
    paused = !paused;
    pausing.textContent = paused ? "Resume updates" : "Pause updates";
    if (!paused) {
      wake();
      return;
    }
    showLink("paused");
    link.tell();
  });
  addEventListener("offline", () => {
    offline = true;
    showWhetherLive();
  });
  addEventListener("online", () => {
    showWhetherLive();
    link.tell({ woke: true });
  });
  addEventListener("pagehide", () => link.tell({ watching: false, gone: true }));
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    link.join();
    link.tell({ woke: true });
  });
  if (past?.dataset.refresh === "") setTimeout(refresh, RETRY_AFTER_MS);
}
