/** A question and its answer, as far as it has arrived. */
import type { NanoUsd } from '../../../domain/money.ts';
import type { Usage } from '../../../domain/usage.ts';
import type { Fault } from './fault.ts';

export type Bill = Usage & { readonly chargeNanoUsd: NanoUsd };

export interface Exchange {
  readonly id: number;
  readonly question: string;
  readonly reasoning: string;
  readonly answer: string;
  readonly state: 'running' | 'finished' | 'stopped' | 'failed';
  /** the answer ended at a limit of tokens or money */
  readonly isCut: boolean;
  /** null: the API has not responded yet */
  readonly requestId: string | null;
  /** time from sending to the first token that the browser received */
  readonly ttftMs: number | null;
  readonly bill: Bill | null;
  /** the bill is final, or was not to be had */
  readonly isSettled: boolean;
  readonly fault: Fault | null;
}

export function newExchange(id: number, question: string): Exchange {
  return {
    id,
    question,
    reasoning: '',
    answer: '',
    state: 'running',
    isCut: false,
    requestId: null,
    ttftMs: null,
    bill: null,
    isSettled: false,
    fault: null,
  };
}
