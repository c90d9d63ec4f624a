(function () {
  "use strict";
  const options = { renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false } };
  const drawn = new WeakSet();
  function draw(place) {
    if (drawn.has(place)) { return Promise.resolve(); }
    drawn.add(place);
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    return vegaEmbed(place, spec, options).catch(function (error) {
      place.textContent = "This chart could not be drawn: " + error;
      place.classList.add("problem");
    });
  }
  async function drawAll(places) {
    for (const place of places) { await draw(place); }
  }
  const isShown = (place) => !place.closest("details:not([open])");
  const places = Array.from(document.querySelectorAll(".vis"));
  document.querySelectorAll("details").forEach(function (fold) {
    fold.addEventListener("toggle", function () { drawAll(Array.from(fold.querySelectorAll(".vis")).filter(isShown)); });
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (fold) { fold.open = true; });
  });
  drawAll(places.filter(isShown)).then(function () { document.documentElement.dataset.drawn = "yes"; });
})();
