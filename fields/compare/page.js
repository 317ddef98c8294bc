// Synchronised zoom: one view (x, y: the top left corner, both in [0, 1]; zoom) for all panes of a viewer.
(() => {
  function start(viewer) {
    if (viewer.dataset.started) return;
    viewer.dataset.started = "1";
    const view = { x: 0, y: 0, zoom: 1 };
    const panes = [...viewer.querySelectorAll(".pane")];
    function show() {
      view.zoom = Math.min(64, Math.max(1, view.zoom));
      const room = 1 - 1 / view.zoom;
      view.x = Math.min(room, Math.max(0, view.x));
      view.y = Math.min(room, Math.max(0, view.y));
      for (const pane of panes)
        for (const img of pane.querySelectorAll("img"))
          img.style.transform = `scale(${view.zoom}) translate(${-100 * view.x}%, ${-100 * view.y}%)`;
    }
    function zoomAt(x, y, factor) {
      // (x, y) in [0, 1] of the pane stays where it is
      const before = view.zoom;
      view.zoom = Math.min(64, Math.max(1, view.zoom * factor));
      view.x += x / before - x / view.zoom;
      view.y += y / before - y / view.zoom;
      show();
    }
    for (const pane of panes) {
      pane.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          const box = pane.getBoundingClientRect();
          zoomAt(
            (event.clientX - box.left) / box.width,
            (event.clientY - box.top) / box.height,
            Math.exp(-event.deltaY / 400),
          );
        },
        { passive: false },
      );
      pane.addEventListener("pointermove", (event) => {
        if (!event.buttons) return;
        const box = pane.getBoundingClientRect();
        view.x -= event.movementX / box.width / view.zoom;
        view.y -= event.movementY / box.height / view.zoom;
        show();
      });
      pane.addEventListener("keydown", (event) => {
        const step = 0.1 / view.zoom;
        if (event.key === "+" || event.key === "=") zoomAt(0.5, 0.5, 1.4);
        else if (event.key === "-") zoomAt(0.5, 0.5, 1 / 1.4);
        else if (event.key === "ArrowLeft") view.x -= step;
        else if (event.key === "ArrowRight") view.x += step;
        else if (event.key === "ArrowUp") view.y -= step;
        else if (event.key === "ArrowDown") view.y += step;
        else if (event.key === "0") view.zoom = 1;
        else return;
        event.preventDefault();
        show();
      });
    }
    for (const button of viewer.querySelectorAll("[data-jump]"))
      button.addEventListener("click", () => {
        if (button.dataset.jump === "all") view.zoom = 1;
        else {
          const [x, y, side] = button.dataset.jump.split(",").map(Number);
          view.zoom = 1 / side / 1.6;
          view.x = x - 0.3 * side;
          view.y = y - 0.3 * side;
        }
        show();
      });
    const choices = [...viewer.querySelectorAll("[data-show]")];
    for (const button of choices)
      button.addEventListener("click", () => {
        for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
        viewer.classList.toggle("errors", button.dataset.show === "error");
        viewer.classList.toggle("wiping", button.dataset.show === "wipe");
      });
    startWipe(viewer);
  }
  // Two of the images over each other: which ones, and where they meet.
  function startWipe(viewer) {
    const wipe = viewer.querySelector(".wipe");
    if (!wipe) return;
    const images = [...viewer.querySelectorAll(".panes .fit")];
    const [left, right] = wipe.querySelectorAll("select");
    const [below, above] = wipe.querySelectorAll("img");
    const range = wipe.querySelector("input");
    for (const select of [left, right])
      select.append(...images.map((image, index) => new Option(image.alt, String(index))));
    right.value = String(Math.min(1, images.length - 1));
    const show = () => {
      above.src = images[left.value].src;
      below.src = images[right.value].src;
      wipe.style.setProperty("--cut", `${range.value}%`);
    };
    for (const control of [left, right, range]) control.addEventListener("input", show);
    show();
  }
  const all = () => document.querySelectorAll(".compare-viewer").forEach(start);
  all();
  window.startCompareViewers = all;
})();
