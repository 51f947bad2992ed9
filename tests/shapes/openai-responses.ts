/** Checks responses against the types of OpenAI's package, with our documented additions and nothing else. */
import { publishedShape } from './published-shape.ts';

const RESPONSES = 'openai/resources/responses/responses';
const ALSO = {
  Response: ['tollgate', 'store', 'system_fingerprint'],
  /** OpenAI sends it, and has it in the type of items that are read back. */
  ResponseCustomToolCall: ['status'],
  ResponseUsage: ['cost', 'cost_nano_usd'],
};

const responseShape = publishedShape({ package: RESPONSES, type: 'Response', also: ALSO });
const eventShape = publishedShape({ package: RESPONSES, type: 'ResponseStreamEvent', also: ALSO });

/** Adds `output_text`, which the client computes itself: its type requires the field, but it is never sent. */
const withOutputText = (response: object) => ({ ...response, output_text: '' });

export function responseFaults(body: unknown): string[] {
  return responseShape(withOutputText(body as object));
}

/** Faults of a whole stream: event names, numbers from 0, one end, and usage in that event only. */
export function responseStreamFaults(text: string): string[] {
  const events = text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.match(/^event: (?<name>.+)\ndata: (?<data>.+)$/)?.groups);
  if (events.includes(undefined)) return ['an event without a name'];
  const parsed = events.map((groups) => ({
    name: groups!.name,
    event: JSON.parse(groups!.data!) as { type: string; sequence_number: number; response?: object },
  }));
  const faults = parsed.flatMap(({ name, event }, at) => {
    const complete = event.response ? { ...event, response: withOutputText(event.response) } : event;
    return [
      ...eventShape(complete),
      ...(name === event.type ? [] : [`${event.type} is named ${name}`]),
      ...(event.sequence_number === at
        ? []
        : [`${event.type} is number ${event.sequence_number}, not ${at}`]),
    ];
  });
  const ends = parsed.filter(({ name }) => /^(error|response\.(completed|incomplete|failed))$/.test(name!));
  // a stream that fails ends with two events: one for OpenAI's SDKs, one for Codex
  const expected = ends[0]?.name === 'error' ? ['error', 'response.failed'] : [ends[0]?.name];
  if (ends.map(({ name }) => name).join() !== expected.join() || parsed.at(-1) !== ends.at(-1))
    faults.push(`${ends.length} ends`);
  const withUsage = parsed.filter(({ event }) => (event.response as { usage?: object } | undefined)?.usage);
  if (withUsage.some((each) => each !== parsed.at(-1))) faults.push('usage before the end');
  return faults;
}
