/** Many requests that race for what is left on an account, and what must be true of it afterwards. */
import type { AccountBooks, RequestRow } from '../laws/world.ts';
import { sum } from './books.ts';
import { chatBody } from './chat-body.ts';
import { type RawAnswer, rawPost } from './raw-client.ts';
import { untimely } from './timely.ts';
import { nano, witnessed } from './witness.ts';

export interface RaceOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly requests: number;
  /** at a time */
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
  // the last of the crowd may have been refused beside holds that were then given back
  do await one();
  while (answers.at(-1)!.status === 200);
  return answers;
}

/** What is wrong about a race for `fundedNanoUsd`, in words; empty when all is well. Run it when nothing is held. */
export function raceFaults(
  answers: readonly RawAnswer[],
  { credit, entry = [], request = [] }: AccountBooks,
  fundedNanoUsd: number,
): string[] {
  const found: string[] = [];
  const charges = new Map(request.map((row) => [row.request_id, row.charge_nano_usd]));
  const served = answers
    .map((answer) => ({ ...answer, ...witnessed(answer) }))
    .filter(({ ending }) => ending === 'whole' || ending === 'cut')
    .map((answer) => ({ ...answer, chargeNanoUsd: charges.get(answer.requestId ?? '') ?? 0 }));
  const refused = answers.filter(({ status }) => status === 402);
  const others = answers.length - served.length - refused.length;
  if (others > 0) found.push(`${others} were neither served nor refused for want of credit`);
  if (refused.length === 0 || served.length === 0)
    return [...found, `${served.length} were served, ${refused.length} refused: that was no race`];

  const left = credit!.granted_nano_usd + credit!.paid_nano_usd;
  const charged = -sum(
    entry.filter(({ kind }) => kind === 'charge'),
    (row) => row.granted_nano_usd + row.paid_nano_usd,
  );
  const told = sum(served, ({ costNanoUsd }) => costNanoUsd ?? 0);
  if (charged > fundedNanoUsd) found.push(`${charged} charged of ${fundedNanoUsd}`);
  if (charged + left !== fundedNanoUsd) found.push(`${charged} charged and ${left} left of ${fundedNanoUsd}`);
  if (told !== charged) found.push(`${charged} charged, clients were told ${told}`);
  if (left < 0) found.push(`the balance ended at ${left}`);
  const leastNanoUsd = nano(refused[0]!.body.match(/needs at least \$([\d.]+)/)?.[1] ?? '0');
  if (left >= leastNanoUsd) found.push(`${left} are left, ${leastNanoUsd} would have been enough`);
  const funds = { fundedNanoUsd, leastNanoUsd, wantedNanoUsd: wantedNanoUsd(request[0]!) };
  return [...found, ...untimely(refused, served, funds)];
}

/** What one of them holds at most: its prompt, never more tokens than bytes of the body (hold.ts), and its answer. */
function wantedNanoUsd({ cache_miss_nano_usd, output_nano_usd }: RequestRow): number {
  return (Buffer.byteLength(BODY) + 16 + 64) * cache_miss_nano_usd + MAX_TOKENS * output_nano_usd;
}
