const ANTHROPIC_PATH = /^\/(anthropic|v1\/(messages|complete|skills|agents|sessions|environments))(\/|$)/;

/** Whether a caller speaks Anthropic's API: by a path that only it has, or by the header that its clients always send. */
export function speaksAnthropic({ url, headers }: Request): boolean {
  return headers.has('anthropic-version') || ANTHROPIC_PATH.test(new URL(url).pathname);
}
