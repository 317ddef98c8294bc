/** Elements of the page. */

type Attributes = Record<string, string | boolean | ((event: Event) => void)>;

/** An element with attributes, listeners ("onclick") and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") found.addEventListener(key.slice(2), value);
    else if (value === true) found.setAttribute(key, "");
    else if (value !== false) found.setAttribute(key, value);
  }
  found.append(...children);
  return found;
}

export interface Slider {
  label: string;
  min: number;
  max: number;
  step: number;
  value: number;
  show(value: number): string;
  change(value: number): void;
}

/** A labelled slider, and what sets it from outside. */
export function slider(options: Slider): { root: HTMLElement; set(value: number): void } {
  const output = element("output");
  const input = element("input", {
    type: "range",
    min: String(options.min),
    max: String(options.max),
    step: String(options.step),
    "aria-label": options.label,
    oninput: () => {
      output.textContent = options.show(Number(input.value));
      options.change(Number(input.value));
    },
  });
  const set = (value: number) => {
    input.value = String(value);
    output.textContent = options.show(value);
  };
  set(options.value);
  return { root: element("label", { class: "slider" }, element("span", {}, options.label), input, output), set };
}

/** A labelled choice. */
export function choice(label: string, values: [string, string][], value: string, change: (value: string) => void) {
  const select = element("select", { "aria-label": label, onchange: () => change(select.value) });
  for (const [name, text] of values) select.append(element("option", { value: name, selected: name === value }, text));
  return element("label", {}, element("span", {}, label), select);
}

export function button(label: string, title: string, click: () => void): HTMLButtonElement {
  return element("button", { type: "button", title, onclick: click }, label);
}
