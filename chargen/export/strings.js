// What the page says, in English and in Spanish.
"use strict";

const STRINGS = {
  en: {
    lede: "A small recurrent network that writes one character after another, here, in your browser. The whole model is in this file: nothing is loaded, and nothing that you type leaves the page.",
    write: "Write",
    prompt: "The beginning of the text; it may be empty",
    stop: "Stop",
    continue: "Continue",
    text: "The text",
    next: "What comes next",
    afterText: "After {text}. Choose one to go on with it.",
    afterNothing: "At the beginning of a text. Choose one to begin with it.",
    temperature: "Temperature",
    length: "Characters",
    topK: "Top-k",
    all: "all",
    seed: "Seed",
    newSeed: "a new seed for each text",
    terminal: "The same text in a terminal",
    writing: "Writing …",
    written: "{count} characters with the seed {seed}, {rate} a second.",
    ended: "{count} characters with the seed {seed}; here the text ends.",
    stopped: "Stopped after {count} characters, seed {seed}.",
    badSeed: "A seed is a whole number, 0 or more.",
    badTopK: "Top-k is a whole number, 1 or more, or empty for all characters.",
    failed: "It did not work: {error}",
    unknown: "The model does not know {list}.",
    readAs: "{character} (read as {substitute})",
    leftOut: "{character} (left out)",
    surprise: "Surprise",
    surpriseHelp: "Type anything. The less the model expected a character, the more it is coloured; the numbers are for the character under the pointer, or before the cursor.",
    judged: "A text to be judged",
    spot: "{text}: {bits} bits, a chance of {chance}. Expected: {expected}.",
    spotHint: "Point at a character, or move the cursor.",
    bits: "{bits} bits per character",
    microscope: "One step under the microscope",
    microscopeHelp: "At each character, gates decide what the memory of the network forgets, takes up and shows. Each tile is one number of one unit, as it is computed at this step.",
    specimen: "A text to read",
    back: "Back",
    play: "Play",
    pause: "Pause",
    step: "Step",
    layer: "Layer",
    position: "Position in the text",
    unit: "Unit",
    unitNumbers: "unit {unit}: {numbers}",
    minus: "negative",
    zero: "0",
    plus: "positive",
    gate: "an open gate",
    then: "What comes next, after this step",
    hBefore: "H before",
    hAfter: "H after",
    cBefore: "C before",
    cAfter: "C after",
    i: "input gate",
    f: "forget gate",
    g: "candidate",
    o: "output gate",
    r: "reset gate",
    z: "update gate",
    n: "candidate",
    card: "About this model",
    corpus: "It has read",
    corpusSize: "{name}, {size}",
    quality: "How well",
    qualityBits: "{bits} bits per character on text that it has not read",
    shape: "Shape",
    shapeLine: "{cell} of {layers} × {hidden}, {parameters} numbers, {tokens}",
    lstm: "an LSTM",
    gru: "a GRU",
    rnn: "a simple recurrent network",
    char: "{count} characters",
    byte: "bytes",
    bpe: "{count} pieces",
    unigram: "{count} pieces",
    command: "Such a model is made by",
    made: "This page was made by",
    offline: "Numbers of the model are rounded to eight bits. With the same seed, chargen writes the same text on every machine.",
    newline: "newline",
    space: "space",
    tab: "tab",
    end: "the end",
    choose: "{text}, {chance}",
    partial: "a part of a character",
  },
  es: {
    lede: "Una pequeña red recurrente que escribe un carácter tras otro, aquí, en su navegador. El modelo entero está en este archivo: no se carga nada, y nada de lo que escriba sale de la página.",
    write: "Escribir",
    prompt: "El principio del texto; puede quedar vacío",
    stop: "Parar",
    continue: "Continuar",
    text: "El texto",
    next: "Lo que sigue",
    afterText: "Después de {text}. Elija uno para seguir con él.",
    afterNothing: "Al principio de un texto. Elija uno para empezar con él.",
    temperature: "Temperatura",
    length: "Caracteres",
    topK: "Top-k",
    all: "todos",
    seed: "Semilla",
    newSeed: "una semilla nueva para cada texto",
    terminal: "El mismo texto en un terminal",
    writing: "Escribiendo …",
    written: "{count} caracteres con la semilla {seed}, {rate} por segundo.",
    ended: "{count} caracteres con la semilla {seed}; aquí termina el texto.",
    stopped: "Parado después de {count} caracteres, semilla {seed}.",
    badSeed: "Una semilla es un número entero, 0 o más.",
    badTopK: "Top-k es un número entero, 1 o más, o queda vacío para todos los caracteres.",
    failed: "No ha funcionado: {error}",
    unknown: "El modelo no conoce {list}.",
    readAs: "{character} (leído como {substitute})",
    leftOut: "{character} (omitido)",
    surprise: "Sorpresa",
    surpriseHelp: "Escriba lo que quiera. Cuanto menos esperaba el modelo un carácter, más color tiene; los números son del carácter bajo el puntero, o delante del cursor.",
    judged: "Un texto para juzgar",
    spot: "{text}: {bits} bits, una probabilidad de {chance}. Esperaba: {expected}.",
    spotHint: "Señale un carácter, o mueva el cursor.",
    bits: "{bits} bits por carácter",
    microscope: "Un paso bajo el microscopio",
    microscopeHelp: "En cada carácter, unas puertas deciden lo que la memoria de la red olvida, recoge y muestra. Cada casilla es un número de una unidad, tal como se calcula en este paso.",
    specimen: "Un texto para leer",
    back: "Atrás",
    play: "Seguir",
    pause: "Pausa",
    step: "Un paso",
    layer: "Capa",
    position: "Posición en el texto",
    unit: "Unidad",
    unitNumbers: "unidad {unit}: {numbers}",
    minus: "negativo",
    zero: "0",
    plus: "positivo",
    gate: "una puerta abierta",
    then: "Lo que sigue, después de este paso",
    hBefore: "H antes",
    hAfter: "H después",
    cBefore: "C antes",
    cAfter: "C después",
    i: "puerta de entrada",
    f: "puerta de olvido",
    g: "candidato",
    o: "puerta de salida",
    r: "puerta de reinicio",
    z: "puerta de cambio",
    n: "candidato",
    card: "Acerca de este modelo",
    corpus: "Ha leído",
    corpusSize: "{name}, {size}",
    quality: "Qué tan bien",
    qualityBits: "{bits} bits por carácter en un texto que no ha leído",
    shape: "Forma",
    shapeLine: "{cell} de {layers} × {hidden}, {parameters} números, {tokens}",
    lstm: "una LSTM",
    gru: "una GRU",
    rnn: "una red recurrente simple",
    char: "{count} caracteres",
    byte: "bytes",
    bpe: "{count} piezas",
    unigram: "{count} piezas",
    command: "Un modelo así se hace con",
    made: "Esta página se hizo con",
    offline: "Los números del modelo están redondeados a ocho bits. Con la misma semilla, chargen escribe el mismo texto en cualquier máquina.",
    newline: "salto de línea",
    space: "espacio",
    tab: "tabulador",
    end: "el final",
    choose: "{text}, {chance}",
    partial: "una parte de un carácter",
  },
};

