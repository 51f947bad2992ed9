/** The requests of the population: their rate, their bodies, how each client behaves, and which are sent again. */
import type { ClientObservation } from '../laws/world.ts';
import { attackOf } from './attack.ts';
import { Client, type ClientBehavior, type ClientRequest, PATIENT } from './client.ts';
import { WORLD } from './life.ts';
import type { Account } from './population.ts';
import { type AnswerPlan, promptOf } from './prompt.ts';
import type { Random } from './random.ts';
import type { Universe } from './universe.ts';

/** The rate of requests, and the fractions of them that have a property. */
export interface TrafficProfile {
  /** Requests per second of virtual time. */
  readonly perSecond: number;
  /** The fraction with long answers. */
  readonly long: number;
  /** The fraction whose client disconnects early. */
  readonly leaves: number;
  /** The fraction with an idempotency key. */
  readonly keyed: number;
  /** The fraction that streams. */
  readonly streams: number;
}

export const MIXED: TrafficProfile = { perSecond: 60, long: 0.02, leaves: 0.08, keyed: 0.08, streams: 0.6 };
/** Everything at once, every request short and without an early disconnect. */
export const RACE: TrafficProfile = { perSecond: 2_000, long: 0, leaves: 0, keyed: 0, streams: 0.5 };

export class Traffic {
  readonly clients: ClientObservation[] = [];
  /** Ids of requests whose answer has begun to leave the edge. */
  readonly answered = new Set<string>();
  running = 0;
  readonly #universe: Universe;
  readonly #accounts: readonly Account[];
  readonly #profile: TrafficProfile;
  readonly #weight: number;
  readonly #waiting = new Set<Client>();
  #sent = 0;

  constructor(universe: Universe, accounts: readonly Account[], profile: TrafficProfile) {
    this.#universe = universe;
    this.#accounts = accounts;
    this.#profile = profile;
    this.#weight = accounts.reduce((sum, { weight }) => sum + weight, 0);
  }

  get sent(): number {
    return this.#sent;
  }

  /** Sends `count` requests as a Poisson process of the profile's rate. */
  begin(count: number): void {
    const { random, scheduler } = this.#universe;
    const next = () => {
      if (this.#sent >= count) return;
      this.#send(this.#drawRequest());
      scheduler.after((-Math.log(1 - random.next()) * 1_000) / this.#profile.perSecond, WORLD, next);
    };
    next();
  }

  /** Sends a short request of an account that can pay, to see whether it is served. */
  probe(): Promise<ClientObservation> {
    const account = this.#accounts.find(({ kind }) => kind === 'rich') ?? this.#accounts[0]!;
    const plan = { ...shortPlan(this.#universe.random), marker: account.marker };
    const body = bodyOf(plan, { stream: false, max_tokens: plan.tokens });
    return new Promise((resolve) =>
      this.#send({ account, keyIndex: 0, body, idempotencyKey: null, behavior: PATIENT }, resolve),
    );
  }

  /** Disconnects every client that still waits. @returns their requests, as probes that were not served */
  abandonWaiting(): { what: string; served: boolean }[] {
    return [...this.#waiting].map((client) => {
      client.leave();
      return { what: client.seen.requestId ?? client.seen.accountId, served: false };
    });
  }

  #send(request: ClientRequest, onEnd?: (seen: ClientObservation) => void): void {
    this.#sent += 1;
    this.running += 1;
    const client = new Client(this.#universe, request, {
      onByte: (requestId) => void this.answered.add(requestId),
      onEnd: (seen) => {
        this.running -= 1;
        this.#waiting.delete(client);
        this.clients.push(seen);
        const who = request.account.kind === 'attacker' ? 'attacker' : 'client';
        this.#universe.trace.count(
          `${who} ${seen.ending}${seen.ending === 'refused' ? ` ${seen.status}` : ''}`,
        );
        if (request.idempotencyKey !== null) this.#resend(request);
        onEnd?.(seen);
      },
    });
    this.#waiting.add(client);
    client.send();
  }

