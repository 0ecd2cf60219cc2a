"use strict";

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SHOWN = 120; // seconds
const MOST = 20000; // characters of an answer that are shown
let served = [];
let files = {}; // images that were dropped, by input
let known = ""; // the models as they are shown

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function say(place, text) {
  if (at(place).textContent !== text) at(place).textContent = text; // else it is read aloud again
}

function headers(more = {}) {
  const token = at("token").value;
  return token ? { ...more, authorization: `Bearer ${token}` } : more;
}

// -- the models ------------------------------------------------------------------------------

function shown(tensor) {
  const sizes = tensor.shape === null ? "..." : tensor.shape.map((s) => s ?? "?").join(", ");
  return `${tensor.name}: ${tensor.dtype}(${sizes})`;
}

const written = (s) =>
  s.generates ? "generates text" : `${s.name}(${s.inputs.map(shown).join(", ")}) -> (${s.outputs.map(shown).join(", ")})`;

function showModels(models) {
  at("models").replaceChildren(
    ...models.flatMap((model) =>
      model.versions.map((version) => {
        const lines = version.signatures.map((s) => element("code", {}, written(s)));
        if (version.error) lines.push(element("span", { class: "bad" }, version.error));
        const labels = version.labels.length ? ` (${version.labels.join(", ")})` : "";
        return element(
          "tr",
          {},
          element("th", { scope: "row" }, model.name),
          element("td", {}, `${version.number}${labels}`),
          element("td", {}, version.error ? "failed" : version.state.toLowerCase()),
          element("td", {}, ...lines),
        );
      }),
    ),
  );
}

function offerSignatures(models) {
  const found = models.flatMap((model) =>
    model.versions
      .filter((version) => version.state === "AVAILABLE")
      .flatMap((version) =>
        version.signatures.map((signature) => ({ model: model.name, version: version.number, ...signature })),
      ),
  );
  const key = (x) => JSON.stringify([x.model, x.version, x.name, x.inputs]);
  const before = served[at("signature").value];
  served = found;
  at("signature").replaceChildren(
    ...found.map((s, i) => element("option", { value: i }, `${s.model} ${s.version}: ${s.name}`)),
  );
  const same = before ? found.findIndex((s) => key(s) === key(before)) : -1;
  if (same >= 0) at("signature").value = same;
  else showInputs();
}

// -- the form --------------------------------------------------------------------------------

const sizeOf = (size) => (typeof size === "number" ? size : 1);

function filled(shape, value) {
  if (!shape.length) return value;
  return Array.from({ length: Math.min(sizeOf(shape[0]), 4096) }, () => filled(shape.slice(1), value));
}

function example(tensor) {
  const shape = tensor.shape ?? [1];
  if (tensor.text) return JSON.stringify(tensor.made ? [""] : filled(shape, ""));
  const count = shape.reduce((n, s) => n * sizeOf(s), 1);
  return count > 4096 ? "" : JSON.stringify(filled(shape, tensor.dtype === "bool" ? false : 0));
}

// In which order an input has the channels, height and width of an image; null where it is none.
function layoutOf({ shape }) {
  if (shape === null || shape.length < 3) return null;
  if ([1, 3].includes(shape.at(-3))) return "CHW";
  if ([1, 3].includes(shape.at(-1))) return "HWC";
  return shape.length === 3 && shape.at(-1) > 7 && shape.at(-2) > 7 ? "HW" : null;
}

const chosen = () => served[at("signature").value];

const asked = (signature) => signature.inputs.filter((tensor) => !tensor.follows);

function showInputs() {
  files = {};
  const signature = chosen();
  if (!signature) at("inputs").replaceChildren();
  else if (signature.generates) at("inputs").replaceChildren(...promptFields());
  else at("inputs").replaceChildren(...asked(signature).map(field));
}

