// What needs the browser: its time zone, a log that stays at its end, and htmx after the first picture.
"use strict";
(() => {
  const htmx = document.createElement("script");
  htmx.src = document.currentScript.dataset.htmx;
  requestAnimationFrame(() => setTimeout(() => document.head.append(htmx)));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  if (/^[A-Za-z0-9_+\-/]{1,64}$/.test(zone)) {
    document.cookie = `nightshift-zone=${zone}; path=/; SameSite=Strict; max-age=31536000`;
    const show = () => document.querySelectorAll("[data-script]").forEach((each) => { each.hidden = false; });
    show();
    document.body.addEventListener("htmx:after:swap", show);
  }
  const log = document.getElementById("log");
  if (log && log.hasAttribute("hx-sse:connect")) {
    let atEnd = true;
    log.scrollTop = log.scrollHeight;
    log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; });
    new MutationObserver(() => { if (atEnd) log.scrollTop = log.scrollHeight; }).observe(log, { childList: true, subtree: true });
  }
})();
