/** Checks chat answers against the types of OpenAI's package, with our documented additions and nothing else. */
import { publishedShape } from './published-shape.ts';

const CHAT = 'openai/resources/chat/completions/completions';
const USAGE = ['prompt_cache_hit_tokens', 'prompt_cache_miss_tokens', 'cost', 'cost_nano_usd'];

export const completionFaults = publishedShape({
  package: CHAT,
  type: 'ChatCompletion',
  also: {
    ChatCompletion: ['tollgate'],
    ChatCompletionMessage: ['reasoning_content', 'reasoning'],
    CompletionUsage: USAGE,
  },
});

export const chunkFaults = publishedShape({
  package: CHAT,
  type: 'ChatCompletionChunk',
  also: {
    ChatCompletionChunk: ['tollgate'],
    'ChatCompletionChunk.Choice.Delta': ['reasoning_content', 'reasoning'],
    CompletionUsage: USAGE,
  },
});

const errorObjectFaults = publishedShape({ package: 'openai/resources/shared', type: 'ErrorObject' });

/** Faults of an error body: its only field is `error`, which has all four of its fields. */
export function errorFaults(body: unknown): string[] {
  const { error, ...rest } = body as { error?: unknown };
  return [...Object.keys(rest).map((name) => `/ has ${name} beside error`), ...errorObjectFaults(error)];
}

/** Faults of a whole stream: each event, one usage, a role and an end for each choice, and `[DONE]` last. */
export function streamFaults(text: string): string[] {
  const events = text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.replace(/^data: /, ''));
  const broken = events.at(-1)?.startsWith('{"error"') ?? false;
  const chunks = events
    .filter((data) => data !== '[DONE]' && !data.startsWith('{"error"'))
    .map((data) => JSON.parse(data) as Chunk);
  const faults = chunks.flatMap((chunk) => chunkFaults(chunk));
  const dones = events.filter((data) => data === '[DONE]').length;
  if (broken) {
    if (dones > 0) faults.push('an error and [DONE]');
    return [...faults, ...errorFaults(JSON.parse(events.at(-1)!))];
  }
  if (dones !== 1 || events.at(-1) !== '[DONE]') faults.push(`[DONE] ${dones} times`);
  const usages = chunks.filter(({ usage }) => usage).length;
  if (usages !== 1) faults.push(`usage ${usages} times`);
  if (!chunks.at(-1)?.usage) faults.push('usage not in the last chunk');
  for (const [index, mine] of Map.groupBy(
    chunks.flatMap(({ choices }) => choices),
    (choice) => choice.index,
  )) {
    if (mine[0]!.delta.role !== 'assistant') faults.push(`choice ${index} begins without a role`);
    const ends = mine.filter(({ finish_reason }) => finish_reason !== null).length;
    if (ends !== 1) faults.push(`choice ${index} ends ${ends} times`);
  }
  return faults;
}

interface Chunk {
  readonly choices: readonly {
    index: number;
    delta: { role?: string };
    finish_reason: string | null;
  }[];
  readonly usage?: object | null;
}
