/** The part of `cloudflare:workers` that the Durable Objects need. */
export class DurableObject {
  constructor(ctx, env) {
    this.ctx = ctx;
    this.env = env;
  }
}

/** Work that continues after the answer: here it simply runs while its isolate lives. */
export function waitUntil(promise) {
  promise.catch(() => undefined);
}
