/**
 * The host of a Durable Object: storage that survives restarts, an instance that does not, one alarm, and calls whose
 * arguments and results are copied. A result leaves only after the call has been carried out.
 */

import type { Balance } from '../../worker/domain/wallet.ts';
import { OBSERVER_SQL, observeCommit } from '../laws/commit-observer.ts';
import type { CreditRow, Violation } from '../laws/world.ts';
import type { DurableClass, DurableInstance } from './bundle/bundle.ts';
import { type Context, enter } from './context.ts';
import { SLOW_MS } from './faults.ts';
import { type Life, type Task, WORLD } from './life.ts';
import { clone } from './platform/plain.ts';
import { SimSqlStorage } from './platform/sql-storage.ts';
import type { Surroundings } from './surroundings.ts';

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
  /** Whether an alarm is running. Its time is cleared when it has succeeded, unless it has set another. */
  #alarmRunning: 'no' | 'yes' | 'set_again' = 'no';
  #hasWitness = false;

  constructor(world: Surroundings, options: { kind: string; name: string; create: DurableClass }) {
    this.#world = world;
    this.name = options.name;
    this.kind = options.kind;
    this.#create = options.create;
  }

  /** Calls the object from another isolate by two messages, each of which may be lost. */
  call(from: Life, method: string, args: unknown[]): Promise<unknown> {
    const { faults, scheduler } = this.#world;
    const fault = faults.call();
    const sent = clone(args);
    const outMs = faults.latencyMs() + (fault === 'slow' ? SLOW_MS : 0);
    return new Promise((resolve, reject) => {
      const reply = (settle: () => void) => scheduler.after(faults.latencyMs(), from, settle);
      scheduler.after(outMs, WORLD, () => {
        this.#world.note(`${this.kind}.${method} ${fault}`, this.name);
        if (fault === 'lost_before') return void reply(() => reject(new Error('Network connection lost.')));
        this.invoke(method, sent).then(
          (result) => {
            const copy = clone(result);
            if (fault === 'target_dies') this.restart();
            if (fault === 'fine' || fault === 'slow') reply(() => resolve(copy));
            else reply(() => reject(new Error('Durable Object reset because its code was updated.')));
          },
          (error: unknown) => reply(() => reject(error)),
        );
      });
    });
  }

  /** Calls the object without network or faults. */
  async invoke(method: string, args: unknown[]): Promise<unknown> {
    const instance = this.#start();
    await this.#ready;
    const run = instance[method];
    if (typeof run !== 'function') throw new TypeError(`${this.kind} has no method ${method}`);
    const result: unknown = await run.apply(instance, args);
    if (method === 'admit') this.#observeRefusal(result as Admitted);
    return result;
  }

  /** Records a violation when a request is refused although the balance would have covered it. */
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

  /** Restarts the object: it loses its instance and everything that it awaited, and keeps its storage. */
  restart(): void {
    if (this.#life) this.#life.alive = false;
    this.#instance = null;
    if (this.#alarmRunning === 'no') return;
    // for the platform the alarm has failed: it retries it unless another has been set
    const again = this.#alarmRunning === 'yes';
    this.#alarmRunning = 'no';
    if (again) this.#arm(ALARM_RETRY_MS);
  }

  #start(): DurableInstance {
    if (this.#instance) {
      enter(this.#life!);
      return this.#instance;
    }
    this.#life = this.#world.begin({
      offsetMs: 0,
      // No agent answers the Pool here, so every failure ejects its node: the hardest case for all that follows.
      fetch: () => Promise.reject(new TypeError('no agent answers a Durable Object')),
    });
    enter(this.#life);
    const state = {
      id: { name: this.name },
      storage: {
        sql: this.sql,
        transactionSync: <T>(work: () => T): T => this.#commit(work),
        getAlarm: async () => (this.#alarmRunning === 'yes' ? null : this.#alarmAtMs),
        setAlarm: async (atMs: number) => this.#setAlarm(atMs),
      },
      blockConcurrencyWhile: (work: () => Promise<unknown>) => {
        this.#ready = work();
        return this.#ready;
      },
      waitUntil: (promise: Promise<unknown>) => void promise.catch(() => undefined),
      // Nodes here send heartbeats only, as agents do that have no pulse.
      setWebSocketAutoResponse: () => undefined,
      getWebSockets: () => [],
    };
    this.#ready = Promise.resolve();
    this.#instance = new this.#create(state, this.#world.bindings(this.#life));
    if (this.kind === 'Wallet' && !this.#hasWitness) {
      this.sql.exec(OBSERVER_SQL);
      this.#hasWitness = true;
    }
    return this.#instance;
  }

  #commit<T>(work: () => T): T {
    const result = this.sql.transaction(work);
    if (this.kind === 'Wallet') this.#observeBalance();
    return result;
  }

  #observeBalance(): void {
    if (this.violations.length > 10) return;
    const [stored] = this.sql.rows<CreditRow & { promised: number }>(COMMIT_SQL);
    const held = [{ state: 'held', held_nano_usd: stored!.promised }];
    // The sums that requests are admitted by are kept in memory, so the Wallet is asked for them.
    void (this.#instance!.balance as () => Promise<Balance>)().then((said) => {
      const credit = { ...stored!, held_nano_usd: said.heldNanoUsd };
      this.violations.push(...observeCommit({ accountId: this.name, credit, held }));
      const sums = [said.grantedNanoUsd, said.paidNanoUsd].join(' + ');
      const entries = [credit.granted_nano_usd, credit.paid_nano_usd].join(' + ');
      if (sums !== entries)
        this.violations.push({ law: 'L1', about: this.name, what: `says ${sums}, its entries ${entries}` });
    });
  }

  #setAlarm(atMs: number): void {
    this.#alarmAtMs = atMs;
    if (this.#alarmRunning !== 'no') this.#alarmRunning = 'set_again';
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
    this.#alarmRunning = 'yes';
    this.#world.note('alarm', this.name);
    const twice = this.#world.faults.chance('alarm_twice', 0.01);
    const instance = this.#start();
    const life = this.#life!;
    const onEnd = (failed: boolean) => {
      if (!life.alive) return;
      const setAgain = this.#alarmRunning === 'set_again';
      this.#alarmRunning = 'no';
      if (setAgain) return;
      if (failed) this.#arm(ALARM_RETRY_MS);
      else if (twice) this.#arm(this.#world.random.between(1, 2_000));
      else this.#alarmAtMs = null;
    };
    this.#ready
      .then(() => instance.alarm?.())
      .then(
        () => onEnd(false),
        () => onEnd(true),
      );
  }
}
