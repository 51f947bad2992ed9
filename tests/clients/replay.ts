/** Sends the requests of a recorded conversation again. */
import type { Stack } from '../../gpu-pool/local/stack.ts';
import type { Exchange, RecordedScenario, RecordedTurn } from './fixture.ts';
import { issuedBy, issuedName } from './issued.ts';
import { isOverflow, outcomeOf, type RawAnswer } from './outcome.ts';
import type { Answer } from './scenario.ts';
import { filled } from './scrub.ts';
import { scriptAnswers, setContext } from './stack.ts';

/** Only a real client's timers need a silent engine. */
const atOnce = (answer: Answer): Answer => ({ ...answer, waitMs: 0 });

/** @returns the same conversation with the outcomes of now */
export async function replayed(stack: Stack, scenario: RecordedScenario): Promise<RecordedScenario> {
  await setContext(stack, scenario.contextTokens);
  const issued = new Map<string, string>();
  const turns: RecordedTurn[] = [];
  let sent = 0;
  for (const turn of scenario.turns) {
    await scriptAnswers(stack, turn.answers.map(atOnce));
    let { afterOverflow } = turn;
    const exchanges: Exchange[] = [];
    for (const exchange of turn.exchanges) {
      const answer = await send(stack, exchange, issued);
      for (const [at, id] of issuedBy(answer).entries()) issued.set(issuedName(sent, at), id);
      sent += 1;
      if (afterOverflow && isOverflow(answer)) {
        await scriptAnswers(stack, afterOverflow);
        afterOverflow = undefined;
      }
      exchanges.push({ ...exchange, outcome: outcomeOf(answer) });
    }
    turns.push({ ...turn, exchanges });
  }
  return { ...scenario, turns };
}

/** So that what was too long is too long again, and what was not is not, however its texts are cut into tokens. */
const DENSITY = { fitted: 0.9, refused: 1.5 };

async function send(
  { dev }: Stack,
  { method, path, headers, body, outcome }: Exchange,
  issued: ReadonlyMap<string, string>,
): Promise<RawAnswer> {
  const density = outcome.status < 400 ? DENSITY.fitted : DENSITY.refused;
  const { key, ...others } = headers;
  const credentials: Record<string, string> =
    key === 'x-api-key'
      ? { 'x-api-key': dev.apiKey }
      : key === 'none'
        ? {}
        : { authorization: `Bearer ${dev.apiKey}` };
  const response = await fetch(dev.baseUrl + path, {
    method,
    headers: { ...others, ...credentials },
    ...(body === undefined ? {} : { body: JSON.stringify(filled(body, { issued, density })) }),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  };
}
