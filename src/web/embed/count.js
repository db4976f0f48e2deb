// Counts a view of this page, and fills in its numbers. See docs/embedding.md.
(() => {
  const doc = document;
  const on = addEventListener;
  const script = doc.currentScript;
  const { count, live, once, page, prefix = "" } = script.dataset;
  const { origin } = new URL(script.src);
  // A file, this machine and private networks.
  const home = new RegExp(
    "^$|(^|\\.)local(host)?\\.?$|^\\[(::|f[cd]|fe[89ab])|" +
      "^(0|127|10|192\\.168|169\\.254|172\\.(1[6-9]|2\\d|3[01]))\\.[\\d.]+$",
  );
  // A page may load this script twice.
  if (window[origin] || home.test(location.hostname)) return;
  window[origin] = 1;
  let store = {};
  try {
    store = localStorage || store;
  } catch {}
  const wait = parseInt(once) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[once?.slice(-1)];
  const when = (type) => new Promise((then) => doc.addEventListener(type, then, { once: true }));
  let here = location.pathname;
  // Only the newest view goes on: the visitor has left the pages before.
  let turn = 0;
  let path, feed, timer;

  const post = async (name, mine) => {
    const key = "pageviews " + name;
    if (count === "no" || store.pageviews === "off" || Date.now() - store[key] < wait) return;
    try {
      // Before the answer, because the visitor may leave before it.
      if (wait) store[key] = Date.now();
    } catch {}
    const answer = await fetch(origin + "/api/pages/" + encodeURIComponent(name), {
      method: "POST",
      keepalive: true,
    }).catch(() => {});
    if (answer ? answer.status !== 201 : mine === turn) delete store[key];
  };

  const ask = (at, names) =>
    origin + at + "?page=" + names.map(encodeURIComponent).join("&page=");
  // Takes as many names as a request has room for.
  const take = (names, most) => {
    const taken = [];
    for (let size = 0; names[0] && taken.length < most && size < 8000; )
      size += encodeURIComponent(taken[taken.push(names.shift()) - 1]).length;
    return taken;
  };
  const add = (map, key, item) => map.set(key, [...(map.get(key) || []), item]);
  const texts = new Map();
  const show = (node, value) => {
    texts.has(node) || texts.set(node, node.textContent);
    // The page may name a language that there is not.
    try {
      value = value.toLocaleString(doc.documentElement.lang || []);
    } catch {}
    node.textContent = value;
  };
  const fill = async (own, mine) => {
    if (mine !== turn) return;
    feed?.close();
    // A single-page site may keep an element, and its number is another page's now.
    for (const [node, text] of texts) node.textContent = text;
    texts.clear();
    const usual = { views: own, viewsToday: own, viewsTotal: "*" };
    const places = new Map();
    const followed = new Map();
    for (const node of doc.querySelectorAll("[data-views],[data-views-today],[data-views-total]"))
      for (const kind in usual)
        if (kind in node.dataset) add(places, node.dataset[kind] || usual[kind], [node, kind]);
    const names = [...places.keys()];
    while (names[0]) {
      const some = take(names, 100);
      const { pages } = await (await fetch(ask("/api/pages", some))).json();
      if (mine !== turn) return;
      for (const name of some) {
        const found = pages.shift();
        for (const [node, kind] of found ? places.get(name) : []) {
          show(node, kind === "viewsToday" ? found.today : found.views);
          if (kind === "views") add(followed, found.page, node);
        }
      }
    }
    if (live !== "yes" || !followed.size) return;
    feed = new EventSource(ask("/live", take([...followed.keys()], 32)));
    feed.onmessage = ({ data }) => {
      const { page, views } = JSON.parse(data);
      for (const node of followed.get(page)) show(node, views);
    };
  };

  const view = async () => {
    const mine = ++turn;
    if (doc.readyState === "loading") await when("DOMContentLoaded");
    if (doc.prerendering) await when("prerenderingchange");
    while (doc.hidden) await when("visibilitychange");
    if (mine !== turn) return;
    try {
      path ??= new URL(doc.querySelector("link[rel=canonical]").href).pathname;
    } catch {
      // There is no such link, or it holds no URL.
      path = here;
    }
    const name = page || prefix + path;
    // Without the counter, the page stays as it is.
    post(name, mine)
      .finally(() => fill(name, mine))
      .catch(() => {});
  };
  const moved = () => {
    if (page || location.pathname === here) return;
    // Single-page sites seldom change the canonical link.
    path = here = location.pathname;
    turn++;
    clearTimeout(timer);
    // The site draws its page first.
    timer = setTimeout(view);
  };
  const { pushState, replaceState } = history;
  history.pushState = function () {
    pushState.apply(this, arguments);
    moved();
  };
  // A redirect, or another name of the same page.
  history.replaceState = function () {
    replaceState.apply(this, arguments);
    here = location.pathname;
  };
  on("popstate", moved);
  on("pagehide", () => {
    turn++;
    feed?.close();
  });
  on("pageshow", ({ persisted }) => persisted && view());
  view();
})();
