"use strict";

// Follows the total for all windows of a browser by one event stream, in a SharedWorker: a browser
// opens six HTTP/1.1 connections to a host, so with a stream for each the seventh window would never
// load. A page also loads this script, to follow by itself where it can have no SharedWorker.

// As the server's HEARTBEAT_EVERY.
const HEARTBEAT_MS = 5000;
// One heartbeat may be lost. With the look that sees it, silence shows within 2.5 heartbeats.
const SILENT_AFTER_MS = 2 * HEARTBEAT_MS;
const LOOK_EVERY_MS = 1000;
// Apart, so that not all browsers come at once.
const REOPEN_WITHIN_MS = 500;
const RETRY_AFTER_MS = 4000;
// Each of many windows says that the network is back.
const WAKE_APART_MS = 1000;

// Milliseconds. A clock that is set back makes all things old, never young: what is current is soon
// heard again.
const since = (moment) => Math.abs(Date.now() - moment);

// A look that comes late tells of a window or a machine that slept, not of a silent server: what
// waits is heard first, and a look decides that comes in time after the last. Browsers keep to their
// rhythm, so the one after a late one may come at once, before anything was heard.
function lookOften(look) {
  let last = Date.now();
  setInterval(() => {
    const apart = since(last);
    last = Date.now();
    if (LOOK_EVERY_MS / 2 < apart && apart < 2 * LOOK_EVERY_MS) look();
  }, LOOK_EVERY_MS);
}

// How many seconds what a display reads from a standby may be behind; undefined from the ledger.
const age = (event) => JSON.parse(event.data).behind_seconds;

class Follower {
  // The newest total as JSON, when it was last known to be current, and since when it is not.
  state = { total: null, currentAt: 0, lostAt: null };
  #address;
  #tell;
  #stream = null;
  #retry = null;
  #openedAt = 0;
  #heardAt = 0;

  // `tell` gets the state whenever something was heard, or was not.
  constructor(address, tell) {
    this.#address = address;
    this.#tell = tell;
    lookOften(() => {
      // A connection may die without a word; a new one finds out.
      if (this.#stream && since(this.#heardAt) > SILENT_AFTER_MS) {
        this.#lose();
        this.#open();
      }
    });
  }

  // Follows as long as somebody watches. One who `woke` wants it tried again now: the network may
  // be back.
  obey({ watching, woke }) {
    const following = this.#stream || this.#retry;
    if (!watching) {
      this.#close();
    } else if (!following || (woke && since(this.#openedAt) > WAKE_APART_MS)) {
      this.#open();
    }
  }

  #open() {
    this.#close();
    const stream = new EventSource(this.#address);
    let worked = false;
    this.#stream = stream;
    this.#openedAt = this.#heardAt = Date.now();
    const on = (name, act) => stream.addEventListener(name, (event) => {
      // What a closed stream had still to say is no news.
      if (stream === this.#stream) act(event, (this.#heardAt = Date.now()));
    });
    on("total", (event, now) => {
      worked = true;
      this.#say({ total: event.data, behind: age(event), currentAt: now, lostAt: null });
    });
    on("heartbeat", (event, now) =>
      this.#say(this.state.lostAt === null ? { behind: age(event), currentAt: now } : {}));
    // The display is alive, but its database does not answer.
    on("unavailable", () => this.#lose());
    on("error", () => {
      this.#lose();
      this.#close();
      const wait = worked ? REOPEN_WITHIN_MS * Math.random() : RETRY_AFTER_MS * (0.5 + Math.random());
      this.#retry = setTimeout(() => this.#open(), wait);
    });
  }

  #close() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#stream?.close();
    this.#stream = null;
  }

  #lose() {
    this.#say({ lostAt: this.state.lostAt ?? Date.now() });
  }

  #say(news) {
    this.state = { ...this.state, ...news };
    this.#tell(this.state);
  }
}

// ---- in the worker: each window says whether it watches, and when to wake ----

if ("SharedWorkerGlobalScope" in self) {
  const watching = new Map();
  let follower = null;
  addEventListener("connect", ({ ports: [port] }) => {
    port.onmessage = ({ data }) => {
      follower ??= new Follower(data.address, (state) => {
        for (const each of watching.keys()) each.postMessage(state);
      });
      if (data.gone) watching.delete(port);
      else watching.set(port, data.watching);
      port.postMessage(follower.state);
      follower.obey({ ...data, watching: [...watching.values()].includes(true) });
    };
  });
}
