// The page: connects its parts to the model, which runs in a worker.
"use strict";

// The model ----------------------------------------------------------------------------------------

// Returns a function that sends a request to the model. Its result is a promise of the answer, or of
// the last one; `each` gets every answer of a request that has several.
function connect() {
  const open = new Map(); // by id: { request, each, resolve }
  let [send, last] = [null, 0];

  function receive(answer) {
    const { each, resolve } = open.get(answer.id);
    if (each) each(answer);
    if (each && !answer.done) return;
    open.delete(answer.id);
    resolve(answer);
  }

  // Where the browser refuses a worker, the page itself does the work, in slices.
  function work() {
    const handle = serve((answer) => setTimeout(() => receive(answer)));
    send = (request) => setTimeout(() => handle(request));
    for (const { request } of open.values()) send(request);
  }

  try {
    const start = "\nconst handle = serve(postMessage);\nonmessage = (event) => handle(event.data);";
    const source = document.getElementById("engine").textContent + start;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(address);
    worker.onmessage = (event) => receive(event.data);
    worker.onerror = work;
    send = (request) => worker.postMessage(request);
  } catch {
    work();
  }
  return (request, each) =>
    new Promise((resolve) => {
      const id = ++last;
      const whole = { ...request, id };
      open.set(id, { request: whole, each, resolve });
      send(whole);
    });
}

// Writing ------------------------------------------------------------------------------------------

// Connects the section to write in; `data` is the model's. Returns a promise of its first text.
function writeSection(ask, data) {
  const BARS = 10;
  const get = (id) => document.getElementById(id);
  const [prompt, given, written, sheet] = ["prompt", "given", "written", "sheet"].map(get);
  const [temperature, length, topK, seed] = ["temperature", "length", "top-k", "seed"].map(get);
  const status = get("status");
  let note = ""; // on characters that the model does not know
  let expecting = 0;

  const text = () => given.textContent + written.textContent;

  // Returns the settings of the draw, or null if one of them cannot be used, and says so.
  function sampler() {
    const count = topK.value.trim();
    if (count && !/^[1-9]\d*$/.test(count)) {
      status.textContent = say("badTopK");
      return null;
    }
    return { temperature: Number(temperature.value), top_k: count ? Number(count) : null };
  }

  // Returns the seed of the next text, or null if it cannot be used, and says so.
  function nextSeed() {
    if (get("new-seed").checked) [seed.value] = crypto.getRandomValues(new Uint32Array(1));
    if (/^\d+$/.test(seed.value.trim())) return seed.value.trim();
    status.textContent = say("badSeed");
    return null;
  }

  async function begin() {
    const { text: adapted, changes, error } = await ask({ kind: "adapt", text: prompt.value });
    if (error) return;
    note = unknownSentence(changes);
    given.textContent = adapted;
    written.textContent = "";
    await write(adapted, nextSeed());
  }

  async function write(from, chosen) {
    const options = sampler();
    if (!options || chosen === null) return;
    busy(true);
    status.textContent = `${note} ${say("writing")}`.trim();
    const settings = { length: Number(length.value), seed: chosen, ...options };
    const request = { kind: "write", text: from, ...settings };
    showCommand(request);
    const end = await ask(request, (answer) => {
      const low = sheet.scrollHeight - sheet.scrollTop - sheet.clientHeight < 40;
      written.append(answer.text || "");
      if (low) sheet.scrollTop = sheet.scrollHeight;
    });
    const rate = number(Math.round(end.count / Math.max(end.seconds, 0.001)));
    const values = { count: number(end.count), seed: chosen, rate, error: end.error };
    const key = end.error ? "failed" : end.stopped ? "stopped" : end.ended ? "ended" : "written";
    status.textContent = `${note} ${say(key, values)}`.trim();
    busy(false);
    await expect();
  }

  // Shows the command that writes the same text.
  function showCommand({ text: from, length: characters, seed: chosen, temperature, top_k }) {
    const escapes = { "\n": "\\n", "\t": "\\t", "\\": "\\\\", "'": "\\'" };
    const plain = /^[\x20-\x7e\u00a0-\uffff]*$/.test(from) && !from.includes("'");
    const word = plain ? `'${from}'` : `$'${from.replace(/[\n\t\\']/g, (c) => escapes[c])}'`;
    const options = [`-n ${characters}`, `--temperature ${temperature}`, `--seed ${chosen}`];
    if (top_k) options.push(`--top-k ${top_k}`);
    if (from) options.unshift(`-p ${word}`);
    get("command").textContent =
      `chargen sample -m ${data.title} --weights int8 ${options.join(" ")}`;
  }

  function busy(isWriting) {
    const focused = document.activeElement;
    get("stop").hidden = !isWriting;
    for (const id of ["write", "continue"]) get(id).hidden = isWriting;
    if (focused === get("stop") || focused === get("write") || focused === get("continue"))
      get(isWriting ? "stop" : focused === get("stop") ? "continue" : focused.id).focus();
  }

  // Shows what may come after the text; only the last of several answers counts.
  async function expect() {
    const mine = ++expecting;
    const options = sampler();
    if (!options) return;
    const from = text();
    const { expected, error } = await ask({ kind: "expect", text: from, count: BARS, ...options });
    if (mine !== expecting || error) return;
    const end = Array.from(from).slice(-16).join("").replaceAll("\n", "↵");
    get("after").textContent = from ? say("afterText", { text: quoted(end) }) : say("afterNothing");
    showBars(get("bars"), expected, (chosen) => {
      written.append(chosen);
      sheet.scrollTop = sheet.scrollHeight;
      expect();
    });
  }

  function showSettings() {
    const show = ({ id, value }, digits) =>
      (document.querySelector(`output[for=${id}]`).textContent = number(Number(value), digits));
    show(temperature, 2);
    show(length, 0);
  }

  get("write").addEventListener("click", begin);
  get("continue").addEventListener("click", () => write(text(), nextSeed()));
  get("stop").addEventListener("click", () => ask({ kind: "stop" }));
  seed.addEventListener("input", () => (get("new-seed").checked = false));
  for (const control of [temperature, length, topK]) control.addEventListener("input", showSettings);
  for (const control of [temperature, topK]) control.addEventListener("input", expect);
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !get("stop").hidden) ask({ kind: "stop" });
  });
  showSettings();
  return write("", seed.value).then(text);
}

