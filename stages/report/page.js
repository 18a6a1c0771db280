"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const PAGE = 60; // cards drawn at once
let chosen = []; // positions in data.images that the gallery shows
let shown = 0;
let opened = null; // {list, index} of the open detail

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function picture(key, label) {
  const frame = element("div", "frame");
  if (!key) return frame;
  const image = element("img");
  image.src = data.pictures[key];
  image.alt = label;
  frame.append(image);
  return frame;
}

function overlaid(image, key, label) {
  const frame = picture(image.picture, image.filename);
  if (!key) return frame;
  const overlay = element("img", "overlay");
  overlay.src = data.pictures[key];
  overlay.alt = label;
  frame.append(overlay);
  return frame;
}

function withTrueMask(image) {
  return overlaid(image, image.mask, "true defect");
}

function withDisagreement(image) {
  return overlaid(image, image.disagreement, "where the branches or students disagree");
}

function boxed(frame, explanation) {
  const [top, left, bottom, right] = explanation.box;
  const box = element("div", "box");
  const share = (value) => `${100 * value}%`;
  Object.assign(box.style, { top: share(top), left: share(left), height: share(bottom - top), width: share(right - left) });
  frame.append(box);
  return frame;
}

function badge(image) {
  const made = element("span", "badge", image.badge);
  made.style.setProperty("--heat", image.anomaly_score_display);
  made.title = "0: a typical normal image, 1: the threshold; p: share of normal images that score at least as high";
  return made;
}

function verdict(image) {
  return `${image.is_anomalous ? "anomalous" : "normal"}, ${image.correct ? "correct" : "wrong"}${image.unsure ? ", unsure" : ""}`;
}

function card(position) {
  const image = data.images[position];
  const made = element("button", image.correct ? "card" : "card wrong");
  made.type = "button";
  made.dataset.position = position;
  const pair = element("div", "pair");
  pair.append(picture(image.picture, image.filename));
  if (image.heatmap) pair.append(picture(image.heatmap, "heatmap"));
  if (image.disagreement && byId("disagreement").checked) pair.append(withDisagreement(image));
  const name = element("p", "", `${image.filename} (${image.kind}${image.anomalous ? ": " + image.defect_type : ""})`);
  const line = element("p");
  line.append(badge(image), ` called ${verdict(image)}`);
  made.append(pair, name, line);
  if (image.is_anomalous && image.explanations.length) made.append(element("p", "", image.explanations[0].text));
  return made;
}

function fact(label, value) {
  const made = element("tr");
  made.append(element("th", "", label), element("td", "", value));
  return made;
}

function detail(image) {
  const body = byId("detail-body");
  body.replaceChildren(element("h2", "", `${image.category}: ${image.filename}`));
  const pair = element("div", "pair");
  const first = picture(image.picture, image.filename);
  if (image.explanations.length) boxed(first, image.explanations[0]);
  pair.append(first);
  if (image.mask) pair.append(withTrueMask(image));
  if (image.heatmap) pair.append(picture(image.heatmap, "heatmap"));
  if (image.disagreement && byId("disagreement").checked) pair.append(withDisagreement(image));
  const line = element("p");
  line.append(badge(image), ` called ${verdict(image)}; truth: ${image.kind} (${image.defect_type}); by ${image.method}`);
  const facts = element("table");
  facts.append(fact("score", Number(image.anomaly_score).toPrecision(4)));
  facts.append(fact("p-value (share of normal images with at least this score)", image.p_value));
  if (image.decided_by) facts.append(fact("decided by", image.decided_by));
  for (const [name, value] of Object.entries(image.branches)) facts.append(fact(name, value === null ? "–" : Number(value).toPrecision(4)));
  if (Object.keys(image.branches).length > 1) facts.append(fact("branches", image.branches_disagree ? "disagree" : "agree"));
  body.append(pair, line);
  const examples = data.components[`${image.method}/${image.category}`] || {};
  const list = element("ul");
  for (const explanation of image.explanations) {
    const item = element("li", "", explanation.text);
    const key = examples[String(explanation.component)];
    if (key) {
      const shownExamples = picture(key, `examples of component ${explanation.component}`);
      shownExamples.classList.add("examples");
      item.append(shownExamples);
    }
    list.append(item);
  }
  if (image.explanations.length) body.append(element("h3", "", "What is unusual (first one framed in the picture)"), list);
  const wide = element("div", "wide");
  wide.append(facts);
  body.append(wide);
}

function open(list, index) {
  opened = { list, index };
  detail(data.images[list[index]]);
  const dialog = byId("detail");
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  if (!opened) return;
  const index = opened.index + by;
  if (index >= 0 && index < opened.list.length) open(opened.list, index);
}

