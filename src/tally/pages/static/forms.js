"use strict";

// Forms are sent without leaving the page, so that what was typed, its key and the focus outlive an
// answer that never comes. Without this script they work as forms do.

const SUBMIT_AGAIN_AFTER_MS = 10000;
const COPIED_MS = 2000;
// More than 10,000 values have, which are the most at once; as a form, less than the server's MAX_BODY.
const MAX_FILE_BYTES = 524288;

const main = document.getElementById("main");

async function load(address, options) {
  const answer = await fetch(address, { ...options, headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { page, status: answer.status, redirected: answer.redirected };
}

// Shows what the server made of this page. What somebody typed since it was sent stays.
function renew(page, sent) {
  const untouched = [...main.querySelectorAll("input, textarea")].filter(
    ({ name, value, defaultValue }) => value === defaultValue || value === sent?.get(name));
  localize(page);
  keepKnown(page);
  morph(main, page.getElementById("main"));
  morph(document.querySelector("title"), page.querySelector("title"));
  for (const field of untouched) field.value = field.defaultValue;
  equip();
  const invalid = main.querySelector("[aria-invalid]");
  if (invalid) invalid.focus();
  else if (document.activeElement === document.body) main.querySelector("[autofocus]")?.focus();
}

function tell(text, attributes = {}) {
  const notice = element("p", { class: "notice bad", ...attributes }, text);
  document.getElementById("outcome").replaceChildren(notice);
}

// Nobody knows what became of it. The form's key makes a second try harmless.
function tellUnsure(form) {
  const { unsure, became } = form.dataset;
  tell(navigator.onLine ? unsure : `You are offline. ${unsure}`, became ? { "data-check": became } : {});
}

// ---- sending ----

let sending = false;

// Says what the pressed button does, and returns what ends that. It keeps the focus.
function occupy(button, busy) {
  sending = true;
  const shown = [...button.childNodes];
  button.style.minInlineSize = `${button.offsetWidth}px`;
  button.replaceChildren(busy);
  button.setAttribute("aria-disabled", "true");
  return () => {
    sending = false;
    button.replaceChildren(...shown);
    button.removeAttribute("aria-disabled");
    button.removeAttribute("style");
  };
}

async function send(form, button, sent, fail, busy = button.dataset.busy) {
  if (sending) return;
  const release = occupy(button, busy);
  const late = setTimeout(() => {
    release();
    fail();
  }, SUBMIT_AGAIN_AFTER_MS);
  try {
    // Not form.action: a field may have that name.
    const address = form.getAttribute("action");
    const { page, status, redirected } = await load(address, { method: "POST", body: sent });
    release();
    if (page.body.dataset.page === document.body.dataset.page) {
      renew(page, sent);
      if (redirected) history.replaceState(history.state, "", address);
    } else if (page.getElementById("outcome")) {
      morph(document.getElementById("outcome"), page.getElementById("outcome"));
      morph(document.querySelector("title"), page.querySelector("title"));
      // Its own button goes when the list is renewed.
      form.closest("tr")?.querySelector("a").focus();
    } else if (page.body.dataset.page === "error" && status < 500) {
      tell(page.getElementById("detail").textContent);
    } else {
      fail();
    }
  } catch {
    release();
    fail();
  } finally {
    clearTimeout(late);
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || !document.getElementById("outcome")) return;
  event.preventDefault();
  const button = event.submitter ?? form.querySelector("[type=submit]");
  const sent = new URLSearchParams(new FormData(form));
  if (button.name) sent.append(button.name, button.value);
  send(form, button, sent, () => tellUnsure(form));
});

// ---- several values: a column that is pasted, a file that is dropped or chosen ----

// They are shown before they are added, so nothing is lost if that fails.
function review(text, more = {}) {
  const form = document.getElementById("add");
  const sent = new URLSearchParams({ key: form.elements.key.value, values: text, ...more });
  const button = form.querySelector("[type=submit]");
  const fail = () => tell("Tally can’t be reached right now. Nothing was added.");
  send(form, button, sent, fail, "Checking…");
}

async function reviewFile(file) {
  if (file.size > MAX_FILE_BYTES) {
    tell(`${file.name} has more than 512 KiB. The command tally add --file takes any size.`);
    return;
  }
  try {
    review(await file.text(), { file: file.name });
  } catch {
    tell(`${file.name} can’t be read.`);
  }
}

document.addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text").trim();
  if (event.target.id !== "value" || !/[\r\n]/.test(text)) return;
  event.preventDefault();
  review(text);
});

document.addEventListener("change", ({ target }) => {
  if (target.type !== "file" || target.files.length === 0) return;
  reviewFile(target.files[0]);
  target.value = "";
});

for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!document.getElementById("add") || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    if (kind === "drop") reviewFile(event.dataTransfer.files[0]);
  });
}

// ---- what was not known ----

let asking = false;

async function ask() {
  const asked = main.querySelector("[data-check]");
  if (!asked || asking) return;
  asking = true;
  try {
    const { page } = await load(asked.dataset.check);
    if (!asked.isConnected || page.body.dataset.page !== document.body.dataset.page) return;
    if (page.querySelector(".notice.good")) renew(page);
    else if (!page.querySelector("[data-check]")) {
      const form = main.querySelector("[data-not-yet]");
      tell(form ? form.dataset.notYet : "Tally is back, and knows nothing of it.");
    }
  } catch {
    // Asked again soon.
  } finally {
    asking = false;
  }
}

// A page that could not be shown comes when it can.
async function retry() {
  if (!main.querySelector("[data-retry]")) return;
  const answer = await fetch(location.href, { method: "HEAD", headers: { Accept: "text/html" } });
  if (answer.status < 500) location.replace(location.href);
}

setInterval(ask, RETRY_AFTER_MS);
setInterval(() => retry().catch(() => {}), RETRY_AFTER_MS);
addEventListener("online", ask);

// ---- what needs a script ----

// Many phones' number pads have no minus. Without this script the page asks for a full keyboard.
function equip() {
  for (const field of every("[data-amount]")) field.inputMode = "decimal";
  for (const part of every("[data-script]")) part.hidden = false;
}

// Browsers let only safe pages copy.
document.documentElement.classList.toggle("copies", Boolean(navigator.clipboard));

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-sign], [data-copy]");
  if (!button) return;
  if ("sign" in button.dataset) {
    const field = button.form.elements.value;
    field.value = /^\s*[-−]/.test(field.value)
      ? field.value.replace(/^\s*[-−]/, "") : `-${field.value.replace(/^\s*\+?/, "")}`;
    field.focus();
    return;
  }
  const number = button.dataset.copy || document.querySelector(".sum data")?.value;
  if (!number) return;
  await navigator.clipboard.writeText(number);
  button.textContent = "Copied";
  say("Copied");
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
});

equip();

// What an address says was done was said; a reload says it no more.
const address = new URL(location.href);
for (const said of ["added", "done", "undone"]) address.searchParams.delete(said);
if (address.href !== location.href) history.replaceState(history.state, "", address);
