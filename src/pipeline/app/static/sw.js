// Caches the page and the recogniser for the time without a network. Nothing that a person sends passes
// through it: requests to the server's API and its reports go their own way.

const CACHE = "animal";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const path = url.slice(self.registration.scope.length);
  if (method === "GET" && url.startsWith(self.registration.scope) && !/^(api|reports)\//.test(path)) {
    event.respondWith(answer(event.request));
  }
});

/** Answers from the network, where there is one; else from the cache. */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const cached = await cache.match(request);
  if (cached && new URL(request.url).searchParams.has("v")) return cached; // named by its content
  try {
    const fresh = await fetch(request);
    if (fresh.ok && cached) await cache.put(request, fresh.clone());
    return fresh;
  } catch (error) {
    const other = cached ?? (await cache.match(request, { ignoreSearch: true }));
    if (other) return other;
    throw error;
  }
}
