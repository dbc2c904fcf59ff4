// Writes and encodes as the exported page does: node write.js < {"model", "texts", "writings"}
"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");
const { Writer } = require(path.join(__dirname, "..", "..", "chargen", "export", "writer.js"));

const { model, texts, writings } = JSON.parse(readFileSync(0, "utf8"));
const writer = new Writer(model);
console.log(
  JSON.stringify({
    encoded: texts.map((text) => writer.tokenizer.encode(text)),
    adapted: texts.map((text) => writer.adapt(text)[0]),
    written: writings.map(({ text, ...options }) =>
      Array.from(writer.stream(writer.read(text), options)).join(""),
    ),
    bits: texts.map((text) => writer.surprise(text).map((piece) => piece.bits)),
  }),
);
