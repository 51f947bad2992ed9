/** The bench's side of a Worker that runs in a workerd of its own. */
import { startChild } from './child.ts';
import type { WorkerdOrder, WorkerdReady } from './workerd-process.ts';

export interface Workerd extends WorkerdReady {
  /** Grants credit to these accounts in their Wallets. */
  grant(accountIds: readonly string[], nanoUsd: number): Promise<void>;
  /** Runs a query on D1. @returns the first row */
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

/** Keeps wrangler from sending metrics and error reports. */
export const QUIET = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  DO_NOT_TRACK: '1',
};
