/**
 * An entry module beside the bundle's `index.js` that counts all use of stores by the production bundle. The bundle is
 * unchanged; its Durable Objects and handlers receive bindings that count and forward.
 */
import { countedDatabase } from './counting-d1.ts';
import { BINDINGS, COUNTS_PATH, OBJECTS, type ObjectName, type RawCounts, statementName } from './counts.ts';

type Fn = (this: unknown, ...args: unknown[]) => unknown;
type Class = new (context: ObjectContext, env: Env) => object;
type Env = Record<string, unknown>;
interface Cursor {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}
interface ObjectContext {
  storage: { sql: { exec: (...args: unknown[]) => Cursor }; setAlarm: (...args: unknown[]) => unknown };
}
type Handler = (first: Request, env: Env, context: unknown) => unknown;
type Bundle = Record<ObjectName, Class> & { default: Record<'fetch' | 'queue' | 'scheduled', Handler> };
type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] };

// the cast hides the path from TypeScript, because the bundle does not exist when types are checked
const bundle: Bundle = await import('./index.js' as string);
const none = () => ({ calls: {}, alarms: 0, rowsWritten: 0, rowsRead: 0, written: {}, activeMs: 0 });
const counts: Mutable<RawCounts> = {
  objects: { Wallet: none(), Pool: none(), Batch: none(), RateLimiter: none(), ResponseStore: none() },
  d1: { queries: 0, rowsRead: 0, rowsWritten: 0, written: {} },
  queued: 0,
  requests: {},
};

export const Wallet = counted('Wallet');
export const Pool = counted('Pool');
export const Batch = counted('Batch');
export const RateLimiter = counted('RateLimiter');
export const ResponseStore = counted('ResponseStore');

export default {
  fetch(request: Request, env: Env, context: unknown) {
    const { pathname } = new URL(request.url);
    if (pathname === COUNTS_PATH) return Response.json(counts);
    counts.requests[pathname] = (counts.requests[pathname] ?? 0) + 1;
    return bundle.default.fetch(request, countedEnv(env), context);
  },
  queue: (batch: Request, env: Env, context: unknown) =>
    bundle.default.queue(batch, countedEnv(env), context),
  scheduled: (event: Request, env: Env, context: unknown) =>
    bundle.default.scheduled(event, countedEnv(env), context),
};

const envs = new WeakMap<object, Env>();

/** Wraps an env. Each env has one wrapper, because the bundle caches by env. */
function countedEnv(env: Env): Env {
  const known = envs.get(env);
  if (known) return known;
  const fresh = {
    ...env,
    DB: countedDatabase(env.DB as never, counts.d1),
    TASKS: countedQueue(env.TASKS as Record<string, Fn>),
    ...Object.fromEntries(
      OBJECTS.map((name) => [BINDINGS[name], countedStubs(env[BINDINGS[name]] as never, name)]),
    ),
  };
  envs.set(env, fresh);
  return fresh;
}

function countedQueue(queue: Record<string, Fn>) {
  return {
    send: (...args: unknown[]) => {
      counts.queued += 1;
      return queue.send!(...args);
    },
    sendBatch: (messages: unknown[], ...more: unknown[]) => {
      counts.queued += messages.length;
      return queue.sendBatch!(messages, ...more);
    },
  };
}

/** Wraps a namespace so that calls are counted at the caller, because each is billed as a request to the object. */
function countedStubs(namespace: Record<string, Fn>, name: ObjectName) {
  const { calls } = counts.objects[name];
  const countedStub = (stub: object) =>
    new Proxy(stub, {
      get(target, method) {
        const found = Reflect.get(target, method);
        if (typeof found !== 'function') return found;
        return (...args: unknown[]) => {
          const key = String(method);
          calls[key] = (calls[key] ?? 0) + 1;
          return (target as Record<string, Fn>)[key]!(...args);
        };
      },
    });
  return {
    getByName: (...args: unknown[]) => countedStub(namespace.getByName!(...args) as object),
    get: (...args: unknown[]) => countedStub(namespace.get!(...args) as object),
    idFromName: (...args: unknown[]) => namespace.idFromName!(...args),
    idFromString: (...args: unknown[]) => namespace.idFromString!(...args),
    newUniqueId: (...args: unknown[]) => namespace.newUniqueId!(...args),
  };
}

/** Wraps a Durable Object class: counts its storage operations and the time in which it is active. */
function counted(name: ObjectName): Class {
  const count = counts.objects[name];
  const Original: Class = bundle[name];
  const Counted = class extends Original {
    constructor(context: ObjectContext, env: Env) {
      countStorage(context, name);
      super(context, countedEnv(env));
    }
  };
  let running = 0;
  let sinceMs = 0;
  const begin = () => {
    if (running++ === 0) sinceMs = Date.now();
  };
  const end = () => {
    if (--running === 0) count.activeMs += Date.now() - sinceMs;
  };
  for (const method of methodsOf(bundle[name].prototype)) {
    const original = (bundle[name].prototype as Record<string, Fn>)[method]!;
    const timed = function timed(this: unknown, ...args: unknown[]) {
      if (method === 'alarm') count.alarms += 1;
      begin();
      try {
        const result = original.apply(this, args);
        if (!(result instanceof Promise)) {
          end();
          return result;
        }
        return result.finally(end);
      } catch (error) {
        end();
        throw error;
      }
    };
    Object.defineProperty(Counted.prototype, method, { value: timed, configurable: true, writable: true });
  }
  return Counted;
}

function methodsOf(prototype: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([name, { value }]) => name !== 'constructor' && typeof value === 'function')
    .map(([name]) => name);
}

function countStorage({ storage }: ObjectContext, name: ObjectName): void {
  const count = counts.objects[name];
  const { sql } = storage;
  const wrote = (what: string, rows: number) => {
    if (rows === 0) return;
    count.rowsWritten += rows;
    count.written[what] = (count.written[what] ?? 0) + rows;
  };
  const exec = sql.exec;
  sql.exec = (...args) => {
    const cursor = exec.apply(sql, args);
    // the cursor counts while it is read, which all callers do synchronously
    queueMicrotask(() => {
      count.rowsRead += cursor.rowsRead;
      wrote(statementName(String(args[0])), cursor.rowsWritten);
    });
    return cursor;
  };
  const setAlarm = storage.setAlarm;
  storage.setAlarm = (...args) => {
    wrote('setAlarm', 1);
    return setAlarm.apply(storage, args);
  };
}
