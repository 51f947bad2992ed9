/** A question and its answer, as far as it has come. */
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
  /** ended by a limit of tokens or money */
  readonly cut: boolean;
  /** null: the API has not answered yet */
  readonly requestId: string | null;
  /** from sending to the first token that the browser read */
  readonly ttftMs: number | null;
  readonly bill: Bill | null;
  /** the bill is final, or nobody will say */
  readonly settled: boolean;
  readonly fault: Fault | null;
}

export function newExchange(id: number, question: string): Exchange {
  return {
    id,
    question,
    reasoning: '',
    answer: '',
    state: 'running',
    cut: false,
    requestId: null,
    ttftMs: null,
    bill: null,
    settled: false,
    fault: null,
  };
}
