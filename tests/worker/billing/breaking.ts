/** An environment that breaks off at a certain call to D1, a Wallet or the queue: before the call did its work, or after. */
import type { Env } from '../../../worker/env.ts';

export const WHENS = ['before', 'after'] as const;
export type When = (typeof WHENS)[number];

/** A fault in what is called next, counted from 1 over everything that is called. */
export function breakAt(step: number, when: When) {
  let calls = 0;
  return async function call<T>(work: () => Promise<T>): Promise<T> {
    const breaks = ++calls === step;
    if (breaks && when === 'before') throw new Error(`broken before call ${step}`);
    const result = await work();
    if (breaks) throw new Error(`broken after call ${step}`);
    return result;
  };
}

/** The real one, except that each call goes through `call`. */
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
      watch: (change: never) => call(() => wallet.setAlertThresholds(change)),
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
