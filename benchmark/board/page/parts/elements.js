"use strict";

/**
 * Make an element. Children are elements or texts, and texts are set as texts: no name can become markup.
 * Attributes: a function is a listener, a name with -- a style property, null or false is left out.
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The same for a drawing. */
function vector(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.flat());
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** A name that may be broken after its underscores. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);
}

/** Text for screen readers alone. */
function hidden(text) {
  return make("span", { class: "hidden" }, text);
}

/** A list of choices with its label. */
function select(label, id, options, chosen, choose) {
  const items = options.map(([value, text]) =>
    make("option", { value, selected: String(value) === String(chosen) }, text));
  const list = make("select", { id, change: (event) => choose(event.target.value) }, items);
  return make("label", { class: "field", for: id }, make("span", {}, label), list);
}

/** A box to tick with its label. */
function checkbox(label, id, checked, choose, title = null) {
  const box = make("input", { type: "checkbox", id, checked, change: (event) => choose(event.target.checked) });
  return make("label", { class: "tick", for: id, title }, box, label);
}

/** Tell screen readers what has changed. */
function say(text) {
  byId("said").textContent = text;
}
