/** The tokens that the edge bills, against the engine's own counters. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RawRequest } from '../../../e2e/raw-client.ts';
import type { RequestRow } from '../../../laws/world.ts';
import { type Verdict, verdict } from '../assumption.ts';
import { CHAT_PATH, TEXT_PATH } from '../direct-engine.ts';
import type { EdgeAssumption, EdgeExamined } from '../edge-assumption.ts';
import { freshWord, user } from '../prompts.ts';
import { eventually } from '../subject.ts';
import { WEATHER } from './tools.ts';

const METER = ['gpu-pool/agent/sglang/usage.ts', 'worker/gateway/meter.ts', 'worker/gateway/settlement.ts'];
const LEAVING = [...METER, 'gpu-pool/agent/active-requests.ts'];

type Counters = Awaited<ReturnType<EdgeExamined['engine']['counters']>>;

interface Measured {
  readonly rows: readonly RequestRow[];
  /** By how much the engine's counters have grown. */
  readonly grown: Counters;
  /** From the end of `work` until the engine was idle; null: it was not. */
  readonly idleMs: number | null;
}

/** Does some work through the edge, and finds what was settled and counted meanwhile. */
async function measure(
  { engine, edge }: EdgeExamined,
  work: () => Promise<unknown>,
  requests = 1,
): Promise<Measured> {
  const known = edge.settled();
  const before = await engine.counters();
  await work();
  const idleMs = await engine.idleWithin(90_000);
  const fresh = () => [...edge.settled().values()].filter(({ request_id: id }) => !known.has(id));
  await eventually(async () => {
    await sleep(250);
    return fresh().length >= requests;
  }, 30_000);
  await sleep(500);
  const after = await engine.counters();
  const grown = {
    prompt: after.prompt - before.prompt,
    cached: after.cached - before.cached,
    generated: after.generated - before.generated,
  };
  return { rows: fresh(), grown, idleMs };
}

/**
 * Billed tokens against counted ones. Of a request with several choices the engine counts the prompt for each, and once more
 * to fill its cache, always cached, and before them the agent's pass with one token: the prompt is billed once, as cached as
 * that pass found it, and the token is not.
 */
function billedAsCounted({ rows, grown }: Measured, choices: number): Verdict {
  const [row] = rows;
  if (row === undefined) return verdict('a bill', 'none', false);
  const billed = `${row.prompt_tokens} prompt, ${row.cached_tokens} cached, ${row.completion_tokens} completion`;
  const counted = `${grown.prompt} prompt, ${grown.cached} cached, ${grown.generated} completion`;
  const same = choices === 1 ? billed === counted : countsAfterPass(row, grown, choices);
  return verdict(`counted ${counted}`, `billed ${billed}`, same);
}

function countsAfterPass(row: RequestRow, grown: Counters, choices: number): boolean {
  const inCache = (grown.cached - row.cached_tokens) / (choices + 1);
  return (
    row.completion_tokens + 1 === grown.generated &&
    row.prompt_tokens * (choices + 2) === grown.prompt &&
    Number.isInteger(inCache) &&
    // A question that was never asked is not billed as cached, unless it fits no page of the cache.
    (row.cached_tokens < inCache || inCache === 0)
  );
}

const question = (text: string) => user(`${freshWord()} ${text}`);
const CITY = {
  type: 'json_schema',
  json_schema: {
    name: 'weather',
    schema: {
      type: 'object',
      properties: { city: { enum: ['Paris', 'Rome'] }, sunny: { type: 'boolean' } },
      required: ['city', 'sunny'],
      additionalProperties: false,
    },
  },
};
const tools = { tools: [WEATHER] };
const named = { type: 'function', function: { name: 'get_weather' } };

interface Case {
  readonly name: string;
  readonly says: string;
  readonly body: () => Record<string, unknown>;
  readonly path?: string;
}

