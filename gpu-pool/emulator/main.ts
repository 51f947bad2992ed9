/** Command line of the engine emulator. Its flags are SGLang's wherever SGLang has them. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ModelProfile } from '../protocol/model-profile.ts';
import { HARDWARE, type Hardware } from '../protocol/schemas.ts';
import { RECOMMENDED_RELEASE } from './release.ts';
import { startEmulator } from './server.ts';

const program = new Command('emulator')
  .description('Answers like an SGLang server with DeepSeek-R1 or V3, without a GPU.')
  .addOption(
    new Option('--profile <hardware>', 'hardware to emulate').choices(HARDWARE).default('8xh200' as Hardware),
  )
  .option('--port <number>', 'port to listen on; 0 picks a free one', wholeNumber, 30_000)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--model-profile <file>', 'profile of the model to emulate, as JSON (default: R1)', profileIn)
  .option(
    '--model-path <path>',
    'path to report (default: the model’s); without a profile, one with V3 in it answers without reasoning',
  )
  .option('--weight-version <version>', 'reported as metadata', 'default')
  .option('--speed <factor>', '1 is real time, 20 is twenty times faster, 0 never waits', factor, 1)
  .option('--seed <number>', 'seed of all generated text', wholeNumber, 1)
  .option('--log <file>', 'file for a log of generated answers, as JSON lines')
  .option('--api-key <key>')
  .option('--admin-api-key <key>')
  .option('--max-queued-requests <number>', 'unlimited by default', wholeNumber)
  .option('--enable-cache-report', 'report cached tokens in usage', false)
  .option('--reasoning-parser <name>', 'without it, answers begin with their reasoning')
  .option('--tool-call-parser <name>', 'reported as it is')
  .option('--chat-template <path>', 'reported as it is')
  .option('--disable-radix-cache', 'do not reuse prefixes', false)
  .option('--enable-priority-scheduling', 'heed priorities', false)
  .option(
    '--priority-scheduling-preemption-threshold <number>',
    'most difference that preempts nothing',
    wholeNumber,
    10,
  )
  .option('--schedule-low-priority-values-first', 'the lower priority runs first', false)
  .option('--enable-deterministic-inference', 'a request’s seed repeats its answer', false)
  .option('--context-length <number>', 'tokens of prompt and answer together', wholeNumber)
  .option('--revision <commit>', 'revision of the weights to report')
  .option('--engine-version <version>', 'release to behave as and to report', RECOMMENDED_RELEASE);

const {
  modelProfile,
  enableCacheReport,
  enableDeterministicInference,
  engineVersion,
  enablePriorityScheduling,
  prioritySchedulingPreemptionThreshold,
  scheduleLowPriorityValuesFirst,
  ...options
} = program.parse().opts<{
  profile: Hardware;
  port: number;
  host: string;
  modelProfile?: ModelProfile;
  modelPath?: string;
  weightVersion: string;
  speed: number;
  seed: number;
  log?: string;
  apiKey?: string;
  adminApiKey?: string;
  maxQueuedRequests?: number;
  enableCacheReport: boolean;
  enableDeterministicInference: boolean;
  reasoningParser?: string;
  toolCallParser?: string;
  chatTemplate?: string;
  disableRadixCache: boolean;
  enablePriorityScheduling: boolean;
  prioritySchedulingPreemptionThreshold: number;
  scheduleLowPriorityValuesFirst: boolean;
  contextLength?: number;
  revision?: string;
  engineVersion: string;
}>();

const emulator = await startEmulator({
  ...options,
  model: modelProfile,
  cacheReport: enableCacheReport,
  deterministicInference: enableDeterministicInference,
  version: engineVersion,
  priorities: {
    enabled: enablePriorityScheduling,
    preemptionThreshold: prioritySchedulingPreemptionThreshold,
    lowFirst: scheduleLowPriorityValuesFirst,
  },
});
console.log(JSON.stringify({ listening: emulator.url }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void emulator.close().then(() => process.exit(0)));
}

function profileIn(file: string): ModelProfile {
  try {
    return ModelProfile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new InvalidArgumentError('Expected a file with a profile, such as those of gpu-pool/models.');
  }
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

function factor(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0)
    throw new InvalidArgumentError('Expected a number of at least 0.');
  return number;
}
