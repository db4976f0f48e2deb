"use strict";
// What the page says without this file stays true; with it, the page keeps up.
{
  const [views, today, live, note] = ["views", "today", "live", "note"].map((id) => document.getElementById(id));
  const put = (element, number) => {
    element.value = number;
    element.textContent = number.toLocaleString("en-US");
  };
  const say = (text, on) => {
    live.hidden = false;
    live.textContent = text;
    live.className = on ? "on" : "";
  };
  const day = () => Math.floor(Date.now() / 864e5);
  let date = day();
  let source, timer;
  let pause = 2000;

  const show = (total) => {
    const more = total - views.value;
    if (!Number.isSafeInteger(total) || !more) return;
    // A day ends at midnight UTC, as on the server.
    put(today, Math.max(0, (date === (date = day()) ? +today.value : 0) + more));
    put(views, total);
    views.parentNode.className = "g" + ((views.textContent.length + 3) >> 2);
    document.title = views.textContent + " views";
    // Lit at once, and fading from the moment at which the style was computed.
    views.className = "tick";
    getComputedStyle(views).color;
    views.className = "";
  };

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };

  const open = () => {
    if (source || document.hidden) return;
    clearTimeout(timer);
    source = new EventSource("/live");
    source.onopen = () => {
      pause = 2000;
      say("live", true);
    };
    source.onmessage = ({ data }) => show(Number(data));
    source.onerror = () => {
      say("reconnecting…");
      // Otherwise the browser itself tries again.
      if (source.readyState !== EventSource.CLOSED) return;
      close();
      timer = setTimeout(open, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, 60000);
    };
  };

  // A hidden page needs no news, and holds no connection.
  addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);

  // The day under the pointer.
  document.querySelector("svg")?.addEventListener("pointerover", ({ target }) => {
    if (target.matches("path")) note.textContent = target.textContent;
  });
}
