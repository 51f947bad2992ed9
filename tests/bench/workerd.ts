/** A Worker in a workerd of its own, from the bench's side. */
import { startChild } from './child.ts';
import type { WorkerdOrder, WorkerdReady } from './workerd-process.ts';

export interface Workerd extends WorkerdReady {
  /** Credit for these accounts, in their Wallets. */
  grant(accountIds: readonly string[], nanoUsd: number): Promise<void>;
  /** The first row that D1 answers. */
  query<Row>(sql: string): Promise<Row>;
  stop(): Promise<void>;
}

export async function startWorkerd(order: WorkerdOrder): Promise<Workerd> {
  const child = startChild('./workerd-process.ts', QUIET);
  try {
    const ready = await child.call<WorkerdReady>('start', order);
    return {
      ...ready,
      grant: (accountIds, nanoUsd) => child.call('grant', { accountIds, nanoUsd }),
      query: (sql) => child.call('query', sql),
      stop: () => child.stop(),
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** wrangler asks nobody anything. */
export const QUIET = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  DO_NOT_TRACK: '1',
};