  /** Sends a request again under its idempotency key, at times by mistake with another body. */
  #resend(request: ClientRequest): void {
    const { random, scheduler } = this.#universe;
    if (!random.chance(0.55)) return;
    const changes = random.chance(0.1)
      ? { body: request.body.replace('"temperature":0', '"temperature":1') }
      : {};
    this.running += 1;
    const waitMs = random.pick([1, 500, 2_000, 12_000]);
    scheduler.after(waitMs, WORLD, () => {
      this.running -= 1;
      this.#send({ ...request, ...changes, behavior: PATIENT });
    });
  }

  #drawRequest(): ClientRequest {
    const { random } = this.#universe;
    const account = this.#drawAccount();
    if (account.kind === 'attacker') return this.#drawAttack(account);
    const long = account.kind === 'tight' || random.chance(this.#profile.long);
    const plan = { ...(long ? longPlan(random) : shortPlan(random)), marker: account.marker };
    const n = random.chance(0.05) ? 2 + random.int(2) : undefined;
    const stream = random.chance(this.#profile.streams);
    const max_tokens = random.chance(0.12)
      ? undefined
      : Math.max(1, plan.tokens + random.int(6) - (random.chance(0.1) ? 5 : 0));
    const keyed = random.chance(this.#profile.keyed);
    const request = {
      account,
      keyIndex: random.int(account.keys.length),
      body: bodyOf(plan, { stream, max_tokens, n }),
      idempotencyKey: keyed ? `key-${this.#sent}-${random.int(1_000_000)}` : null,
      behavior: this.#drawBehavior(random),
    };
    if (keyed && random.chance(0.15))
      this.#universe.scheduler.after(random.between(0, 100), WORLD, () => this.#send(request));
    return request;
  }

  #drawAttack(account: Account): ClientRequest {
    const { random } = this.#universe;
    const plan = { ...shortPlan(random), marker: account.marker };
    return {
      account,
      keyIndex: random.int(account.keys.length),
      body: attackOf(random, plan),
      idempotencyKey: null,
      behavior: this.#drawBehavior(random),
    };
  }

  #drawBehavior(random: Random): ClientBehavior {
    const leaves = random.chance(this.#profile.leaves);
    const byTime = random.chance(0.5);
    return {
      leaveAfterChunks: leaves && !byTime ? 1 + random.int(5) : null,
      leaveAfterMs: leaves && byTime ? random.between(1, 600) : null,
      pauseMs: random.chance(0.03) ? random.between(50, 3_000) : 0,
      uploadMs: random.chance(0.02) ? random.between(100, 6_000) : 0,
    };
  }

  #drawAccount(): Account {
    let at = this.#universe.random.next() * this.#weight;
    for (const account of this.#accounts) {
      at -= account.weight;
      if (at < 0) return account;
    }
    return this.#accounts.at(-1)!;
  }
}

type UnmarkedPlan = Omit<AnswerPlan, 'marker'>;

function shortPlan(random: Random): UnmarkedPlan {
  return {
    tokens: 1 + random.int(6),
    chunkTokens: 1 + random.int(3),
    stepMs: random.int(40) + 2,
    prefillMs: random.int(150) + 5,
  };
}

/** An answer that outgrows its hold's first window, in few chunks so that it costs few events. */
function longPlan(random: Random): UnmarkedPlan {
  return {
    tokens: 300 + random.int(4_000),
    chunkTokens: 60 + random.int(200),
    stepMs: random.int(1_500) + 100,
    prefillMs: random.int(2_000),
  };
}

function bodyOf(
  plan: AnswerPlan,
  fields: { stream: boolean; max_tokens: number | undefined; n?: number | undefined },
): string {
  return JSON.stringify({
    model: 'deepseek-reasoner',
    messages: [{ role: 'user', content: promptOf(plan) }],
    temperature: 0,
    ...fields,
  });
}
