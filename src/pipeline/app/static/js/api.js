// Requests to the server. Every address is relative, so that the page works below any path.

import { t } from "./text.js";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const pause = (seconds) => new Promise((go) => setTimeout(go, seconds * 1000));

/** Sends a request; an error without a status says that nobody answered. */
async function send(path, options) {
  try {
    return await fetch(`api/${path}`, options);
  } catch (error) {
    throw options.signal?.aborted ? error : new Error(t("model.away"));
  }
}

/** Sends a request, and sends it again when the server asks to wait: it has too many, or it loads. */
async function request(path, options = {}) {
  for (;;) {
    const response = await send(path, options);
    if (response.ok) return response;
    if (response.headers.has("Retry-After")) {
      await pause(Number(response.headers.get("Retry-After")));
      if (!options.signal?.aborted) continue;
    }
    if (response.status === 401) dispatchEvent(new Event("signed-out"));
    const body = await response.json().catch(() => ({}));
    throw new Refused(response.status, typeof body.message === "string" ? body.message : `${response.status}`);
  }
}

const post = (path, body, options = {}) => request(path, { method: "POST", body, ...options });
const JSON_BODY = { headers: { "Content-Type": "application/json" } };

export const model = async () => (await request("model")).json();

/** Sends a photo to be answered: { answer, version, picture }. */
export const answer = async (photo, name, signal) =>
  (await post(`answer?path=${encodeURIComponent(name.slice(-900))}`, photo, { signal })).json();

export const heat = async (photo) => (await post("heat", photo)).json();

export const table = async (rows) => (await post("table", JSON.stringify(rows), JSON_BODY)).blob();

/** Returns whether decisions are stored, who runs the app, and which species people named. */
export const feedback = async () => (await request("feedback")).json();

/** Lists photos of the collection whose label is probably wrong: { photo, path, label, suggested }. */
export const suspects = async () => (await request("suspects")).json();

export const suspect = async (photo) => (await request(`suspects/${photo}`)).blob();

/** Returns the decisions on photos, by their sha256. */
export const decisionsOf = async (photos) => (await post("feedback/decisions", JSON.stringify(photos), JSON_BODY)).json();

/** Stores a person's decision on a photo; returns everybody's. */
export async function saveDecision(photo, decision) {
  const given = Object.entries(decision).filter(([, value]) => value !== null && value !== undefined);
  return (await post(`feedback?${new URLSearchParams(given)}`, photo)).json();
}

const postTraining = (path, body = {}) => post(`training/${path}`, JSON.stringify(body), JSON_BODY);

export const training = async () => (await request("training")).json();
/** Returns what ingest says of the collection that is chosen now; null where it has not looked. */
export const collection = async () => (await request("training/collection")).json();
export const folders = async (path) => (await request(`training/folders?${new URLSearchParams({ path })}`)).json();
export const startTraining = (options) => postTraining("start", options);
export const stopTraining = () => postTraining("stop");
export const versions = async () => (await request("training/versions")).json();
export const promote = (version, why) => postTraining("promote", { version, why });
export const rollback = () => postTraining("rollback");
export const params = async () => (await request("training/params")).json();
export const changeParam = (name, value) => postTraining("params", { name, value });

export const signIn = (token) =>
  fetch("api/sign-in", { method: "POST", body: JSON.stringify({ token }), ...JSON_BODY });

/** Yields the photos in a zip or tar, which the server unpacks: { name, file }. */
export async function* unpack(packed) {
  const reader = (await post("unpack", packed)).body.getReader();
  let buffer = new Uint8Array(0);
  const take = async (count) => {
    const parts = [buffer];
    let length = buffer.length;
    while (length < count) {
      const { done, value } = await reader.read();
      if (done) return null;
      parts.push(value);
      length += value.length;
    }
    const all = new Uint8Array(length);
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    buffer = all.subarray(count);
    return all.slice(0, count);
  };
  for (let head; (head = await take(4)); ) {
    const size = new DataView(head.buffer).getUint32(0);
    const { name, bytes } = JSON.parse(new TextDecoder().decode(await take(size)));
    yield { name, file: new Blob([await take(bytes)]) };
  }
}
