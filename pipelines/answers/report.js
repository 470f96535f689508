// Sorts and filters the tables of the report. The page is complete without it, and its policy allows no other script.
"use strict";

const worth = cell => {
  const text = cell ? cell.textContent.trim() : "";
  const number = /^-?[\d,]+(\.\d+)?( ?%)?(?= |$)/.exec(text);
  return number ? parseFloat(number[0].replaceAll(",", "")) : text;
};

const compare = (a, b) => {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1; // what is not known comes last
  if (typeof a === "number" && typeof b === "number") return b - a; // the greatest first
  return String(a).localeCompare(String(b), "en");
};

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent.trim();
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const again = head.getAttribute("aria-sort") === "descending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", again ? "ascending" : "descending");
      const sorted = rows.map((row, place) => [worth(row.cells[column]), place, row]);
      sorted.sort((a, b) => compare(a[0], b[0]) * (again && a[0] !== "" && b[0] !== "" ? -1 : 1) || a[1] - b[1]);
      body.append(...sorted.map(entry => entry[2]));
    });
  });
  if (rows.length < 6) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Show only rows with …";
  field.setAttribute("aria-label", "Show only rows with this text");
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  (table.closest(".scroll") || table).before(field);
}
