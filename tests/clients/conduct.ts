/** Leads a real client through a scenario and records what it asked and what it got. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Stack } from '../../gpu-pool/local/stack.ts';
import type { Client, Place } from './client.ts';
import type { Exchange, RecordedScenario, RecordedTurn } from './fixture.ts';
import { issuedBy, issuedName } from './issued.ts';
import { killLeftBehind } from './left-behind.ts';
import { isOverflow, outcomeOf } from './outcome.ts';
import { type RawExchange, startProxy } from './proxy.ts';
import { FILES, IMAGE, PIXEL, type Scenario, type Turn } from './scenario.ts';
import { OWN_TEXTS, type ScrubContext, scrubbed } from './scrub.ts';
import { answersDue, MODEL, scriptAnswers, setContext } from './stack.ts';

/** A client that takes longer hangs. */
const TURN_MS_MAX = 120_000;

export interface Conducted {
  readonly recorded: RecordedScenario;
  /** Differences from what the scenario wants, as sentences. */
  readonly differences: readonly string[];
}

/** @returns null where the client has no tools for it */
export async function conduct(
  stack: Stack,
  client: Client,
  { scenario, installed }: { scenario: Scenario; installed: string },
): Promise<Conducted | null> {
  const root = mkdtempSync(join(tmpdir(), 'tollgate-client-'));
  const place = { home: join(root, 'home'), workDir: join(root, 'work'), installed, model: MODEL };
  const turns = turnsOf(scenario, client, place.workDir);
  if (turns === null) {
    rmSync(root, { recursive: true });
    return null;
  }
  let afterOverflow: Turn['afterOverflow'];
  const proxy = await startProxy(stack.edge.url, async (answer) => {
    if (!afterOverflow || !isOverflow(answer)) return;
    await scriptAnswers(stack, afterOverflow);
    afterOverflow = undefined;
  });
  const { contextTokens } = scenario;
  await setContext(stack, contextTokens);
  try {
    furnish(place);
    const whole: Place = { ...place, url: proxy.url, apiKey: stack.dev.apiKey };
    client.configure?.(whole);
    const recorder = new Recorder(whole, turns);
    const recorded: RecordedTurn[] = [];
    const differences: string[] = [];
    let overflows = 0;
    for (const [at, turn] of turns.entries()) {
      afterOverflow = turn.afterOverflow;
      await scriptAnswers(stack, turn.answers);
      const said = await ask(client, whole, { ...turn, first: at === 0 });
      const raw = proxy.take();
      overflows += raw.filter(({ answer }) => isOverflow(answer)).length;
      recorded.push(recorder.record(turn, raw));
      differences.push(...differencesOf(turn, { said, raw, due: await answersDue(stack) }));
    }
    if (scenario.overflows && overflows === 0) differences.push('nothing was refused for its length');
    return { recorded: { ...(contextTokens && { contextTokens }), turns: recorded }, differences };
  } finally {
    await proxy.close();
    killLeftBehind(place.home);
    rmSync(root, { recursive: true, force: true });
  }
}

function turnsOf(scenario: Scenario, client: Client, workDir: string): readonly Turn[] | null {
  const all = scenario.turns(client.tools, workDir);
  const turns = client.goesOn === false && all !== null ? all.slice(0, 1) : all;
  if (client.sendsTools !== false || turns === null) return turns;
  return turns.map((turn) => ({
    ...turn,
    answers: turn.answers.map((answer) => ({ ...answer, for: 'any' })),
  }));
}

function furnish({ home, workDir }: { home: string; workDir: string }): void {
  mkdirSync(home);
  mkdirSync(workDir);
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(workDir, name), text);
  writeFileSync(join(workDir, IMAGE), Buffer.from(PIXEL, 'base64'));
}

interface Said {
  readonly text: string;
  readonly code: number | null;
  /** The end of its output, for whoever looks for the reason of a failure. */
  readonly output: string;
}

async function ask(
  client: Client,
  place: Place,
  turn: { prompt: string; image?: string; first: boolean },
): Promise<Said> {
  const { command, args, env, says } = client.ask(place, turn);
  const child = spawn(command, args, {
    cwd: place.workDir,
    // Nothing of this machine's settings or keys.
    env: {
      HOME: place.home,
      PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      LANG: 'C.UTF-8',
      TERM: 'dumb',
      NO_PROXY: '127.0.0.1,localhost',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const hung = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), TURN_MS_MAX);
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
    child.on('error', () => resolve(null));
  });
  clearTimeout(hung);
  return { text: says(stdout).trim(), code, output: `${stdout}${stderr}`.slice(-600) };
}

