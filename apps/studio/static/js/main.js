// Entry point: starts the panel of every element with the attribute `data-studio`, also of those that Gradio adds later.

import { CameraViewer } from "./camera_viewer.js";
import { Clips } from "./clips.js";
import { Comparison } from "./comparison.js";
import "./examples.js";
import { Gallery } from "./gallery.js";
import { correctTabOrder, hideUntilSettled } from "./gradio_events.js";
import { LiveFit } from "./live_fit.js";
import { MeshViewer } from "./mesh_viewer.js";
import { showOpening } from "./opening.js";
import { OrbitViewer } from "./orbit_viewer.js";
import { OwnerView } from "./owner.js";
import { Reconstruction } from "./reconstruction.js";
import { RunPage } from "./run_page.js";
import { SoundPlayer } from "./sound_player.js";
import { followAddress } from "./tabs.js";
import "./uploads.js";
import { ZoomViewer } from "./zoom_viewer.js";

const PANELS = {
  live: LiveFit,
  clips: Clips,
  comparison: Comparison,
  gallery: Gallery,
  zoom: ZoomViewer,
  orbit: OrbitViewer,
  cameras: CameraViewer,
  reconstruction: Reconstruction,
  mesh: MeshViewer,
  run: RunPage,
  sound: SoundPlayer,
  owner: OwnerView,
};

function startPanels() {
  for (const root of document.querySelectorAll("[data-studio]:not([data-started])")) {
    root.dataset.started = "";
    new PANELS[root.dataset.studio](root);
  }
}

function update(mutations) {
  startPanels();
  correctTabOrder();
  hideUntilSettled(mutations);
}

new MutationObserver(update).observe(document.documentElement, {
  childList: true,
  subtree: true,
  attributes: true,
  attributeFilter: ["tabindex"],
});
update([]);
followAddress();
if (location.pathname === "/") showOpening();
