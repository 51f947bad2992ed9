/** Many requests that compete for the credit left on an account, and the check of what came of it. */
import type { AccountRows, RequestRow } from '../laws/world.ts';
import { chatBody } from './chat-body.ts';
import { nano, observedAnswer } from './observed-answer.ts';
import { type RawAnswer, rawPost } from './raw-client.ts';
import { prematureRefusals } from './refusal-timing.ts';
import { sum } from './stored-state.ts';

export interface RaceOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly requests: number;
  /** How many run at a time. */
  readonly width: number;
}

const MAX_TOKENS = 10;
const BODY = chatBody('Quick. [[reasoning=5 answer=5]]', { max_tokens: MAX_TOKENS });

export async function race({ url, apiKey, requests, width }: RaceOptions): Promise<RawAnswer[]> {
  const answers: RawAnswer[] = [];
  let begun = 0;
  const headers = { authorization: `Bearer ${apiKey}` };
  const one = async () => {
    answers.push(await rawPost({ url: `${url}/v1/chat/completions`, headers, body: BODY }));
  };
  const client = async () => {
    for (; begun < requests; await one()) begun += 1;
  };
  await Promise.all(Array.from({ length: width }, client));
  // the last requests may have been refused because of holds that were then released: ask on until the credit is spent
  do await one();
  while (answers.at(-1)!.status === 200 || isHeld(answers.at(-1)!));
  return answers;
}

/** Whether the answer is a refusal because of what other requests held. */
function isHeld({ status, body }: RawAnswer): boolean {
  return status === 429 && body.includes('held_by_requests');
}

/** Describes the faults of a race for `fundedNanoUsd`; empty when there are none. Call it when nothing is held any more. */
export function raceFaults(
  answers: readonly RawAnswer[],
  { credit, entry = [], request = [] }: AccountRows,
  fundedNanoUsd: number,
): string[] {
  const found: string[] = [];
  const charges = new Map(request.map((row) => [row.request_id, row.charge_nano_usd]));
  const served = answers
    .map((answer) => ({ ...answer, ...observedAnswer(answer) }))
    .filter(({ ending }) => ending === 'whole' || ending === 'cut')
    .map((answer) => ({ ...answer, chargeNanoUsd: charges.get(answer.requestId ?? '') ?? 0 }));
  const isSpent = ({ status }: RawAnswer) => status === 402;
  const refused = answers.filter((answer) => isSpent(answer) || isHeld(answer));
  const others = answers.length - served.length - refused.length;
  if (others > 0) found.push(`${others} were neither served nor refused for want of credit`);
  if (refused.length === 0 || served.length === 0)
    return [...found, `${served.length} were served, ${refused.length} refused: that was no race`];

  const left = credit!.granted_nano_usd + credit!.paid_nano_usd;
  const charged = -sum(
    entry.filter(({ kind }) => kind === 'charge'),
    (row) => row.granted_nano_usd + row.paid_nano_usd,
  );
  const reported = sum(served, ({ costNanoUsd }) => costNanoUsd ?? 0);
  if (charged > fundedNanoUsd) found.push(`${charged} charged of ${fundedNanoUsd}`);
  if (charged + left !== fundedNanoUsd) found.push(`${charged} charged and ${left} left of ${fundedNanoUsd}`);
  if (reported !== charged) found.push(`${charged} charged, but ${reported} reported to clients`);
  if (left < 0) found.push(`the balance ended at ${left}`);
  const leastNanoUsd = nano(refused.find(isSpent)?.body.match(/needs at least \$([\d.]+)/)?.[1] ?? '0');
  if (left >= leastNanoUsd) found.push(`${left} are left, ${leastNanoUsd} would have been enough`);
  const funds = { fundedNanoUsd, leastNanoUsd, wantedNanoUsd: wantedNanoUsd(request[0]!) };
  return [...found, ...prematureRefusals(refused, served, funds)];
}

/** The most that one request holds: its prompt, which has at most as many tokens as the body has bytes (hold.ts), and its answer. */
function wantedNanoUsd({ cache_miss_nano_usd, output_nano_usd }: RequestRow): number {
  return (Buffer.byteLength(BODY) + 16 + 64) * cache_miss_nano_usd + MAX_TOKENS * output_nano_usd;
}
