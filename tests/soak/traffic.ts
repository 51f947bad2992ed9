/** The clients of a soak. Each sends planned requests one after the other and records what it observed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { observedAnswer } from '../e2e/observed-answer.ts';
import { type RawAnswer, type RawRequest, rawPost } from '../e2e/raw-client.ts';
import type { ClientObservation, Violation } from '../laws/world.ts';
import type { CustomerBase, SoakKey } from './customers.ts';
import { type PlannedRequest, plannedRequest, type RequestKind } from './request-plan.ts';

export interface SoakObservation extends ClientObservation {
  readonly kind: RequestKind;
  /** The error code of a refusal, or null. */
  readonly code: string | null;
  /** True when its client read slowly. */
  readonly slow: boolean;
}

/** Every prompt carries a text of its account alone, which must appear nowhere else (law L11). */
export const MARK = 'mark-of-';

/** The pause before a client tries again to connect to an edge that is down. */
const REST_MS = 300;
const PATIENCE_MS = 30_000;
/** The pause after a 409: the first request under the idempotency key is still running. */
const RUNNING_REST_MS = 700;

export class Traffic {
  readonly observations: SoakObservation[] = [];
  /** Replays that differ from the answer that they should repeat. */
  readonly observed: Violation[] = [];
  begun = 0;
  open = 0;
  readonly #url: string;
  readonly #seed: number;
  readonly #customerBase: CustomerBase;

  constructor(options: { url: string; seed: number; customerBase: CustomerBase }) {
    this.#url = `${options.url}/v1/chat/completions`;
    this.#seed = options.seed;
    this.#customerBase = options.customerBase;
  }

  /** Runs until `more` returns false. `onNext` receives the number of requests that have begun. */
  async run(
    clients: number,
    { more, onNext }: { more: () => boolean; onNext: (begun: number) => void },
  ): Promise<void> {
    const client = async () => {
      while (more()) {
        const n = this.begun++;
        onNext(n);
        await this.send(plannedRequest(this.#seed, n));
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
  }

  /** Sends a planned request, several times if it is planned to be repeated. */
  async send(planned: PlannedRequest): Promise<void> {
    const keys = this.#customerBase.customers[planned.requester];
    const key = keys[planned.pick % keys.length]!;
    if (planned.grantUsd !== undefined) {
      const granted = this.#customerBase.grant(key.accountId, `soak-${planned.n}`, planned.grantUsd);
      if (!(await granted.then(() => true).catch(() => false))) return;
    }
    if (planned.times === undefined) return void (await this.#send(planned, key, {}));

    const idempotencyKey = `soak-${this.#seed}-${planned.n}`;
    const wholes = new Map<string, string>();
    for (let time = 0; time < planned.times; time++) {
      // only the first client disconnects: the others are its retries
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
    this.observations.push({
      ...observedAnswer(answer),
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

  /** @param wholes complete answers by request id: a replay must equal the first */
  #compare(wholes: Map<string, string>, answer: RawAnswer): void {
    const { requestId, ending } = observedAnswer(answer);
    if (requestId === null || (ending !== 'whole' && ending !== 'cut')) return;
    const body = answer.body.trim();
    const before = wholes.get(requestId) ?? body;
    if (before !== body)
      this.observed.push({ law: 'L3', about: requestId, what: 'was sent again as another answer' });
    wholes.set(requestId, before);
  }
}

/** Sends a request until a connection is accepted: an edge that is down gives no answer that could be checked. */
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
