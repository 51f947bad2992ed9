/** The rule for names. */
import { expect, it } from 'vitest';
import { isVisible, NAME_LENGTH_MAX, nameSchema, visibleText } from '../../worker/domain/name.ts';

const schema = nameSchema({ required: 'required', tooLong: 'too long', hidden: 'hidden' });
const read = (name: unknown) => {
  const { success, data, error } = schema.safeParse(name);
  return success ? data : error.issues[0]!.message;
};

it.each(['Ada Lovelace', 'clé d’API n°1', '株式会社', 'محمد', 'שלום', 'हिंदी', '🚀'])('accepts %j', (name) => {
  expect(read(name)).toBe(name);
});

it.each([
  0x00, 0x07, 0x0a, 0x1b, 0x7f, 0x80, 0x85, 0x9f, 0xad, 0x34f, 0x61c, 0x115f, 0x180e, 0x200b, 0x200c, 0x200d,
  0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2061, 0x2064, 0x2066,
  0x2067, 0x2068, 0x2069, 0x206f, 0x2800, 0x3164, 0xd800, 0xdfff, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb,
  0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe0100,
])('refuses the hidden character %#: at the start, inside and at the end', (code) => {
  const hidden = String.fromCodePoint(code);
  for (const name of [`${hidden}name`, `na${hidden}me`, `name${hidden}`, hidden]) {
    expect([code.toString(16), read(name)]).toEqual([code.toString(16), 'hidden']);
    expect(isVisible(name)).toBe(false);
    expect(isVisible(visibleText(name, 10))).toBe(true);
  }
});

it('takes a name in its composed form, without spaces around it', () => {
  expect(read('  cafe\u0301 ')).toBe('caf\u00e9');
  expect(read('\u00a0\u3000')).toBe('required');
  expect(read(7)).toBe('required');
});

it('counts code points', () => {
  expect(read('🚀'.repeat(NAME_LENGTH_MAX))).toHaveLength(2 * NAME_LENGTH_MAX);
  expect(read('a'.repeat(NAME_LENGTH_MAX + 1))).toBe('too long');
  expect(visibleText('🚀🚀🚀', 2)).toBe('🚀🚀');
});
