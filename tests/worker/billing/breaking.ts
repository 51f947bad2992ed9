/** An environment that fails at a chosen call to D1, a Wallet or the queue, before or after the call did its work. */
import type { Env } from '../../../worker/env.ts';

export const TIMINGS = ['before', 'after'] as const;
export type Timing = (typeof TIMINGS)[number];

/** Fails one call, counted from 1 over all calls. */
export function breakAt(step: number, when: Timing) {
  let calls = 0;
  return async function call<T>(work: () => Promise<T>): Promise<T> {
    const isBroken = ++calls === step;
    if (isBroken && when === 'before') throw new Error(`broken before call ${step}`);
    const result = await work();
    if (isBroken) throw new Error(`broken after call ${step}`);
    return result;
  };
}

/** The real environment, except that each call goes through `call`. */
export function brokenEnv(env: Env, call: ReturnType<typeof breakAt>): Env {
  const real = new WeakMap<object, D1PreparedStatement>();
  function statement(inner: D1PreparedStatement): D1PreparedStatement {
    const outer = {
      bind: (...values: unknown[]) => statement(inner.bind(...values)),
      run: () => call(() => inner.run()),
      all: () => call(() => inner.all()),
      raw: () => call(() => inner.raw()),
    } as unknown as D1PreparedStatement;
    real.set(outer, inner);
    return outer;
  }
  const DB = {
    prepare: (sql: string) => statement(env.DB.prepare(sql)),
    batch: (statements: D1PreparedStatement[]) =>
      call(() => env.DB.batch(statements.map((each) => real.get(each)!))),
  } as unknown as D1Database;

  const getByName = (accountId: string) => {
    const wallet = env.WALLET.getByName(accountId);
    return {
      topUp: (topUp: never) => call(() => wallet.topUp(topUp)),
      correct: (correction: never) => call(() => wallet.correct(correction)),
      balance: () => call(() => wallet.balance()),
      setAlertThresholds: (change: never) => call(() => wallet.setAlertThresholds(change)),
    };
  };
  const TASKS = { send: (task: never) => call(() => env.TASKS.send(task)) };
  return {
    ...env,
    DB,
    WALLET: { getByName } as unknown as Env['WALLET'],
    TASKS: TASKS as unknown as Env['TASKS'],
  };
}
