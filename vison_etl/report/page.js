(function () {
  "use strict";
  const options = { renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false } };
  const places = Array.from(document.querySelectorAll(".vis"));
  const folds = Array.from(document.querySelectorAll("details"));
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
  async function drawShown(within) {
    for (const place of within) {
      if (!place.closest("details:not([open])")) { await draw(place); }
    }
  }
  folds.forEach(function (fold) {
    fold.addEventListener("toggle", function () { drawShown(Array.from(fold.querySelectorAll(".vis"))); });
  });
  window.addEventListener("beforeprint", function () { folds.forEach(function (fold) { fold.open = true; }); });
  drawShown(places).then(function () { document.documentElement.dataset.drawn = "yes"; });
})();
