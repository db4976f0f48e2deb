// Counts a view of this page, and fills in its numbers. See docs/embedding.md.
(() => {
  const doc = document;
  const on = addEventListener;
  const script = doc.currentScript;
  const { count, live, once, page, prefix = "" } = script.dataset;
  const { origin } = new URL(script.src);
  // A file, this machine and private networks.
  const home =
    /^(|\[.*|(127|10|192\.168|172\.(1[6-9]|2\d|3[01]))\.[\d.]+)$|(^|\.)local(host)?$/;
  // A page may load this script twice.
  if (window[origin] || home.test(location.hostname)) return;
  window[origin] = 1;
  let store = {};
  try {
    store = localStorage || store;
  } catch {}
  const wait = parseInt(once) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[once?.slice(-1)];
  const when = (type) => new Promise((then) => doc.addEventListener(type, then, { once: true }));
  let here = location.pathname,
    path,
    feed;

  const post = async (name) => {
    const key = "pageviews " + name;
    if (count === "no" || store.pageviews === "off" || Date.now() - store[key] < wait) return;
    const { ok } = await fetch(origin + "/api/pages/" + encodeURIComponent(name), {
      method: "POST",
      keepalive: true,
    });
    if (ok && wait) store[key] = Date.now();
  };

  const ask = (at, names) =>
    origin + at + "?page=" + names.map(encodeURIComponent).join("&page=");
  const show = (node, value) => {
    // The page may name a language that there is not.
    try {
      value = value.toLocaleString(doc.documentElement.lang || []);
    } catch {}
    node.textContent = value;
  };
  const fill = async (own) => {
    feed?.close();
    const usual = { views: own, viewsToday: own, viewsTotal: "*" };
    const places = {};
    const seen = {};
    for (const node of doc.querySelectorAll("[data-views],[data-views-today],[data-views-total]"))
      for (const kind in usual)
        if (kind in node.dataset)
          (places[node.dataset[kind] || usual[kind]] ||= []).push([node, kind]);
    const names = Object.keys(places);
    // A request has room for 100 names, and a stream for 32.
    while (names[0]) {
      const some = names.splice(0, 100);
      const { pages } = await (await fetch(ask("/api/pages", some))).json();
      for (const name of some) {
        const found = pages.shift();
        for (const [node, kind] of found ? places[name] : []) {
          show(node, kind === "viewsToday" ? found.today : found.views);
          if (kind === "views") (seen[found.page] ||= []).push(node);
        }
      }
    }
    const pages = Object.keys(seen).slice(0, 32);
    if (live !== "yes" || !pages[0]) return;
    feed = new EventSource(ask("/live", pages));
    feed.onmessage = ({ data }) => {
      const { page, views } = JSON.parse(data);
      for (const node of seen[page]) show(node, views);
    };
  };

  const view = async () => {
    if (doc.readyState === "loading") await when("DOMContentLoaded");
    if (doc.prerendering) await when("prerenderingchange");
    while (doc.hidden) await when("visibilitychange");
    path ??= new URL(doc.querySelector("link[rel=canonical]")?.href || location).pathname;
    const name = page || prefix + path;
    // Without the counter, the page stays as it is.
    post(name)
      .finally(() => fill(name))
      .catch(() => {});
  };
  const moved = () => {
    if (page || location.pathname === here) return;
    // Single-page sites seldom change the canonical link.
    path = here = location.pathname;
    // The site draws its page first.
    setTimeout(view);
  };
  const { pushState } = history;
  history.pushState = function () {
    pushState.apply(this, arguments);
    moved();
  };
  on("popstate", moved);
  on("pagehide", () => feed?.close());
  on("pageshow", ({ persisted }) => persisted && view());
  view();
})();
