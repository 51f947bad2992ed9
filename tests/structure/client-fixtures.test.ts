/** Recorded conversations of real clients have the structure of what was sent, none of the clients' own texts and nothing of the machine. */
import { describe, expect, it } from 'vitest';
import { listFixtures, readFixture } from '../clients/fixture.ts';

/** As long as a beta header, or a scenario's prompt. */
const SENTENCE_WORDS_MAX = 20;
const PERSONAL = [
  /\/(?:root\/|tmp|Users|home\/(?!user))/,
  /\b1[67]\d{11}\b/,
  /[\w.]+@[\w-]+\.\w+/,
  /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-/,
  /[0-9a-f]{24,}/,
  /sk-tg-/,
  /localhost:\d|127\.0\.0\.1/,
];

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null)
    for (const [key, member] of Object.entries(value)) {
      yield key;
      yield* textsIn(member);
    }
}

describe.each(listFixtures())('the fixture of %s', (client) => {
  const bodies = Object.values(readFixture(client).scenarios).flatMap(({ turns }) =>
    turns.flatMap(({ exchanges }) => exchanges.map(({ headers, body }) => ({ headers, body }))),
  );
  const texts = [...new Set(textsIn(bodies))];
  const own = new Set(texts.filter((text) => !text.startsWith('{') && !text.startsWith('[')));

  it('says nothing of a person or a machine', () => {
    for (const pattern of PERSONAL) expect(texts.filter((text) => pattern.test(text))).toEqual([]);
  });

  it('has no texts of the client', () => {
    const words = (text: string) => text.split(/\s+/).length;
    expect([...own].filter((text) => words(text) > SENTENCE_WORDS_MAX)).toEqual([]);
  });
});
