/**
 * The RateLimiter: one Durable Object per subject of the rate limits, so that a count is exact over all isolates of all
 * data centers. It stores one window per rule, of which there are a few, and deletes everything when the last window is
 * over: nothing grows with time, and a subject that stays away leaves nothing.
 */
import { DurableObject } from 'cloudflare:workers';
import type {
  RateLimiterApi,
  RateRequest,
  RateRuleName,
  RateState,
  RateWindow,
} from '../domain/rate-limit.ts';
import type { Env } from '../env.ts';

export class RateLimiter extends DurableObject<Env> implements RateLimiterApi {
  async take(
    requests: readonly RateRequest[],
    nowMs: number,
  ): Promise<{ allowed: boolean; states: RateState[] }> {
    // Loaded here, because every isolate loads this class and few of them run it. Nothing is awaited after the first read.
    const { decideAttempt } = await import('../domain/rate-limit.ts');
    const { kv } = this.ctx.storage;
    const decisions = requests.map((request) =>
      decideAttempt(request, kv.get<RateWindow>(request.rule), nowMs),
    );
    const allowed = decisions.every((decision) => decision.allowed);
    if (allowed) {
      for (const { state, window } of decisions) kv.put(state.rule, window);
      await this.#wakeAt(Math.max(...decisions.map(({ window }) => window.endsAtMs)));
    }
    const counted = decisions.filter((decision) => allowed || !decision.allowed);
    return { allowed, states: counted.map(({ state }) => state) };
  }

  async forgive(rule: RateRuleName): Promise<void> {
    this.ctx.storage.kv.delete(rule);
  }

  /** Removes everything once the last window is over. */
  override async alarm(): Promise<void> {
    const windows = [...this.ctx.storage.kv.list<RateWindow>()].map(([, window]) => window);
    const lastEndMs = Math.max(0, ...windows.map(({ endsAtMs }) => endsAtMs));
    if (lastEndMs <= Date.now()) await this.ctx.storage.deleteAll();
    else await this.ctx.storage.setAlarm(lastEndMs);
  }

  /** Sets the alarm unless it is set: one that comes early sets itself again. */
  async #wakeAt(atMs: number): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(atMs);
  }
}
