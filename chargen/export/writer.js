// A model with its tokenizer, which reads a text, continues it, and says what it expected.
//
// What it writes is what chargen writes from the same text with weights of eight bits and the same
// seed. A prefix is a text that has been read: { text, state, logits }; nothing changes one.
"use strict";

const Writers = (() => {
  const { Model, uniform, weigh, draw, decodeArrays } =
    typeof Portable === "undefined" ? require("./portable.js") : Portable;
  const { build } = typeof Tokenizers === "undefined" ? require("./tokenizer.js") : Tokenizers;
  const PLAIN = { temperature: 1 }; // the probabilities of the model
  const ALTERNATIVES = 3; // likeliest tokens that are named beside a surprise

  const copy = (state) => state.map(({ h, c }) => ({ h: h.slice(), c: c.slice() }));

  // Turns tokens into text, up to a length in characters, a stop text or the end of a document.
  class StopMatcher {
    constructor(tokenizer, length, stop) {
      this.detokenizer = tokenizer.detokenizer();
      this.endToken = tokenizer.endToken;
      this.left = length;
      this.stop = Array.from(stop);
      this.withheld = []; // characters that may turn out to be the beginning of the stop text
      this.finished = length <= 0;
      this.ended = false; // by the end of a document
    }

    // Returns the text that one more token adds.
    push(token) {
      if (this.finished) return "";
      if (token === this.endToken) {
        this.finished = this.ended = true;
        return this.truncate([...this.withheld, ...this.detokenizer.finish()]);
      }
      let text = Array.from(this.detokenizer.push(token));
      const { stop } = this;
      if (!text.length || !stop.length) return this.truncate(text);
      text = [...this.withheld, ...text];
      const matches = (start, size) =>
        stop.slice(0, size).every((character, i) => text[start + i] === character);
      for (let start = 0; start + stop.length <= text.length; start++)
        if (matches(start, stop.length)) {
          this.withheld = [];
          this.finished = this.ended = true;
          return this.truncate(text.slice(0, start));
        }
      // subtle: withheld characters count as written; see chargen/generation/stop_strings.py.
      let overlap = text.length < this.left ? Math.min(text.length, stop.length - 1) : 0;
      while (overlap && !matches(text.length - overlap, overlap)) overlap--;
      this.withheld = text.slice(text.length - overlap);
      return this.truncate(text.slice(0, text.length - overlap));
    }

    truncate(characters) {
      const text = characters.slice(0, this.left);
      this.left -= text.length;
      this.finished = this.finished || this.left === 0;
      return text.join("");
    }
  }

  // Returns log2 of the sum of 2^x, and with it the probabilities of logits.
  function softmax(logits) {
    const top = logits.reduce((largest, logit) => Math.max(largest, logit), -Infinity);
    const shares = Float64Array.from(logits, (logit) => Math.exp(logit - top));
    const sum = shares.reduce((total, share) => total + share, 0);
    return shares.map((share) => share / sum);
  }

  class Writer {
    // `data` is what chargen/export/html.py has put into the page.
    constructor(data) {
      this.model = new Model(data.config, decodeArrays(data.arrays));
      this.tokenizer = build(data.tokenizer);
      this.separator = data.separator || "";
      this.last = null; // the prefix that was read last
    }

    adapt(text) {
      return this.tokenizer.adapt(text);
    }

    // Returns the prefix of a text; what was read last is not read again.
    read(text) {
      const { last, tokenizer, model } = this;
      if (last && last.text === text) return last;
      let [state, tokens] = [model.initialState(), null];
      let logits = null;
      // subtle: the pieces of a text are not those of its two parts, one after the other; and without a
      // text, a new line was read, which is no part of the next text.
      if (last && last.text && text.startsWith(last.text) && !tokenizer.kinds) {
        [state, logits] = [copy(last.state), last.logits];
        tokens = tokenizer.encode(text.slice(last.text.length));
      } else tokens = tokenizer.tokensToRead(text);
      for (const token of tokens) logits = model.step(token, state);
      this.last = { text, state, logits };
      return this.last;
    }

    // Yields the pieces of a new text that continues a prefix; some are empty.
    *stream(prefix, { length, seed, stop = this.separator, ...sampler }) {
      const { tokenizer, model } = this;
      const matcher = new StopMatcher(tokenizer, length, stop);
      const state = copy(prefix.state);
      let logits = prefix.logits.slice();
      let position = 0; // between two characters or within one; see the transitions of UTF-8
      const { transitions, partial } = tokenizer;
      let text = prefix.text;
      for (let step = 0; !matcher.finished; step++) {
        if (partial)
          transitions[position].forEach((after, token) => {
            if (after < 0) logits[token] = -Infinity;
          });
        const token = draw(weigh(logits, sampler), uniform(seed, 0, step));
        if (partial) position = transitions[position][token];
        const piece = matcher.push(token);
        text += piece;
        if (token !== tokenizer.endToken) logits = model.step(token, state);
        yield piece;
      }
      const whole = !tokenizer.kinds && position === 0 && !this.separator;
      if (whole && prefix.text && !matcher.ended) this.last = { text, state, logits };
      return matcher.ended;
    }

    // Returns the tokens that may come next, likeliest first: { token, text, probability }.
    expected(prefix, sampler, count) {
      const logits = this.maskAtStart(prefix.logits);
      const weights = weigh(logits, { ...PLAIN, ...sampler });
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return this.likeliest(
        weights.map((weight) => weight / sum),
        count,
      );
    }

    // Returns logits without the tokens that continue a character.
    maskAtStart(logits) {
      if (!this.tokenizer.partial) return logits;
      const starts = this.tokenizer.transitions[0];
      return logits.map((logit, token) => (starts[token] < 0 ? -Infinity : logit));
    }

    likeliest(probabilities, count) {
      const order = Array.from(probabilities.keys());
      order.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
      return order
        .slice(0, count)
        .filter((token) => probabilities[token] > 0)
        .map((token) => ({ ...this.describe(token), probability: probabilities[token] }));
    }

    // Returns { token, text, bytes }: text is null for a part of a character, "" for the end.
    describe(token) {
      const text = this.tokenizer.name(token);
      const hex = (byte) => byte.toString(16).toUpperCase().padStart(2, "0");
      const bytes = text === null ? Array.from(this.tokenizer.pieces[token], hex).join(" ") : "";
      return { token, text, bytes };
    }

    // Returns the surprise of each piece of a text: [{ text, bits, expected }].
    //
    // The first one is predicted from the start of a text. The bits of a character of several tokens
    // are added up; `expected` are the likeliest tokens instead, of its first token.
    surprise(text) {
      const { tokenizer, model } = this;
      const state = model.initialState();
      let logits = null;
      for (const token of tokenizer.startTokens()) logits = model.step(token, state);
      const [detokenizer, pieces] = [tokenizer.detokenizer(), []];
      let open = null;
      for (const token of tokenizer.encode(text)) {
        const probabilities = softmax(open ? logits : this.maskAtStart(logits));
        open = open || { text: "", bits: 0, expected: this.likeliest(probabilities, ALTERNATIVES) };
        open.bits -= Math.log2(probabilities[token]);
        open.text = detokenizer.push(token);
        if (open.text) {
          pieces.push(open);
          open = null;
        }
        logits = model.step(token, state);
      }
      return pieces;
    }

    // Yields what happens at each token of a text, for each layer: see Layer.advance in portable.js.
    *trace(text) {
      const state = this.model.initialState();
      for (const token of this.tokenizer.tokensToRead(text)) {
        const layers = [];
        const logits = this.model.step(token, state, layers);
        const expected = this.likeliest(softmax(this.maskAtStart(logits)), 8);
        yield { ...this.describe(token), layers, expected };
      }
    }
  }

  return { Writer };
})();

if (typeof module !== "undefined") module.exports = Writers;
