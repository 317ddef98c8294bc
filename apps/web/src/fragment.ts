/** The part of the address behind #: what is shown, so that a link opens the same view. */

export type Fragment = Record<string, string>;

export function readFragment(hash: string): Fragment {
  return Object.fromEntries(
    hash
      .replace(/^#/, "")
      .split("&")
      .filter(Boolean)
      .map((part) => {
        const [name, ...value] = part.split("=");
        return [decodeURIComponent(name), decodeURIComponent(value.join("="))];
      }),
  );
}

export function writeFragment(fragment: Fragment): string {
  const parts = Object.entries(fragment).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURI(value)}`);
  return parts.length ? `#${parts.join("&")}` : "#";
}

/** Numbers with commas between them; undefined unless there are `count` finite ones. */
export function readNumbers(text: string | undefined, count: number): number[] | undefined {
  const numbers = (text ?? "").split(",").map(Number);
  return text && numbers.length === count && numbers.every(Number.isFinite) ? numbers : undefined;
}

/** A number as a link has it: no more digits than matter. */
export function short(value: number, digits = 5): string {
  return String(Number(value.toPrecision(digits)));
}
