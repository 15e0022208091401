"use strict";
const kit = JSON.parse(document.getElementById("kit").textContent);
const items = kit.inputs.flatMap((input) => input.outputs.map((output) => output.item));
const STORE = "fdistill " + kit.kit; // another kit's answers are not this one's
const $ = (id) => document.getElementById(id);

// What is stored: the annotator, the ratings by item and aspect, the input that is shown, and whether all is exported.
let state = { annotator: "", ratings: {}, position: 0, exported: true };
let isStored = true;

function restore() {
  try {
    state = { ...state, ...JSON.parse(localStorage.getItem(STORE)) };
  } catch {
    isStored = false;
  }
  state.position = Math.min(state.position, kit.inputs.length - 1);
  $("annotator").value = state.annotator;
}

function store() {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
    isStored = true;
  } catch {
    isStored = false;
  }
  if (!isStored) say("This browser does not keep your answers. Export them before you close the page.", true);
}

function say(text, isWarning = false) {
  $("message").textContent = text;
  $("message").className = isWarning ? "warning" : "";
}

function isRated(item) {
  return kit.aspects.every((aspect) => (state.ratings[item] || {})[aspect.title] !== undefined);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function question(output, name, aspect, number) {
  const scale = element("div", { className: "scale" });
  for (let value = 1; value <= kit.scale; value++) {
    const radio = element("input", { type: "radio", name: `${output.item} ${number}`, value });
    radio.checked = (state.ratings[output.item] || {})[aspect.title] === value;
    radio.addEventListener("change", () => rate(output.item, aspect.title, value));
    scale.append(element("label", {}, radio, String(value)));
  }
  const ends = [element("span", {}, `1 = ${aspect.lowest}`), element("span", {}, `${kit.scale} = ${aspect.highest}`)];
  const legend = element("legend", {}, element("span", { className: "visually-hidden" }, `${name}: `), aspect.title);
  const fieldset = element("fieldset", {}, legend, scale, element("div", { className: "ends" }, ...ends));
  fieldset.setAttribute("aria-describedby", `aspect-${number}`);
  return fieldset;
}

function card(output) {
  const name = `Text ${output.item.split("-")[1]}`;
  const title = element("h3", { id: output.item }, name, element("span", { className: "state" }));
  const text = element("div", { className: "text", lang: "", dir: "auto" }, output.text);
  const questions = kit.aspects.map((aspect, number) => question(output, name, aspect, number));
  const section = element("section", { className: "output" }, title, text);
  section.setAttribute("aria-labelledby", output.item);
  section.append(element("div", { className: "aspects" }, ...questions));
  return section;
}

function show(position) {
  state.position = position;
  const input = kit.inputs[position];
  $("heading").textContent = `Input ${position + 1} of ${kit.inputs.length}`;
  $("source").textContent = input.source;
  $("outputs").replaceChildren(...input.outputs.map(card));
  $("previous").disabled = position === 0;
  $("next").disabled = position === kit.inputs.length - 1;
  count();
}

function go(position) {
  say("");
  show(position);
  store();
  $("heading").focus({ preventScroll: true });
  $("heading").scrollIntoView();
}

function count() {
  const rated = items.filter(isRated).length;
  const text = `${rated} of ${items.length} texts rated`;
  if ($("progress").textContent !== text) $("progress").textContent = text; // or it would be read out again
  $("bar").max = items.length;
  $("bar").value = rated;
  $("unrated").disabled = rated === items.length;
  for (const output of kit.inputs[state.position].outputs)
    document.getElementById(output.item).querySelector(".state").textContent = isRated(output.item) ? "✓ rated" : "";
  return rated;
}

function rate(item, title, value) {
  state.ratings[item] = { ...state.ratings[item], [title]: value };
  state.exported = false;
  const isLast = count() === items.length;
  say(isLast ? "All texts are rated. Export your answers and send the file." : "");
  store();
}

// A digit answers the question that has the focus, and moves the focus to the next one.
function pressed(event) {
  const radio = event.target;
  if (radio.type !== "radio" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (!/^[1-9]$/.test(event.key) || Number(event.key) > kit.scale) return;
  event.preventDefault();
  const questions = [...$("outputs").querySelectorAll("fieldset")];
  const here = questions.indexOf(radio.closest("fieldset"));
  questions[here].querySelector(`input[value="${event.key}"]`).click();
  const following = questions[here + 1];
  if (following) (following.querySelector("input:checked") || following.querySelector("input")).focus();
  else ($("next").disabled ? $("export") : $("next")).focus();
}

function nextUnrated() {
  for (let step = 1; step <= kit.inputs.length; step++) {
    const position = (state.position + step) % kit.inputs.length;
    if (!kit.inputs[position].outputs.every((output) => isRated(output.item))) return go(position);
  }
}

function exportRatings() {
  const annotator = state.annotator.trim();
  if (!annotator) {
    say("Write your name or code at the top of the page first.", true);
    return $("annotator").focus();
  }
  const content = { kit: kit.kit, annotator, ratings: state.ratings };
  const file = new Blob([JSON.stringify(content, null, 2) + "\n"], { type: "application/json" });
  const name = annotator.replace(/[^\p{L}\p{N}]+/gu, "_");
  const link = element("a", { href: URL.createObjectURL(file), download: `${kit.task}-${name}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  state.exported = true;
  store();
  const rated = count();
  const rest = rated < items.length ? ` ${items.length - rated} texts are not rated; if you rate them, export again.` : "";
  say(`Exported to ${link.download}.${rest}`);
}

$("annotator").addEventListener("input", (event) => {
  state.annotator = event.target.value;
  store();
});
$("outputs").addEventListener("keydown", pressed);
$("previous").addEventListener("click", () => go(state.position - 1));
$("next").addEventListener("click", () => go(state.position + 1));
$("unrated").addEventListener("click", nextUnrated);
$("export").addEventListener("click", exportRatings);
window.addEventListener("storage", (event) => {
  if (event.key !== STORE) return; // the page is open twice: what the other one stores is not to be overwritten
  restore();
  show(state.position);
});
window.addEventListener("beforeunload", (event) => {
  if (!isStored && !state.exported) event.preventDefault(); // otherwise nothing is lost
});
restore();
show(state.position);
store();