function promptFields() {
  const prompt = element("textarea", { id: "prompt", spellcheck: "false" });
  const most = element("input", { id: "most", type: "number", min: 1, value: 64 });
  const warmth = element("input", { id: "temperature", type: "number", min: 0, step: "any", value: 1 });
  return [
    element("label", { for: "prompt" }, "Prompt"),
    prompt,
    element("div", { class: "choices" }, element("label", {}, "Tokens, at most ", most), element("label", {}, "Temperature ", warmth)),
  ];
}

function field(tensor) {
  const name = `input-${tensor.name}`;
  const text = element("textarea", { id: name, spellcheck: "false" });
  text.value = example(tensor);
  const made = element("fieldset", {}, element("legend", {}, shown(tensor)));
  made.append(element("label", { for: name }, tensor.text ? "Texts, as JSON" : "Numbers, as JSON"), text);
  if (!tensor.image && !(layoutOf(tensor) && !tensor.text)) return made;
  const picked = element("input", { type: "file", accept: "image/*", id: `${name}-file` });
  const label = element("label", { for: `${name}-file` }, "or an image: drop it here, or ");
  label.append(picked);
  made.append(label);
  picked.addEventListener("change", () => picked.files[0] && takeImage(made, tensor, picked.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    made.addEventListener(kind, (event) => {
      event.preventDefault();
      made.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files[0]) takeImage(made, tensor, event.dataTransfer.files[0]);
    });
  }
  text.addEventListener("input", () => delete files[tensor.name]);
  return made;
}

async function takeImage(place, tensor, file) {
  const image = element("img", { class: "given", alt: `the image ${file.name}`, src: URL.createObjectURL(file) });
  place.querySelector("img")?.remove();
  delete files[tensor.name];
  place.append(image);
  try {
    await image.decode();
  } catch {
    image.remove();
    return complain(`${file.name} is no image that can be read`);
  }
  if (tensor.image) {
    files[tensor.name] = file;
    at(`input-${tensor.name}`).value = "";
  } else {
    at(`input-${tensor.name}`).value = JSON.stringify(pixels(image, tensor, layoutOf(tensor)));
  }
}

// The pixels of an image as an input of `layout` has them: floats from 0 to 1, integers to 255.
function pixels(image, tensor, layout) {
  const shape = tensor.shape;
  const [height, width] = layout === "HWC" ? shape.slice(-3, -1) : shape.slice(-2);
  const channels = layout === "HW" ? 1 : shape.at(layout === "CHW" ? -3 : -1);
  const rows = typeof height === "number" ? height : image.naturalHeight;
  const columns = typeof width === "number" ? width : image.naturalWidth;
  const canvas = element("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, columns, rows);
  const data = context.getImageData(0, 0, columns, rows).data;
  const whole = tensor.dtype.includes("int");
  const at = (y, x, c) => {
    const i = 4 * (y * columns + x);
    const value = channels === 1 ? 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2] : data[i + c];
    return whole ? Math.round(value) : Math.round((value / 255) * 1e4) / 1e4;
  };
  const list = (n, f) => Array.from({ length: n }, (_, i) => f(i));
  const found = {
    CHW: () => list(channels, (c) => list(rows, (y) => list(columns, (x) => at(y, x, c)))),
    HWC: () => list(rows, (y) => list(columns, (x) => list(channels, (c) => at(y, x, c)))),
    HW: () => list(rows, (y) => list(columns, (x) => at(y, x, 0))),
  }[layout]();
  return shape.length === layout.length ? found : [found];
}

function complain(message) {
  at("answer").replaceChildren(element("p", { class: "bad" }, message));
}

function shapeOf(value) {
  const shape = [];
  for (; Array.isArray(value); value = value[0]) shape.push(value.length);
  return shape;
}

// What was typed for an input, as it was typed: JavaScript would round large integers.
function typed(tensor) {
  const text = at(`input-${tensor.name}`).value.trim();
  if (!text) throw new Error(`${tensor.name}: nothing is given; type ${tensor.text ? "texts" : "numbers"} as JSON`);
  const plain = tensor.text ? text : text.replace(/-?\b(NaN|Infinity)\b/g, "0");
  try {
    return { text, value: JSON.parse(plain) };
  } catch (error) {
    throw new Error(`${tensor.name}: ${error.message}`);
  }
}

