"use strict";

// Makes an element equal to a fresh one in place: what is the same stays the same element, so that
// focus, a selection, and what somebody types live on. Children with an id are known by it. What
// scripts own is marked data-own, and stays.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  if ("own" in old.dataset) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const known = new Map([...old.children].filter(({ id }) => id).map((child) => [child.id, child]));
  const wanted = new Set([...fresh.children].map(({ id }) => id));
  for (const [id, child] of known) {
    if (!wanted.has(id)) child.remove();
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const alike = at && !at.id && at.nodeName === child.nodeName ? at : null;
    const same = child.id ? known.get(child.id) : alike;
    if (!same) {
      old.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    morph(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
