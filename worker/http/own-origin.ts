/**
 * Whether a page of this installation sent a form. A browser names the sending page in `Origin`, or says in
 * `Sec-Fetch-Site` that it is of the same origin; a request with neither is no browser's form. The body's type does not
 * matter: many forms change something by their path alone.
 */
export function isFromOwnPage(headers: Headers, publicOrigin: string): boolean {
  const origin = headers.get('origin');
  // the origin in use may be another than the configured one, so where it is named it decides
  return origin === null ? headers.get('sec-fetch-site') === 'same-origin' : origin === publicOrigin;
}
