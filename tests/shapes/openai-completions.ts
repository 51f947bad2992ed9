/** Checks text completions against the types of OpenAI's package, with our documented additions and nothing else. */
import { publishedShape } from './published-shape.ts';

const textShape = publishedShape({
  package: 'openai/resources/completions',
  type: 'Completion',
  also: {
    Completion: ['tollgate'],
    CompletionUsage: ['prompt_cache_hit_tokens', 'prompt_cache_miss_tokens', 'cost', 'cost_nano_usd'],
  },
});

export function textFaults(body: unknown): string[] {
  return textShape(body);
}

interface Chunk {
  readonly choices: { index: number; finish_reason: string | null }[];
  readonly usage?: object | null;
}

/**
 * Faults of a whole stream. A chunk is a completion whose choices may not
 * have ended, which the type does not allow for.
 */
export function textStreamFaults(text: string): string[] {
  const events = text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.replace(/^data: /, ''));
  const chunks = events.slice(0, -1).map((data) => JSON.parse(data) as Chunk);
  const faults = chunks.flatMap((chunk) => {
    const { usage, ...rest } = chunk;
    const choices = chunk.choices.map((choice) => ({
      ...choice,
      finish_reason: choice.finish_reason ?? 'stop',
    }));
    return textShape({ ...rest, choices, ...(usage ? { usage } : {}) });
  });
  if (events.at(-1) !== '[DONE]') faults.push('no [DONE]');
  const usages = chunks.filter(({ usage }) => usage);
  if (usages.length !== 1 || usages[0] !== chunks.at(-1)) faults.push(`usage ${usages.length} times`);
  for (const [index, mine] of Map.groupBy(
    chunks.flatMap(({ choices }) => choices),
    (choice) => choice.index,
  )) {
    const ends = mine.filter(({ finish_reason }) => finish_reason !== null).length;
    if (ends !== 1) faults.push(`choice ${index} ends ${ends} times`);
  }
  return faults;
}
