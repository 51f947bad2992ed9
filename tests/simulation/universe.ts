/**
 * One simulated world: its clock, its random numbers, its database and Durable Objects, and the messages between them.
 * Isolates and Durable Objects see it as `Surroundings`.
 */
import { checkBatch, checkMessage } from '../queue-limits.ts';
import type { Machine } from './bundle/machine.ts';
import type { Context } from './context.ts';
import { DurableHost } from './durable.ts';
import type { Caller, Exchange, Network } from './exchange.ts';
import { Faults, SLOW_MS } from './faults.ts';
import { type EdgeRequest, Isolate } from './isolate.ts';
import { type Life, WORLD } from './life.ts';
import { SimAbortController } from './platform/abort.ts';
import { SimCache } from './platform/cache.ts';
import { D1Binding, D1Store } from './platform/d1.ts';
import type { SimResponse } from './platform/http.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { SETTINGS } from './settings.ts';
import type { Surroundings } from './surroundings.ts';
import { Trace } from './trace.ts';

/** A call to D1 fails after this long when the database has died under it. */
const D1_TIMEOUT_MS = 10_000;
/** Log lines that are kept; later ones are dropped. */
const LOGS_MAX = 20_000;

export class Universe implements Surroundings, Network {
  readonly random: Random;
  /** The source of ids and keys, which is separate so that drawing more of them changes nothing else. */
  readonly secretRandom: Random;
  readonly scheduler: Scheduler;
  readonly trace = new Trace();
  readonly faults: Faults;
  readonly d1: D1Store;
  readonly cache = new SimCache(this);
  readonly logs: string[] = [];
  readonly isolates: Isolate[] = [];
  /** Durable Objects by class and name. */
  readonly hosts = new Map<string, DurableHost>();
  readonly machine: Machine;
  /** The handler of each node's HTTP server, by origin. */
  readonly servers = new Map<string, (exchange: Exchange) => void>();
  onDispatch: (exchange: Exchange, caller: Caller) => void = () => {};

  constructor(options: {
    seed: number;
    startMs: number;
    migrations: readonly string[];
    isolates: number;
    /** How often faults happen: see Scenario.faults. */
    faults: number;
    machine: Machine;
  }) {
    this.random = new Random(options.seed, 1);
    this.secretRandom = new Random(options.seed, 2);
    this.scheduler = new Scheduler(options.startMs);
    this.faults = new Faults(this.random, this.trace);
    this.faults.factor = options.faults;
    this.faults.on = options.faults > 0;
    this.d1 = new D1Store(options.migrations);
    this.machine = options.machine;
    for (let i = 0; i < options.isolates; i++) this.isolates.push(new Isolate(this, i));
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  note(what: string, about: string): void {
    this.trace.note(this.scheduler.nowMs, what, about);
  }

  begin(options: Pick<Context, 'offsetMs' | 'fetch'>): Context {
    const { scheduler, secretRandom, cache, logs } = this;
    return {
      ...options,
      alive: true,
      state: this.machine.freshState(),
      scheduler,
      secretRandom,
      cache,
      log: (line) => {
        if (logs.length < LOGS_MAX) logs.push(line);
      },
    };
  }

  bindings(life: Life): object {
    return {
      ...SETTINGS,
      DB: new D1Binding(this.d1, life, (from, what, carryOut) => this.#toD1(from, what, carryOut)),
      WALLET: this.#namespace('Wallet', life),
      POOL: this.#namespace('Pool', life),
      TASKS: {
        send: async (body: unknown) => {
          checkMessage(body);
          this.trace.count('task');
        },
        sendBatch: async (batch: Iterable<{ body: unknown }>) => {
          checkBatch(batch);
          this.trace.count('task', [...batch].length);
        },
      },
    };
  }

  host(kind: 'Wallet' | 'Pool', name: string): DurableHost {
    const id = `${kind} ${name}`;
    let host = this.hosts.get(id);
    if (!host) {
      host = new DurableHost(this, { kind, name, create: this.machine.edge[kind] });
      this.hosts.set(id, host);
    }
    return host;
  }

  /**
   * Sends a request to a random isolate. Exactly one callback is called.
   * @returns a controller that disconnects the client
   */
  toEdge(
    request: EdgeRequest,
    callbacks: {
      answered(response: SimResponse, isolate: Isolate): void;
      broken(): void;
    },
  ): SimAbortController {
    const disconnect = new SimAbortController();
    this.scheduler.after(this.faults.latencyMs(), WORLD, () => {
      const isolate = this.random.pick(this.isolates);
      isolate.serve(request, disconnect.signal, {
        answered: (response) => callbacks.answered(response, isolate),
        broken: callbacks.broken,
      });
    });
    return disconnect;
  }

  /** Kills the isolate with this index and starts another, which has its own clock. */
  replaceIsolate(index: number): void {
    this.isolates[index]!.kill();
    this.isolates[index] = new Isolate(this, index);
  }

  #namespace(kind: 'Wallet' | 'Pool', life: Life) {
    const stubs = new Map<string, object>();
    const getByName = (name: string) => {
      const known = stubs.get(name);
      if (known) return known;
      const stub = new Proxy(
        {},
        {
          get: (methods: Record<string, unknown>, method: string) => {
            methods[method] ??= (...args: unknown[]) => this.host(kind, name).call(life, method, args);
            return methods[method];
          },
        },
      );
      stubs.set(name, stub);
      return stub;
    };
    return { getByName };
  }

  #toD1<T>(from: Life, what: string, carryOut: () => T): Promise<T> {
    const { faults, scheduler } = this;
    const fault = faults.call();
    const outMs = faults.latencyMs() + (fault === 'slow' ? SLOW_MS : 0);
    return new Promise((resolve, reject) => {
      scheduler.after(outMs, WORLD, () => {
        this.note(`d1 ${what} ${fault}`, '');
        const backMs = faults.latencyMs();
        if (fault === 'lost_before') {
          scheduler.after(backMs, from, () => reject(new Error('D1_ERROR: network connection lost')));
          return;
        }
        try {
          const result = carryOut();
          if (fault === 'lost_after') {
            scheduler.after(backMs, from, () => reject(new Error('D1_ERROR: internal error')));
          } else if (fault === 'target_dies') {
            scheduler.after(D1_TIMEOUT_MS, from, () => reject(new Error('D1_ERROR: timed out')));
          } else {
            scheduler.after(backMs, from, () => resolve(result));
          }
        } catch (error) {
          scheduler.after(backMs, from, () => reject(error));
        }
      });
    });
  }
}