function fill(container, positions) {
  container.append(...positions.map(card));
}

function matches(image) {
  const same = (name) => !byId(`filter-${name}`).value || byId(`filter-${name}`).value === image[name];
  const method = byId("filter-method").value === "*" ? image.main : same("method"); // *: the first of each product
  return same("category") && method && same("kind") &&
    (!byId("only-wrong").checked || !image.correct) && (!byId("only-unsure").checked || image.unsure);
}

function more() {
  fill(byId("gallery"), chosen.slice(shown, shown + PAGE));
  shown = Math.min(shown + PAGE, chosen.length);
  byId("more").hidden = shown === chosen.length;
}

function height(image) {
  return image.multiple === null ? image.anomaly_score : image.multiple; // comparable between methods and products
}

function refresh() {
  const images = data.images;
  chosen = images.map((_, position) => position).filter((position) => matches(images[position]));
  const order = byId("sort").value;
  if (order === "name") chosen.sort((a, b) => images[a].filename.localeCompare(images[b].filename) || a - b);
  else chosen.sort((a, b) => (height(images[b]) - height(images[a])) * (order === "down" ? 1 : -1) || a - b);
  byId("gallery").replaceChildren();
  shown = 0;
  more();
  byId("count").textContent = `${chosen.length} of ${images.length} images`;
}

function dataset() {
  const category = byId("dataset-category").value;
  const seen = new Set();
  const cards = [];
  for (const image of data.images) {
    if (image.category !== category || seen.has(image.filename)) continue;
    seen.add(image.filename);
    const made = element("div", "card");
    made.style.borderColor = "transparent";
    made.append(byId("true-mask").checked ? withTrueMask(image) : picture(image.picture, image.filename));
    const line = element("p");
    line.append(element("span", `label ${image.anomalous ? "anomalous" : "normal"}`, image.anomalous ? "Anomalous" : "Normal"));
    line.append(` ${image.anomalous ? image.defect_type : ""}`);
    made.append(line, element("p", "", image.filename));
    cards.push(made);
  }
  byId("dataset").replaceChildren(...cards);
}

function show(view) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    byId(tab.dataset.view).hidden = tab.dataset.view !== view;
  }
  if (view === "images" && !byId("gallery").childElementCount) refresh();
  if (view === "data-set") dataset();
}

function moveFocus(event) {
  const focused = document.activeElement;
  if (!focused || !focused.classList.contains("card") || byId("detail").open) return;
  const cards = [...focused.parentElement.children];
  const columns = cards.filter((one) => one.offsetTop === cards[0].offsetTop).length;
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const next = by && cards[cards.indexOf(focused) + by];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

document.addEventListener("keydown", (event) => {
  if (byId("detail").open && event.key === "ArrowRight") step(1);
  else if (byId("detail").open && event.key === "ArrowLeft") step(-1);
  else moveFocus(event);
});
document.addEventListener("click", (event) => {
  const clicked = event.target.closest("button.card");
  if (!clicked) return;
  const inGallery = clicked.parentElement.id === "gallery";
  const list = inGallery ? chosen : [...clicked.parentElement.children].map((one) => Number(one.dataset.position));
  open(list, list.indexOf(Number(clicked.dataset.position)));
});
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => show(tab.dataset.view));
for (const id of ["filter-category", "filter-method", "filter-kind", "only-wrong", "only-unsure", "disagreement", "sort"]) byId(id).addEventListener("change", refresh);
byId("disagreement").disabled = !data.images.some((image) => image.disagreement);
byId("dataset-category").addEventListener("change", dataset);
byId("true-mask").addEventListener("change", dataset);
byId("more").addEventListener("click", more);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("detail").close());
byId("palette").addEventListener("click", () => {
  const safe = document.documentElement.dataset.palette !== "safe";
  document.documentElement.dataset.palette = safe ? "safe" : "";
  byId("palette").setAttribute("aria-pressed", String(safe));
});
byId("theme").addEventListener("click", () => {
  const order = ["system", "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme || "system") + 1) % order.length];
  document.documentElement.dataset.theme = next;
  byId("theme").textContent = `Theme: ${next}`;
});
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => {
    const own = (one) => one.closest("details") === details; // those of details inside wait until they are opened
    for (const image of [...details.querySelectorAll("img[data-picture]")].filter(own)) image.src = data.pictures[image.dataset.picture];
    for (const strip of [...details.querySelectorAll("[data-positions]")].filter(own)) {
      if (!strip.childElementCount) fill(strip, strip.dataset.positions.split(" ").map(Number));
    }
  });
}