function differencesOf(
  { answers, afterOverflow = [], says }: Turn,
  { said, raw, due }: { said: Said; raw: readonly RawExchange[]; due: number },
): string[] {
  const found: string[] = [];
  const expected = says === undefined ? [...answers, ...afterOverflow].at(-1)?.text?.trim() : says;
  if (expected !== null && (said.text !== expected || (said.code !== 0 && afterOverflow.length === 0)))
    found.push(`it said ${JSON.stringify(said.text.slice(0, 300))} (exit ${said.code}): ${said.output}`);
  if (expected !== null && due > 0) found.push(`${due} answers were not asked for`);
  const refused = raw.filter(({ answer }) => answer.status >= 400 && !isOverflow(answer));
  const errors = refused.map(({ method, path, answer }) => {
    const text = answer.text.replace(/"request_id":"\w+"/, '').slice(0, 300);
    return `${method} ${path}: ${answer.status} ${text}`;
  });
  return [...found, ...new Set(errors)];
}

/** Makes fixtures of exchanges, in which the same identity has the same name throughout a scenario. */
class Recorder {
  readonly #context: ScrubContext & { issued: Map<string, string> };
  #exchanges = 0;

  constructor({ home, workDir, url }: Place, turns: readonly Turn[]) {
    const answers = turns.flatMap((turn) => [...turn.answers, ...(turn.afterOverflow ?? [])]);
    const own = [
      ...turns.map(({ prompt }) => prompt),
      ...answers.flatMap(({ text = '', thought = '' }) => [text, thought, text.trim(), thought.trim()]),
      ...OWN_TEXTS,
    ];
    const paths = [
      [workDir, '/project'],
      [home, '/home/user'],
      [url, 'http://edge'],
    ] as const;
    this.#context = {
      paths,
      own: own.filter((text) => text.length < 1_000),
      issued: new Map(),
      ids: new Map(),
    };
  }

  record(turn: Turn, raw: readonly RawExchange[]): RecordedTurn {
    const { answers, afterOverflow } = turn;
    // A refusal is a difference to mend, not an answer to hold on to.
    const kept = raw.filter(({ answer }) => answer.status < 400 || isOverflow(answer));
    const exchanges = kept.map((each) => this.#exchange(each));
    return {
      answers: scrubbedAnswers(answers, this.#context),
      ...(afterOverflow && { afterOverflow: scrubbedAnswers(afterOverflow, this.#context) }),
      exchanges,
    };
  }

  #exchange({ method, path, headers, body, answer }: RawExchange): Exchange {
    const context = this.#context;
    const scrubbedBody = body === '' ? undefined : scrubbed(JSON.parse(body), context);
    for (const [at, id] of issuedBy(answer).entries())
      if (!context.issued.has(id)) context.issued.set(id, issuedName(this.#exchanges, at));
    this.#exchanges += 1;
    const outcome = outcomeOf(answer);
    return {
      method,
      path,
      headers: keptHeaders(headers),
      ...(scrubbedBody !== undefined && { body: scrubbedBody }),
      outcome: {
        ...outcome,
        calls: outcome.calls.map((call) => ({ ...call, arguments: inPlace(call.arguments, context) })),
      },
    };
  }
}

/** Answers whose calls name paths of the recording. */
function scrubbedAnswers(answers: Turn['answers'], context: ScrubContext): Turn['answers'] {
  return JSON.parse(inPlace(JSON.stringify(answers), context)) as Turn['answers'];
}

function inPlace(text: string, { paths }: ScrubContext): string {
  return paths.reduce((changed, [path, standIn]) => changed.replaceAll(path, standIn), text);
}

/** The headers that an API may act on, and of the others the client's name. */
function keptHeaders(headers: RawExchange['headers']): Record<string, string> {
  const kept = ['anthropic-version', 'anthropic-beta', 'openai-beta', 'content-type', 'accept'];
  return {
    ...Object.fromEntries(kept.flatMap((name) => (headers[name] ? [[name, headers[name]]] : []))),
    'user-agent': (headers['user-agent'] ?? '').split(' ')[0]!,
    key: headers['x-api-key'] ? 'x-api-key' : headers.authorization ? 'authorization' : 'none',
  };
}
