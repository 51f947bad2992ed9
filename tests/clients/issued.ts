/**
 * The identities and seals of an answer that clients send back, in the order in which they first appear. A recorded request
 * names them by place, so that a replay can put in those of its own answers.
 */
import { eventsOf, type RawAnswer } from './outcome.ts';

const FIELDS = new Set(['id', 'call_id', 'item_id', 'signature', 'encrypted_content']);

export function issuedBy(answer: RawAnswer): string[] {
  const found = new Set<string>();
  for (const event of eventsOf(answer)) collect(event, found);
  return [...found];
}

function collect(value: unknown, found: Set<string>): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    if (typeof member === 'string' && member.length > 7 && FIELDS.has(key)) found.add(member);
    else collect(member, found);
  }
}

/** The name of the `at`th of the answer to the request `exchange`. */
export function issuedName(exchange: number, at: number): string {
  return `«${exchange}.${at}»`;
}
