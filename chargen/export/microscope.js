// One step under the microscope: the gates and the state of a layer at each character of a text.
//
// Every row of tiles is one vector, a tile for each unit. The unit under the pointer, or the one that
// the arrow keys have chosen, is framed in all rows, and its numbers are written out.
"use strict";

// Connects the section; `ask` sends a request to the model. Returns a function that sets the text.
function microscopeSection(ask, config) {
  const ONE = 4096; // of h
  const SECONDS = 0.7; // of a step that is played
  const TILE = 9; // pixels, with the gap
  const C_RANGE = 2; // of c, for the full colour
  const LEARNED = { lstm: ["i", "f", "g", "o"], gru: ["r", "z", "n"], rnn: [] }[config.cell];
  const FORMULAS = {
    lstm: { cAfter: "f · C + i · g", hAfter: "o · tanh C" },
    gru: { hAfter: "z · H + (1 − z) · n" },
    rnn: {},
  }[config.cell];
  const SIGNED = new Set(["g", "n", "hBefore", "hAfter", "cBefore", "cAfter"]);

  const get = (id) => document.getElementById(id);
  const [specimen, strip, position, layer] = ["specimen", "strip", "position", "layer"].map(get);
  const [tiles, play, unitLine] = ["tiles", "play", "unit"].map(get);
  let [step, unit, rows, request, timer] = [0, 0, [], 0, null];

  for (let i = 0; i < config.num_layers; i++) layer.add(new Option(String(i + 1), String(i)));
  layer.value = String(config.num_layers - 1);
  tiles.setAttribute("aria-valuemax", config.hidden_size);

  // Returns the rows of a step: [{ name, values }].
  function rowsOf({ before, gates, after }) {
    const h = (values) => Array.from(values, (value) => value / ONE);
    const memory = config.cell === "lstm";
    return [
      ["hBefore", h(before.h)],
      ...LEARNED.map((name) => [name, gates[name]]),
      ...(memory ? [["cBefore", before.c], ["cAfter", after.c]] : []),
      ["hAfter", h(after.h)],
    ].map(([name, values]) => ({ name, values }));
  }

  async function show() {
    const mine = ++request;
    const text = specimen.value;
    const answer = await ask({ kind: "adapt", text });
    const wanted = { kind: "microscope", text: answer.text, step, layer: Number(layer.value) };
    const result = await ask(wanted);
    if (mine !== request || result.error) return;
    step = result.index;
    position.max = result.count - 1;
    position.value = step;
    const current = result.names[step];
    const nameOf = (token) => (token.text === null ? token.bytes : visible(token.text));
    position.setAttribute("aria-valuetext", `${step + 1}: ${nameOf(current)}`);
    strip.replaceChildren(
      ...result.names.map((token, index) => {
        const span = document.createElement("span");
        const sign = { "\n": "↵", "": "■" }[token.text];
        span.textContent = sign || (token.text ?? "·");
        span.className = index < step ? "read" : index === step ? "current" : "";
        span.addEventListener("click", () => goTo(index));
        return span;
      }),
    );
    rows = rowsOf(result);
    draw();
    showBars(get("then"), result.expected);
    if (step === result.count - 1) pause();
  }

  function build() {
    tiles.replaceChildren(
      ...rows.map(({ name }) => {
        const row = document.createElement("div");
        row.className = "row";
        const label = document.createElement("span");
        label.className = "row-name";
        const letter = document.createElement("b");
        letter.textContent = name.length === 1 ? `${name} ` : "";
        const formula = document.createElement("i");
        formula.textContent = FORMULAS[name] || "";
        label.append(letter, say(name), formula);
        const canvas = document.createElement("canvas");
        canvas.addEventListener("pointermove", (event) => point(canvas, event));
        canvas.addEventListener("pointerdown", (event) => point(canvas, event));
        row.append(label, canvas);
        return row;
      }),
    );
  }

  const columnsOf = (canvas) => Math.max(1, Math.floor(canvas.clientWidth / TILE));

  function draw() {
    if (!rows.length) return;
    if (tiles.children.length !== rows.length) build();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const colours = { plus: colour("--plus"), minus: colour("--minus"), gate: colour("--gate") };
    const [ink, empty] = [colour("--ink"), colour("--empty")];
    const scale = window.devicePixelRatio || 1;
    rows.forEach(({ name, values }, index) => {
      const canvas = tiles.children[index].querySelector("canvas");
      const columns = columnsOf(canvas);
      const lines = Math.ceil(values.length / columns);
      canvas.style.height = `${lines * TILE}px`;
      canvas.width = Math.round(canvas.clientWidth * scale);
      canvas.height = Math.round(lines * TILE * scale);
      const pen = canvas.getContext("2d");
      pen.scale(scale, scale);
      const range = name.startsWith("c") ? C_RANGE : 1;
      values.forEach((value, j) => {
        const [x, y] = [(j % columns) * TILE, Math.floor(j / columns) * TILE];
        pen.globalAlpha = 1;
        pen.fillStyle = empty;
        pen.fillRect(x, y, TILE - 1, TILE - 1);
        pen.globalAlpha = Math.min(1, Math.abs(value) / range);
        pen.fillStyle = SIGNED.has(name) ? colours[value < 0 ? "minus" : "plus"] : colours.gate;
        pen.fillRect(x, y, TILE - 1, TILE - 1);
        if (j === unit) {
          pen.globalAlpha = 1;
          pen.strokeStyle = ink;
          pen.lineWidth = 1.5;
          pen.strokeRect(x - 0.25, y - 0.25, TILE - 0.5, TILE - 0.5);
        }
      });
    });
    readOut();
  }

  function readOut() {
    const numbers = rows
      .map(({ name, values }) => `${name.length === 1 ? name : say(name)} ${number(values[unit], 2)}`)
      .join(" · ");
    unitLine.textContent = say("unitNumbers", { unit: unit + 1, numbers });
    tiles.setAttribute("aria-valuenow", unit + 1);
    tiles.setAttribute("aria-valuetext", unitLine.textContent);
  }

  function point(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / TILE);
    const columns = columnsOf(canvas);
    const index = Math.floor((event.clientY - box.top) / TILE) * columns + column;
    if (column < columns && index >= 0 && index < config.hidden_size) choose(index);
  }

  function choose(index) {
    unit = Math.max(0, Math.min(config.hidden_size - 1, index));
    draw();
  }

  tiles.addEventListener("keydown", (event) => {
    const columns = columnsOf(tiles.querySelector("canvas"));
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const ends = { Home: 0, End: config.hidden_size - 1 };
    if (event.key in moves) choose(unit + moves[event.key]);
    else if (event.key in ends) choose(ends[event.key]);
    else return;
    event.preventDefault();
  });

  // Playing ----------------------------------------------------------------------------------------

  function goTo(index) {
    step = Math.max(0, Math.min(Number(position.max), index));
    return show();
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    play.textContent = say("play");
  }

  get("back").addEventListener("click", () => {
    pause();
    goTo(step - 1);
  });
  get("step").addEventListener("click", () => {
    pause();
    goTo(step + 1);
  });
  play.addEventListener("click", () => {
    if (timer) return pause();
    if (step >= Number(position.max)) step = -1;
    play.textContent = say("pause");
    timer = setInterval(() => goTo(step + 1), 1000 * SECONDS);
    goTo(step + 1);
  });
  position.addEventListener("input", () => {
    pause();
    goTo(Number(position.value));
  });
  layer.addEventListener("change", show);
  specimen.addEventListener("input", () => {
    pause();
    step = 0;
    show();
  });
  new ResizeObserver(draw).observe(tiles);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  return (text, first) => {
    specimen.value = text;
    step = first;
    show();
  };
}
