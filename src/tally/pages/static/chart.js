"use strict";

// What a chart says at a moment: for a pointer, a finger and the arrow keys. The server drew it; its
// data has each step's place in the plot, time, entry and total.

const DRAG_FROM_PX = 8;

class Plot {
  #place;
  #steps;
  #at = -1;
  #layer;
  #cursor;
  #dot;
  #choice;
  #from = null;

  constructor(place) {
    this.#place = place;
    const part = (kind) => element("div", { class: kind, hidden: "" });
    this.#cursor = part("cursor");
    this.#dot = part("dot");
    this.#choice = part("choice");
    this.#layer = place.querySelector(".layer");
    this.#layer.append(this.#choice, this.#cursor, this.#dot);
    this.#layer.hidden = false;
    this.#layer.tabIndex = 0;
    this.#layer.role = "slider";
    this.#layer.ariaLabel = "A moment of the history";
    this.#layer.ariaValueMin = "0";
    this.#read();
    const on = (name, act) => this.#layer.addEventListener(name, act);
    on("pointerdown", (event) => this.#begin(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#end(event));
    on("pointercancel", () => this.#release());
    on("pointerleave", () => this.#from === null && this.#leave());
    on("keydown", (event) => this.#key(event));
    on("focus", () => this.#show(this.#at < 0 ? this.#steps.length - 1 : this.#at));
    on("blur", () => this.#leave());
    // The picture was drawn anew.
    new MutationObserver(() => this.#read()).observe(place, { subtree: true, attributeFilter: ["data-points"] });
    this.#say("Move over the chart, or use the arrow keys, for the total at a time. Drag to zoom.");
  }

  #read() {
    const svg = this.#place.querySelector("svg");
    this.#steps = svg.dataset.points.split(";").map((step) => {
      const [x, y, moment, id, sum] = step.split(" ");
      return { x: +x, y: +y, moment: +moment, id, sum };
    });
    this.#layer.ariaValueMax = this.#steps.length - 1;
    this.#layer.style.insetInlineStart = getComputedStyle(svg).paddingLeft;
    this.#describe(Math.min(Math.max(this.#at, 0), this.#steps.length - 1));
  }

  #share({ clientX }) {
    const { left, width } = this.#layer.getBoundingClientRect();
    return Math.min(Math.max((clientX - left) / width, 0), 1);
  }

  #moment(share) {
    const { since, until } = this.#place.dataset;
    return +since + share * (until - since);
  }

  #move(event) {
    const share = this.#share(event);
    this.#show(Math.max(this.#steps.findLastIndex(({ x }) => x <= share * 10000), 0), share);
    if (this.#from === null) return;
    const [start, end] = [this.#from, share].sort((one, other) => one - other);
    this.#choice.hidden = false;
    this.#choice.style.left = `${100 * start}%`;
    this.#choice.style.width = `${100 * (end - start)}%`;
  }

  #begin(event) {
    this.#move(event);
    if (event.pointerType === "touch" || event.button !== 0) return;
    this.#from = this.#share(event);
    this.#layer.setPointerCapture(event.pointerId);
  }

  #end(event) {
    if (this.#from === null) return;
    const [start, end] = [this.#from, this.#share(event)].sort((one, other) => one - other);
    this.#release();
    if ((end - start) * this.#layer.clientWidth < DRAG_FROM_PX) {
      this.#open();
      return;
    }
    const iso = (share) => new Date(this.#moment(share)).toISOString();
    const query = new URLSearchParams({ from: iso(start), to: iso(end) });
    location.assign(`${this.#place.dataset.zoom}?${query}`);
  }

  #release() {
    this.#from = null;
    this.#choice.hidden = true;
  }

  #leave() {
    this.#cursor.hidden = this.#dot.hidden = true;
  }

  // Goes to the entry in the list.
  #open() {
    const { id } = this.#steps[this.#at];
    const query = new URLSearchParams(location.search);
    for (const name of ["before", "at", "table"]) query.delete(name);
    query.set("entry", id);
    if (id !== "0") location.assign(`${this.#place.dataset.zoom}?${query}#entry-${id}`);
  }

  #key(event) {
    const last = this.#steps.length - 1;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    const ends = { Home: 0, End: last };
    if (event.key === "Enter") this.#open();
    else if (event.key in ends) this.#show(ends[event.key]);
    else if (event.key in steps) this.#show(Math.min(Math.max(this.#at + steps[event.key], 0), last));
    else return;
    event.preventDefault();
  }

  #show(index, share) {
    this.#at = index;
    const { x, y } = this.#steps[index];
    this.#cursor.hidden = this.#dot.hidden = false;
    this.#cursor.style.left = `${100 * (share ?? x / 10000)}%`;
    this.#dot.style.left = `${x / 100}%`;
    this.#dot.style.top = `${y / 100}%`;
    const said = this.#describe(index);
    this.#say(share === undefined ? said : `${told(this.#moment(share))}: ${this.#total(index)}`);
  }

  #total(index) {
    const { id, sum, moment } = this.#steps[index];
    return id === "0" ? minus(sum) : `${minus(sum)}, since ${told(moment)} after entry ${id}`;
  }

  #describe(index) {
    const { moment, id, sum } = this.#steps[index];
    const said = `${told(moment)}: ${minus(sum)}${id === "0" ? "" : `, after entry ${id}`}`;
    this.#layer.ariaValueNow = index;
    this.#layer.ariaValueText = said;
    return said;
  }

  #say(text) {
    document.querySelector("[data-moment]").textContent = text;
  }
}

// The history may come only later, and its points when somebody opens them.
function equipPlot() {
  const place = document.getElementById("plot");
  if (place?.querySelector(".layer[hidden]")) new Plot(place);
}

document.addEventListener("toggle", async ({ target }) => {
  const link = target.querySelector?.("[data-points-page]");
  if (!link || !target.open) return;
  const answer = await fetch(link.href.replace(/#.*/, ""), { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("points");
  if (!fresh) return;
  localize(fresh);
  link.parentElement.replaceWith(...fresh.querySelectorAll("table"));
}, true);

equipPlot();
new MutationObserver(equipPlot).observe(document.getElementById("history"), { childList: true, subtree: true });
