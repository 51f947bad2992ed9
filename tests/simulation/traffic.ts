/** What the population asks for, in what manner, and who asks again. */
import type { ClientWitness } from '../laws/world.ts';
import { Client, type Manner, PATIENT, type Question } from './client.ts';
import type { Account } from './population.ts';
import { type Plan, promptOf } from './prompt.ts';
import type { Random } from './random.ts';
import { WORLD } from './scheduler.ts';
import type { Universe } from './universe.ts';

export interface Style {
  /** virtual requests per second */
  readonly perSecond: number;
  /** shares of requests */
  readonly long: number;
  readonly leaves: number;
  readonly keyed: number;
  readonly streams: number;
}

export const MIXED: Style = { perSecond: 60, long: 0.02, leaves: 0.08, keyed: 0.08, streams: 0.6 };
/** All at once, each short and patient. */
export const RACE: Style = { perSecond: 2_000, long: 0, leaves: 0, keyed: 0, streams: 0.5 };

export class Traffic {
  readonly clients: ClientWitness[] = [];
  /** requests of which a byte of an answer has left the edge */
  readonly left = new Set<string>();
  running = 0;
  readonly #universe: Universe;
  readonly #accounts: readonly Account[];
  readonly #style: Style;
  readonly #weight: number;
  readonly #waiting = new Set<Client>();
  #asked = 0;

  constructor(universe: Universe, accounts: readonly Account[], style: Style) {
    this.#universe = universe;
    this.#accounts = accounts;
    this.#style = style;
    this.#weight = accounts.reduce((sum, { weight }) => sum + weight, 0);
  }

  get asked(): number {
    return this.#asked;
  }

  /** Asks `count` times, at random instants of a rate. */
  begin(count: number): void {
    const { random, scheduler } = this.#universe;
    const next = () => {
      if (this.#asked >= count) return;
      this.#ask(this.#question());
      scheduler.after((-Math.log(1 - random.next()) * 1_000) / this.#style.perSecond, WORLD, next);
    };
    next();
  }

  /** A short request of somebody who can pay, to see whether anybody serves. */
  probe(): Promise<ClientWitness> {
    const account = this.#accounts.find(({ kind }) => kind === 'rich') ?? this.#accounts[0]!;
    const plan = { ...shortPlan(this.#universe.random), marker: account.marker };
    const body = bodyOf(plan, { stream: false, max_tokens: plan.tokens });
    return new Promise((resolve) =>
      this.#ask({ account, keyIndex: 0, body, idempotencyKey: null, manner: PATIENT }, resolve),
    );
  }

  /** Whoever still waits for an answer stops waiting. @returns what they waited for */
  giveUp(): { what: string; served: boolean }[] {
    return [...this.#waiting].map((client) => {
      client.leave();
      return { what: client.seen.requestId ?? client.seen.accountId, served: false };
    });
  }

  #ask(question: Question, then?: (seen: ClientWitness) => void): void {
    this.#asked += 1;
    this.running += 1;
    const client = new Client(this.#universe, question, {
      onByte: (requestId) => void this.left.add(requestId),
      onEnd: (seen) => {
        this.running -= 1;
        this.#waiting.delete(client);
        this.clients.push(seen);
        this.#universe.trace.count(
          `client ${seen.ending}${seen.ending === 'refused' ? ` ${seen.status}` : ''}`,
        );
        if (question.idempotencyKey !== null) this.#askAgain(question);
        then?.(seen);
      },
    });
    this.#waiting.add(client);
    client.ask();
  }

  /** Sent again under its key: the same, or by mistake another body. */
  #askAgain(question: Question): void {
    const { random, scheduler } = this.#universe;
    if (!random.chance(0.55)) return;
    const other = random.chance(0.1)
      ? { body: question.body.replace('"temperature":0', '"temperature":1') }
      : {};
    this.running += 1;
    const waitMs = random.pick([1, 500, 2_000, 12_000]);
    scheduler.after(waitMs, WORLD, () => {
      this.running -= 1;
      this.#ask({ ...question, ...other, manner: PATIENT });
    });
  }

  #question(): Question {
    const { random } = this.#universe;
    const account = this.#account();
    const long = account.kind === 'tight' || random.chance(this.#style.long);
    const plan = { ...(long ? longPlan(random) : shortPlan(random)), marker: account.marker };
    const n = random.chance(0.05) ? 2 + random.int(2) : undefined;
    const stream = random.chance(this.#style.streams);
    const max_tokens = random.chance(0.12)
      ? undefined
      : Math.max(1, plan.tokens + random.int(6) - (random.chance(0.1) ? 5 : 0));
    const keyed = random.chance(this.#style.keyed);
    const question = {
      account,
      keyIndex: random.int(account.keys.length),
      body: bodyOf(plan, { stream, max_tokens, n }),
      idempotencyKey: keyed ? `key-${this.#asked}-${random.int(1_000_000)}` : null,
      manner: this.#manner(random),
    };
    if (keyed && random.chance(0.15))
      this.#universe.scheduler.after(random.between(0, 100), WORLD, () => this.#ask(question));
    return question;
  }

  #manner(random: Random): Manner {
    const leaves = random.chance(this.#style.leaves);
    const byTime = random.chance(0.5);
    return {
      leaveAtPiece: leaves && !byTime ? 1 + random.int(5) : null,
      leaveAfterMs: leaves && byTime ? random.between(1, 600) : null,
      pauseMs: random.chance(0.03) ? random.between(50, 3_000) : 0,
      uploadMs: random.chance(0.02) ? random.between(100, 6_000) : 0,
    };
  }

  #account(): Account {
    let at = this.#universe.random.next() * this.#weight;
    for (const account of this.#accounts) {
      at -= account.weight;
      if (at < 0) return account;
    }
    return this.#accounts.at(-1)!;
  }
}

type Unmarked = Omit<Plan, 'marker'>;

function shortPlan(random: Random): Unmarked {
  return {
    tokens: 1 + random.int(6),
    chunkTokens: 1 + random.int(3),
    stepMs: random.int(40) + 2,
    prefillMs: random.int(150) + 5,
  };
}

/** Longer than a window of credit, in few chunks. */
function longPlan(random: Random): Unmarked {
  return {
    tokens: 300 + random.int(4_000),
    chunkTokens: 60 + random.int(200),
    stepMs: random.int(1_500) + 100,
    prefillMs: random.int(2_000),
  };
}

function bodyOf(
  plan: Plan,
  fields: { stream: boolean; max_tokens: number | undefined; n?: number | undefined },
): string {
  return JSON.stringify({
    model: 'deepseek-reasoner',
    messages: [{ role: 'user', content: promptOf(plan) }],
    temperature: 0,
    ...fields,
  });
}
