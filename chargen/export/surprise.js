// A text that is coloured by surprise while it is typed.
//
// The colours are those of a copy of the text that lies under the field, letter under letter.
"use strict";

// Connects the section; `ask` sends a request to the model. Returns a function that sets the text.
function surpriseSection(ask) {
  const STRONG = 8; // bits of the full colour
  const PAUSE = 150; // milliseconds of rest before the numbers at the cursor are shown
  const field = document.getElementById("judged");
  const heat = document.getElementById("heat");
  const spot = document.getElementById("spot");
  const bits = document.getElementById("bits");
  let [pieces, ends, request, timer] = [[], [], 0, 0];

  async function judge() {
    const mine = ++request;
    const text = field.value;
    // Typed letters stand at once; their colours come with the answer.
    if (!heat.textContent.startsWith(text)) heat.textContent = `${text}\n`;
    const { pieces: judged, changes, error } = await ask({ kind: "surprise", text });
    if (mine !== request || error) return;
    pieces = judged;
    let end = 0;
    ends = pieces.map((piece) => (end += piece.text.length));
    const adapted = pieces.map((piece) => piece.text).join("");
    const note = unknownSentence(changes);
    if (adapted === text) {
      heat.replaceChildren(
        ...pieces.map((piece, index) => {
          const span = document.createElement("span");
          span.textContent = piece.text;
          span.dataset.index = index;
          span.style.setProperty("--heat", Math.min(1, piece.bits / STRONG).toFixed(3));
          return span;
        }),
        "\n", // or a newline at the end would have no height
      );
    } else heat.textContent = `${text}\n`;
    const total = pieces.reduce((sum, piece) => sum + piece.bits, 0);
    const count = Array.from(adapted).length;
    bits.textContent = count ? say("bits", { bits: number(total / count, 2) }) : "";
    if (note) bits.textContent += `. ${note}`;
    show(-1);
  }

  // Shows the numbers of a piece.
  function show(index) {
    heat.querySelector(".current")?.classList.remove("current");
    const piece = pieces[index];
    if (!piece) {
      spot.textContent = say("spotHint");
      return;
    }
    heat.querySelector(`[data-index="${index}"]`)?.classList.add("current");
    const expected = piece.expected
      .map(({ text, bytes, probability }) => {
        return `${text === null ? bytes : visible(text)} ${percent(probability)}`;
      })
      .join(", ");
    spot.textContent = say("spot", {
      text: quoted(visible(piece.text)),
      bits: number(piece.bits, 1),
      chance: percent(2 ** -piece.bits),
      expected,
    });
  }

  field.addEventListener("input", judge);
  field.addEventListener("pointermove", (event) => {
    const below = document.elementsFromPoint(event.clientX, event.clientY);
    const piece = below.find((element) => element.dataset.index !== undefined);
    if (piece) show(Number(piece.dataset.index));
  });
  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== field) return;
    clearTimeout(timer);
    const index = ends.findIndex((end) => end >= field.selectionStart);
    timer = setTimeout(() => show(field.selectionStart ? index : -1), PAUSE);
  });
  return (text) => {
    field.value = text;
    judge();
  };
}
