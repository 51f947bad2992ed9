/** Stores a response once its client has it. */
import { utf8Length } from '../../domain/grammar.ts';
import type { Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import type { Item } from './read.ts';
import { keyOf, lookupOf, type Scope, seal } from './seal.ts';

/** After a failure, responses are answered with `store: false` for this long: the store is out of reach or overloaded. */
const PAUSE_MS = 30_000;
let pausedUntilMs = 0;

/** Whether a response that begins now can be promised to be stored, as far as this isolate knows. */
export function canStore(nowMs: number): boolean {
  return nowMs >= pausedUntilMs;
}

export interface FinishedTurn {
  readonly scope: Scope;
  readonly previousResponseId: string | null;
  readonly input: readonly Item[];
  /** The response object as the client got it. */
  readonly response: Item;
}

/** Seals and stores a response. A failure is logged and never thrown: the client has its answer. */
export async function keepTurn(env: Env, turn: FinishedTurn): Promise<void> {
  const { scope, previousResponseId, input, response } = turn;
  const responseId = String(response.id);
  const { output, ...rest } = response;
  const texts = {
    input: JSON.stringify({ previous: previousResponseId, items: input }),
    output: JSON.stringify(output),
    response: JSON.stringify(rest),
  };
  try {
    const key = await keyOf(scope, responseId);
    const sealed = {
      lookup: await lookupOf(scope, responseId),
      previous: previousResponseId === null ? null : await lookupOf(scope, previousResponseId),
      sections: {
        input: await seal(key, texts.input),
        output: await seal(key, texts.output),
        response: await seal(key, texts.response),
      },
      sizes: { input: utf8Length(texts.input), output: utf8Length(texts.output) },
    };
    // The first call may have stored it and lost its reply; a second one changes nothing then.
    const keep = () => env.RESPONSES.getByName(scope.accountId).keep(sealed);
    await keep().catch(keep);
  } catch (error) {
    pausedUntilMs = Date.now() + PAUSE_MS;
    console.error(JSON.stringify({ event: 'store_failed', error: describeError(error) }));
  }
}
