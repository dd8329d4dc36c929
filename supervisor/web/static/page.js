// What needs the browser, after its first picture: htmx, its time zone, and a log that stays at its end.
"use strict";
(() => {
  const address = document.currentScript.dataset.htmx;
  const whenIdle = window.requestIdleCallback || setTimeout;
  function nameZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
    if (!/^[A-Za-z0-9_+\-/]{1,64}$/.test(zone)) return;
    document.cookie = `nightshift-zone=${zone}; path=/; SameSite=Strict; max-age=31536000`;
    const show = () => document.querySelectorAll("[data-script]").forEach((each) => { each.hidden = false; });
    show();
    document.body.addEventListener("htmx:after:swap", show);
  }
  function loadHtmx() {
    const script = document.createElement("script");
    script.src = address;
    document.head.append(script);
    whenIdle(nameZone);
  }
  function followLog() {
    const log = document.getElementById("log");
    if (!log || !log.hasAttribute("hx-sse:connect")) return;
    let atEnd = true;
    log.scrollTop = log.scrollHeight;
    log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; });
    new MutationObserver(() => { if (atEnd) log.scrollTop = log.scrollHeight; }).observe(log, { childList: true, subtree: true });
  }
  function sayWhetherLive(event, isLive) {
    if (event.target.id === "stream") document.getElementById("stale").hidden = isLive;
  }
  document.addEventListener("htmx:sse:error", (event) => sayWhetherLive(event, false));
  document.addEventListener("htmx:sse:after:connection", (event) => sayWhetherLive(event, true));
  document.addEventListener("DOMContentLoaded", () => {
    followLog();
    requestAnimationFrame(() => whenIdle(loadHtmx));
  });
})();
