// Requests to the server. Every address is relative, so that the page works below any path.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const pause = (seconds) => new Promise((go) => setTimeout(go, seconds * 1000));

/** Sends a request; waits and sends it again when the server says that it has too many. */
export async function ask(path, options = {}) {
  for (;;) {
    const answer = await fetch(`api/${path}`, options);
    if (answer.ok) return answer;
    if (answer.status === 429) {
      await pause(Number(answer.headers.get("Retry-After") ?? 1));
      if (!options.signal?.aborted) continue;
    }
    if (answer.status === 401) dispatchEvent(new Event("signed-out"));
    const body = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, typeof body.message === "string" ? body.message : `${answer.status}`);
  }
}

const post = (path, body, options = {}) => ask(path, { method: "POST", body, ...options });
const JSON_BODY = { headers: { "Content-Type": "application/json" } };

export const model = async () => (await ask("model")).json();

/** Answers a photo: { answer, version, picture }. */
export const answer = async (photo, name, signal) =>
  (await post(`answer?path=${encodeURIComponent(name.slice(-900))}`, photo, { signal })).json();

export const heat = async (photo) => (await post("heat", photo)).json();

export const table = async (rows) => (await post("table", JSON.stringify(rows), JSON_BODY)).blob();

/** Whether what people say is kept, and who runs the app. */
export const feedback = async () => (await ask("feedback")).json();

/** What people said of photos, by their sha256. */
export const saidOf = async (photos) => (await post("feedback/of", JSON.stringify(photos), JSON_BODY)).json();

/** Keeps what a person says of a photo; returns what all say of it. */
export async function say(photo, said) {
  const given = Object.entries(said).filter(([, value]) => value !== null && value !== undefined);
  return (await post(`feedback?${new URLSearchParams(given)}`, photo)).json();
}

const sent = (path, what = {}) => post(`training/${path}`, JSON.stringify(what), JSON_BODY);

export const training = async () => (await ask("training")).json();
export const folders = async (path) => (await ask(`training/folders?${new URLSearchParams({ path })}`)).json();
export const startTraining = (what) => sent("start", what);
export const stopTraining = () => sent("stop");
export const versions = async () => (await ask("training/versions")).json();
export const promote = (version, why) => sent("promote", { version, why });
export const rollback = () => sent("rollback");
export const params = async () => (await ask("training/params")).json();
export const changeParam = (name, value) => sent("params", { name, value });

export const signIn = (token) =>
  fetch("api/sign-in", { method: "POST", body: JSON.stringify({ token }), ...JSON_BODY });

/** Yields the photos in a zip or tar, which the server unpacks: { name, file }. */
export async function* unpack(packed, signal) {
  const reader = (await post("unpack", packed, { signal })).body.getReader();
  let held = new Uint8Array(0);
  const take = async (count) => {
    const parts = [held];
    let length = held.length;
    while (length < count) {
      const { done, value } = await reader.read();
      if (done) return null;
      parts.push(value);
      length += value.length;
    }
    const all = new Uint8Array(length);
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    held = all.subarray(count);
    return all.slice(0, count);
  };
  for (let head; (head = await take(4)); ) {
    const size = new DataView(head.buffer).getUint32(0);
    const { name, bytes } = JSON.parse(new TextDecoder().decode(await take(size)));
    yield { name, file: new Blob([await take(bytes)]) };
  }
}
