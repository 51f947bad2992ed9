/** Free text in e-mails: nothing is left of which an e-mail program could make a link. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { emailSafe } from '../../worker/domain/email-text.ts';

it.each([
  ['Acme, Inc.', 'Acme, Inc'],
  ['Müller & Söhne – Été', 'Müller & Söhne – Été'],
  ['株式会社トールゲート', '株式会社トールゲート'],
  ["O'Neill Labs 42", "O'Neill Labs 42"],
  ['Win at https://evil.example/x?y=1', 'Win at https evil example x y 1'],
  ['evil．example evil。example evil․example', 'evil example evil example evil example'],
  ['write to eve@evil.example', 'write to eve evil example'],
  ['javascript:alert(1)', 'javascript alert 1'],
  ['call +33 6 12 34 56 78 now', 'call now'],
  ['two\r\nlines\u2028three', 'two lines three'],
  ['\u202egnp\u202c hidden\u200b', 'gnp hidden'],
  ['<b>bold</b>', 'b bold b'],
  ['...', ''],
])('%j becomes %j', (text, safe) => {
  expect(emailSafe(text)).toBe(safe);
});

it('leaves no sign of a link in any text, and at most sixty characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      const safe = emailSafe(text);
      expect(safe).not.toMatch(/[.:/@\\<>"[\](){}#?=%_*`|~^\p{C}\p{Zl}\p{Zp}]/u);
      expect([...safe].length).toBeLessThanOrEqual(60);
      expect(emailSafe(safe)).toBe(safe);
    }),
  );
});
