// Answers photos in the browser: LiteRT.js runs the recogniser's network, and its outputs are read as
// the server reads them (inference/recogniser.py).

import { square } from "./pixels.js";

const MAX_CANDIDATES = 20; // in an answer
const BLANKS = { brightness: null, sharpness: null, cut_short: false, taken_at: null, latitude: null, longitude: null };

let loading; // the recogniser
let runtime; // LiteRT.js, which can be loaded once in a page

/** Describes the recogniser that is stored on this device; throws if none is. */
export async function describe() {
  const response = await fetch("field/recogniser.json");
  if (!response.ok) throw new Error("no recogniser on this device");
  return { ...(await response.json()), local: true };
}

async function loadRuntime() {
  const litert = await import(new URL("../litert/index.js", import.meta.url).href);
  await litert.loadLiteRt(new URL("../litert/wasm/", import.meta.url).href);
  return litert;
}

async function load() {
  const about = await describe();
  const { loadAndCompile, Tensor } = await (runtime ??= loadRuntime());
  const bytes = new Uint8Array(await (await fetch(`field/model.tflite?v=${about.sha256}`)).arrayBuffer());
  const network = await loadAndCompile(bytes, { accelerator: "wasm" });
  const run = async (pixels) => {
    const input = new Tensor(pixels, [1, about.size, about.size, 3]);
    const outputs = await network.run({ [network.getInputDetails()[0].name]: input });
    const values = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, Array.from(tensor.toTypedArray())]));
    Object.values(outputs).forEach((tensor) => tensor.delete());
    input.delete();
    return Object.keys(values).length > 1 ? values : { probabilities: Object.values(values)[0] };
  };
  return { about, run };
}

/** Drops the loaded recogniser, so that the next answer loads the version that serves then. */
export function forget() {
  loading = undefined;
}

/** Loads everything now, so that it is there when the network is not. */
export const prepare = () => (loading ??= load().catch((error) => ((loading = undefined), Promise.reject(error))));

/** Answers a photo as the server does: { answer, version, picture }. */
export async function answer(file, name) {
  const { about, run } = await prepare();
  let pixels;
  try {
    pixels = await square(file, about.size, about.fit);
  } catch {
    const answer = { path: name, photo: null, species: null, probability: null, unknown: null, prediction_set: null, top: [], ...BLANKS };
    return { answer: { ...answer, error: "not_an_image: the browser cannot read it" }, version: about.version, picture: null };
  }
  const rgb = Float32Array.from({ length: about.size ** 2 * 3 }, (_, i) => pixels[Math.floor(i / 3) * 4 + (i % 3)]);
  const outputs = await run(rgb);
  return { answer: { path: name, photo: await sha256(file), ...judged(outputs, about), ...BLANKS, error: null }, version: about.version, picture: await jpeg(pixels, about.size) };
}

function judged(outputs, about) {
  const { temperature, set_from: from } = about.calibration;
  const powers = outputs.probabilities.map((one) => one ** (1 / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  const likely = powers.map((one, i) => ({ species: about.species[i], probability: one / sum })).sort((a, b) => b.probability - a.probability);
  const kind = kindOf(outputs, likely[0].probability, about);
  return {
    ...likely[0],
    unknown: kind !== "species",
    kind,
    looks_like: kind === "unknown_animal" && about.imagenet ? about.imagenet.animals[largest(outputs.imagenet.slice(0, about.imagenet.animals.length))] : null,
    prediction_set: likely.filter(({ probability }, i) => i === 0 || probability >= from).map(({ species }) => species),
    top: likely.slice(0, MAX_CANDIDATES),
  };
}

/** Returns an answer's kind: species, unknown_animal or no_animal (inference/open_set.py, novelty.py). */
export function kindOf(outputs, probability, { imagenet, novelty, calibration }) {
  if (imagenet && animal(outputs.imagenet, imagenet.animals.length) < imagenet.animal_from) return "no_animal";
  if (!novelty) return probability < calibration.unknown_below ? "unknown_animal" : "species";
  const centred = outputs.features.map((one, i) => one - novelty.centre[i]);
  const axes = novelty.projection.map((row) => dot(row, centred));
  const nearest = Math.min(...novelty.species.map((mean) => mean.reduce((total, one, i) => total + (axes[i] - one) ** 2, 0)));
  const distance = nearest - novelty.whole.reduce((total, row) => total + dot(row, axes) ** 2, 0);
  const [[logit, logitsSpread], [middle, distancesSpread]] = novelty.standard;
  const score = (distance - middle) / distancesSpread - (Math.max(...outputs.logits) - logit) / logitsSpread;
  return score > novelty.threshold ? "unknown_animal" : "species";
}

function animal(logits, animals) {
  const most = Math.max(...logits);
  const powers = logits.map((one) => Math.exp(one - most));
  const total = (some) => some.reduce((a, b) => a + b, 0);
  return total(powers.slice(0, animals)) / total(powers);
}

const dot = (a, b) => a.reduce((total, one, i) => total + one * b[i], 0);
const largest = (values) => values.indexOf(Math.max(...values));

async function sha256(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function jpeg(pixels, size) {
  const canvas = new OffscreenCanvas(size, size);
  canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 })).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
