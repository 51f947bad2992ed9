/**
 * Generates prose: plausible sentences with an exact token count. Characters of two, three and four UTF-8 bytes
 * occur now and then, because a byte stream that is cut inside one is a classic fault.
 */
import { tokenize } from './tokenizer.ts';

const WORDS =
  `the a this that each one first then next because so but if when while where which what how we it you they
  can could should would must is are has does makes gives takes needs shows means holds keeps adds leaves
  number result value answer question step case rule example reason problem part whole set sum product limit
  order time cost token request model node cache prefix memory signal word line page path graph table
  small large simple exact clear likely possible careful different same new long short fast slow even odd
  of to in on by for with from over under between without through about into after before again also only
  check count compare follow consider assume write read choose split merge prove test measure return`
    .trim()
    .split(/\s+/);

const MULTIBYTE_WORDS = [
  'café',
  'naïve',
  'Gödel',
  '中文',
  '推理',
  '因此',
  '½',
  '→',
  '🙂',
  '🚀',
  '日本語',
  'λ',
];
const MULTIBYTE_SHARE = 0.05;

/** Exactly `count` tokens of prose, which begin with `opening`. */
export function proseTokens(random: () => number, { count, opening }: { count: number; opening: string }) {
  const tokens = tokenize(opening);
  while (tokens.length < count) tokens.push(...tokenize(sentence(random)));
  return tokens.slice(0, count);
}

function sentence(random: () => number): string {
  const words = Array.from({ length: 6 + Math.floor(random() * 9) }, () =>
    random() < MULTIBYTE_SHARE ? pick(random, MULTIBYTE_WORDS) : pick(random, WORDS),
  );
  const text = words.join(' ');
  const end = random() < 0.12 ? '.\n\n' : '. ';
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

/** A random member of a non-empty list. */
export function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T;
}
