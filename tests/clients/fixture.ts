/** A client's recorded conversations, as `fixtures/` has them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer } from './scenario.ts';

const FOLDER = join(import.meta.dirname, 'fixtures');

/** The outcome of an answer, whichever dialect it was written in. */
export interface Outcome {
  readonly status: number;
  /** `stop_reason`, `finish_reason` or `status`; null: the stream ended without one. */
  readonly ending: string | null;
  readonly text: string;
  /** Characters of its thought. */
  readonly thought: number;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  /** `tollgate.ignored`. */
  readonly ignored: readonly string[];
  /** Code, or type, of an error. */
  readonly error: string | null;
  /** It told how many tokens it has. */
  readonly metered: boolean;
}

export interface Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Scrubbed; undefined: none was sent. */
  readonly body?: unknown;
  readonly outcome: Outcome;
}

export interface RecordedTurn {
  readonly answers: readonly Answer[];
  readonly afterOverflow?: readonly Answer[];
  readonly exchanges: readonly Exchange[];
}

export interface RecordedScenario {
  readonly contextTokens?: number;
  readonly turns: readonly RecordedTurn[];
}

export interface Fixture {
  readonly client: string;
  readonly version: string;
  /** The day it was recorded. */
  readonly recorded: string;
  readonly scenarios: Readonly<Record<string, RecordedScenario>>;
}

/** The same with every large part of a body in one place, since each request of a conversation repeats those before it. */
interface StoredFixture extends Fixture {
  readonly parts: Readonly<Record<string, unknown>>;
}

/** Smaller parts stay where they are. */
const PART_LENGTH_MIN = 120;
const PART = '$part';

export function listFixtures(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -5));
}

export function fixtureFile(client: string): string {
  return join(FOLDER, `${client}.json`);
}

export function readFixture(client: string): Fixture {
  const { parts, ...fixture } = JSON.parse(readFileSync(fixtureFile(client), 'utf8')) as StoredFixture;
  return withBodies(fixture, (body) => withParts(body, parts));
}

/** The text of a fixture's file. */
export function storedFixture(fixture: Fixture): string {
  const parts = new Map<string, string>();
  const stored = withBodies(fixture, (body) => withoutParts(body, parts));
  const named = Object.fromEntries([...parts].map(([json, name]) => [name, JSON.parse(json)]));
  const inLines = Object.entries(named).map(
    ([name, part]) => `  ${JSON.stringify(name)}: ${JSON.stringify(part)}`,
  );
  const head = JSON.stringify(stored, null, 1).slice(0, -2);
  return `${head},\n "parts": {\n${inLines.join(',\n')}\n }\n}\n`;
}

function withBodies(fixture: Fixture, change: (body: unknown) => unknown): Fixture {
  const inExchange = (exchange: Exchange): Exchange =>
    exchange.body === undefined ? exchange : { ...exchange, body: change(exchange.body) };
  const inTurn = (turn: RecordedTurn): RecordedTurn => ({
    ...turn,
    exchanges: turn.exchanges.map(inExchange),
  });
  const scenarios = Object.entries(fixture.scenarios).map(
    ([name, scenario]) => [name, { ...scenario, turns: scenario.turns.map(inTurn) }] as const,
  );
  return { ...fixture, scenarios: Object.fromEntries(scenarios) };
}

/** Takes parts out from the inside, so that a list of messages that has grown shares all that it had before. */
function withoutParts(value: unknown, parts: Map<string, string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const mapped = Array.isArray(value)
    ? value.map((member) => withoutParts(member, parts))
    : Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withoutParts(member, parts)]));
  const json = JSON.stringify(mapped);
  if (json.length < PART_LENGTH_MIN) return mapped;
  const name = parts.get(json) ?? `p${parts.size + 1}`;
  parts.set(json, name);
  return { [PART]: name };
}

function withParts(value: unknown, parts: StoredFixture['parts']): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((member) => withParts(member, parts));
  if (PART in value) return withParts(parts[value[PART] as string], parts);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withParts(member, parts)]));
}
