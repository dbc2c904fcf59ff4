// The arithmetic of a chargen model with weights of eight bits, the same bits as in Python.
//
// docs/portable.md defines it, and tests/portable.json proves it. Letters: V vocabulary, E embedding,
// H hidden, G gates. Floats of single precision go through Math.fround: a double result of + - * /
// or a root, rounded once more, is what single precision would have given.
"use strict";

const Portable = (() => {
  const fround = Math.fround;
  const ONE = 4096; // of h, of the outputs of the layers, and of tanh in its table
  const STEPS = 1024; // of the table of tanh and of the table of weights, for 1
  const RANGE = 8; // tanh of more than this is 1
  const LIMIT = 127; // of a number of eight bits
  const GRID = 12288; // a single-precision number plus this is rounded to a step of the table
  const WEIGHT = 2 ** 30; // of the likeliest token
  const PAIR = 2 ** 26; // of the second of two rows in one number
  const BLOCK = 2048; // columns whose products are summed in pairs
  const EPSILON = 1e-5; // of the root mean square
  const GATES = { lstm: ["i", "f", "g", "o"], gru: ["r", "z", "n"], rnn: ["h"] }; // PyTorch's order
  const SIGMOIDS = ["i", "f", "o", "r", "z"];

  // Rounds to a whole number, half to even, as Math.round does not.
  const rint = (x) => x + 6755399441055744 - 6755399441055744;

  const TANH = Float64Array.from({ length: 2 * RANGE * STEPS + 1 }, (_, k) =>
    rint(ONE * Math.tanh((k - RANGE * STEPS) / STEPS)),
  );
  const WEIGHTS = (() => {
    const table = [];
    do table.push(rint(WEIGHT * Math.exp(-table.length / STEPS)));
    while (table[table.length - 1] > 0);
    return table;
  })();

  // Returns tanh of a sum on the grid, as a multiple of 1 / 4096.
  function tanh(sum) {
    const step = (sum - GRID) * STEPS + RANGE * STEPS;
    return TANH[Math.min(Math.max(step, 0), 2 * RANGE * STEPS)] / ONE;
  }

  // One layer --------------------------------------------------------------------------------------

  // A matrix of eight bits; `halves` is 1 / 2 for the rows of sigmoids, which are computed by tanh.
  //
  // A double holds whole numbers of 53 bits, so one multiplication serves two rows: the numbers of
  // one, and those of the other times 2^26. Sums of 2048 products stay below 2^25 and do not touch.
  // Eight rows are read together, `packed` has their numbers in the order in which they are read.
  class Matrix {
    constructor(values, scales, halves) {
      const [rows, columns] = [scales.length, values.length / scales.length];
      const at = (row, k) => (row < rows ? values[row * columns + k] : 0);
      this.packed = new Float64Array(Math.ceil(rows / 8) * columns * 4);
      for (let first = 0, to = 0; first < rows; first += 8)
        for (let k = 0; k < columns; k++)
          for (let row = first; row < first + 8; row += 2, to++)
            this.packed[to] = at(row, k) + at(row + 1, k) * PAIR;
      this.columns = columns;
      this.scales = scales.map((scale, row) => (fround(scale / LIMIT) * halves[row]) / ONE);
      this.quantised = new Float64Array(columns);
      this.sums = new Float64Array(Math.ceil(rows / 8) * 8);
    }

    // Writes the product with a vector of whole numbers into `out` (rows), in single precision.
    multiply(vector, out) {
      const { columns, scales, quantised, sums } = this;
      let top = 0;
      for (let k = 0; k < columns; k++) top = Math.max(top, Math.abs(vector[k]));
      let power = 1;
      while (power < top) power *= 2;
      for (let k = 0; k < columns; k++) quantised[k] = rint(fround((vector[k] * LIMIT) / power));
      sums.fill(0);
      for (let start = 0; start < columns; start += BLOCK)
        this.addProducts(start, Math.min(start + BLOCK, columns));
      for (let row = 0; row < scales.length; row++)
        out[row] = fround(fround(sums[row]) * (scales[row] * power));
    }

    // Adds the products of the columns from `start` up to `end` to the sums of all rows.
    addProducts(start, end) {
      const { packed, columns, quantised, sums } = this;
      for (let row = 0; row < sums.length; row += 8) {
        let [a, b, c, d] = [0, 0, 0, 0];
        for (let k = start, at = ((row / 8) * columns + start) * 4; k < end; k++, at += 4) {
          const q = quantised[k];
          a += packed[at] * q;
          b += packed[at + 1] * q;
          c += packed[at + 2] * q;
          d += packed[at + 3] * q;
        }
        addPair(sums, row, a);
        addPair(sums, row + 2, b);
        addPair(sums, row + 4, c);
        addPair(sums, row + 6, d);
      }
    }
  }

  // Adds the sums of two rows, which share a number, to theirs.
  function addPair(sums, row, pair) {
    const second = rint(pair / PAIR);
    sums[row] += pair - second * PAIR;
    sums[row + 1] += second;
  }

  class Layer {
    constructor(cell, size, arrays, first, table) {
      this.cell = cell;
      this.size = size;
      this.first = first; // whether its input is looked up
      this.gates = GATES[cell];
      const halves = Float32Array.from({ length: this.gates.length * size }, (_, row) =>
        SIGMOIDS.includes(this.gates[Math.floor(row / size)]) ? 0.5 : 1,
      );
      this.matrices = arrays.matrices.map(([values, scales]) => new Matrix(values, scales, halves));
      this.hiddenBias = arrays.biases[0].map((bias, row) => bias * halves[row]);
      const bias = arrays.biases[arrays.biases.length - 1];
      this.bias = bias.map((value, row) => fround(value * halves[row] + GRID));
      // The input of the first layer, on the grid, for a token.
      this.lookUp = (token) => table(token).map((value, row) => fround(value * halves[row] + GRID));
      this.rows = new Map(); // by token
      this.sums = new Float32Array(halves.length);
      this.fromH = new Float32Array(halves.length);
      this.both = new Float64Array(2 * size);
    }

    initialState() {
      return { h: new Float64Array(this.size), c: new Float32Array(this.size) };
    }

    // Computes the next h from the last one and an input: x (H), or a token in the first layer.
    // `trace`, where there is one, gets the values of the gates, and of c and h before and after.
    advance(state, x, trace) {
      if (trace) trace.before = { h: state.h.slice(), c: state.c.slice() };
      this[this.cell](state, x, trace);
      if (trace) trace.after = { h: state.h.slice(), c: state.c.slice() };
    }

    input(x) {
      if (!this.first) return this.bias;
      if (!this.rows.has(x)) this.rows.set(x, Float32Array.from(this.lookUp(x)));
      return this.rows.get(x);
    }

    // Returns [h, x], or h alone in the first layer.
    vector(h, x) {
      if (this.first) return h;
      this.both.set(h);
      this.both.set(x, this.size);
      return this.both;
    }

    lstm(state, x, trace) {
      const { size, sums } = this;
      const { h, c } = state;
      this.matrices[0].multiply(this.vector(h, x), sums);
      const input = this.input(x);
      const gate = trace && { i: [], f: [], g: [], o: [] };
      for (let j = 0; j < size; j++) {
        const at = (row) => tanh(fround(sums[row] + input[row]));
        const i = 1 + at(j); // twice the gate, as f and o
        const f = 1 + at(size + j);
        const g = at(2 * size + j);
        const o = 1 + at(3 * size + j);
        c[j] = fround(fround(i * g) + fround(f * c[j])) / 2;
        h[j] = rint(fround((tanh(fround(c[j] + GRID)) * ONE * o) / 2));
        if (!gate) continue;
        gate.i.push(i / 2);
        gate.f.push(f / 2);
        gate.g.push(g);
        gate.o.push(o / 2);
      }
      if (trace) trace.gates = gate;
    }

    gru(state, x, trace) {
      const { size, sums, fromH } = this;
      const { h } = state;
      this.matrices[0].multiply(h, fromH);
      for (let row = 0; row < fromH.length; row++) fromH[row] = fromH[row] + this.hiddenBias[row];
      const input = this.input(x);
      if (this.first) sums.set(input);
      else {
        this.matrices[1].multiply(x, sums);
        for (let row = 0; row < sums.length; row++) sums[row] = sums[row] + input[row];
      }
      const gate = trace && { r: [], z: [], n: [] };
      for (let j = 0; j < size; j++) {
        const r = (1 + tanh(fround(sums[j] + fromH[j]))) / 2;
        const z = (1 + tanh(fround(sums[size + j] + fromH[size + j]))) / 2;
        const row = 2 * size + j;
        const n = tanh(fround(sums[row] + fround(r * fromH[row])));
        h[j] = rint(fround(fround(fround(h[j] - n * ONE) * z) + n * ONE));
        if (!gate) continue;
        gate.r.push(r);
        gate.z.push(z);
        gate.n.push(n);
      }
      if (trace) trace.gates = gate;
    }

    rnn(state, x, trace) {
      const { size, sums } = this;
      this.matrices[0].multiply(this.vector(state.h, x), sums);
      const input = this.input(x);
      for (let j = 0; j < size; j++) state.h[j] = tanh(fround(sums[j] + input[j])) * ONE;
      if (trace) trace.gates = {};
    }
  }

  // The model --------------------------------------------------------------------------------------

  class Model {
    // `data` has the config of the model, and `arrays`: typed arrays by their names in docs/portable.md.
    constructor(config, arrays) {
      this.config = config;
      const { cell, num_layers: depth, hidden_size: size, embedding_size: width } = config;
      const embedding = [arrays["embedding"], arrays["embedding.scales"]];
      const inputs = [arrays["input_weights"], arrays["input_weights.scales"]];
      const rows = GATES[cell].length * size;
      const of = (layer) => ({
        matrices: [0, 1]
          .filter((j) => `layers.${layer}.matrices.${j}` in arrays)
          .map((j) => `layers.${layer}.matrices.${j}`)
          .map((name) => [arrays[name], arrays[`${name}.scales`]]),
        biases: [0, 1].map((j) => arrays[`layers.${layer}.biases.${j}`]).filter(Boolean),
      });
      const bias = of(0).biases.at(-1);
      const table = (token) =>
        Float64Array.from({ length: rows }, (_, row) => {
          let sum = 0;
          for (let e = 0; e < width; e++)
            sum += embedding[0][token * width + e] * inputs[0][row * width + e];
          return sum * embedding[1][token] * inputs[1][row] + bias[row];
        });
      this.layers = Array.from(
        { length: depth },
        (_, layer) => new Layer(cell, size, of(layer), layer === 0, table),
      );
      this.headBias = arrays["head.bias"];
      const ones = new Float32Array(this.headBias.length).fill(1);
      this.head = new Matrix(arrays["head"], arrays["head.scales"], ones);
    }

    initialState() {
      return this.layers.map((layer) => layer.initialState());
    }

    // Reads a token into the state, in place; returns the logits of the next one, Float32Array (V).
    // `trace`, where there is one, gets an entry for each layer; see Layer.advance.
    step(token, state, trace) {
      const size = this.config.hidden_size;
      const root = Math.sqrt(size) * ONE;
      let x = null;
      this.layers.forEach((layer, depth) => {
        if (trace) trace.push({});
        layer.advance(state[depth], depth ? x : token, trace && trace[depth]);
        const { h } = state[depth];
        let squares = 0;
        for (let j = 0; j < size; j++) squares += h[j] * h[j];
        const scale = fround(root / Math.sqrt(squares + size * EPSILON * ONE ** 2));
        const below = x;
        x = h.map((value, j) => rint(fround(value * scale)) + (below ? below[j] : 0));
      });
      const logits = new Float32Array(this.headBias.length);
      this.head.multiply(x, logits);
      for (let v = 0; v < logits.length; v++) logits[v] = logits[v] + this.headBias[v];
      return logits;
    }
  }

  // The draw ---------------------------------------------------------------------------------------

  const WORD = (1n << 64n) - 1n;

  // Returns the four numbers of a block of Philox4x64-10 (Salmon et al. 2011), BigInt.
  function philox(counter, key) {
    let [c0, c1, c2, c3] = counter;
    let [k0, k1] = key;
    for (let round = 0; round < 10; round++) {
      const a = 0xd2e7470ee14c6c93n * c0;
      const b = 0xca5a826395121157n * c2;
      [c0, c1, c2, c3] = [(b >> 64n) ^ c1 ^ k0, b & WORD, (a >> 64n) ^ c3 ^ k1, a & WORD];
      k0 = (k0 + 0x9e3779b97f4a7c15n) & WORD;
      k1 = (k1 + 0xbb67ae8584caa73bn) & WORD;
    }
    return [c0, c1, c2, c3];
  }

  // Returns a number in [0, 1) for a step (from 0) of a stream.
  function uniform(seed, stream, step) {
    const word = philox([BigInt(step) + 1n, 0n, 0n, 0n], [BigInt(seed) & WORD, BigInt(stream)])[0];
    return Number(word >> 12n) * 2 ** -52;
  }

  // Returns what each token weighs in a draw, whole numbers; 0 for those that are excluded.
  // The options are temperature, top_k, top_p and min_p, the last three null where they do not apply.
  function weigh(logits, { temperature = 0.8, top_k = null, top_p = null, min_p = null }) {
    const top = Math.max(...logits);
    if (temperature === 0 || top_k === 1) {
      const likeliest = logits.indexOf(top);
      return Array.from(logits, (_, token) => (token === likeliest ? WEIGHT : 0));
    }
    const scale = fround(STEPS / Math.max(temperature, 1e-20));
    const weights = Array.from(
      logits,
      (logit) => WEIGHTS[rint(Math.min(fround(fround(top - logit) * scale), WEIGHTS.length - 1))],
    );
    if (top_k === null && top_p === null && min_p === null) return weights;
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const most = weights[order[0]];
    let before = 0;
    order.forEach((token, rank) => {
      const weight = weights[token];
      const excluded =
        (top_k !== null && rank >= top_k) ||
        (top_p !== null && before >= top_p * total) ||
        (min_p !== null && weight < min_p * most);
      before += weight;
      if (excluded && rank) weights[token] = 0;
    });
    return weights;
  }

  // Returns the token that a number in [0, 1) draws.
  function draw(weights, unit) {
    const threshold = unit * weights.reduce((sum, weight) => sum + weight, 0);
    let sum = 0;
    return weights.findIndex((weight) => (sum += weight) > threshold);
  }

  // Returns the typed arrays of { name: [type, base64] }, little-endian as every browser's machine is.
  function decodeArrays(encoded) {
    const types = { int8: Int8Array, int16: Int16Array, float32: Float32Array };
    return Object.fromEntries(
      Object.entries(encoded).map(([name, [type, data]]) => {
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        return [name, new types[type](bytes.buffer)];
      }),
    );
  }

  return { Model, philox, uniform, weigh, draw, decodeArrays, TANH, WEIGHTS, ONE };
})();

if (typeof module !== "undefined") module.exports = Portable;
