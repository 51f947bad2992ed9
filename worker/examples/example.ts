/** A first request in a language or tool that people arrive with: shown in the portal, the API's description and the README. */

export interface Example {
  readonly id: string;
  readonly name: string;
  /** of its text, for highlighting */
  readonly language: 'bash' | 'python' | 'javascript' | 'json' | 'text';
  readonly code: string;
}

export interface ExampleRequest {
  /** ends in /v1 */
  readonly baseUrl: string;
  readonly model: string;
  readonly question: string;
  /** the key itself when it is fresh; null: read from the environment */
  readonly key: string | null;
}

/** As a literal of JavaScript, Python and JSON alike. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

export function keyInNode(key: string | null): string {
  return key === null ? 'process.env.TOLLGATE_API_KEY' : quoted(key);
}