// The card -----------------------------------------------------------------------------------------

function showCard({ card, config, tokenizer, title }) {
  const list = document.getElementById("card");
  const line = (key, value, isCode) => {
    if (!value) return;
    const [term, entry] = ["dt", "dd"].map((name) => document.createElement(name));
    term.textContent = say(key);
    const part = isCode ? entry.appendChild(document.createElement("code")) : entry;
    part.textContent = value;
    list.append(term, entry);
  };
  const [unit, unitName] = card.bytes < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  const size = card.bytes && `${number(card.bytes / unit, 1)}\u00a0${unitName}`;
  line("corpus", card.corpus && (size ? say("corpusSize", { name: card.corpus, size }) : card.corpus));
  line("quality", card.bits && say("qualityBits", { bits: number(card.bits, 2) }));
  const tokens = say(tokenizer.kind, { count: number(config.vocab_size) });
  line(
    "shape",
    say("shapeLine", {
      cell: say(config.cell),
      layers: config.num_layers,
      hidden: config.hidden_size,
      parameters: number(card.parameters),
      tokens,
    }),
  );
  line("command", card.command, true);
  line("made", `chargen export -m ${title}${card.version ? ` (chargen ${card.version})` : ""}`, true);
}

// The beginning ------------------------------------------------------------------------------------

(async () => {
  document.documentElement.lang = LANGUAGE;
  for (const element of document.querySelectorAll("[data-text]"))
    element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", say(element.dataset.label));
  for (const element of document.querySelectorAll("[data-placeholder]"))
    element.placeholder = say(element.dataset.placeholder);
  const data = JSON.parse(document.getElementById("model").textContent);
  showCard(data);
  const ask = connect();
  await ask({ kind: "load", data });
  const setJudged = surpriseSection(ask);
  const setSpecimen = microscopeSection(ask, data.config);
  const text = await writeSection(ask, data);
  const lines = text.split("\n").filter((line) => line.trim().length > 20);
  const example = (lines[0] || text).trim();
  setJudged(example);
  const start = example.length > 60 ? example.slice(0, 60).replace(/\s+\S*$/, "") : example;
  setSpecimen(start, Math.min(8, start.length - 1));
  document.body.dataset.ready = "true";
})();
