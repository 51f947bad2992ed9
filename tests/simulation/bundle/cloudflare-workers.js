/** `cloudflare:workers`, as far as the Durable Objects need it. */
export class DurableObject {
  constructor(ctx, env) {
    this.ctx = ctx;
    this.env = env;
  }
}

/** Work behind an answer: it goes on while its isolate lives. */
export function waitUntil(promise) {
  promise.catch(() => undefined);
}
