// Checks chargen/export/portable.js against tests/portable.json: node tests/portable.js
"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");
const Portable = require(path.join(__dirname, "..", "chargen", "export", "portable.js"));

const file = JSON.parse(readFileSync(path.join(__dirname, "portable.json"), "utf8"));
const types = { int8: Int8Array, int16: Int16Array, float32: Float32Array };
let steps = 0;
let draws = 0;

function same(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a.slice(0, 200)} instead of ${b.slice(0, 200)}`);
}

for (const [name, table] of [["tanh", Portable.TANH], ["weights", Portable.WEIGHTS]]) {
  const sums = { sum: 0, weighted: 0 };
  table.forEach((value, place) => {
    sums.sum += value;
    sums.weighted += value * place;
  });
  same(sums, file.tables[name], `the table of ${name}`);
}

for (const { key, counter, words } of file.philox) {
  // A key may be larger than JSON's numbers are exact.
  const exact = key.map((part) => (part > 2 ** 53 ? 2n ** 64n - 1n : BigInt(part)));
  const block = Portable.philox(counter.map(BigInt), exact);
  same(block.map((word) => word.toString(16).padStart(16, "0")), words, `Philox of ${key}`);
}

for (const { config, arrays, tokens, logits, texts } of file.models) {
  const typed = Object.fromEntries(
    Object.entries(arrays).map(([name, { type, values }]) => [name, types[type].from(values)]),
  );
  const model = new Portable.Model(config, typed);
  const state = model.initialState();
  tokens.forEach((token, step) => {
    same(Array.from(model.step(token, state)), logits[step], `${config.cell}, step ${step}`);
    steps++;
  });
  for (const { sampler, seed, tokens: expected } of texts) {
    expected.forEach((text, number) => {
      const state = model.initialState();
      let next = model.step(0, state);
      text.forEach((token, step) => {
        const unit = Portable.uniform(seed, number, step);
        same(Portable.draw(Portable.weigh(next, sampler), unit), token, `${config.cell}, a draw`);
        next = model.step(token, state);
        draws++;
      });
    });
  }
}

const count = (number) => number.toLocaleString("en");
console.log(`${file.models.length} models, ${steps} steps, ${count(draws)} draws: the same`);
