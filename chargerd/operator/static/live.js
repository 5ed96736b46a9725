// Keeps a page as things stand: parts that have changed come by server-sent events. Without it a page reloads itself.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  if (location.search) history.replaceState(null, "", location.pathname);
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    const button = form.querySelector("button");
    button.setAttribute("aria-disabled", "true");
    setTimeout(() => { delete form.dataset.sent; button.removeAttribute("aria-disabled"); }, 5000);
  });
  if (!live || !window.EventSource) return;
  const stale = live.querySelector("[data-stale]");
  let lost = 0;
  const source = new EventSource(live.dataset.live);
  source.onopen = () => { clearTimeout(lost); lost = 0; stale.hidden = true; };
  source.onerror = () => {
    if (!lost) lost = setTimeout(() => { stale.hidden = false; }, 4000);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
  };
  source.onmessage = (message) => {
    for (const [name, [mark, part]] of Object.entries(JSON.parse(message.data))) {
      const place = live.querySelector(`[data-part="${name}"]`);
      if (!place || place.dataset.mark === mark) continue;
      place.dataset.mark = mark;
      const chosen = place.querySelector("input:checked");
      const focused = place.contains(document.activeElement) && document.activeElement;
      const again = focused && `${focused.tagName}${focused.name ? `[name="${focused.name}"]` : ""}${focused.type === "radio" ? `[value="${focused.value}"]` : ""}`;
      place.innerHTML = part;
      const same = chosen && place.querySelector(`input[value="${chosen.value}"]`);
      if (same) same.checked = true;
      const target = again && place.querySelector(again);
      if (target) target.focus();
    }
    const headline = live.querySelector("h1");
    if (headline) document.title = document.title.replace(/[^·]*$/, ` ${headline.textContent}`);
  };
})();