const CASES: readonly Case[] = [
  {
    name: 'stream',
    says: 'a streamed answer',
    body: () => ({ messages: question('Say hi. [[reasoning=20 answer=20]]'), stream: true }),
  },
  {
    name: 'whole',
    says: 'a whole answer',
    body: () => ({ messages: question('Say hi. [[reasoning=20 answer=20]]') }),
  },
  {
    name: 'one-token',
    says: 'an answer of one token',
    body: () => ({ messages: question('Hi'), max_tokens: 1 }),
  },
  {
    name: 'cut-in-thought',
    says: 'an answer that is cut off in its thought',
    body: () => ({ messages: question('Think. [[reasoning=300]]'), max_tokens: 5 }),
  },
  {
    name: 'stop',
    says: 'an answer that a stop string ends',
    body: () => ({ messages: question('Say hi. [[reasoning=20 answer=200]]'), stop: [' '], max_tokens: 600 }),
  },
  {
    name: 'json-schema',
    says: 'a JSON answer with a schema',
    body: () => ({ messages: question('JSON. [[reasoning=20]]'), response_format: CITY, max_tokens: 400 }),
  },
  {
    name: 'json-object',
    says: 'a JSON answer',
    body: () => ({
      messages: question('JSON. [[reasoning=20]]'),
      response_format: { type: 'json_object' },
      max_tokens: 200,
    }),
  },
  {
    name: 'tools-auto',
    says: 'an answer with tools',
    body: () => ({ messages: question('The weather? [tool] [[reasoning=20]]'), ...tools, max_tokens: 400 }),
  },
  {
    name: 'tools-required',
    says: 'a call that is required',
    body: () => ({
      messages: question('The weather? [[reasoning=20]]'),
      ...tools,
      tool_choice: 'required',
      max_tokens: 400,
    }),
  },
  {
    name: 'tools-named',
    says: 'a call that is named',
    body: () => ({
      messages: question('The weather? [[reasoning=20]]'),
      ...tools,
      tool_choice: named,
      max_tokens: 400,
    }),
  },
  {
    name: 'text',
    says: 'a text completion',
    path: TEXT_PATH,
    body: () => ({ prompt: `${freshWord()} Once upon a time`, max_tokens: 40 }),
  },
  {
    name: 'two-choices',
    says: 'an answer of 2 choices',
    body: () => ({
      messages: question('Say hi. [[reasoning=20 answer=20]]'),
      n: 2,
      max_tokens: 60,
      stream: true,
    }),
  },
  {
    name: 'eight-choices',
    says: 'an answer of 8 choices',
    body: () => ({ messages: question('Say hi. [[reasoning=20 answer=20]]'), n: 8, max_tokens: 40 }),
  },
];

/** A conversation that made weights, real ones and the emulator answer at length: tool outputs make the made ones go on for ever. */
const long = () => ({
  messages: [
    ...question('Write the numbers from one to ten thousand in words. [[reasoning=20000 answer=20000]]'),
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'get_weather', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: 'Go on.' },
  ],
  temperature: 0.3,
  max_tokens: 1_500,
});

/** The edge sees a reset at once, and one that closes at its next write: an event, or a blank line after five seconds. */
const LEFT_MS = 1_000;

interface Leaving {
  readonly name: string;
  readonly choices: number;
  readonly stream: boolean;
  readonly how: Partial<RawRequest>;
}

const LEAVINGS: readonly Leaving[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((choices) => ({
    name: `left-stream-${choices}`,
    choices,
    stream: true,
    how: { leaveAfterBytes: 6_000 * choices, leaveBy: 'close' as const },
  })),
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((choices) => ({
    name: `left-whole-${choices}`,
    choices,
    stream: false,
    how: { leaveAfterMs: 1_500, leaveBy: 'reset' as const },
  })),
];

export const BILLING: readonly EdgeAssumption[] = [
  ...CASES.map(
    ({ name, says, body, path }): EdgeAssumption => ({
      id: `billing/${name}`,
      says: `${says} is billed as the engine counts it`,
      madeBy: METER,
      async check(subject) {
        const asked = body();
        const ask = () => (asked.stream ? subject.edge.stream(asked, path) : subject.edge.ask(asked, path));
        return billedAsCounted(await measure(subject, ask), (asked.n as number | undefined) ?? 1);
      },
    }),
  ),
  ...LEAVINGS.map(
    ({ name, choices, stream, how }): EdgeAssumption => ({
      id: `billing/${name}`,
      says: `a ${stream ? 'stream' : 'whole answer'} of ${choices}, whose client leaves, stops within a second and is billed as the engine counts it`,
      madeBy: LEAVING,
      async check(subject) {
        // On a busy machine a whole answer can take longer to begin than its client stays.
        const begins = () => eventually(async () => (await subject.engine.load()).running >= choices, 60_000);
        const measured = await measure(subject, () => {
          const when = stream ? how : { ...how, leaveFrom: begins() };
          return subject.edge.leave({ ...long(), n: choices, stream }, CHAT_PATH, when);
        });
        const bill = billedAsCounted(measured, choices);
        const { idleMs } = measured;
        if (bill.kind === 'not_applicable') return bill;
        const within = LEFT_MS + subject.stopWithinMs - 1_000;
        const stopped = idleMs !== null && idleMs <= within;
        return verdict(
          `${bill.expected}, stopped within ${within / 1_000} s`,
          `${bill.seen}, ${idleMs === null ? 'not stopped' : `stopped after ${(idleMs / 1_000).toFixed(2)} s`}`,
          bill.kind === 'ok' && stopped,
        );
      },
    }),
  ),
];
