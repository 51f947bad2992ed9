/** A code example of a first request in one language or tool. The portal, the OpenAPI document and the README show it. */

export interface Example {
  readonly id: string;
  readonly name: string;
  /** Language of `code`, for highlighting. */
  readonly language: 'bash' | 'python' | 'javascript' | 'json' | 'text';
  readonly code: string;
}

export interface ExampleRequest {
  /** Base URL of the API; it ends in /v1. */
  readonly baseUrl: string;
  readonly model: string;
  readonly question: string;
  /** The key itself when it was just created; null: the code reads it from the environment. */
  readonly key: string | null;
}

/** A string literal that is valid in JavaScript, Python and JSON. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** A JavaScript expression for the key. */
export function apiKeyInJavaScript(key: string | null): string {
  return key === null ? 'process.env.TOLLGATE_API_KEY' : quoted(key);
}
