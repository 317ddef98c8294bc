// The moving parts of the studio's page: the live fit, the gallery, the zoom and the orbit. Everything is asked from this host.
(function () {
  "use strict";
  const SOON = 500, LATER = 2500;

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "class") node.className = value;
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }
  async function ask(path, options) {
    const answer = await fetch("/studio/" + path, options);
    if (!answer.ok) {
      let text = answer.statusText;
      try { text = (await answer.json()).error || text; } catch (error) { /* not ours */ }
      throw new Error(text);
    }
    return answer.json();
  }
  const tell = (path, content = {}) =>
    ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  const alive = (node) => node.isConnected;
  const seen = (node) => node.offsetParent !== null;
  const wait = (time) => new Promise((done) => setTimeout(done, time));
  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch (error) { /* private window */ } },
  };

  function duration(seconds) {
    if (seconds === null || seconds === undefined || !isFinite(seconds)) return "";
    seconds = Math.max(0, Math.round(seconds));
    return seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }
  const DECIBELS = ["psnr", "test_psnr", "snr", "psnr_alpha"];
  const NAMES = { psnr: "PSNR", ssim: "SSIM", ms_ssim: "MS-SSIM", psnr_alpha: "PSNR of alpha", snr: "SNR", iou: "IoU", f_score: "F-score", normal_angle: "angle of normals", relative_l2: "relative error" };
  const called = (name) => NAMES[name] || name.replaceAll("_", " ");
  function number(name, value) {
    return DECIBELS.includes(name) ? `${value.toFixed(2)} dB` : name === "normal_angle" ? `${value.toFixed(1)}°` : String(Number(value.toPrecision(4)));
  }
  const spoken = (name, value) => DECIBELS.includes(name) ? number(name, value) : `${called(name)} ${number(name, value)}`;
  const STATES = { queued: "waiting", loading: "opening", running: "fitting", stopping: "stopping", paused: "paused", stopped: "kept", done: "done", failed: "failed" };
  const SOLID = ["shape", "radiance"];
  const ACTIVE = ["queued", "loading", "running", "stopping"];

  // Loads a picture completely before it is shown, so that nothing flickers.
  async function swap(image, address) {
    const loaded = new Image();
    loaded.src = address;
    try { await loaded.decode(); } catch (error) { return false; }
    image.src = loaded.src;
    return true;
  }

  // ---- the live fit ---------------------------------------------------------------------------------------------------------

  function live(root) {
    let job = null, shown = "", version = -1, drawn = {}, queue = [], problem = "";
    const place = root.dataset.started || "started-job", sort = root.dataset.sort || "fit";
    const started = () => document.querySelector(`#${place} textarea, #${place} input`);
    const own = () => started()?.value || store.get(place);
    const targetName = sort === "distillation" ? "teacher" : "target", fitName = sort === "distillation" ? "student" : "fit";

    const name = make("h2"), chip = make("span", { class: "chip" }), info = make("p", { class: "quiet" }), note = make("p", { class: "quiet note", role: "status" });
    const target = make("img", { alt: targetName, draggable: "false" }), fit = make("img", { alt: fitName, draggable: "false", class: "over" });
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "How much of the fit is shown over the target" });
    const slider = make("div", { class: "slider" }, target, fit, make("span", { class: "edge" }), make("span", { class: "tag left" }, fitName),
      make("span", { class: "tag right" }, targetName), range);
    const error = make("img", { alt: "ten times the error", draggable: "false" });
    const curve = make("figure", { class: "curve" });
    const bar = make("progress", { max: 1, value: 0, "aria-label": "Progress" }), line = make("p", { class: "line" });
    const scores = make("dl", { class: "scores" });
    const buttons = {
      pause: make("button", { type: "button", onclick: () => act("pause") }, "Pause"),
      resume: make("button", { type: "button", onclick: () => act("resume") }, "Resume"),
      stop: make("button", { type: "button", onclick: () => act("stop") }, "Stop and keep"),
    };
    const around = make("button", { type: "button", onclick: () => job && open("space", job.run) }, "See in 3-D");
    const looks = make("span", { class: "looks" }, around,
      make("button", { type: "button", onclick: () => job && open("inside", job.run) }, "Look inside"),
      make("button", { type: "button", onclick: () => job && open("export", job.run) }, "Export"));
    const body = make("div", { class: "live" }, make("div", { class: "head" }, name, chip), info,
      make("div", { class: "pictures" }, slider, make("div", { class: "beside" }, make("figure", { class: "error" }, error, make("figcaption", {}, "error × 10")), curve)),
      make("div", { class: "run" }, bar, line, make("div", { class: "buttons" }, ...Object.values(buttons), looks)), note, scores);
    const others = make("ul", { class: "queue", "aria-label": "Other fits" });
    const set = () => slider.style.setProperty("--cut", range.value + "%");
    range.addEventListener("input", set);
    set();

    async function act(action) {
      if (!job) return;
      try { job = { ...job, ...(await tell(`jobs/${job.id}/${action}`)) }; problem = ""; } catch (error) { problem = error.message; }
      draw();
    }
    function choose(id) {
      if (id === shown) return;
      shown = id;
      version = -1;
      drawn = {};
      job = null;
      for (const image of [target, fit, error]) image.removeAttribute("src");
      slider.classList.remove("ready");
      body.classList.remove("drawn");
      store.set(place, id);
    }
    function draw() {
      if (!job) return;
      if (!alive(body)) root.replaceChildren(body, others);
      name.textContent = job.name;
      chip.textContent = STATES[job.state];
      chip.dataset.state = job.state;
      info.textContent = job.info;
      note.textContent = problem || job.message;
      note.classList.toggle("problem", job.state === "failed" || !!problem);
      const under = ACTIVE.includes(job.state);
      if (job.total) bar.value = job.step / job.total;
      else if (under && job.state !== "queued") bar.removeAttribute("value");
      else bar.value = 0;
      const quality = job.quality !== null && under ? spoken(job.measure, job.quality) : "";
      line.textContent = [job.total ? `${job.step.toLocaleString("en")} of ${job.total.toLocaleString("en")} steps` : job.step > 1 ? `${job.step.toLocaleString("en")} steps` : "",
        under && job.rate ? `${job.rate} a second` : "", quality, under && job.left !== null ? `${duration(job.left)} left` : `${duration(job.elapsed)}`].filter(Boolean).join("   ·   ");
      buttons.pause.hidden = !["loading", "running", "stopping", "queued"].includes(job.state);
      buttons.pause.disabled = job.state === "stopping";
      buttons.resume.hidden = !["paused", "stopped"].includes(job.state) || (job.total && job.step >= job.total);
      buttons.stop.hidden = !["loading", "running", "stopping", "paused"].includes(job.state);
      buttons.stop.disabled = job.state === "stopping";
      around.hidden = !SOLID.includes(job.kind);
      looks.hidden = !["done", "paused", "stopped"].includes(job.state) || !job.step;
      scores.replaceChildren(...(under ? [] : Object.entries(job.metrics).flatMap(([key, value]) => [make("dt", {}, called(key)), make("dd", {}, number(key, value))])));
      if (curve.dataset.drawn !== job.curve) { curve.innerHTML = job.curve || ""; curve.dataset.drawn = job.curve; }
      const rest = queue.filter((other) => other.id !== job.id && (ACTIVE.includes(other.state) || other.state === "paused"));
      others.replaceChildren(...rest.map((other) => make("li", {}, make("button", { type: "button", onclick: () => other.sort === "fit" || other.sort === sort ? choose(other.id) : openTab(other.sort === "comparison" ? "Compare" : "Distil") },
        make("b", {}, other.name), ` ${STATES[other.state]}${other.sort === "fit" ? "" : `, a ${other.sort}`}`))));
    }
    async function pictures() {
      if (job.version === version) return;
      const { id, version: next, pictures: made } = job;
      const images = { target, fit, error };
      const done = await Promise.all(Object.keys(made).filter((which) => made[which] !== drawn[which]).map(async (which) =>
        (await swap(images[which], `/studio/jobs/${id}/${which}?v=${made[which]}`)) && shown === id && (drawn[which] = made[which])));
      if (shown !== id) return;
      if (done.every(Boolean)) version = next;
      slider.classList.toggle("ready", "fit" in drawn);
      body.classList.toggle("drawn", "fit" in drawn);
      if (target.naturalWidth) slider.style.setProperty("--ratio", `${target.naturalWidth}/${target.naturalHeight}`);
    }
    let last = "";
    (async function loop() {
      while (alive(root)) {
        let pause = LATER;
        try {
          const asked = started()?.value;
          if (asked && asked !== last) {
            last = asked;
            choose(asked);
            if (innerWidth < 700 && seen(root)) root.scrollIntoView({ block: "start" });
          }
          const wanted = shown && (seen(root) || !job) ? shown : "", answer = await ask(`jobs?of=${wanted}`);
          queue = answer.jobs;
          if (!shown || !queue.some((entry) => entry.id === shown)) {
            const fits = queue.filter((entry) => entry.sort === sort);
            const mine = fits.find((entry) => entry.id === own()) || fits.findLast((entry) => ACTIVE.includes(entry.state)) || fits.at(-1);
            if (mine) { choose(mine.id); continue; }
          }
          if (answer.job && answer.job.id === shown) { job = answer.job; draw(); await pictures(); }
          if (seen(root) && queue.some((entry) => ACTIVE.includes(entry.state)) || (started()?.value || last) !== last) pause = SOON;
          root.classList.remove("lost");
        } catch (error) {
          root.classList.add("lost");
        }
        for (let waited = 0; waited < pause; waited += 100) {
          await wait(100);
          if ((started()?.value || "") !== last && started()?.value) break;
        }
      }
    })();
  }

  // ---- comparisons ----------------------------------------------------------------------------------------------------------

  const DOWNLOADS = [["comparison.html", "Download as one page"], ["comparison.json", "Numbers"], ["curves.png", "Curves"], ["crops.png", "Crops"]];
  function comparison(root) {
    let shown = "", drawn = -1, last = "", job = null;
    const started = () => document.querySelector("#started-comparison textarea, #started-comparison input")?.value || "";
    const head = make("div", { class: "head" }), place = make("div", { class: "comparison" }), bar = make("progress", { max: 1, "aria-label": "This fit" });
    const problem = make("p", { class: "problem", role: "alert" });
    const act = async (action) => { try { job = await tell(`jobs/${shown}/${action}`); problem.textContent = ""; } catch (error) { problem.textContent = error.message; } };
    (async function loop() {
      while (alive(root)) {
        try {
          if (started() && started() !== last) { last = shown = started(); drawn = -1; }
          const answer = await ask(`jobs?of=${shown}`), jobs = answer.jobs.filter((entry) => entry.sort === "comparison");
          if (!jobs.some((entry) => entry.id === shown) && jobs.length) { shown = jobs.at(-1).id; drawn = -1; continue; }
          if (answer.job && answer.job.id === shown) {
            job = answer.job;
            if (!alive(head)) root.replaceChildren(head, problem, place);
            const under = ACTIVE.includes(job.state);
            if (under && job.total) bar.value = job.step / job.total; else bar.removeAttribute("value");
            const text = JSON.stringify([job.id, job.name, job.state, job.message, job.info]);
            if (text !== head.dataset.told) {  // (buttons stay under the finger)
            head.dataset.told = text;
            head.replaceChildren(make("h2", {}, job.name), make("span", { class: "chip", "data-state": job.state }, STATES[job.state]),
              make("p", { class: "quiet note" + (job.state === "failed" ? " problem" : ""), role: "status" }, [job.message, job.info].filter(Boolean).join("  ·  ")));
            if (under && job.state !== "queued") head.append(bar);
            head.append(make("div", { class: "buttons" },
              under ? make("button", { type: "button", disabled: job.state === "stopping", onclick: () => act("stop") }, "Stop and keep") : null,
              ["stopped", "paused", "failed"].includes(job.state) ? make("button", { type: "button", onclick: () => act("resume") }, "Continue") : null,
              ...(job.state === "done" ? DOWNLOADS.map(([file, label]) => make("a", { href: `/studio/runs/${encodeURIComponent(job.run)}/${file}`, download: `${job.run}-${file}`, class: "button" }, label)) : [])));
            }
            if (job.version !== drawn) { place.innerHTML = job.page; drawn = job.version; window.startCompareViewers?.(); }
          }
          root.classList.remove("lost");
        } catch (error) {
          root.classList.add("lost");
        }
        await wait(seen(root) ? 700 : LATER);
      }
    })();
  }

  // ---- the gallery ----------------------------------------------------------------------------------------------------------

  const open = (tab, name) => window.studioOpen?.(tab, name);
  function openTab(word) {
    [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === word)?.click();
  }

  function dialog(title, content, action, danger) {
    if (document.querySelector(".studio-dialog")) return;
    let pending = false;
    const problem = make("p", { class: "problem", role: "alert" });
    const box = make("dialog", { class: "studio-dialog", "aria-label": title },
      make("form", { method: "dialog", onsubmit: async (event) => {
        event.preventDefault();
        if (pending) return;
        pending = true;
        try { await danger.run(new FormData(event.target)); box.close(); } catch (error) { problem.textContent = error.message; }
        pending = false;
      } }, make("h2", {}, title), ...content, problem,
        make("div", { class: "buttons" }, make("button", { type: "button", onclick: () => box.close() }, "Cancel"),
          make("button", { type: "submit", class: danger.class }, action))));
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
  }

  function gallery(root) {
    let drawn = "", pending = false;
    const problem = make("p", { class: "problem", role: "alert" });
    const grid = make("div", { class: "cards" });
    async function refresh(force) {
      const runs = await ask("runs");
      const text = JSON.stringify(runs);
      if (text === drawn && !force) return;
      drawn = text;
      if (!runs.length) { root.replaceChildren(make("p", { class: "quiet" }, "No runs yet: fit something, and it is kept here.")); return; }
      grid.replaceChildren(...runs.map(card));
      if (!alive(grid)) root.replaceChildren(problem, grid);
    }
    async function tried(work) {
      if (pending) return;
      pending = true;
      try { await work(); problem.textContent = ""; } catch (error) { problem.textContent = error.message; }
      await refresh(true).catch(() => {});
      pending = false;
    }
    const SHOWN = { fit: ["started-job", "Fit"], comparison: ["started-comparison", "Compare"], distillation: ["started-distillation", "Distil"] };
    function started(job) {
      const [place, tab] = SHOWN[job.sort], box = document.querySelector(`#${place} textarea, #${place} input`);
      store.set(place, job.id);
      if (box) box.value = job.id;
      openTab(tab);
    }
    function card(run) {
      const path = encodeURIComponent(run.name);
      const headline = run.headline ? spoken(run.headline[0], run.headline[1]) : run.status;
      const button = (label, work, options = {}) => make("button", { type: "button", onclick: work, "aria-label": `${label}: ${run.name}`, ...options }, label);
      const picture = run.picture ? make("img", { src: `/studio/runs/${path}/preview.png?v=${run.changed}`, alt: "", loading: "lazy" }) : make("div", { class: "blank" });
      return make("article", { class: "run-card", "data-run": run.name }, picture, make("h2", {}, run.name),
        make("p", { class: "quiet" }, `${run.kind} · ${run.method} · ${run.status === "finished" ? headline : run.busy ? "under way" : run.status}`),
        make("div", { class: "buttons" },
          run.sort === "comparison" ? (run.ready ? make("a", { class: "button", href: `/studio/runs/${path}/comparison.html`, target: "_blank", rel: "noopener", "aria-label": `Open: ${run.name}` }, "Open") : null)
            : run.ready ? button(SOLID.includes(run.kind) ? "3-D" : "Look", () => open(SOLID.includes(run.kind) ? "space" : "inside", run.name)) : null,
          run.sort === "run" && run.ready ? button("Export", () => open("export", run.name)) : null,
          run.status !== "finished" && !run.busy ? button("Continue", () => tried(async () => started(await tell(`runs/${path}/resume`)))) : null,
          button("Repeat", () => tried(async () => started(await tell(`runs/${path}/repeat`)))),
          button("Rename", () => dialog(`Rename ${run.name}`, [make("label", {}, "New name ", make("input", { name: "to", value: run.name, required: true, autofocus: true, maxlength: 80 }))], "Rename",
            { class: "primary", run: async (form) => { await tell(`runs/${path}/rename`, { to: form.get("to") }); await refresh(true); } })),
          button("Delete", () => dialog(`Delete ${run.name}?`, [make("p", {}, "Its weights, history and pictures go for good. The signal it was fitted to stays.")], "Delete",
            { class: "danger", run: async () => { await tell(`runs/${path}/delete`); await refresh(true); } }))));
    }
    (async function loop() {
      let first = true;
      while (alive(root)) {
        if (first || seen(root)) {
          try { await refresh(); first = false; root.classList.remove("lost"); } catch (error) { root.classList.add("lost"); }
        }
        await wait(seen(root) ? 1500 : 400);
      }
    })();
  }

  // ---- zoom: the field itself, evaluated anew for every window ---------------------------------------------------------------

  function zoom(root) {
    const run = encodeURIComponent(root.dataset.run), flat = root.dataset.kind !== "audio";
    const view = { x0: 0, y0: 0, x1: 1, y1: 1 };
    let drawn = { ...view }, busy = false, again = false;
    const image = make("img", { alt: `the field ${root.dataset.run}`, draggable: "false" });
    const frame = make("div", { class: "window", tabindex: "0", role: "group", "aria-label": "The field; arrows move, plus and minus zoom, 0 shows all" }, image);
    const told = make("p", { class: "quiet", role: "status" });
    const at = make("input", { type: "range", min: 0, max: 1, step: 0.005, value: 0.5, "aria-label": root.dataset.place || "place" });
    const axis = make("select", { "aria-label": "cut across" }, ...["z", "y", "x"].map((name) => make("option", { value: name }, `across ${name}`)));
    const tools = make("div", { class: "buttons" },
      ...[["−", 1 / 2, "Zoom out"], ["+", 2, "Zoom in"]].map(([sign, factor, label]) => make("button", { type: "button", "aria-label": label, onclick: () => zoomAt(0.5, 0.5, factor) }, sign)),
      make("button", { type: "button", onclick: () => { Object.assign(view, { x0: 0, y0: 0, x1: 1, y1: 1 }); show(); } }, "Whole"),
      ...(root.dataset.place ? [make("label", {}, root.dataset.place, at)] : []), ...(root.dataset.place === "slice" ? [axis] : []));
    root.replaceChildren(frame, tools, told);
    at.addEventListener("input", () => show());
    axis.addEventListener("change", () => show());

    function show() {
      const scale = (drawn.x1 - drawn.x0) / (view.x1 - view.x0), tall = (drawn.y1 - drawn.y0) / (view.y1 - view.y0);
      image.style.transform = `translate(${100 * (drawn.x0 - view.x0) / (view.x1 - view.x0)}%, ${100 * (drawn.y0 - view.y0) / (view.y1 - view.y0)}%) scale(${scale}, ${tall})`;
      const times = 1 / (view.x1 - view.x0);
      told.textContent = times > 1.01 ? `${times < 10 ? times.toFixed(1) : Math.round(times).toLocaleString("en")} times closer, evaluated for these pixels` : "the whole; evaluated for these pixels";
      fetchSharp();
    }
    async function fetchSharp() {
      if (busy) { again = true; return; }
      busy = true;
      do {
        again = false;
        await wait(60);
        const wanted = { ...view }, ratio = Math.min(2, window.devicePixelRatio || 1);
        const w = Math.max(1, Math.min(1280, Math.round(frame.clientWidth * ratio))), h = Math.max(1, Math.min(1100, Math.round(frame.clientHeight * ratio)));
        const query = new URLSearchParams({ ...wanted, w, h, at: at.value, axis: axis.value });
        const answer = await fetch(`/studio/view/${run}?${query}`).catch(() => null);
        if (!alive(root)) return;
        if (!answer) { told.textContent = "the studio does not answer"; await wait(1000); again = true; continue; }
        if (!answer.ok) { told.textContent = (await answer.json().catch(() => ({}))).error || answer.statusText; continue; }
        const address = URL.createObjectURL(await answer.blob()), old = image.src;
        if (await swap(image, address)) {
          drawn = wanted;
          if (old.startsWith("blob:")) URL.revokeObjectURL(old);
          const scale = (drawn.x1 - drawn.x0) / (view.x1 - view.x0), tall = (drawn.y1 - drawn.y0) / (view.y1 - view.y0);
          image.style.transform = `translate(${100 * (drawn.x0 - view.x0) / (view.x1 - view.x0)}%, ${100 * (drawn.y0 - view.y0) / (view.y1 - view.y0)}%) scale(${scale}, ${tall})`;
          root.dataset.drawn = `${run} ${Object.values(drawn).map((value) => value.toFixed(4))}`;
        }
      } while (again);
      busy = false;
    }
    function zoomAt(x, y, factor) {
      const wide = view.x1 - view.x0, tall = view.y1 - view.y0;
      factor = Math.min(factor, wide / 2e-5);
      factor = Math.max(factor, wide);  // never more than the whole
      const left = view.x0 + x * wide, top = view.y0 + y * tall;
      view.x0 = left - x * wide / factor; view.x1 = view.x0 + wide / factor;
      if (flat) { view.y0 = top - y * tall / factor; view.y1 = view.y0 + tall / factor; }
      keep();
    }
    function move(dx, dy) { view.x0 += dx; view.x1 += dx; if (flat) { view.y0 += dy; view.y1 += dy; } keep(); }
    function keep() {
      for (const [low, high] of [["x0", "x1"], ["y0", "y1"]]) {
        const over = Math.max(0, -view[low]) - Math.max(0, view[high] - 1);
        view[low] += over; view[high] += over;
      }
      show();
    }
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      zoomAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, Math.exp(-event.deltaY / 400));
    }, { passive: false });
    frame.addEventListener("pointermove", (event) => {
      if (event.buttons) move(-event.movementX / frame.clientWidth * (view.x1 - view.x0), -event.movementY / frame.clientHeight * (view.y1 - view.y0));
    });
    frame.addEventListener("keydown", (event) => {
      const wide = 0.15 * (view.x1 - view.x0), tall = 0.15 * (view.y1 - view.y0);
      const action = { "+": () => zoomAt(0.5, 0.5, 1.5), "=": () => zoomAt(0.5, 0.5, 1.5), "-": () => zoomAt(0.5, 0.5, 1 / 1.5), ArrowLeft: () => move(-wide, 0),
        ArrowRight: () => move(wide, 0), ArrowUp: () => move(0, -tall), ArrowDown: () => move(0, tall), 0: () => { Object.assign(view, { x0: 0, y0: 0, x1: 1, y1: 1 }); show(); } }[event.key];
      if (action) { event.preventDefault(); action(); }
    });
    whenSeen(frame, show);
  }

  function whenSeen(node, work) {
    const watcher = new ResizeObserver(() => { if (!alive(node)) watcher.disconnect(); else if (node.clientWidth) work(); });
    watcher.observe(node);
  }

  // ---- orbit: coarse while it moves, sharp at rest ---------------------------------------------------------------------------

  function orbit(root) {
    const run = encodeURIComponent(root.dataset.run), COARSE = 128, SHARPEST = 512, PATIENCE = 1500;
    let slowest = 100;  // milliseconds that a coarse view takes
    const view = { azimuth: 30, elevation: 15, distance: 1.9 };
    let busy = false, dirty = true, resting = 0, what = "color", sharp = false;
    const image = make("img", { alt: `the shape ${root.dataset.run}`, draggable: "false" });
    const frame = make("div", { class: "window round", tabindex: "0", role: "group", "aria-label": "The shape; arrows turn it, plus and minus go nearer and farther" }, image);
    const told = make("p", { class: "quiet", role: "status" });
    const kinds = ["color", "normal", "depth"].map((kind) => make("button", { type: "button", "aria-pressed": String(kind === "color"), onclick: (event) => {
      what = kind;
      for (const button of kinds) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      moved(0, 0);
    } }, { color: "shaded", normal: "normals", depth: "depth" }[kind]));
    const steps = [["←", -15, 0, "Turn left"], ["→", 15, 0, "Turn right"], ["↑", 0, 10, "Higher"], ["↓", 0, -10, "Lower"]].map(([sign, a, e, label]) =>
      make("button", { type: "button", class: "sign", "aria-label": label, onclick: () => moved(a, e) }, sign));
    const near = [["−", 1.2, "Farther"], ["+", 1 / 1.2, "Nearer"]].map(([sign, factor, label]) => make("button", { type: "button", class: "sign", "aria-label": label, onclick: () => nearer(factor) }, sign));
    const at = make("input", { type: "range", min: 0, max: 1, step: 0.02, value: 0, "aria-label": "moment", oninput: () => changed() });
    root.replaceChildren(frame, make("div", { class: "buttons" }, ...kinds, ...steps, ...near, "moving" in root.dataset ? make("label", {}, "moment", at) : null), told);

    function moved(azimuth, elevation) {
      view.azimuth = (view.azimuth + azimuth) % 360;
      view.elevation = Math.max(-85, Math.min(85, view.elevation + elevation));
      changed();
    }
    function nearer(factor) { view.distance = Math.max(0.4, Math.min(6, view.distance * factor)); changed(); }
    function changed() { dirty = true; sharp = false; resting = performance.now(); draw(); }
    async function draw() {
      if (busy) return;
      busy = true;
      while (alive(root) && (dirty || !sharp)) {
        const rest = performance.now() - resting > 180 && !dirty;
        if (!dirty && !rest) { await wait(40); continue; }
        const side = rest ? Math.round(Math.max(192, Math.min(SHARPEST, COARSE * Math.sqrt(PATIENCE / slowest)))) : COARSE, asked = performance.now();
        if (dirty) dirty = false;
        const query = new URLSearchParams({ ...view, side, what, at: at.value });
        const answer = await fetch(`/studio/orbit/${run}?${query}`).catch(() => null);
        if (!answer || !answer.ok) { told.textContent = answer ? (await answer.json().catch(() => ({}))).error || answer.statusText : "the studio does not answer"; break; }
        const old = image.src;
        await swap(image, URL.createObjectURL(await answer.blob()));
        if (old.startsWith("blob:")) URL.revokeObjectURL(old);
        if (!rest) slowest = Math.max(20, performance.now() - asked);
        if (rest && !dirty) { sharp = true; root.dataset.drawn = `${run} sharp ${what} ${Math.round(view.azimuth)}${"moving" in root.dataset ? ` at ${at.value}` : ""}`; }
      }
      busy = false;
    }
    frame.addEventListener("pointermove", (event) => { if (event.buttons) moved(-event.movementX / 2, event.movementY / 2); });
    frame.addEventListener("wheel", (event) => { event.preventDefault(); nearer(Math.exp(event.deltaY / 600)); }, { passive: false });
    frame.addEventListener("keydown", (event) => {
      const action = { ArrowLeft: () => moved(-10, 0), ArrowRight: () => moved(10, 0), ArrowUp: () => moved(0, 8), ArrowDown: () => moved(0, -8), "+": () => nearer(1 / 1.15), "=": () => nearer(1 / 1.15), "-": () => nearer(1.15) }[event.key];
      if (action) { event.preventDefault(); action(); }
    });
    let begun = false;
    whenSeen(frame, () => { if (!begun) { begun = true; changed(); } });
  }

  document.addEventListener("click", (event) => {
    const name = event.target.closest?.("[data-example]")?.dataset.example;
    if (!name) return;
    for (const button of document.querySelectorAll("[data-example]")) button.setAttribute("aria-pressed", String(button.dataset.example === name));
    window.studioExample?.(name);
  });

  // Gradio ignores clicks while what the first one asked for is under way, but knows of that only a little later (seen in 6.31).
  const pressed = new Map();
  window.addEventListener("click", (event) => {
    const id = event.target.closest?.("#start, #compare-start, #distil-start, #export-start, #space-extract, #inside-spectra")?.id;
    if (!id) return;
    if (event.timeStamp - (pressed.get(id) ?? -Infinity) < SOON) { event.stopImmediatePropagation(); event.preventDefault(); } else pressed.set(id, event.timeStamp);
  }, true);

  // ---- beginning ------------------------------------------------------------------------------------------------------------

  const KINDS = { live, comparison, gallery, zoom, orbit };
  function begin() {
    for (const node of document.querySelectorAll("[data-studio]:not([data-begun])")) {
      node.dataset.begun = "1";
      KINDS[node.dataset.studio](node);
    }
    for (const box of document.querySelectorAll(".unseen textarea, .unseen input")) if (box.tabIndex !== -1) { box.tabIndex = -1; box.setAttribute("aria-hidden", "true"); }
    // (the viewer of meshes would be reached before all else)
    for (const canvas of document.querySelectorAll("#space-mesh canvas")) if (canvas.tabIndex > 0) canvas.tabIndex = 0;
  }

  // A tab or an accordion that opens for the first time: Gradio sets its controls once more, two frames after they are there (seen in 6.31),
  // and what was typed in between would be gone. They are not shown before.
  const fresh = new Set();
  let grown = 0, settling = false;
  function arrived(changes) {
    for (const change of changes) for (const node of change.addedNodes) {
      if (node.nodeType !== 1 || !node.matches(".tabitem, .tabitem .form, .tabitem .block")) continue;
      grown += 1;
      if (node.matches(".tabitem") ? document.querySelectorAll(".tabitem").length > 1 : node.closest(".gr-accordion")) {
        node.classList.add("fresh");
        fresh.add(node);
      }
    }
    if (fresh.size && !settling) settle();
  }
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  async function settle() {
    settling = true;
    let before;
    do { before = grown; await frame(); await frame(); await wait(50); } while (grown !== before);
    for (const node of fresh) node.classList.remove("fresh");
    fresh.clear();
    settling = false;
  }
  new MutationObserver((changes) => { begin(); arrived(changes); }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["tabindex"] });
  begin();
})();
