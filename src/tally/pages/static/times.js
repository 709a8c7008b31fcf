"use strict";

// Times as the viewer's clock tells them, or in UTC, as pages come. What is copied or exported stays
// as it is; an element's attribute has all of a time.

const ZONES = { local: "Show UTC", UTC: "Show your time" };
let zone = "local";
try {
  if (localStorage.getItem("zone") === "UTC") zone = "UTC";
} catch {
  // Where the browser keeps nothing, each page begins with the viewer's time.
}

// The parts of a moment in the zone that is chosen.
function parts(moment) {
  const at = new Date(moment);
  if (zone === "local") at.setMinutes(at.getMinutes() - at.getTimezoneOffset());
  const [day, clock] = at.toISOString().split(/[TZ]/);
  return { day, clock: clock.slice(0, 8), fraction: clock.slice(8) };
}

function zoneName() {
  if (zone === "UTC") return "UTC";
  const written = new Intl.DateTimeFormat([], { timeZoneName: "short" }).formatToParts(new Date());
  return written.find(({ type }) => type === "timeZoneName").value;
}

const month = (day) =>
  new Date(`${day}T00:00Z`).toLocaleString("en", { month: "short", timeZone: "UTC" });

// A tick of the chart, in the form that the server chose for the step between ticks.
function tick(moment, form) {
  const { day, clock, fraction } = parts(moment);
  const date = `${day.slice(8).replace(/^0/, "")} ${month(day)}`;
  switch (form) {
    case "fraction": return clock + fraction;
    case "seconds": return clock;
    case "minutes": return clock.slice(0, 5);
    case "days": return clock === "00:00:00" ? date : `${date} ${clock.slice(0, 5)}`;
    case "hours": return `${date} ${clock.slice(0, 5)}`;
    case "months": return `${month(day)} ${day.slice(0, 4)}`;
    case "years": return day.slice(0, 4);
    default: return `${day} ${clock}`;
  }
}

function told(moment) {
  const { day, clock } = parts(moment);
  return `${day} ${clock}`;
}

// Writes the times in an element as the zone has them.
function localize(root) {
  for (const time of root.querySelectorAll("time")) {
    const { day, clock } = parts(time.dateTime);
    const [date, hour] = time.children;
    if (!hour) continue;
    date.textContent = day;
    hour.textContent = clock;
    if (zone === "UTC") time.removeAttribute("title");
    else time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
  }
  for (const text of root.querySelectorAll("text[data-form]")) {
    text.textContent = tick(+text.dataset.at, text.dataset.form);
  }
  for (const place of root.querySelectorAll("[data-zone-name]")) place.textContent = zoneName();
}

const choice = document.querySelector("[data-zone]");

function choose(chosen) {
  zone = chosen;
  choice.textContent = ZONES[zone];
  localize(document);
}

if (choice && new Date().getTimezoneOffset() !== 0) {
  choice.parentElement.hidden = false;
  choice.addEventListener("click", () => {
    choose(zone === "UTC" ? "local" : "UTC");
    try {
      localStorage.setItem("zone", zone);
    } catch {
      // It holds for this page.
    }
  });
}
if (choice) choose(zone);

// A browser's own field for a time knows no zone: what is sent is UTC.
document.addEventListener("submit", ({ target }) => {
  const field = target.querySelector("[data-time-field]");
  if (!field || zone === "UTC") return;
  const moment = new Date(field.value);
  if (isNaN(moment)) return;
  const sent = field.cloneNode();
  Object.assign(sent, { type: "hidden", id: "", value: moment.toISOString() });
  field.removeAttribute("name");
  field.after(sent);
});
// Who comes back finds the form as it was.
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("[data-time-field]:not([name])")) {
    field.name = "at";
    field.nextElementSibling.remove();
  }
});
