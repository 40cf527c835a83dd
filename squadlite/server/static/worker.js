/**
 * A service worker that keeps the page itself, never what is in the books: an installed page opens
 * while the server is gone, and says so.
 */

const KEPT = "page";
const OWN_FILES = /^\/($|static\/|icon\.|manifest\.)/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  // A look at whether the server is there must not be answered from here.
  const isKept = event.request.method === "GET" && event.request.cache !== "no-store";
  if (isKept && OWN_FILES.test(pathname)) event.respondWith(freshOrKept(event.request, pathname));
});

async function freshOrKept(request, pathname) {
  const kept = await caches.open(KEPT);
  try {
    const response = await fetch(request);
    if (response.ok) await kept.put(pathname, response.clone());
    return response;
  } catch (error) {
    const response = await kept.match(pathname);
    if (response === undefined) throw error;
    return response;
  }
}
