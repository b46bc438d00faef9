"use strict";
// Draws every plot of the page. Expressions are interpreted, not compiled, so that the policy can forbid eval.
(() => {
  const { config, plots } = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const views = (window.winnowViews = {});

  // Tooltips are text nodes: what a model wrote stays what it wrote.
  function showTip(handler, event, item, value) {
    if (!value) {
      tip.hidden = true;
      return;
    }
    const rows = typeof value === "object" ? Object.entries(value) : [["", String(value)]];
    tip.replaceChildren(
      ...rows.map(([name, text]) => {
        const row = document.createElement("div");
        const key = document.createElement("span");
        const said = document.createElement("bdi");
        key.textContent = name;
        said.textContent = text;
        row.append(key, said);
        return row;
      }),
    );
    tip.hidden = false;
    const margin = 12;
    const { width, height } = tip.getBoundingClientRect();
    const left = event.clientX + margin + width > window.innerWidth ? event.clientX - width - margin : event.clientX + margin;
    const top = event.clientY + margin + height > window.innerHeight ? event.clientY - height - margin : event.clientY + margin;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }

  const drawn = Object.entries(plots).map(async ([id, { spec }]) => {
    const place = document.getElementById(id);
    const { view } = await vegaEmbed(place, spec, {
      actions: false,
      ast: true,
      config,
      defaultStyle: false,
      mode: "vega-lite",
      renderer: "svg",
      tooltip: showTip,
    });
    views[id] = view;
  });

  Promise.all(drawn).then(
    () => document.documentElement.setAttribute("data-drawn", String(drawn.length)),
    (error) => {
      document.documentElement.setAttribute("data-failed", String(error));
      throw error;
    },
  );
})();
