"use strict";
// Without this script the page shows the numbers of its visit. With it, they stay up to date.
{
  const { live: stream = "/live" } = document.currentScript.dataset;
  const ids = ["live", "views", "today", "plural", "chart", "note"];
  const [live, views, today, plural, chart, note] = ids.map((id) => document.getElementById(id));
  const timeZone = chart?.dataset.timeZone;
  const day = () => {
    try {
      return new Date().toLocaleDateString("en", { timeZone });
    } catch {
      // An old browser does not know a new name of a time zone.
      return new Date().toDateString();
    }
  };
  let date = day();
  let pause = 2000;
  let source, timer;

  const put = (data, number) => {
    data.value = number;
    data.textContent = number.toLocaleString("en-US");
  };

  const entitle = () => (document.title = views.parentNode.textContent);

  const show = (total) => {
    const more = total - views.value;
    // Views never become fewer: a smaller total is an old one.
    if (!(more > 0)) return;
    if (today) put(today, (date === (date = day()) && +today.value) + more);
    put(views, total);
    if (plural) plural.textContent = total === 1 ? "" : "s";
    views.parentNode.className = "n" + views.textContent.length;
    entitle();
    // The style has to be computed once with the class, so that its removal is animated.
    views.className = "lit";
    getComputedStyle(views).color;
    views.className = "";
  };

  const say = (state) => (live.textContent = live.className = state);

  const close = () => {
    clearTimeout(timer);
    source?.close();
  };

  const open = () => {
    close();
    if (document.hidden) return;
    source = new EventSource(stream);
    source.onopen = () => {
      pause = 2000;
      say("live");
    };
    source.onmessage = ({ data }) => show(+data);
    source.onerror = () => {
      say("reconnecting");
      // The browser tries again by itself, unless the server refused it.
      if (source.readyState < 2) return;
      timer = setTimeout(open, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, 60000);
    };
  };

  entitle();
  document.addEventListener("visibilitychange", open);
  addEventListener("pageshow", open);
  addEventListener("pagehide", close);

  if (chart && note) {
    const text = note.textContent;
    chart.onpointerover = ({ target }) => {
      if (target !== chart) note.textContent = target.textContent;
    };
    chart.onpointerleave = () => (note.textContent = text);
  }
}
