"use strict";
// Reads loss, N* and D* at any budget from the embedded quantiles. Between two budgets it interpolates in logs.
(() => {
  const element = (id) => document.getElementById(id);
  if (!element("reader-data")) return;
  const data = JSON.parse(element("reader-data").textContent);
  const [compute, slider, choice] = ["reader-compute", "reader-slider", "reader-prob"].map(element);
  const logs = data.budgets.map(Math.log);
  const [low, high] = [logs[0], logs[logs.length - 1]];

  const short = (value) => String(Number(value.toPrecision(3)));
  const UNITS = [["T", 1e12], ["B", 1e9], ["M", 1e6], ["K", 1e3]];
  // As forescale.units.format_quantity writes: 70B, 1.4T, 5.76e23.
  function quantity(value) {
    const rounded = Number(value.toExponential(2));
    if (rounded >= 1e3 && rounded < 1e15) {
      const [letter, unit] = UNITS.find(([, least]) => rounded >= least);
      return short(rounded / unit) + letter;
    }
    if (rounded >= 1e-3 && rounded < 1e3) return short(rounded);
    const [mantissa, exponent] = rounded.toExponential(2).split("e");
    return `${Number(mantissa)}e${Number(exponent)}`;
  }
  const WRITE = { size: quantity, loss: (value) => value.toFixed(3) };
  const percent = (prob) => `${Number((100 * prob).toPrecision(4))}\u00a0%`;

  function read(levels, flops) {
    const at = Math.log(flops);
    const right = Math.min(Math.max(logs.findIndex((knot) => knot >= at), 1), logs.length - 1);
    const share = Math.min(Math.max((at - logs[right - 1]) / (logs[right] - logs[right - 1]), 0), 1);
    return Math.exp((1 - share) * Math.log(levels[right - 1]) + share * Math.log(levels[right]));
  }

  function cell(row, text, header) {
    const made = document.createElement(header ? "th" : "td");
    if (header) made.scope = "row";
    made.textContent = text;
    row.append(made);
  }

  function show(flops, aloud) {
    const place = data.probs.indexOf(Number(choice.value));
    const rows = [];
    const said = [];
    for (const { label, unit, kind, levels } of data.quantities) {
      const write = WRITE[kind];
      const row = document.createElement("tr");
      const ends = place < 0 ? [] : [levels[1 + place], levels[1 + data.probs.length + place]];
      const [middle, ...band] = [levels[0], ...ends].map((level) => write(read(level, flops)));
      cell(row, label, true);
      [middle, ...(band.length ? band : ["–", "–"])].forEach((text) => cell(row, text, false));
      rows.push(row);
      const name = kind === "loss" ? label : unit;
      const between = band.length ? `, ${percent(data.probs[place])} ${band[0]} to ${band[1]}` : "";
      said.push(kind === "loss" ? `${name} ${middle}${between}` : `${middle} ${name}${between}`);
    }
    element("reader-rows").replaceChildren(...rows);
    slider.setAttribute("aria-valuetext", `${quantity(flops)} FLOPs`);
    if (aloud) element("reader-said").textContent = `At ${quantity(flops)} FLOPs: ${said.join("; ")}.`;
  }

  function refuse(text) {
    compute.setAttribute("aria-invalid", String(Boolean(text)));
    element("reader-error").textContent = text;
  }

  function fromText(aloud) {
    const text = compute.value.trim();
    const flops = text === "" ? NaN : Number(text.replace(/[,_\s]/g, ""));
    const inside = Math.log(flops) >= low - 1e-9 && Math.log(flops) <= high + 1e-9;
    if (inside) {
      refuse("");
      slider.value = String(Math.round((1000 * (Math.log(flops) - low)) / (high - low)));
      show(flops, aloud);
    } else if (aloud) {
      const [least, most] = [data.budgets[0], data.budgets[data.budgets.length - 1]].map(quantity);
      refuse(`Give compute from ${least} to ${most} FLOPs, such as ${quantity(data.start)}.`);
    }
  }

  function fromSlider(aloud) {
    const flops = Number(Math.exp(low + ((high - low) * slider.value) / 1000).toPrecision(3));
    refuse("");
    compute.value = quantity(flops);
    show(flops, aloud);
  }

  for (const prob of data.probs) {
    const option = document.createElement("option");
    option.value = String(prob);
    option.textContent = `${percent(prob)} (${data.interval})`;
    option.selected = prob === data.prob;
    choice.append(option);
  }
  element("reader-choice").hidden = data.probs.length === 0;
  compute.value = quantity(data.start);
  compute.addEventListener("input", () => fromText(false));
  compute.addEventListener("change", () => fromText(true));
  slider.addEventListener("input", () => fromSlider(false));
  slider.addEventListener("change", () => fromSlider(true));
  choice.addEventListener("change", () => fromText(true));
  element("reader").hidden = false;
  fromText(true);
})();
