// Answers the page's requests with a model, in slices that leave room for the next request.
//
// It runs in a worker, or in the page itself where the browser refuses workers. A request is
// { id, kind, … }; an answer has the same id. Of "write" there are several answers, `done` in the last.
"use strict";

// Returns a function that takes requests, and gives answers to `answer`.
function serve(answer) {
  const SLICE = 25; // milliseconds, after which another request may come in
  const KEPT_STEPS = 600; // of the microscope
  let writer = null;
  let writing = null; // id of the request that is being answered
  let traced = { text: null, steps: [], source: null };

  const later = (() => {
    const { port1, port2 } = new MessageChannel(); // sooner than setTimeout, which waits 4 ms
    const calls = [];
    port1.onmessage = () => calls.shift()();
    return (call) => {
      calls.push(call);
      port2.postMessage(null);
    };
  })();

  function write({ id, text, ...options }) {
    writing = id;
    const began = performance.now();
    const stream = writer.stream(writer.read(text), options);
    let count = 0;
    const slice = () => {
      if (writing !== id) return answer({ id, text: "", done: true, stopped: true, count });
      const until = performance.now() + SLICE;
      let [piece, end] = ["", null];
      while (performance.now() < until && !end) {
        const next = stream.next();
        if (next.done) end = next;
        else piece += next.value;
      }
      count += Array.from(piece).length;
      const seconds = (performance.now() - began) / 1000;
      if (end) writing = null;
      answer({ id, text: piece, done: Boolean(end), ended: Boolean(end && end.value), count, seconds });
      if (!end) later(slice);
    };
    slice();
  }

  // Returns a step of the microscope, and how many there are; steps are computed when they are asked
  // for, and kept.
  function microscope({ text, step, layer }) {
    if (traced.text !== text)
      traced = { text, steps: [], source: writer.trace(text), tokens: writer.tokenizer.tokensToRead(text) };
    const count = Math.min(traced.tokens.length, KEPT_STEPS);
    const index = Math.min(step, count - 1);
    while (traced.steps.length <= index) traced.steps.push(traced.source.next().value);
    const { layers, ...rest } = traced.steps[index];
    const names = traced.tokens.slice(0, count).map((token) => writer.describe(token));
    return { ...rest, ...layers[layer], names, index, count };
  }

  const handlers = {
    load: ({ data }) => {
      writer = new Writers.Writer(data);
      return {};
    },
    adapt: ({ text }) => {
      const [adapted, changes] = writer.adapt(text);
      return { text: adapted, changes };
    },
    stop: () => {
      writing = null;
      return {};
    },
    expect: ({ text, count, ...sampler }) => ({
      expected: writer.expected(writer.read(text), sampler, count),
    }),
    surprise: ({ text }) => {
      const [adapted, changes] = writer.adapt(text);
      return { pieces: writer.surprise(adapted), changes };
    },
    microscope,
  };

  return (request) => {
    try {
      if (request.kind === "write") write(request);
      else answer({ id: request.id, ...handlers[request.kind](request) });
    } catch (error) {
      writing = null;
      answer({ id: request.id, done: true, error: String((error && error.message) || error) });
    }
  };
}
