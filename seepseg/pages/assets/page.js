"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Light or dark: what the system says, until the button is pressed.
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // Tables: a click or Enter on a heading sorts; numbers start with the largest, "n/a" stays last.
  const value = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  function sort(table, heading) {
    const column = heading.cellIndex;
    const numeric = !heading.classList.contains("text");
    const before = heading.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numeric;
    all("th", table.tHead).forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const [known, absent] = [[], []];
    for (const row of [...body.rows]) (value(row, column) === "" ? absent : known).push(row);
    known.sort((a, b) => compare(value(a, column), value(b, column)) * (down ? -1 : 1));
    body.append(...known, ...absent);
  }
  for (const table of all("table.sortable"))
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sort(table, button.closest("th"));
    });

  // Tiles: a picture with a canvas over it, on which truth, prediction or error is drawn.
  const store = document.getElementById("gallery-data");
  if (!store) return;
  const { tiles, palette, errors } = JSON.parse(store.textContent);
  const layers = all("input[name=layer]");
  const figures = all(".tile");
  const dialog = document.getElementById("large");
  const IGNORED = 255;
  let shown = 0; // the tile in the dialog

  const layer = () => layers.find((input) => input.checked).value;
  // Run lengths of a plane whose rows are each XORed with the one above.
  function unpack(runs, width, height) {
    const plane = new Uint8Array(width * height);
    for (let i = 0, at = 0; i < runs.length; i += 2) plane.fill(runs[i], at, (at += runs[i + 1]));
    for (let i = width; i < plane.length; i++) plane[i] ^= plane[i - width];
    return plane;
  }
  function kindOf(truth, made) {
    if (truth === IGNORED || made === IGNORED) return "ignored";
    if (!truth && !made) return null;
    if (!made) return "missed";
    if (!truth) return "false alarm";
    return truth === made ? "correct" : "wrong class";
  }
  // Kinds of error differ by pattern too, so that colour is not needed to distinguish them.
  const dim = {
    missed: (x, y) => y % 4 > 1,
    "false alarm": (x, y) => (x + y) % 4 > 1,
    "wrong class": (x, y) => ((x >> 1) + (y >> 1)) % 2 > 0,
  };
  function draw(canvas, tile) {
    const context = canvas.getContext("2d", { willReadFrequently: true }); // drawn by the processor, never a GPU
    const picture = context.createImageData(canvas.width, canvas.height);
    const pixels = picture.data;
    const what = layer();
    if (what !== "image") {
      const { width, height } = tile;
      const truth = unpack(tile.truth, width, height);
      const made = what === "truth" ? truth : unpack(tile.prediction, width, height);
      for (let i = 0; i < truth.length; i++) {
        let colour = null;
        let light = 1;
        if (what === "error") {
          const kind = kindOf(truth[i], made[i]);
          if (kind) colour = errors[kind];
          if (kind in dim && dim[kind](i % width, Math.floor(i / width))) light = 0.45;
        } else if (made[i] === IGNORED) colour = errors.ignored;
        else if (made[i]) colour = palette[made[i]];
        if (colour) pixels.set([...colour.map((c) => c * light), 255], 4 * i);
      }
    }
    context.putImageData(picture, 0, 0);
  }
  const near = new Set();
  const drawNear = () => near.forEach((figure) => draw(figure.querySelector("canvas"), tiles[figure.dataset.tile]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) near.delete(target);
        else if (near.add(target)) draw(target.querySelector("canvas"), tiles[target.dataset.tile]);
      }
    },
    { rootMargin: "300px" },
  );
  figures.forEach((figure) => watcher.observe(figure));

  function enlarge(number) {
    shown = (number + figures.length) % figures.length;
    const [small, canvas] = [figures[shown].querySelector("img"), dialog.querySelector("canvas")];
    const picture = dialog.querySelector("img");
    picture.src = small.src;
    picture.alt = small.alt;
    [canvas.width, canvas.height] = [tiles[shown].width, tiles[shown].height];
    dialog.querySelector("p").textContent = figures[shown].querySelector("figcaption").textContent;
    draw(canvas, tiles[shown]);
    if (!dialog.open) dialog.showModal();
  }
  function redraw() {
    all("[data-layer]").forEach((place) => (place.textContent = layer()));
    drawNear();
    if (dialog.open) draw(dialog.querySelector("canvas"), tiles[shown]);
  }
  function choose(number) {
    if (number >= layers.length) return;
    layers[number].checked = true;
    redraw();
  }
  layers.forEach((input) => input.addEventListener("change", redraw));
  const slider = document.getElementById("overlay");
  slider.addEventListener("input", () => root.style.setProperty("--overlay", slider.value / 100));
  for (const figure of figures)
    figure.querySelector(".picture").addEventListener("click", () => enlarge(Number(figure.dataset.tile)));
  dialog.querySelector("[data-step='-1']").addEventListener("click", () => enlarge(shown - 1));
  dialog.querySelector("[data-step='1']").addEventListener("click", () => enlarge(shown + 1));
  dialog.querySelector("[data-flip]").addEventListener("click", () => choose((layers.findIndex((l) => l.checked) + 1) % layers.length));
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key >= "1" && event.key <= "4") choose(Number(event.key) - 1);
    else if (event.key === "f") choose((layers.findIndex((input) => input.checked) + 1) % layers.length);
    else if (dialog.open && event.key === "ArrowLeft") enlarge(shown - 1);
    else if (dialog.open && event.key === "ArrowRight") enlarge(shown + 1);
  });
  redraw();
})();
