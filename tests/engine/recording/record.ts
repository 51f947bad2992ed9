/** Records what a running engine answers to a fixed set of small requests, as fixtures of the emulator's tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DEFAULT_FOLDER, keysOf, RELEASES } from '../folder.ts';
import { ANSWERED, REFUSED, TOLD } from './cases.ts';
import { typesOf } from './comparable.ts';
import { type Answer, type Ask, exchange, type Target } from './exchange.ts';
import { targetOf } from './keys.ts';
import { fileOf, RECORDINGS, type Recording, readLines, redacted } from './recording.ts';
import { SCENARIOS } from './scenarios.ts';
import { rawTokens } from './tokens.ts';

const USAGE = `Usage: node tests/engine/recording/record.ts --engine URL [--keys FILE] [--only PART-OF-A-NAME]
Asks an engine of tests/engine/start.ts, started with -- --max-running-requests=2 --max-queued-requests=2, and writes what
it answered to tests/gpu-pool/emulator/recordings/, by the engine's version. Greedy requests: a second run writes the same
but ids and times.`;

/** Runs of one streamed request. */
const RUNS = 3;
/** More than all token counts of a recorded answer together. */
const LARGE = 1_000_000;

const { values } = parseArgs({
  options: {
    engine: { type: 'string' },
    keys: { type: 'string', default: keysOf(DEFAULT_FOLDER) },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || values.engine === undefined) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const target = targetOf(values.engine, values.keys);
const { version } = (await exchange(target, TOLD['server-info']!)).body as { version: string };
const release = RELEASES.find((each) => each === version);
if (release === undefined)
  throw new Error(`Recordings are of ${RELEASES.join(' and ')}, and this is ${version}.`);

const isWanted = ([name]: [string, unknown]) => name.includes(values.only);
const recordings: Recording[] = [];
for (const [name, ask] of Object.entries(ANSWERED).filter(isWanted)) {
  const tokens = await rawTokens(target, ask);
  recordings.push({ name, ask, tokens, answer: await finest(target, ask) });
}
for (const [name, ask] of Object.entries({ ...REFUSED, ...TOLD }).filter(isWanted))
  recordings.push({ name, ask, answer: essential(name, await exchange(target, ask)) });
mkdirSync(RECORDINGS, { recursive: true });
keep('exchanges', recordings.map(redacted));

const scenarios: { name: string; outcome: unknown }[] = [];
for (const [name, run] of Object.entries(SCENARIOS).filter(isWanted)) {
  const startedMs = Date.now();
  scenarios.push({ name, outcome: redacted(await run(target)) });
  console.log(`${name}: ${Date.now() - startedMs} ms`);
}
keep('scenarios', scenarios);
console.log(`${recordings.length} exchanges and ${scenarios.length} scenarios with ${version}`);

/** Writes the lines of a file, or of some names in it. */
function keep(group: 'exchanges' | 'scenarios', lines: readonly { name: string }[]): void {
  const file = fileOf(release!, group);
  const names = new Set(lines.map(({ name }) => name));
  const others =
    values.only === '' ? [] : readLines<{ name: string }>(file).filter(({ name }) => !names.has(name));
  writeFileSync(file, [...others, ...lines].map((each) => `${JSON.stringify(each)}\n`).join(''));
}

/**
 * The prompt is in the cache by now, as it is when an emulator is asked for the second time. On a busy machine an engine
 * sends two tokens in one frame, so the run with the most frames is kept.
 */
async function finest(target: Target, ask: Ask): Promise<Answer> {
  let best = await exchange(target, ask);
  for (let again = 0; again < RUNS && best.frames !== undefined; again++) {
    const next = await exchange(target, ask);
    if (coarseness(next) < coarseness(best)) best = next;
  }
  return best;
}

/** The fewer frames the coarser; of as many frames, those that are sent behind their token count it and the next. */
function coarseness({ frames = [] }: Answer): number {
  const counts = frames.map((frame) => (frame as Counted)?.usage?.completion_tokens ?? 0);
  return counts.reduce((sum, count) => sum + count, 0) - LARGE * frames.length;
}

type Counted = { usage?: { completion_tokens: number } | null } | null;

/** Long descriptions shortened: the arguments by their name and type, and the names of what is measured. */
function essential(name: string, answer: Answer): Answer {
  if (name === 'metrics') {
    const names = [...(answer.body as string).matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, named]) => named!);
    return { ...answer, body: names.sort() };
  }
  if (name === 'server-info') {
    return { ...answer, body: typesOf(answer.body as object) };
  }
  return answer;
}