function described(tensor) {
  const { text, value } = typed(tensor);
  const datatype = tensor.text ? "BYTES" : tensor.datatype;
  if (datatype === null) throw new Error(`${tensor.name}: this protocol has no ${tensor.dtype}`);
  const said = JSON.stringify({ name: tensor.name, shape: shapeOf(value), datatype });
  return `${said.slice(0, -1)},"data":${text}}`;
}

const packed = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

function post(path, body, kind = "application/json") {
  return fetch(path, { method: "POST", headers: headers({ "content-type": kind }), body });
}

async function ask(signature) {
  const model = encodeURIComponent(signature.model);
  const inputs = asked(signature);
  const [file] = Object.values(files);
  if (!file) {
    const parameters = JSON.stringify({ signature_name: signature.name });
    const body = `{"inputs":[${inputs.map(described).join(",")}],"parameters":${parameters}}`;
    return post(`/v2/models/${model}/versions/${signature.version}/infer`, body);
  }
  const name = encodeURIComponent(signature.name);
  const path = `/predictions/${model}/${signature.version}?signature_name=${name}`;
  if (inputs.length === 1) return post(path, file, file.type || "application/octet-stream");
  const given = inputs.map(async (tensor) => {
    const image = files[tensor.name];
    const value = image ? JSON.stringify({ b64: await packed(image) }) : typed(tensor).text;
    return `${JSON.stringify(tensor.name)}:${value}`;
  });
  return post(path, `{${(await Promise.all(given)).join(",")}}`);
}

// The text of a language model, piece by piece.
async function generate(signature) {
  const fields = { max_tokens: at("most").valueAsNumber, temperature: at("temperature").valueAsNumber };
  const model = encodeURIComponent(signature.model);
  const path = `/v2/models/${model}/versions/${signature.version}/generate_stream`;
  const response = await post(path, JSON.stringify({ text_input: at("prompt").value, ...fields }));
  if (!response.ok) throw new Error(parsed(await response.text()).error);
  const place = element("pre", {}, at("prompt").value);
  at("answer").replaceChildren(place);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const piece = JSON.parse(event.replace(/^data: /, ""));
      if (piece.error) throw new Error(piece.error);
      place.append(piece.text_output);
    }
  }
}

async function run(event) {
  event.preventDefault();
  const signature = chosen();
  if (!signature) return complain("No model takes requests.");
  const start = performance.now();
  try {
    if (signature.generates) await generate(signature);
    else await show(await ask(signature));
  } catch (error) {
    complain(error.message);
  }
  at("took").textContent = `${(performance.now() - start).toFixed(1)} ms`;
}

async function show(response) {
  const text = await response.text();
  const json = response.headers.get("content-type")?.startsWith("application/json");
  const answer = json ? parsed(text) : text;
  if (!response.ok) return complain(answer?.error ?? answer?.message ?? text);
  showAnswer(answer);
}

// JSON with what JavaScript's lacks or would round, NaN and large integers, as marked strings.
function parsed(text) {
  const token = /"(?:[^"\\]|\\.)*"|-?(?:\d[\d.eE+-]*|Infinity)|NaN/g;
  const isPlain = (x) => x[0] === '"' || /[.eE]/.test(x) || Number.isSafeInteger(Number(x));
  return JSON.parse(text.replace(token, (x) => (isPlain(x) ? x : `"\\u0000${x}"`)));
}

function unparsed(value) {
  if (typeof value === "string") return value;
  const text = JSON.stringify(value).replace(/"\\u0000([^"]*)"/g, "$1");
  return text.length > MOST ? `${text.slice(0, MOST)} … and ${text.length - MOST} characters more` : text;
}

