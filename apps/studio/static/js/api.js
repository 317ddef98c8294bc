// Requests to the studio's routes, and settings that the browser keeps.

const BASE = "/studio/";

async function request(path, options) {
  const response = await fetch(BASE + path, options);
  if (!response.ok) throw new Error(await errorMessage(response));
  return response.json();
}

export const getJson = (path) => request(path);

export const postJson = (path, content = {}) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });

/** Fetch an image. Returns null if the studio does not answer; a refused request is a response that is not `ok`. */
export async function fetchImage(path, parameters) {
  try {
    return await fetch(`${BASE}${path}?${new URLSearchParams(parameters)}`);
  } catch {
    return null;
  }
}

/** The sentence of a response that reports an error. */
export async function errorMessage(response) {
  try {
    return (await response.json()).error || response.statusText;
  } catch {
    return response.statusText;
  }
}

/** `localStorage` that neither reads nor writes anything where the browser forbids it (private windows). */
export const storage = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // The choice is forgotten when the page is closed.
    }
  },
};
