"use strict";
// Plots, drawn in the colours of the reader's light or dark mode; tables, sorted by a click.
const dark = matchMedia("(prefers-color-scheme: dark)");
const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  doubleClick: "reset",
};
const drawings = [...document.querySelectorAll(".drawing")].map((element) => ({
  element,
  figure: JSON.parse(element.nextElementSibling.textContent),
}));

async function draw() {
  const template = THEMES[dark.matches ? "dark" : "light"];
  for (const { element, figure } of drawings) {
    await Plotly.react(element, figure.data, { ...figure.layout, template }, CONFIG);
  }
}

// A group's button shows and hides its lines, points and bars.
for (const plot of document.querySelectorAll(".plot")) {
  for (const button of plot.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", shown);
      for (const { element, figure } of drawings.filter(({ element }) => plot.contains(element))) {
        const traces = figure.data.flatMap((trace, at) => (trace.legendgroup === button.dataset.group ? [at] : []));
        if (traces.length) Plotly.restyle(element, { visible: shown }, traces);
      }
    });
  }
}

const value = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent;

function compare(first, second) {
  if (first === "" || second === "") return (first === "") - (second === "");
  const difference = Number(first) - Number(second);
  return Number.isNaN(difference) ? first.localeCompare(second) : difference;
}

for (const heading of document.querySelectorAll(".leaderboard thead th:not(.drawn)")) {
  heading.addEventListener("click", () => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const missing = (row) => value(row, column) === "";
    const rows = [...body.rows].sort(
      (a, b) => missing(a) - missing(b) || (up ? 1 : -1) * compare(value(a, column), value(b, column)),
    );
    body.append(...rows);
  });
}

for (const button of document.querySelectorAll(".command button")) {
  button.addEventListener("click", () => {
    const code = button.previousElementSibling;
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(code.textContent).then(() => (button.textContent = "copied"), () => {});
  });
}

dark.addEventListener("change", draw);
draw();
