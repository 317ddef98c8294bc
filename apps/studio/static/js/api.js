// Requests to the studio's routes, and settings that the browser keeps.

const BASE = "/studio/";

/** An error that the studio reports. `status`: of its response; undefined where there was no response. */
class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

async function request(path, options) {
  const response = await fetch(BASE + path, options);
  if (!response.ok) throw new Refused(await errorMessage(response), response.status);
  return response;
}

export const getJson = async (path) => (await request(path)).json();

export const getHtml = async (path) => (await request(path)).text();

export async function postJson(path, content = {}) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(content) })).json();
}

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
