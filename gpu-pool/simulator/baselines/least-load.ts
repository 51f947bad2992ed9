import { leastBy, type MakePolicy } from './request.ts';

/** Chooses the least queued and running tokens over throughput, plus KV pressure (SGLang gateway, `least_load`). */
export const leastLoad: MakePolicy = () => (candidates) =>
  leastBy(candidates, ({ node: { load, capacity }, local }) => {
    const tokens = load.waiting_tokens + load.used_tokens + local.waitingTokens;
    return tokens / capacity + load.used_tokens / Math.max(1, load.capacity_tokens);
  });