function showAnswer(answer) {
  const isShares = answer && typeof answer === "object" && !Array.isArray(answer) && !answer.outputs;
  if (isShares && Object.values(answer).every((x) => typeof x === "number")) {
    const items = Object.entries(answer).map(([name, share]) =>
      element(
        "li",
        {},
        element("span", {}, name),
        element("meter", { min: 0, max: 1, value: share, "aria-label": name }),
        `${(100 * share).toFixed(1)} %`,
      ),
    );
    at("answer").replaceChildren(element("ul", { class: "shares" }, ...items));
    return;
  }
  const parts = (answer?.outputs ?? [{ data: answer }]).flatMap((output) => [
    element("p", {}, output.name ? `${output.name}: ${output.datatype}[${output.shape.join(", ")}]` : ""),
    element("pre", {}, unparsed(output.data)),
  ]);
  at("answer").replaceChildren(...parts);
}

// -- the plots -------------------------------------------------------------------------------

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function axis(most, unit) {
  const label = shape("text", { x: 4, y: 12 });
  label.textContent = `${most >= 10 ? Math.round(most) : Number(most.toPrecision(2))} ${unit}`;
  return [shape("line", { class: "grid", x1: 0, x2: 480, y1: 16, y2: 16 }), label];
}

function plot(seconds, now) {
  const place = (time) => 480 - (now - time) * (480 / SHOWN);
  const most = Math.max(1, ...seconds.map((s) => s.requests));
  const bars = seconds.flatMap((s) =>
    [["bar", s.requests], ["failed", s.failed]].map(([kind, count]) => {
      const height = (count / most) * 104;
      return shape("rect", { class: kind, x: place(s.time) - 4, y: 120 - height, width: 3, height });
    }),
  );
  at("rates").replaceChildren(...axis(most, "requests/s"), ...bars);
  const slowest = Math.max(0.1, ...seconds.map((s) => s.p99 ?? 0));
  const lines = ["p50", "p99"].map((kind) => {
    const points = seconds.filter((s) => s[kind] !== null);
    const drawn = points.map((s) => `${place(s.time) - 2},${120 - (s[kind] / slowest) * 104}`);
    return shape("polyline", { class: kind, points: drawn.join(" ") });
  });
  at("latencies").replaceChildren(...axis(slowest, "ms"), ...lines);
  const last = seconds.at(-1);
  const total = seconds.reduce((n, s) => n + s.requests, 0);
  at("rates-caption").textContent = `Requests in each second: ${total} in two minutes, at most ${most}`;
  at("latencies-caption").textContent =
    `Milliseconds to the answer: median (solid) ${last?.p50 ?? "-"}, 99th percentile (dashed) ${last?.p99 ?? "-"}`;
}

// -- from the server ---------------------------------------------------------------------------

const counted = (n) => `${n} model${n === 1 ? "" : "s"}`;

function stateOf(status) {
  const missing = status.models.filter((m) => !m.versions.some((v) => v.state === "AVAILABLE"));
  if (status.ready) return `Ready: ${counted(status.models.length)}`;
  const names = missing.slice(0, 3).map((m) => m.name);
  return missing.length ? `Not ready: ${names.join(", ")}${missing.length > 3 ? " and others" : ""}` : "Not ready";
}

async function refresh() {
  try {
    const response = await fetch("/page/status.json", { headers: headers() });
    const status = await response.json();
    if (response.status === 401) return say("state", "The server asks for a token: type it below, and press Enter.");
    if (!response.ok) throw new Error(status.error);
    say("state", stateOf(status));
    at("memory").textContent = `${(status.memory / 2 ** 20).toFixed(0)} MiB of memory`;
    const models = JSON.stringify(status.models);
    if (models !== known) {
      known = models;
      showModels(status.models);
      offerSignatures(status.models);
    }
    plot(status.recent, status.now);
  } catch (error) {
    say("state", `The server does not answer: ${error.message}`);
  }
}

// An image that is dropped beside a field must not take the place of the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

at("run").addEventListener("submit", run);
at("signature").addEventListener("change", showInputs);
at("token").addEventListener("change", refresh);
at("token").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // it would run the model
  refresh();
});
refresh();
setInterval(refresh, 1000);
