/**
 * A Durable Object's place in the world: storage that survives, an instance that does not, one alarm, and calls that
 * are copied in and out. What it answers is on its way only when the call has been carried out.
 */
import { observeCommit, OBSERVER_SQL } from '../laws/commit-witness.ts';
import type { CreditRow, Violation } from '../laws/world.ts';
import type { DurableClass, DurableInstance } from './bundle/bundle.ts';
import { type Context, enter } from './context.ts';
import { type Life, type Task, WORLD } from './life.ts';
import { clone } from './platform/plain.ts';
import { SimSqlStorage } from './platform/sql-storage.ts';
import type { Surroundings } from './surroundings.ts';

const SLOW_MS = 4_000;
const ALARM_RETRY_MS = 2_000;
const ALARM_LATE_MS_MAX = 20_000;
const COMMIT_SQL = `SELECT *, (SELECT coalesce(sum(held_nano_usd), 0) FROM request WHERE state = 'held')
     + (SELECT coalesce(sum(held_nano_usd), 0) FROM lease) AS promised FROM credit`;

type Admitted = { ok: true } | { ok: false; refusal: { reason: string; requiredNanoUsd: number } };

export class DurableHost {
  readonly name: string;
  readonly kind: string;
  readonly sql = new SimSqlStorage();
  readonly violations: Violation[] = [];
  readonly #world: Surroundings;
  readonly #create: DurableClass;
  #instance: DurableInstance | null = null;
  #ready: Promise<unknown> = Promise.resolve();
  #life: Context | null = null;
  #alarmAtMs: number | null = null;
  #alarmTask: Task | null = null;
  /** an alarm that has begun: its time is forgotten when it has succeeded, unless it set another */
  #alarmRuns: 'no' | 'yes' | 'set_again' = 'no';
  #witnessed = false;

  constructor(world: Surroundings, options: { kind: string; name: string; create: DurableClass }) {
    this.#world = world;
    this.name = options.name;
    this.kind = options.kind;
    this.#create = options.create;
  }

  /** A call from another isolate: two messages, each of which may be lost. */
  call(from: Life, method: string, args: unknown[]): Promise<unknown> {
    const { faults, scheduler } = this.#world;
    const fault = faults.call();
    const sent = clone(args);
    const outMs = faults.latencyMs() + (fault === 'slow' ? SLOW_MS : 0);
    return new Promise((resolve, reject) => {
      const back = (settle: () => void) => scheduler.after(faults.latencyMs(), from, settle);
      scheduler.after(outMs, WORLD, () => {
        this.#world.note(`${this.kind}.${method} ${fault}`, this.name);
        if (fault === 'lost_before') return void back(() => reject(new Error('Network connection lost.')));
        this.invoke(method, sent).then(
          (result) => {
            const copy = clone(result);
            if (fault === 'target_dies') this.restart();
            if (fault === 'fine' || fault === 'slow') back(() => resolve(copy));
            else back(() => reject(new Error('Durable Object reset because its code was updated.')));
          },
          (error: unknown) => back(() => reject(error)),
        );
      });
    });
  }

  /** A call that nothing happens to. */
  async invoke(method: string, args: unknown[]): Promise<unknown> {
    const instance = this.#start();
    await this.#ready;
    const run = instance[method];
    if (typeof run !== 'function') throw new TypeError(`${this.kind} has no method ${method}`);
    const result: unknown = await run.apply(instance, args);
    if (method === 'admit') this.#observeRefusal(result as Admitted);
    return result;
  }

  /** Nobody is refused for want of credit that is there. */
  #observeRefusal(result: Admitted): void {
    if (result.ok || result.refusal.reason !== 'insufficient_balance') return;
    const [credit] = this.sql.rows<CreditRow>('SELECT * FROM credit');
    const { granted_nano_usd, paid_nano_usd, held_nano_usd } = credit!;
    const available = granted_nano_usd + paid_nano_usd - held_nano_usd;
    const { requiredNanoUsd } = result.refusal;
    if (available < requiredNanoUsd) return;
    const what = `refused ${requiredNanoUsd} for want of credit, while ${available} was available`;
    this.violations.push({ law: 'L2', about: this.name, what });
  }

  /** Loses its memory and everything it waited for; keeps its storage. */
  restart(): void {
    if (this.#life) this.#life.alive = false;
    this.#instance = null;
    if (this.#alarmRuns === 'no') return;
    // the platform saw the alarm fail, and tries it again unless it had set another
    const again = this.#alarmRuns === 'yes';
    this.#alarmRuns = 'no';
    if (again) this.#arm(ALARM_RETRY_MS);
  }

  #start(): DurableInstance {
    if (this.#instance) {
      enter(this.#life!);
      return this.#instance;
    }
    this.#life = this.#world.begin({
      offsetMs: 0,
      fetch: () => Promise.reject(new TypeError('objects call nobody')),
    });
    enter(this.#life);
    const state = {
      id: { name: this.name },
      storage: {
        sql: this.sql,
        transactionSync: <T>(work: () => T): T => this.#commit(work),
        getAlarm: async () => (this.#alarmRuns === 'yes' ? null : this.#alarmAtMs),
        setAlarm: async (atMs: number) => this.#setAlarm(atMs),
      },
      blockConcurrencyWhile: (work: () => Promise<unknown>) => {
        this.#ready = work();
        return this.#ready;
      },
      waitUntil: (promise: Promise<unknown>) => void promise.catch(() => undefined),
    };
    this.#ready = Promise.resolve();
    this.#instance = new this.#create(state, this.#world.bindings(this.#life));
    if (this.kind === 'Wallet' && !this.#witnessed) {
      this.sql.exec(OBSERVER_SQL);
      this.#witnessed = true;
    }
    return this.#instance;
  }

  #commit<T>(work: () => T): T {
    const result = this.sql.transaction(work);
    if (this.kind === 'Wallet') this.#observe();
    return result;
  }

  #observe(): void {
    if (this.violations.length > 10) return;
    const [credit] = this.sql.rows<CreditRow & { promised: number }>(COMMIT_SQL);
    const held = [{ state: 'held', held_nano_usd: credit!.promised }];
    this.violations.push(...observeCommit({ accountId: this.name, credit: credit!, held }));
  }

  #setAlarm(atMs: number): void {
    this.#alarmAtMs = atMs;
    if (this.#alarmRuns !== 'no') this.#alarmRuns = 'set_again';
    const { faults, random, nowMs } = this.#world;
    const lateMs = faults.chance('alarm_late', 0.02) ? random.between(0, ALARM_LATE_MS_MAX) : 0;
    this.#arm(atMs - nowMs + lateMs);
  }

  #arm(delayMs: number): void {
    if (this.#alarmTask) this.#alarmTask.run = null;
    this.#alarmTask = this.#world.scheduler.after(Math.max(0.01, delayMs), WORLD, () => this.#alarm());
  }

  #alarm(): void {
    this.#alarmTask = null;
    this.#alarmRuns = 'yes';
    this.#world.note('alarm', this.name);
    const twice = this.#world.faults.chance('alarm_twice', 0.01);
    const instance = this.#start();
    const life = this.#life!;
    const ended = (failed: boolean) => {
      if (!life.alive) return;
      const setAgain = this.#alarmRuns === 'set_again';
      this.#alarmRuns = 'no';
      if (setAgain) return;
      if (failed) this.#arm(ALARM_RETRY_MS);
      else if (twice) this.#arm(this.#world.random.between(1, 2_000));
      else this.#alarmAtMs = null;
    };
    this.#ready
      .then(() => instance.alarm?.())
      .then(
        () => ended(false),
        () => ended(true),
      );
  }
}
