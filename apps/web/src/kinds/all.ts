/** The painter and the view of each kind. */

import type { Header } from "../contents";
import type { Look, Painter } from "../painter";
import type { Store } from "../store";
import type { Page, View } from "../view";
import { FlatView } from "./flat";
import { PlanePainter } from "./plane";

let known: { header: Header; plane: Painter } | undefined;

/** The painter of what `look` shows. */
export function painterFor(header: Header, _store: Store, _look: Look): Painter {
  if (known?.header !== header) known = { header, plane: new PlanePainter(header) };
  return known.plane;
}

/** The view of a page's kind. `stretch`: the canvas has a size that was asked for. */
export function makeView(header: Header, _store: Store, page: Page, stretch: boolean): View {
  return new FlatView(header, page, stretch);
}
