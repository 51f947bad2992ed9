/** `npm run rotate -- NAME`: says how to rotate a secret, and checks at the edge what is left to do. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import { ROTATIONS, type RotationName, rotationPlan } from './rotation-plan.ts';
import { operatorApi } from './stack.ts';

const STATE = process.env.TOLLGATE_STATE ?? '.tollgate';
const NAMES = Object.keys(ROTATIONS) as RotationName[];
const USAGE = `Usage: npm run rotate -- NAME [--check | --carry-over] [--edge http://localhost:8787]
NAME is one of ${NAMES.join(', ')}.
Without a flag it makes a new value and says what to do. --check asks the edge what still needs the old secret,
--carry-over moves it. The operator token is read from OPERATOR_TOKEN or ${join(STATE, 'edge.env')}.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    edge: { type: 'string', default: process.env.TOLLGATE_EDGE ?? 'http://localhost:8787' },
    check: { type: 'boolean', default: false },
    'carry-over': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const name = NAMES.find((each) => each === positionals[0]);
if (values.help || name === undefined) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

try {
  if (values['carry-over']) await carryOver();
  if (values.check || values['carry-over']) await check(name);
  else console.log(rotationPlan(name, newValueFile(name)));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}

/** The file with the new value. One that exists is kept: the steps of a rotation use the same value. */
function newValueFile(secret: RotationName): string {
  const folder = join(STATE, 'rotate');
  const file = join(folder, secret);
  const { newValue } = ROTATIONS[secret];
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (newValue !== null && !existsSync(file)) writeFileSync(file, newValue(), { mode: 0o600 });
  return file;
}

async function carryOver(): Promise<void> {
  let total = 0;
  for (;;) {
    const { carried_over } = await call<{ carried_over: number }>('POST', '/secrets/carry-over');
    total += carried_over;
    if (process.stdout.isTTY) process.stdout.write(`\r${total} carried over…`);
    if (carried_over === 0) break;
  }
  console.log(`${process.stdout.isTTY ? '\r' : ''}${total} carried over.`);
}

/** Exit code 1: something is left. */
async function check(secret: RotationName): Promise<void> {
  const { secrets } = await call<{ secrets: State[] }>('GET', '/secrets');
  const state = secrets.find((each) => each.name === secret)!;
  console.log(`${secret}: ${STEPS[state.step]}`);
  const left = Object.entries(state.left).filter(([, count]) => count > 0);
  for (const [what, count] of left) console.log(`  ${what}: ${count} left`);
  if (left.length === 0 && state.step !== 'alone') console.log('  Nothing is left.');
  process.exitCode = left.length > 0 ? 1 : 0;
}

interface State {
  name: string;
  step: 'alone' | 'accepted' | 'in_use';
  left: Record<string, number>;
}

const STEPS: Record<State['step'], string> = {
  alone: 'one secret is accepted; no rotation is under way.',
  accepted: 'step 1: the new one is accepted, the old one is in use.',
  in_use: 'step 2: the new one is in use, the old one is accepted.',
};

function call<T>(method: 'GET' | 'POST', path: string): Promise<T> {
  return operatorApi<T>({ url: values.edge, operatorToken: operatorToken() }, method, path);
}

function operatorToken(): string {
  const file = join(STATE, 'edge.env');
  const token =
    process.env.OPERATOR_TOKEN ??
    (existsSync(file) ? parseEnv(readFileSync(file, 'utf8')).OPERATOR_TOKEN : undefined);
  if (token === undefined)
    throw new Error('Set OPERATOR_TOKEN to a token of the operator API (scopes: read, secrets).');
  return token;
}
