"use strict";

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SHOWN = 120; // seconds
let served = [];
let files = {}; // images that were dropped, by input

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
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

function showModels(models) {
  at("models").replaceChildren(
    ...models.flatMap((model) =>
      model.versions.map((version) => {
        const lines = version.signatures.map((s) =>
          element("code", {}, `${s.name}(${s.inputs.map(shown).join(", ")}) -> (${s.outputs.map(shown).join(", ")})`),
        );
        if (version.error) lines.push(element("span", { class: "bad" }, version.error));
        const labels = version.labels.length ? ` (${version.labels.join(", ")})` : "";
        return element(
          "tr",
          {},
          element("th", { scope: "row" }, model.name),
          element("td", {}, `${version.number}${labels}`),
          element("td", {}, version.state.toLowerCase()),
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
  if (found.map(key).join() === served.map(key).join()) return;
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

function zeros(shape) {
  if (!shape.length) return 0;
  return Array.from({ length: Math.min(sizeOf(shape[0]), 4096) }, () => zeros(shape.slice(1)));
}

function example(tensor) {
  if (tensor.text) return '[""]';
  const shape = tensor.shape ?? [1];
  const count = shape.reduce((n, s) => n * sizeOf(s), 1);
  return count > 4096 ? "" : JSON.stringify(zeros(shape));
}

const takesImages = (tensor) =>
  tensor.image || (tensor.shape !== null && tensor.shape.length >= 3 && [1, 3].includes(tensor.shape.at(-3)));

function showInputs() {
  files = {};
  const signature = served[at("signature").value];
  at("inputs").replaceChildren(...(signature ? signature.inputs.map(field) : []));
}

function field(tensor) {
  const name = `input-${tensor.name}`;
  const text = element("textarea", { id: name, spellcheck: "false" });
  text.value = example(tensor);
  const made = element("fieldset", {}, element("legend", {}, shown(tensor)));
  made.append(element("label", { for: name }, tensor.text ? "Texts, as JSON" : "Numbers, as JSON"), text);
  if (!takesImages(tensor)) return made;
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
  place.append(image);
  try {
    await image.decode();
  } catch {
    return complain(`${file.name} is no image that can be read`);
  }
  if (tensor.image) {
    files[tensor.name] = file;
    at(`input-${tensor.name}`).value = "";
  } else {
    at(`input-${tensor.name}`).value = JSON.stringify(pixels(image, tensor.shape));
  }
}

// An image as (1, channels, height, width), from 0 to 1.
function pixels(image, shape) {
  const [channels, height, width] = [shape.at(-3), shape.at(-2), shape.at(-1)];
  const rows = typeof height === "number" ? height : image.naturalHeight;
  const columns = typeof width === "number" ? width : image.naturalWidth;
  const canvas = element("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, columns, rows);
  const data = context.getImageData(0, 0, columns, rows).data;
  const value = (i, c) =>
    channels === 1 ? 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2] : data[i + c];
  const planes = Array.from({ length: channels }, (_, c) =>
    Array.from({ length: rows }, (_, y) =>
      Array.from({ length: columns }, (_, x) => Math.round((value(4 * (y * columns + x), c) / 255) * 1e4) / 1e4),
    ),
  );
  return shape.length === 3 ? planes : [planes];
}

function complain(message) {
  at("answer").replaceChildren(element("p", { class: "bad" }, message));
}

function shapeOf(value) {
  const shape = [];
  for (; Array.isArray(value); value = value[0]) shape.push(value.length);
  return shape;
}

function described(tensor) {
  const text = at(`input-${tensor.name}`).value;
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new Error(`${tensor.name}: ${error.message}`);
  }
  const datatype = tensor.text ? "BYTES" : tensor.datatype;
  return { name: tensor.name, shape: shapeOf(data), datatype, data };
}

async function ask(signature) {
  const [file] = Object.values(files);
  const model = encodeURIComponent(signature.model);
  if (file) {
    const path = `/predictions/${model}/${signature.version}?signature_name=${encodeURIComponent(signature.name)}`;
    return fetch(path, { method: "POST", headers: headers({ "content-type": file.type }), body: file });
  }
  const body = { inputs: signature.inputs.map(described), parameters: { signature_name: signature.name } };
  return fetch(`/v2/models/${model}/versions/${signature.version}/infer`, {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: JSON.stringify(body),
  });
}

async function run(event) {
  event.preventDefault();
  const signature = served[at("signature").value];
  if (!signature) return complain("No model takes requests.");
  const start = performance.now();
  try {
    const response = await ask(signature);
    const text = await response.text();
    at("took").textContent = `${(performance.now() - start).toFixed(1)} ms`;
    const json = response.headers.get("content-type")?.startsWith("application/json");
    const answer = json ? parsed(text) : text;
    if (!response.ok) return complain(answer?.error ?? answer?.message ?? text);
    showAnswer(answer);
  } catch (error) {
    complain(error.message);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // with NaN or Infinity, which JavaScript's JSON doesn't know
  }
}

function showAnswer(answer) {
  const isShares = answer && typeof answer === "object" && !Array.isArray(answer) && !answer.outputs;
  if (isShares && Object.values(answer).every((x) => typeof x === "number")) {
    const items = Object.entries(answer).map(([name, share]) =>
      element("li", {}, name, element("meter", { min: 0, max: 1, value: share }), `${(100 * share).toFixed(1)} %`),
    );
    at("answer").replaceChildren(element("ul", { class: "shares" }, ...items));
    return;
  }
  const parts = (answer?.outputs ?? [{ data: answer }]).flatMap((output) => [
    element("p", {}, output.name ? `${output.name}: ${output.datatype}[${output.shape.join(", ")}]` : ""),
    element("pre", {}, typeof output.data === "string" ? output.data : JSON.stringify(output.data)),
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

async function refresh() {
  try {
    const response = await fetch("/page/status.json", { headers: headers() });
    const status = await response.json();
    if (!response.ok) throw new Error(status.error);
    const size = (status.memory / 2 ** 20).toFixed(0);
    const state = status.ready ? "Ready" : "Not ready";
    at("state").textContent = `${state}: ${status.models.length} model(s), ${size} MiB of memory`;
    showModels(status.models);
    offerSignatures(status.models);
    plot(status.recent, status.now);
  } catch (error) {
    at("state").textContent = `The server does not answer: ${error.message}`;
  }
}

at("run").addEventListener("submit", run);
at("signature").addEventListener("change", showInputs);
at("token").addEventListener("change", refresh);
refresh();
setInterval(refresh, 1000);
