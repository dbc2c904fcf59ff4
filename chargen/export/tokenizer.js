// Text to tokens and back, as chargen/tokenizers does it in Python.
//
// A tokenizer turns a text into tokens; each token stands for fixed bytes of UTF-8. The kinds differ in
// how they cut a text up: characters, bytes, and SentencePiece's two kinds of pieces.
"use strict";

const Tokenizers = (() => {
  const fround = Math.fround;
  const utf8 = new TextEncoder();
  const SPACE = "\u2581"; // how SentencePiece writes a space
  const ESCAPE = "\ufdd0"; // a code point that Unicode promises never to give to a character
  const LINE_CHARACTERS = 2000; // longer lines are cut
  const UNKNOWN_PENALTY = 10; // of a character that no piece covers

  // Substitutes ------------------------------------------------------------------------------------

  const TYPOGRAPHY = (() => {
    const table = { "\t": " ", "\n": " ", '"': "'", ß: "ss", ẞ: "ss" };
    const groups = { '"': "“”„‟«»″", "'": "‘’‚‛′‹›`´", "-": "‐‑‒–—―−" };
    for (const [plain, typed] of Object.entries(groups)) for (const c of typed) table[c] = plain;
    const plain = "ae AE oe OE o O l L d D i * . x ...".split(" ");
    Array.from("æÆœŒøØłŁđĐı•·×…").forEach((c, i) => (table[c] = plain[i]));
    return table;
  })();
  const swapcase = (text) =>
    Array.from(text, (c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())).join("");

  // Returns texts that can replace a character, the nearest first; some may be empty.
  function substitutes(character) {
    const decomposed = character.normalize("NFKD");
    const plain = decomposed.replace(/\p{Mn}/gu, "");
    const typed = TYPOGRAPHY[character] || "";
    return [
      character.normalize("NFD"),
      decomposed,
      plain,
      typed,
      TYPOGRAPHY[typed] || "",
      swapcase(character),
      swapcase(plain),
    ];
  }

  // The kinds --------------------------------------------------------------------------------------

  class Tokenizer {
    // `pieces` are the bytes of each token, without the end symbol of documents.
    constructor(pieces, documents) {
      this.pieces = documents ? [...pieces, new Uint8Array()] : pieces;
      this.endToken = documents ? pieces.length : null;
      this.transitions = utf8Transitions(this.pieces);
      this.partial = this.transitions[0].some((state) => state !== 0);
    }

    // Returns a text that can be encoded, and what was replaced: [[character, substitute or ""]].
    adapt(text) {
      return [text, []];
    }

    // Returns what the model reads before it continues a text.
    tokensToRead(text) {
      const tokens = this.encode(text);
      if (this.endToken !== null) return [this.endToken, ...tokens];
      return tokens.length ? tokens : this.startTokens();
    }

    // Returns what stands before a text: the end of another document, or a new line.
    startTokens() {
      if (this.endToken !== null) return [this.endToken];
      const newline = this.encode(this.adapt("\n")[0]);
      return newline.length ? newline : [0];
    }

    // Returns the text of one token, or null where it is not whole characters.
    name(token) {
      try {
        const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
        return this.unescape(decoder.decode(this.pieces[token]));
      } catch {
        return null;
      }
    }

    // Returns a decoder of tokens that come one by one, which never gives half a character.
    detokenizer() {
      return new Detokenizer(this.pieces);
    }

    unescape(text) {
      return text;
    }
  }

  // One token for each character of the corpus, in the order of code points.
  class CharTokenizer extends Tokenizer {
    constructor({ characters, documents }) {
      const all = Array.from(characters);
      super(all.map((character) => utf8.encode(character)), documents);
      this.tokens = new Map(all.map((character, token) => [character, token]));
    }

    encode(text) {
      return Array.from(text, (character) => this.tokens.get(character));
    }

    adapt(text) {
      const knows = (part) => part && Array.from(part).every((c) => this.tokens.has(c));
      if (!text || knows(text)) return [text, []];
      const changes = new Map();
      const adapted = Array.from(text.normalize("NFC"), (character) => {
        const substitute = [character, ...substitutes(character)].find(knows) || "";
        if (substitute !== character) changes.set(character, substitute);
        return substitute;
      });
      return [adapted.join(""), [...changes]];
    }
  }

  // One token for each byte.
  class ByteTokenizer extends Tokenizer {
    constructor({ documents }) {
      super(Array.from({ length: 256 }, (_, value) => Uint8Array.of(value)), documents);
    }

    encode(text) {
      return Array.from(utf8.encode(text));
    }
  }

  // Pieces that SentencePiece has learned, with the 256 bytes for all that they do not cover.
  //
  // `pieces` are SentencePiece's own, without its unknown one; `kinds` has a letter for each: n for a
  // normal piece, b for a byte, u for a symbol of the user's, which is never cut or joined.
  class PieceTokenizer extends Tokenizer {
    constructor({ kind, pieces, scores, kinds, documents }) {
      super(
        pieces.map((piece, token) =>
          kinds[token] === "b"
            ? Uint8Array.of(parseInt(piece.slice(3, 5), 16))
            : utf8.encode(piece.replaceAll(SPACE, " ")),
        ),
        documents,
      );
      this.kind = kind;
      this.scores = scores;
      this.kinds = kinds;
      this.firstByte = kinds.indexOf("b");
      this.tokens = new Map(pieces.map((piece, token) => [piece, token]));
      for (let token = 0; token < kinds.length; token++)
        if (kinds[token] === "b") this.tokens.delete(pieces[token]);
      this.longest = Math.max(...[...this.tokens.keys()].map((piece) => Array.from(piece).length));
      const normal = scores.filter((_, token) => kinds[token] === "n");
      this.highest = Math.max(...normal);
      this.unknown = fround(Math.min(...normal) - UNKNOWN_PENALTY);
    }

    encode(text) {
      const escaped = text.replaceAll(ESCAPE, `${ESCAPE}b`).replaceAll(SPACE, `${ESCAPE}a`);
      const tokens = [];
      for (const line of escaped.match(/[^\n]*\n|[^\n]+/g) || []) {
        const characters = Array.from(line.replaceAll(" ", SPACE));
        for (let start = 0; start < characters.length; start += LINE_CHARACTERS)
          tokens.push(...this.encodeLine(characters.slice(start, start + LINE_CHARACTERS)));
      }
      return tokens;
    }

    encodeLine(characters) {
      const cut = this.kind === "bpe" ? this.merge(characters) : this.likeliest(characters);
      return cut.flatMap((piece) => {
        const token = this.tokens.get(piece);
        if (token !== undefined) return [token];
        return Array.from(utf8.encode(piece), (byte) => this.firstByte + byte);
      });
    }

    // Joins the neighbours with the best score, the leftmost of equal ones, until no two can be joined.
    merge(characters) {
      const pieces = characters.slice();
      const user = (piece) => this.kinds[this.tokens.get(piece)] === "u";
      const score = (left) => {
        if (left < 0 || left + 1 >= pieces.length) return -Infinity;
        if (user(pieces[left]) || user(pieces[left + 1])) return -Infinity;
        const token = this.tokens.get(pieces[left] + pieces[left + 1]);
        return token === undefined ? -Infinity : this.scores[token];
      };
      const scores = pieces.map((_, left) => score(left));
      for (;;) {
        let best = -1;
        let top = -Infinity;
        for (let left = 0; left < scores.length; left++)
          if (scores[left] > top) [best, top] = [left, scores[left]];
        if (best < 0) return pieces;
        pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
        scores.splice(best, 1);
        scores[best] = score(best);
        if (best) scores[best - 1] = score(best - 1);
      }
    }

    // Finds the pieces whose scores have the largest sum (Viterbi 1967), in single precision.
    likeliest(characters) {
      const best = new Array(characters.length + 1).fill(null);
      best[0] = { score: 0, start: 0 };
      const offer = (end, score, start) => {
        if (best[end] === null || score > best[end].score) best[end] = { score, start };
      };
      for (let start = 0; start < characters.length; start++) {
        const before = best[start].score;
        let piece = "";
        let alone = false;
        const last = Math.min(characters.length, start + this.longest);
        for (let end = start + 1; end <= last; end++) {
          piece += characters[end - 1];
          const token = this.tokens.get(piece);
          if (token === undefined) continue;
          const user = this.kinds[token] === "u";
          const bytes = this.pieces[token].length;
          const score = user ? bytes * this.highest - 0.1 : this.scores[token];
          offer(end, fround(fround(score) + before), start);
          alone = alone || end === start + 1;
        }
        if (!alone) offer(start + 1, fround(this.unknown + before), start);
      }
      const pieces = [];
      for (let end = characters.length; end > 0; end = best[end].start)
        pieces.unshift(characters.slice(best[end].start, end).join(""));
      return pieces;
    }

    detokenizer() {
      return new UnescapingDetokenizer(this.pieces);
    }

    unescape(text) {
      return text.replaceAll(`${ESCAPE}a`, SPACE).replaceAll(`${ESCAPE}b`, ESCAPE);
    }
  }

  // Tokens that come one by one --------------------------------------------------------------------

  class Detokenizer {
    constructor(pieces) {
      this.pieces = pieces;
      this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    }

    // Returns the text that one more token completes, perhaps none.
    push(token) {
      return this.decoder.decode(this.pieces[token], { stream: true });
    }

    // Returns the rest after the last token: U+FFFD if a character was cut short.
    finish() {
      return this.decoder.decode();
    }
  }

  // Undoes the escapes, where an escape and what it escapes may be two tokens.
  class UnescapingDetokenizer extends Detokenizer {
    withheld = "";

    push(token) {
      const text = this.withheld + super.push(token);
      this.withheld = text.endsWith(ESCAPE) ? ESCAPE : "";
      const whole = text.slice(0, text.length - this.withheld.length);
      return whole.replaceAll(`${ESCAPE}a`, SPACE).replaceAll(`${ESCAPE}b`, ESCAPE);
    }

    finish() {
      return this.withheld + super.finish();
    }
  }

  // Valid UTF-8 ------------------------------------------------------------------------------------

  // Returns the state after each piece from each of eight states, -1 where it is not UTF-8.
  //
  // In state 0, a character may begin; in 1, 2 and 3, that many bytes are missing. The states 4 to 7
  // follow E0, ED, F0 and F4, which restrict the second byte (The Unicode Standard, table 3-7).
  function utf8Transitions(pieces) {
    const step = Array.from({ length: 8 }, () => new Int8Array(256).fill(-1));
    step[0].fill(0, 0, 0x80).fill(1, 0xc2, 0xe0).fill(2, 0xe0, 0xf0).fill(3, 0xf0, 0xf5);
    [0xe0, 0xed, 0xf0, 0xf4].forEach((byte, i) => (step[0][byte] = 4 + i));
    step[1].fill(0, 0x80, 0xc0);
    step[2].fill(1, 0x80, 0xc0);
    step[3].fill(2, 0x80, 0xc0);
    step[4].fill(1, 0xa0, 0xc0);
    step[5].fill(1, 0x80, 0xa0);
    step[6].fill(2, 0x90, 0xc0);
    step[7].fill(2, 0x80, 0x90);
    const run = (state, piece) => {
      if (!piece.length) return state === 0 ? 0 : -1; // a document ends between characters
      for (const byte of piece) if (state >= 0) state = step[state][byte];
      return state;
    };
    return step.map((_, state) => Int8Array.from(pieces, (piece) => run(state, piece)));
  }

  function build(vocabulary) {
    if (vocabulary.kind === "char") return new CharTokenizer(vocabulary);
    if (vocabulary.kind === "byte") return new ByteTokenizer(vocabulary);
    return new PieceTokenizer(vocabulary);
  }

  return { build };
})();

if (typeof module !== "undefined") module.exports = Tokenizers;
