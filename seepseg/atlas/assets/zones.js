"use strict";
(() => {
  const data = JSON.parse(document.getElementById("zones-data").textContent);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  for (const zone of data.zones) zone.all = [...zone.slicks, ...(zone.merged || [])];
  const zones = new Map(data.zones.map((zone) => [zone.id, zone]));
  const passes = data.passes.map(([name, time]) => ({ name, time, at: time && Date.parse(time), day: time && time.slice(0, 10) }));
  const placed = document.querySelector(".zones").dataset.place.split(" ");
  const NOT = { S: "seen", s: "seen, though less than half of the disc was observed", o: "observed, not seen" };
  const say = (code) => NOT[code] || `not observable: ${data.reasons[parseInt(code, 16)]}`;
  const lane = (code) => ("Ss".includes(code) ? 0 : code === "o" ? 1 : 2);
  const percent = (value) => `${Math.round(100 * value)} %`;
  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : word.endsWith("s") ? "es" : "s"}`;

  function element(tag, attributes = {}, ...inside) {
    const made = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  }

  // Wilson's interval of 95 %, as in zones.csv.
  function wilson(seen, observed) {
    if (!observed) return [NaN, NaN];
    const z2 = 1.959964 ** 2;
    const rate = seen / observed;
    const middle = (rate + z2 / (2 * observed)) / (1 + z2 / observed);
    const half = (Math.sqrt(z2) / (1 + z2 / observed)) * Math.sqrt((rate * (1 - rate)) / observed + z2 / (4 * observed ** 2));
    return [seen ? middle - half : 0, seen < observed ? middle + half : 1];
  }

  // What the filters let through. Undated passes count only where no date is asked for.
  const form = byId("filters");
  const dates = ["from", "to"].map(byId);
  const ask = () => ({
    dated: dates.some((input) => input && input.value !== input.defaultValue),
    from: (dates[0] && dates[0].value) || "",
    to: (dates[1] && dates[1].value) || "9999",
    classes: new Set(all("input[name=class]:checked").map((input) => Number(input.value))),
    everyClass: all("input[name=class]").every((input) => input.checked),
    sure: Number(byId("sure").value),
    grade: byId("grade") ? byId("grade").value : "",
  });
  let asked = ask();
  const within = (pass) => !asked.dated || (pass.day !== null && pass.day >= asked.from && pass.day <= asked.to);
  const counts = ([pass, kind, sure, , , grade]) =>
    within(passes[pass]) && asked.classes.has(kind) && sure >= asked.sure && (!asked.grade || (grade && grade <= asked.grade));
  const free = () => asked.everyClass && !asked.sure && !asked.grade; // whatever the class, every sighting counts
  function tally(zone) {
    const kept = free() ? null : new Set(zone.all.filter(counts).map((slick) => slick[0]));
    const result = { seen: 0, observed: 0, last: "" };
    [...zone.line].forEach((code, i) => {
      if (code === "." || !within(passes[i])) return;
      const seen = "Ss".includes(code) && (!kept || kept.has(i));
      if (code === "S" || code === "o") result.observed += 1;
      if (code === "S" && seen) result.seen += 1;
      if (seen && passes[i].time) result.last = passes[i].day;
    });
    result.rate = result.observed ? result.seen / result.observed : NaN;
    [result.lower, result.upper] = wilson(result.seen, result.observed);
    return result;
  }

  // The map: metres of the common frame, or columns and rows, which go down.
  const point = (x, y) => L.latLng(data.up ? y : -y, x);
  const path = (flat, from = 0) => {
    const points = [];
    for (let i = from; i < flat.length; i += 2) points.push(point(flat[i], flat[i + 1]));
    return points;
  };
  const [left, low, right, high] = data.box;
  const everything = L.latLngBounds(point(left, low), point(right, high));
  const map = L.map("map", { crs: L.CRS.Simple, minZoom: -16, maxZoom: 4, zoomSnap: 0.25, attributionControl: false, zoomAnimation: false, fadeAnimation: false });
  map.setMaxBounds(everything.pad(0.6));
  const sea = L.imageOverlay(data.observed, everything, { className: "observed" }).addTo(map);
  const still = { interactive: false };
  L.polygon(data.land.map((ring) => path(ring)), { ...still, className: "land" }).addTo(map);
  for (const [label, x, y, ...line] of data.graticule) {
    L.polyline(path(line), { ...still, className: "graticule", weight: 1 }).addTo(map);
    const icon = () => L.divIcon({ className: "degrees", html: label, iconSize: null });
    if (x !== null) L.marker(point(x, y), { ...still, keyboard: false, icon: icon() }).addTo(map);
  }
  if (data.up) L.control.scale({ imperial: false }).addTo(map);
  const outlines = L.featureGroup().addTo(map);
  const circles = new Map();
  for (const zone of data.zones) {
    const [x, y] = zone.at;
    const circle = L.circleMarker(point(x, y), { className: "zone", weight: 1.5, fillOpacity: 0.9 }).addTo(map);
    circle.bindTooltip(() => `Zone ${zone.id}: ${zone.now.seen} of ${zone.now.observed}`);
    circle.on("click", () => choose(zone.id, true));
    circles.set(zone.id, circle);
  }
  // A zone has its own size where that can be seen, and else one that can be hit.
  const size = () => {
    const scale = map.getZoomScale(map.getZoom(), 0);
    for (const zone of data.zones) circles.get(zone.id).setRadius(Math.max(7, zone.at[2] * scale));
  };
  map.on("zoomend", size);
  // Another width, as of a phone that is turned, shows everything again; bars that come and go change the height only.
  map.on("resize", ({ oldSize, newSize }) => {
    if (oldSize.x !== newSize.x && !chosen) map.fitBounds(everything, { animate: false });
  });
  map.fitBounds(everything);
  size();

  const color = (rate) => {
    const step = data.steps.find(([, to]) => rate <= to) || data.steps[data.steps.length - 1];
    return `rgb(${step[2]})`;
  };
  const rows = new Map(all("#list tbody tr").map((row) => [Number(row.dataset.zone), row]));
  function cell(row, column, text, value, extra) {
    const td = row.cells[column];
    td.replaceChildren(...(extra ? [extra, text] : [text]));
    td.dataset.v = value;
  }
  function bar(now) {
    const span = element("span", { class: "interval", "aria-hidden": "true" });
    const range = element("i");
    const dot = element("b");
    range.style.left = `${100 * now.lower}%`;
    range.style.width = `${100 * (now.upper - now.lower)}%`;
    dot.style.left = `${100 * now.rate}%`;
    span.append(range, dot);
    return span;
  }
  function update() {
    asked = ask();
    let shown = 0;
    for (const zone of data.zones) {
      const now = (zone.now = tally(zone));
      const circle = circles.get(zone.id);
      const row = rows.get(zone.id);
      shown += now.seen > 0;
      circle.setStyle({ fillColor: now.seen ? color(now.rate) : "transparent" });
      row.classList.toggle("absent", !now.seen);
      cell(row, 1, `${now.seen} of ${now.observed}`, now.seen);
      if (now.observed) {
        cell(row, 2, `${percent(now.rate)} (${Math.round(100 * now.lower)}–${Math.round(100 * now.upper)})`, now.rate, bar(now));
      } else cell(row, 2, "n/a", "");
      cell(row, 3, now.last || "n/a", now.last);
    }
    const used = passes.filter(within).length;
    byId("status").textContent = `${used} of ${count(passes.length, "pass")}; ${shown} of ${count(data.zones.length, "zone")} seen`;
    all("output", form).forEach((output) => (output.textContent = `${asked.sure} %`));
    if (chosen) show(zones.get(chosen), false);
  }

  // One zone: its sentence, its passes over time, its slicks and quick-looks.
  const panel = byId("zone");
  const list = byId("list");
  let chosen = null;
  function degrees(value, letters) {
    return `${Math.abs(value).toFixed(4)}° ${letters[value < 0 ? 1 : 0]}`;
  }
  function where(zone) {
    const [a, b] = placed.map((name) => Number(zone.row[name]));
    return data.up ? `${degrees(a, "NS")}, ${degrees(b, "EW")}` : `row ${a.toFixed(0)}, column ${b.toFixed(0)}`;
  }
  function chart(zone) {
    const timed = passes.some((pass) => pass.time); // else in the order of their names
    const dated = passes.map((pass, i) => [pass, zone.line[i], i]).filter(([pass, code]) => (pass.time || !timed) && code !== ".");
    const wide = Math.max(300, panel.clientWidth - 4);
    const start = 104;
    const place = (pass, i) => (timed ? pass.at : i);
    const places = passes.map(place).filter((at) => at !== null);
    const [first, last] = [Math.min(...places), Math.max(...places)];
    const x = (time) => start + 6 + ((wide - start - 12) * (time - first)) / (last - first || 1);
    const svg = element("svg:svg", { viewBox: `0 0 ${wide} 118`, role: "img", "aria-label": `Passes over zone ${zone.id} in time` });
    const lanes = [["seen", 8, 34], ["not seen", 46, 18], ["not observable", 70, 14]];
    for (const [name, top, tall] of lanes) {
      svg.append(element("svg:text", { x: start - 6, y: top + tall / 2 + 4, "text-anchor": "end" }, name));
      svg.append(element("svg:path", { class: "grid", d: `M${start} ${top + tall}H${wide}` }));
    }
    const day = 864e5;
    const step = [31, 92, 183, 366, 731, 1827].find((days) => (last - first) / (days * day) <= wide / 90) || 3653;
    const tick = new Date(first);
    tick.setUTCDate(1);
    const months = Math.max(1, Math.round(step / 30.5));
    tick.setUTCMonth(Math.ceil(tick.getUTCMonth() / months) * months);
    for (; timed && tick <= last; tick.setUTCMonth(tick.getUTCMonth() + months)) {
      if (tick < first) continue;
      const text = months % 12 ? tick.toISOString().slice(0, 7) : tick.toISOString().slice(0, 4);
      svg.append(element("svg:path", { class: "grid", d: `M${x(tick)} 8V88` }));
      svg.append(element("svg:text", { x: Math.min(x(tick), wide - 26), y: 108, "text-anchor": "middle" }, text));
    }
    const thick = Math.max(1.5, Math.min(5, (0.7 * (wide - start)) / dated.length));
    for (const [pass, code, i] of dated) {
      const on = lane(code);
      const hidden = !within(pass) || (on === 0 && !zone.all.some((slick) => slick[0] === i && counts(slick)));
      const [, top, tall] = lanes[on];
      const mark = element("svg:rect", {
        class: `mark lane${on}${hidden ? " out" : ""}`, x: x(place(pass, i)) - thick / 2, y: top, width: thick, height: tall - 1,
      });
      mark.append(element("svg:title", {}, `${pass.day || pass.name}: ${say(code)}`));
      mark.addEventListener("mouseenter", () => outlines.eachLayer((layer) => layer.getElement()?.classList.toggle("hot", layer.pass === i)));
      svg.append(mark);
    }
    const figure = element("figure", { class: "chart" }, svg);
    figure.addEventListener("mouseleave", () => outlines.eachLayer((layer) => layer.getElement()?.classList.remove("hot")));
    return figure;
  }
  function table(heads, lines) {
    const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col", class: "text" }, text)));
    const body = lines.map((line) => element("tr", {}, ...line.map((text) => element("td", { class: "text" }, text))));
    const made = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
    return element("div", { class: "scroll", tabindex: "0" }, made);
  }
  function folded(title, inside) {
    const details = element("details", {}, element("summary", {}, title));
    details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && details.append(inside()));
    return details;
  }
  const areaText = (square) => (data.up ? `${(square / 1e6).toFixed(2)} km²` : `${square} px`);
  const area = (zone, which) => Number(zone.row[`area_${which}_${data.up ? "m2" : "px"}`]);
  function judged(zone) {
    const [wind, angle] = ["wind", "incidence"].map((what) => Number(zone.row[`n_${what}_judged`]));
    return element("p", { class: "muted" }, `Of the ${zone.row.n_observed} passes that count as observed, the wind was known on ${wind} and the incidence angle on ${angle}.`);
  }
  function years(zone) {
    const of = new Map();
    passes.forEach((pass, i) => {
      const code = zone.line[i];
      if (!pass.time || !within(pass) || (code !== "S" && code !== "o")) return;
      const year = pass.day.slice(0, 4);
      const [seen, observed] = of.get(year) || [0, 0];
      const counted = code === "S" && (free() || zone.all.some((slick) => slick[0] === i && counts(slick)));
      of.set(year, [seen + counted, observed + 1]);
    });
    if (of.size < 2) return "";
    return element("p", {}, "By year: " + [...of].map(([year, [seen, observed]]) => `${year} ${seen} of ${observed}`).join(", ") + ".");
  }
  function why(zone) {
    const of = new Map();
    [...zone.line].forEach((code, i) => {
      if (lane(code) < 2 || code === "." || !within(passes[i])) return;
      const reason = data.reasons[parseInt(code, 16)];
      of.set(reason, (of.get(reason) || 0) + 1);
    });
    const sum = [...of.values()].reduce((a, b) => a + b, 0);
    if (!sum) return "";
    return element("p", { class: "muted" }, `${count(sum, "more pass")} covered a part of it but could not have shown it: ${[...of].map(([reason, n]) => `${reason} ${n}`).join(", ")}.`);
  }
  function picture([pass, file, across, down, size], zone) {
    const image = element("img", { src: `pictures/${encodeURIComponent(file)}`, alt: "", loading: "lazy" });
    const mark = element("i");
    mark.style.left = `${100 * across}%`;
    mark.style.top = `${100 * down}%`;
    mark.style.width = `max(14px, ${200 * size}%)`;
    const frame = element("span", { class: "look" }, image, mark);
    return element("figure", {}, frame, element("figcaption", {}, passes[pass].day || passes[pass].name));
  }
  function draw(zone) {
    outlines.clearLayers();
    const [x, y, radius] = zone.at;
    L.circle(point(x, y), { ...still, radius, className: "disc", fill: false }).addTo(outlines);
    zone.slicks.forEach((slick) => {
      const [pass, kind, sure, square, rings, grade] = slick;
      if (!rings || !counts(slick)) return;
      const places = rings.map((ring) => {
        const points = [];
        for (let i = 0; i < ring.length; i += 2) points.push(point(x + (ring[i] * radius) / data.fine, y + (ring[i + 1] * radius) / data.fine));
        return [points];
      });
      const [name, paint] = data.classes[kind - 1];
      const shape = L.polygon(places, { className: "slick", color: paint, weight: 1.5, fillColor: paint, fillOpacity: 0.18 });
      shape.pass = pass;
      // An element: Leaflet would take text for HTML.
      const text = `${passes[pass].day || passes[pass].name}: ${name}, ${areaText(square)}, confidence ${sure} %${grade ? `, grade ${grade}` : ""}`;
      shape.bindTooltip(element("span", {}, text), { sticky: true });
      shape.addTo(outlines);
    });
    for (const name of ["chosen", "open"]) circles.forEach((circle, id) => circle.getElement().classList.toggle(name, id === zone.id));
  }
  function show(zone, move) {
    const now = zone.now;
    const drawn = zone.slicks.filter((slick) => slick[4] && counts(slick)).length;
    const merged = (zone.merged || []).filter(counts).reduce((sum, one) => sum + one[4], 0);
    const kept = zone.slicks.filter(counts).length + merged;
    const button = (text, act, label) => {
      const made = element("button", { type: "button", "aria-label": label || text }, text);
      made.addEventListener("click", act);
      return made;
    };
    const rate = now.observed
      ? element("p", { class: "lead" }, element("b", {}, `Seen on ${now.seen} of ${count(now.observed, "pass")}`), ` that could have shown it: ${percent(now.rate)} (95\u00a0% interval ${Math.round(100 * now.lower)}–${Math.round(100 * now.upper)}\u00a0%).`)
      : element("p", { class: "lead" }, "No pass could have shown it within these filters.");
    const seen = Number(zone.row.n_seen_unobserved) ? `${count(Number(zone.row.n_seen_unobserved), "more sighting")} where less than half of the disc was observed. ` : "";
    const line = [...zone.line].map((code, i) => [code, i]).filter(([code, i]) => code !== "." && within(passes[i]));
    const areas = new Map();
    for (const slick of zone.all) if (counts(slick)) areas.set(slick[0], (areas.get(slick[0]) || 0) + slick[3]);
    const opened = all("details[open] summary", panel).map((summary) => summary.textContent.replace(/\d+/g, ""));
    panel.replaceChildren(
      element("div", { class: "row" },
        button("← All zones", close),
        element("span", {}, button("‹", () => next(-1), "previous zone"), " ", button("›", () => next(1), "next zone"))),
      element("h3", {}, `Zone ${zone.id}`),
      element("p", { class: "muted" }, `${where(zone)}${data.up ? ` ± ${Math.round(Number(zone.row.error_m))} m` : ` ± ${Math.round(Number(zone.row.error_px))} pixels`}`),
      zone.row.verdict !== "n/a" ? element("p", { class: "warn" }, `Judged: ${zone.row.verdict}${zone.row.comment !== "n/a" ? ` (${zone.row.comment})` : ""}`) : "",
      rate, chart(zone), years(zone), why(zone), judged(zone),
      (zone.row.near_m ?? "n/a") !== "n/a" ? element("p", {}, `Nearest known: ${zone.row.near_name ? `${zone.row.near_name} (${zone.row.near_kind})` : zone.row.near_kind}, ${Math.round(Number(zone.row.near_m)).toLocaleString("en")} m`) : "",
      element("p", {}, `${seen}${merged && asked.sure ? "at most " : ""}${count(kept, "slick")}, ${drawn} drawn on the map; median area ${areaText(area(zone, "median"))}, largest ${areaText(area(zone, "max"))}.`),
      zone.pictures ? element("div", { class: "looks" }, ...zone.pictures.filter(([pass]) => within(passes[pass])).map((one) => picture(one, zone))) : "",
      folded(`Its ${line.length} passes`, () =>
        table(["pass", "zone", "slicks"], line.map(([code, i]) => [passes[i].time ? passes[i].time.slice(0, 16).replace("T", " ") : passes[i].name, say(code), areas.has(i) ? areaText(areas.get(i)) : ""]))),
      folded("Everything in zones.csv", () => table(["column", "value"], Object.entries(zone.row).map(([name, text]) => [name.replaceAll("_", " "), short(text)]))),
      element("p", { class: "source" }, "Source: zones.csv, history.csv, origins.csv"),
    );
    all("details", panel).forEach((one) => (one.open = opened.includes(one.firstChild.textContent.replace(/\d+/g, ""))));
    draw(zone);
    if (move) map.fitBounds(outlines.getBounds().pad(0.4), { animate: false });
  }
  const short = (text) => (text !== "" && /\d\.\d{4,}/.test(text) && isFinite(text) ? String(Number(Number(text).toPrecision(6))) : text);
  function choose(id, move) {
    chosen = id;
    list.hidden = true;
    panel.hidden = false;
    show(zones.get(id), move);
    rows.forEach((row, key) => (row.tabIndex = key === id ? 0 : -1));
    panel.focus({ preventScroll: true });
    if (matchMedia("(max-width: 56rem)").matches) byId("map").scrollIntoView({ block: "start" });
  }
  function close() {
    const id = chosen;
    chosen = null;
    panel.hidden = true;
    list.hidden = false;
    outlines.clearLayers();
    circles.forEach((circle) => circle.getElement().classList.remove("chosen", "open"));
    map.fitBounds(everything, { animate: false });
    if (id !== null) rows.get(id).focus();
  }
  const order = () => all("#list tbody tr").map((row) => Number(row.dataset.zone));
  function next(step) {
    const ids = order();
    choose(ids[(ids.indexOf(chosen) + step + ids.length) % ids.length], true);
  }

  // Keys: arrows go through the table, Enter opens, Escape goes back; in a zone, arrows go to its neighbours.
  const body = document.querySelector("#list tbody");
  const first = body.rows[0];
  if (first) first.tabIndex = 0;
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) choose(Number(row.dataset.zone), true);
  });
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: body.firstElementChild, End: body.lastElementChild }[event.key];
    if (to) {
      row.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    } else if (event.key === "Enter" || event.key === " ") choose(Number(row.dataset.zone), true);
    else return;
    event.preventDefault();
  });
  body.addEventListener("focusin", (event) => {
    circles.forEach((circle, id) => circle.getElement().classList.toggle("chosen", id === Number(event.target.closest("tr").dataset.zone)));
  });
  document.addEventListener("keydown", (event) => {
    if (!chosen) return;
    if (event.key === "Escape") close();
    else if (panel === document.activeElement && (event.key === "ArrowLeft" || event.key === "ArrowRight")) next(event.key === "ArrowLeft" ? -1 : 1);
  });
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
  window.zonesMap = map; // for whoever looks at the page from its console
})();