const LANGUAGE = (navigator.language || "en").toLowerCase().startsWith("es") ? "es" : "en";

// Returns a text of the page, with its values filled in.
function say(key, values = {}) {
  return STRINGS[LANGUAGE][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Returns a number as people write it in the language of the page.
function number(value, digits = 0) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(LANGUAGE, options);
}

function percent(share) {
  return `${number(100 * share, share < 0.0995 ? 1 : 0)}\u202f%`;
}

// Returns a piece of text as people can see it: white space by sign and name.
function visible(text) {
  const names = { "\n": "↵ newline", "\t": "⇥ tab", " ": "␣ space", "": "■ end" };
  if (text in names) {
    const [sign, key] = names[text].split(" ");
    return `${sign} ${say(key)}`;
  }
  const control = (c) => String.fromCodePoint(0x2400 + c.codePointAt(0));
  return text.replaceAll("\n", "↵").replace(/ /g, "␣").replace(/[\x00-\x1f]/g, control);
}

// Returns a short text in quotation marks.
const quoted = (text) => (LANGUAGE === "es" ? `«${text}»` : `“${text}”`);

// Returns a sentence about the characters that the model does not know, or "".
function unknownSentence(changes) {
  const list = changes.map(([character, substitute]) => {
    const values = { character: quoted(visible(character)), substitute: quoted(visible(substitute)) };
    return say(substitute ? "readAs" : "leftOut", values);
  });
  return list.length ? say("unknown", { list: list.join(", ") }) : "";
}
