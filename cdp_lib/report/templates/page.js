(function () {
  "use strict";
  var button = document.getElementById("toggle-code");
  if (button) {
    button.addEventListener("click", function () {
      var shown = document.body.classList.toggle("with-code");
      button.textContent = shown ? "Hide code" : "Show code";
      button.setAttribute("aria-pressed", String(shown));
    });
  }
  var plots = Array.prototype.slice.call(document.querySelectorAll(".plot"));
  if (!plots.length || !window.Plotly) return;
  var config = {
    responsive: true, displaylogo: false, plotlyServerURL: "", topojsonURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendDataToCloud"]
  };
  plots.forEach(function (plot) {
    var figure = JSON.parse(document.getElementById(plot.id + "-figure").textContent);
    if (window.matchMedia("(max-width: 600px)").matches) {
      figure.layout.font = Object.assign({}, figure.layout.font, { size: 11 });
    }
    Plotly.newPlot(plot, figure.data, figure.layout, config);
  });
  var onPaper = 660;
  window.addEventListener("beforeprint", function () {
    plots.forEach(function (plot) { Plotly.relayout(plot, { width: onPaper, autosize: false }); });
  });
  window.addEventListener("afterprint", function () {
    plots.forEach(function (plot) { Plotly.relayout(plot, { width: null, autosize: true }); });
  });
})();
