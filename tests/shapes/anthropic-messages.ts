/** Checks messages against the types of Anthropic's package, with our documented additions and nothing else. */
import { publishedShape } from './published-shape.ts';

const MESSAGES = '@anthropic-ai/sdk/resources/messages/messages';
const ALSO = { Message: ['tollgate'], Usage: ['cost', 'cost_nano_usd'] };

export const messageFaults = publishedShape({ package: MESSAGES, type: 'Message', also: ALSO });
const eventShape = publishedShape({
  package: MESSAGES,
  type: 'RawMessageStreamEvent',
  also: { ...ALSO, RawMessageDeltaEvent: ['tollgate'], MessageDeltaUsage: ['cost', 'cost_nano_usd'] },
});
const errorShape = publishedShape({ package: '@anthropic-ai/sdk/resources/shared', type: 'ErrorResponse' });

/**
 * Faults of an error body. `code` and `param`, which every error of ours
 * has, are checked apart from the published type.
 */
export function messageErrorFaults(body: unknown): string[] {
  const { error, ...rest } = body as { error?: { code?: unknown; param?: unknown } };
  const { code, param: _param, ...published } = error ?? {};
  return [...(code ? [] : ['an error without a code']), ...errorShape({ ...rest, error: published })];
}

/** Faults of a whole stream: event names, one start, one delta and one stop, and blocks that begin and end in turn. */
export function messageStreamFaults(text: string): string[] {
  const events = text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.match(/^event: (?<name>.+)\ndata: (?<data>.+)$/)?.groups);
  if (events.includes(undefined)) return ['an event without a name'];
  const faults: string[] = [];
  const names: string[] = [];
  let open: number | null = null;
  let blocks = 0;
  for (const groups of events) {
    const event = JSON.parse(groups!.data!) as { type: string; index?: number };
    names.push(groups!.name!);
    if (event.type !== groups!.name) faults.push(`${event.type} is named ${groups!.name}`);
    if (event.type === 'error') continue;
    faults.push(...eventShape(event));
    if (event.type === 'content_block_start') {
      if (open !== null || event.index !== blocks++) faults.push(`block ${event.index} begins out of turn`);
      open = event.index!;
    }
    if (event.type === 'content_block_delta' && event.index !== open)
      faults.push('a delta of a closed block');
    if (event.type === 'content_block_stop') {
      if (event.index !== open) faults.push(`block ${event.index} ends out of turn`);
      open = null;
    }
  }
  const times = (name: string) => names.filter((each) => each === name).length;
  const ended =
    names.at(-1) === 'message_stop' && times('message_delta') === 1 && times('message_stop') === 1;
  if (names.at(-1) !== 'error' && !ended) faults.push(`ends with ${names.slice(-3).join(', ')}`);
  if (names[0] !== 'message_start' || times('message_start') !== 1) faults.push(`begins with ${names[0]}`);
  return faults;
}
