/** The painter and the view of each kind. */

import type { Header } from "../contents";
import type { Painter } from "../painter";
import type { Store } from "../store";
import type { Page, View } from "../view";
import { AudioView } from "./audio";
import { FlatView } from "./flat";
import { MarchPainter, SCENE_MODES } from "./march";
import { PlanePainter } from "./plane";
import { sceneView, shapeView } from "./solid";
import { SHADES, TracePainter } from "./trace";

const made = new WeakMap<Header, Painter>();

/** What draws the pages of a kind. */
export function painterFor(header: Header, store: Store): Painter {
  const known = made.get(header);
  if (known) return known;
  const make = {
    shape: () => new TracePainter(header),
    radiance: () => new MarchPainter(header, store),
  }[header.kind];
  const painter = make ? make() : new PlanePainter(header);
  made.set(header, painter);
  return painter;
}

/** The view of a page's kind. `stretch`: the canvas has a size that was asked for. */
export function makeView(header: Header, page: Page, stretch: boolean): View {
  if (header.kind === "radiance") return sceneView(header, page, SCENE_MODES);
  if (header.kind === "audio") return new AudioView(header, page);
  if (header.kind === "shape") return shapeView(page, SHADES, stretch);
  return new FlatView(header, page, stretch);
}
