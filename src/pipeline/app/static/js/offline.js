// Stores what the page needs without a network, and sends decisions once there is one.

import * as api from "./api.js";
import * as local from "./local.js";
import { LANGUAGES } from "./text.js";

const CACHE = "animal";
const DATABASE = "animal";
const DATABASE_VERSION = 2; // 1 had a store of another name
const STORE = "decisions";

let storedVersion;

/** Stores the page, the runtime and the recogniser on this device, once for each version. */
export function store(version) {
  if (!navigator.serviceWorker || storedVersion === version) return;
  storedVersion = version;
  fillCache().catch((error) => {
    storedVersion = undefined;
    console.warn(`not stored for the time without a network: ${error.message}`);
  });
}

async function fillCache() {
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  local.forget();
  await local.prepare(); // what it loads is what is needed, whichever build this browser takes
  const here = new URL("./", location.href).href.split("#")[0];
  const used = performance.getEntriesByType("resource").map((one) => one.name).filter((name) => /^(static|field)\//.test(name.slice(here.length)));
  const words = Object.keys(LANGUAGES).map((tag) => `${here}static/text/${tag}.json`);
  const cache = await caches.open(CACHE);
  const wanted = new Set([here, `${here}field/recogniser.json`, ...words, ...used]);
  const networks = [...wanted].filter((name) => name.includes("field/model.tflite"));
  for (const name of wanted) if (!(networks.includes(name) && (await cache.match(name)))) await cache.add(name);
  for (const { url } of await cache.keys()) {
    if (url.includes("field/model.tflite") && url !== networks.at(-1)) await cache.delete(url);
  }
  document.documentElement.dataset.offline = "ready";
}

/** Makes a promise of an IndexedDB request. */
const completed = (request) => new Promise((ok, bad) => ((request.onsuccess = () => ok(request.result)), (request.onerror = () => bad(request.error))));

async function database() {
  const request = indexedDB.open(DATABASE, DATABASE_VERSION);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { autoIncrement: true });
  return completed(request);
}

/** Queues a person's decision on a photo until there is a network again. */
export async function queue(photo, decision) {
  const bytes = await photo.arrayBuffer(); // a file that the person removes would be gone
  const opened = await database();
  await completed(opened.transaction(STORE, "readwrite").objectStore(STORE).add({ bytes, decision }));
  opened.close();
}

let sending = false;

/** Sends the queued decisions, the oldest first; returns how many were sent. */
export async function send() {
  if (sending || !globalThis.indexedDB) return 0;
  sending = true;
  let sent = 0;
  const opened = await database();
  try {
    const keys = await completed(opened.transaction(STORE).objectStore(STORE).getAllKeys());
    for (const key of keys) {
      const { bytes, decision } = await completed(opened.transaction(STORE).objectStore(STORE).get(key));
      try {
        await api.saveDecision(new Blob([bytes]), decision);
      } catch (error) {
        if (!(error.status === 400 || error.status === 422)) break; // no network yet, or the server stores none now
      }
      await completed(opened.transaction(STORE, "readwrite").objectStore(STORE).delete(key));
      sent += 1;
    }
  } finally {
    opened.close();
    sending = false;
  }
  return sent;
}
