/** The viewer is one script: it shows the page, and in workers, which have no document, it paints. */

import { startPage } from "./main";
import { startWorker } from "./worker";

if (typeof document === "undefined") startWorker();
else startPage(document.currentScript?.textContent ?? "");
