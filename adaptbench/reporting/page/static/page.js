"use strict";

// Sorting, filtering and hovering. Without this file the pages show everything, in the order of the leaderboard.

const byNumberOrText = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));

function sortKey(row, column, numeric) {
  const text = row.cells[column].dataset.sort;
  if (text === undefined) return null;
  return numeric ? Number(text) : text;
}

function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numeric = rows.every((row) => {
    const text = row.cells[column].dataset.sort;
    return text === undefined || (text !== "" && Number.isFinite(Number(text)));
  });
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((a, b) => {
    const [x, y] = [sortKey(a, column, numeric), sortKey(b, column, numeric)];
    if (x === null || y === null) return (x === null) - (y === null); // nothing to sort by: last
    return sign * byNumberOrText(x, y);
  });
  body.append(...rows);
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      const first = header.dataset.first ?? "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const direction = now === first ? other : first;
      headers.forEach((one) => one.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", direction);
      sortTable(table, column, direction);
    });
  });
}

function makeFilterable(form) {
  const table = document.getElementById(form.dataset.table);
  const rows = [...table.tBodies[0].rows];
  const search = form.querySelector("input[type=search]");
  const selects = [...form.querySelectorAll("select")];
  const output = form.querySelector("output");
  const apply = () => {
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLocaleLowerCase();
      const fits =
        words.every((word) => text.includes(word)) &&
        selects.every((s) => !s.value || row.getAttribute(`data-filter-${s.dataset.filter}`) === s.value);
      row.hidden = !fits;
      shown += fits;
    }
    output.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  };
  search.addEventListener("input", apply);
  selects.forEach((select) => select.addEventListener("change", apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  form.hidden = false;
  apply();
}

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("role", "status");

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, y - box.height - 10 < 4 ? y + 16 : y - box.height - 10)}px`;
}

function hideTip() {
  tip.hidden = true;
}

// What a chart says at the pointer or, with the arrow keys, at one place after another.
function makeReadable(plot) {
  const readings = JSON.parse(plot.dataset.readings); // x and y as shares of the plot, y null for all of it, and text
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  cursor.hidden = true;
  plot.append(cursor);
  let index = -1;
  const read = (i) => {
    index = Math.max(0, Math.min(i, readings.length - 1));
    const [x, y, text] = readings[index];
    const box = plot.getBoundingClientRect();
    cursor.style.left = `${100 * x}%`;
    cursor.hidden = y !== null;
    showTip(text, box.left + x * box.width, box.top + (y === null ? 60 : y * box.height));
  };
  const leave = () => {
    cursor.hidden = true;
    hideTip();
  };
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const far = ([x, y]) =>
      Math.hypot(event.clientX - box.left - x * box.width, y === null ? 0 : event.clientY - box.top - y * box.height);
    read(readings.reduce((best, one, i) => (far(one) < far(readings[best]) ? i : best), 0));
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("focusout", leave);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      read(index + step);
    }
  });
  plot.querySelectorAll("a").forEach((link, i) => link.addEventListener("focus", () => read(i)));
}

function makeSwitch(group) {
  const figures = [...group.children];
  if (figures.length < 2) return;
  const label = document.createElement("label");
  label.className = "switch";
  label.textContent = "Show ";
  const select = document.createElement("select");
  figures.forEach((figure, i) => select.add(new Option(figure.dataset.title, i)));
  label.append(select);
  group.before(label);
  const apply = () => figures.forEach((figure, i) => (figure.hidden = i !== Number(select.value)));
  select.addEventListener("change", apply);
  apply();
}

document.body.append(tip);
document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("form.tools").forEach(makeFilterable);
document.querySelectorAll(".plot").forEach(makeReadable);
document.querySelectorAll(".switched").forEach(makeSwitch);
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
