/** Clients of a soak: each asks its planned requests one after the other and puts on record what it saw. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type RawAnswer, type RawRequest, rawPost } from '../e2e/raw-client.ts';
import { witnessed } from '../e2e/witness.ts';
import type { ClientWitness, Violation } from '../laws/world.ts';
import type { Household, SoakKey } from './customers.ts';
import { type PlannedRequest, plannedRequest, type RequestKind } from './request-plan.ts';

export interface Testimony extends ClientWitness {
  readonly kind: RequestKind;
  /** the code of a refusal, or null */
  readonly code: string | null;
  /** its client read slowly */
  readonly slow: boolean;
}

/** Every prompt carries what belongs to its account alone; see L11. */
export const MARK = 'mark-of-';

/** Somebody whom nobody listens to comes back a little later. */
const REST_MS = 300;
const PATIENCE_MS = 30_000;
/** An answer that is still being given can be had a little later. */
const RUNNING_REST_MS = 700;

export class Traffic {
  readonly testimonies: Testimony[] = [];
  /** replays that differ from the answer that they repeat */
  readonly observed: Violation[] = [];
  begun = 0;
  open = 0;
  readonly #url: string;
  readonly #seed: number;
  readonly #household: Household;

  constructor(options: { url: string; seed: number; household: Household }) {
    this.#url = `${options.url}/v1/chat/completions`;
    this.#seed = options.seed;
    this.#household = options.household;
  }

  /** Runs until `more` says no; `onNext` is told how many requests have begun. */
  async run(
    clients: number,
    { more, onNext }: { more: () => boolean; onNext: (begun: number) => void },
  ): Promise<void> {
    const client = async () => {
      while (more()) {
        const n = this.begun++;
        onNext(n);
        await this.ask(plannedRequest(this.#seed, n));
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
  }

  /** One planned request: usually one call, several for one that is sent again. */
  async ask(planned: PlannedRequest): Promise<void> {
    const keys = this.#household.customers[planned.asker];
    const key = keys[planned.pick % keys.length]!;
    if (planned.grantUsd !== undefined) {
      const granted = this.#household.grant(key.accountId, `soak-${planned.n}`, planned.grantUsd);
      if (!(await granted.then(() => true).catch(() => false))) return;
    }
    if (planned.times === undefined) return void (await this.#send(planned, key, {}));

    const idempotencyKey = `soak-${this.#seed}-${planned.n}`;
    const wholes = new Map<string, string>();
    for (let time = 0; time < planned.times; time++) {
      // only the first one leaves: the retry is what it left for
      const answer = await this.#send(planned, key, { idempotencyKey, stays: time > 0 });
      if (answer.status === 409) await sleep(RUNNING_REST_MS);
      this.#compare(wholes, answer);
    }
    if (planned.otherBody === undefined) return;
    const other = await this.#send({ ...planned, body: planned.otherBody }, key, { idempotencyKey });
    if (wholes.size > 0 && other.status === 200)
      this.observed.push({ law: 'L3', about: idempotencyKey, what: 'stood for two different requests' });
  }

  async #send(
    planned: PlannedRequest,
    key: SoakKey,
    { idempotencyKey = null, stays = false }: { idempotencyKey?: string | null; stays?: boolean },
  ): Promise<RawAnswer> {
    this.open += 1;
    const answer = await connectedPost({
      url: this.#url,
      headers: {
        authorization: `Bearer ${key.apiKey}`,
        ...(idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey }),
      },
      body: planned.body.replace('Request ', `${MARK}${key.accountId} Request `),
      ...(stays
        ? {}
        : {
            leaveAfterBytes: planned.leaveAfterBytes,
            leaveAfterMs: planned.leaveAfterMs,
            leaveBy: planned.leaveBy,
          }),
      restMs: planned.restMs,
    });
    this.open -= 1;
    this.testimonies.push({
      ...witnessed(answer),
      kind: planned.kind,
      code: refusalCode(answer),
      slow: planned.restMs !== undefined,
      accountId: key.accountId,
      keyId: key.keyId,
      idempotencyKey,
      text: answer.body.includes(MARK) ? answer.body : undefined,
      sentAtMs: answer.sentAtMs,
      endedAtMs: answer.endedAtMs,
    });
    return answer;
  }

  /** @param wholes answers that came whole, by request id: sent again, each must be the same */
  #compare(wholes: Map<string, string>, answer: RawAnswer): void {
    const { requestId, ending } = witnessed(answer);
    if (requestId === null || (ending !== 'whole' && ending !== 'cut')) return;
    const body = answer.body.trim();
    const before = wholes.get(requestId) ?? body;
    if (before !== body)
      this.observed.push({ law: 'L3', about: requestId, what: 'was sent again as another answer' });
    wholes.set(requestId, before);
  }
}

/** An edge that is down is no answer to a request: its client tries until somebody takes the connection. */
async function connectedPost(request: RawRequest): Promise<RawAnswer> {
  for (const endMs = Date.now() + PATIENCE_MS; ; ) {
    const answer = await rawPost(request);
    if (answer.connected || Date.now() > endMs) return answer;
    await sleep(REST_MS);
  }
}

function refusalCode({ status, body, complete }: RawAnswer): string | null {
  if (status === null || status === 200 || !complete) return null;
  try {
    return (JSON.parse(body) as { error: { code: string } }).error.code;
  } catch {
    return `${status}`;
  }
}
