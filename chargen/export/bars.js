// What may come next, as bars; where a choice makes sense, each bar is a button.
"use strict";

// Shows tokens with their probabilities in a list; `choose` gets the text of one that is clicked.
function showBars(list, tokens, choose) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  const largest = Math.max(...tokens.map(({ probability }) => probability), 1e-9);
  list.replaceChildren(
    ...tokens.map(({ text, bytes, probability }) => {
      const shown = text === null ? bytes : visible(text);
      const row = document.createElement(choose && text ? "button" : "div");
      row.className = "bar";
      if (row.type) row.type = "button";
      const [name, track, share] = ["name", "track", "share"].map((part) => {
        const element = document.createElement("span");
        element.className = part;
        row.append(element);
        return element;
      });
      name.textContent = shown;
      share.textContent = percent(probability);
      const fill = document.createElement("span");
      fill.style.width = `${Math.max(0.5, (100 * probability) / largest)}%`;
      track.append(fill);
      if (text === null) row.title = say("partial");
      if (choose && text) row.addEventListener("click", () => choose(text));
      const item = document.createElement("li");
      item.append(row);
      return item;
    }),
  );
  // Whoever chooses by keyboard stays at the same place of the list.
  if (focused >= 0) {
    const buttons = list.querySelectorAll("button");
    if (buttons.length) buttons[Math.min(focused, buttons.length - 1)].focus();
  }
}
