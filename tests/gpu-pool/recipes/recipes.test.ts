/** Launch recipes: they start the same engine in every format, reachable only by its agent. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { DRAIN_DEADLINE_MS } from '../../../gpu-pool/agent/agent.ts';
import { leftToEngine } from '../../../gpu-pool/agent/parse/formats.ts';
import { findFaults } from '../../../gpu-pool/agent/sglang/faults.ts';
import { findWarnings } from '../../../gpu-pool/agent/sglang/warnings.ts';
import { PROFILES } from '../../../gpu-pool/emulator/profiles.ts';
import { longestPrompt } from '../../../gpu-pool/protocol/constants.ts';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { HARDWARE, type Hardware } from '../../../gpu-pool/protocol/schemas.ts';
import { SHIPPED_MODELS, shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import { bundle } from '../../../gpu-pool/recipes/bundle.ts';
import { FLAGS, flagsOf, LEFT_OUT } from '../../../gpu-pool/recipes/flags.ts';
import { createEngineKeys } from '../../../gpu-pool/recipes/keys.ts';
import { MACHINES } from '../../../gpu-pool/recipes/machine.ts';
import { contextLengthOf } from '../../../gpu-pool/recipes/model.ts';
import { FORMATS, type Format, RANKS, type Recipe } from '../../../gpu-pool/recipes/recipe.ts';
import type { RecipeFile } from '../../../gpu-pool/recipes/recipe-file.ts';
import { serve } from '../agent/http.ts';
import { parseYaml, type Yaml } from './yaml.ts';

const run = promisify(execFile);
const hasSystemd = await run('systemd-analyze', ['--version']).then(
  () => true,
  () => false,
);

const directories: string[] = [];
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true }))));

async function tempDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'recipe-'));
  directories.push(directory);
  return directory;
}

const JOIN_TOKEN = 'eyJhbGciOiJFZERTQSJ9.join.me';
const DIST_INIT_ADDR = '10.0.0.1:5000';

function recipe(change: Partial<Recipe> = {}): Recipe {
  const hardware = change.hardware ?? '8xh200';
  const model = change.model ?? 'deepseek-r1-0528';
  const profile = change.profile ?? shippedProfile(model)!;
  return {
    model,
    profile,
    contextLength: profile.contextLength,
    hardware,
    rank: 0,
    image: MACHINES[hardware].image,
    distInitAddr: DIST_INIT_ADDR,
    keys: createEngineKeys(),
    joinToken: JOIN_TOKEN,
    edgeUrl: 'https://tollgate.test',
    publicUrl: 'https://node-1.test',
    cacheDir: '/srv/sglang',
    checkoutDir: '/opt/tollgate',
    ...change,
  };
}

/** The models that are for sale from the start. */
const SEEDED = ['deepseek-r1-0528', 'deepseek-v3-0324', 'deepseek-r1-zero'] as const;

/** The hosts of all hardware that a model fits. */
function hostsOf(model: string): Pick<Recipe, 'hardware' | 'rank'>[] {
  return HARDWARE.filter((hardware) => shippedProfile(model)!.hardware[hardware] !== undefined).flatMap(
    (hardware) => RANKS.slice(0, MACHINES[hardware].hosts).map((rank) => ({ hardware, rank })),
  );
}
const matrix = SEEDED.flatMap((model) =>
  hostsOf(model).flatMap((host) => FORMATS.map((format) => ({ model, ...host, format }))),
);
type Case = (typeof matrix)[number];
const EACH = '$model on $hardware, rank $rank, as $format';

function textOf(files: readonly RecipeFile[], name: string): string {
  const file = files.find((file) => file.name === name);
  expect(file, name).toBeDefined();
  return file!.text;
}

async function unpack(files: readonly RecipeFile[]): Promise<string> {
  const directory = await tempDir();
  for (const { name, mode, text } of files) await writeFile(join(directory, name), text, { mode });
  return directory;
}

/** Reads the engine's whole command line as the program that runs the format does. */
const READERS = {
  async shell(files) {
    const directory = await unpack(files);
    const array = /^engine=\([\s\S]*?^\)$/m.exec(textOf(files, 'start.sh'))![0];
    const { stdout } = await run('bash', ['-c', `${array}\nprintf '%s\\0' "\${engine[@]}"`], {
      cwd: directory,
    });
    return stdout.split('\0').slice(0, -1);
  },
  async compose(files) {
    const { engine } = services(files);
    return [...strings(engine!.entrypoint), ...strings(engine!.command)];
  },
  async systemd(files) {
    return directive(textOf(files, 'tollgate-engine.service'), 'ExecStart')[0]!.split(' ');
  },
} satisfies Record<Format, (files: RecipeFile[]) => Promise<string[]>>;

/** SGLang's own arguments. */
async function engineArguments(files: RecipeFile[], format: Format): Promise<string[]> {
  const words = await READERS[format](files);
  expect(words).toContain('sglang.launch_server');
  return words.slice(words.indexOf('sglang.launch_server') + 1);
}

type Service = { [key: string]: Yaml };
function services(files: RecipeFile[]): Record<string, Service> {
  const compose = parseYaml(textOf(files, 'compose.yaml')) as { services: Record<string, Service> };
  return compose.services;
}
function strings(value: Yaml | undefined): string[] {
  expect(value).toBeInstanceOf(Array);
  return (value as Yaml[]).map(String);
}

/** Values of a directive, with continued lines joined and their comments dropped as systemd.syntax(7) defines. */
function directive(unit: string, name: string): string[] {
  const lines = unit.split('\n').filter((line) => !/^\s*[#;]/.test(line));
  const joined = lines.join('\n').replaceAll(/\\\n\s*/g, '');
  return [...joined.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!.trim());
}

function setting(env: string, name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, 'm').exec(env)?.[1];
}

describe('the table of flags', () => {
  it('gives every entry a reason of one line and a source', () => {
    for (const { name, why, source } of [...FLAGS, ...LEFT_OUT]) {
      expect(why, name).toMatch(/^[^\n]{15,110}\.$/);
      expect(source, name).toMatch(/^(https:\/\/|profile: )\S+/);
    }
    const names = [...FLAGS, ...LEFT_OUT].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has no flag that no recipe sets', () => {
    const used = new Set(
      hostsOf('deepseek-r1-0528')
        .flatMap((host) => flagsOf(recipe({ ...host, revision: 'a'.repeat(40) })))
        .map(({ flag }) => flag.name),
    );
    expect(FLAGS.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([]);
  });

  it.each(['8xh800-pair', '8xh200', '8xmi300x'] as const)(
    'sets R1 on %s as the emulator emulates it',
    (hardware) => {
      const set = new Map(flagsOf(recipe({ hardware })).map(({ flag, value }) => [flag.name, value]));
      const profile = PROFILES[hardware];
      expect(MACHINES[hardware].hosts).toBe(profile.hosts);
      expect(set.get('--tp-size')).toBe(profile.tensorParallel);
      expect(set.get('--max-running-requests')).toBe(profile.maxRunningRequests);
      // Both are unset on the pair, where SGLang chooses them.
      if (hardware === '8xh800-pair') return;
      expect(set.get('--mem-fraction-static')).toBe(profile.memFractionStatic);
    },
  );
});

const COMMON = [
  '--trust-remote-code',
  '--context-length=163840',
  '--chunked-prefill-size=8192',
  '--tool-call-parser=deepseekv3',
  '--enable-cache-report',
  '--enable-metrics',
  '--log-level=warning',
  '--host=127.0.0.1',
  '--port=30000',
];
/** The published configuration of each hardware, without its switched-off prefix cache. */
const BY_HARDWARE = {
  '8xh800-pair': [
    '--tp-size=16',
    '--nnodes=2',
    `--dist-init-addr=${DIST_INIT_ADDR}`,
    '--max-queued-requests=32',
    '--enable-priority-scheduling',
  ],
  '8xh200': [
    '--tp-size=8',
    '--max-running-requests=256',
    '--mem-fraction-static=0.82',
    '--attention-backend=flashinfer',
    '--max-queued-requests=96',
    '--enable-priority-scheduling',
  ],
  '8xmi300x': [
    '--tp-size=8',
    '--mem-fraction-static=0.8',
    '--kv-cache-dtype=fp8_e4m3',
    '--attention-backend=aiter',
    '--cuda-graph-max-bs-decode=128',
    '--max-queued-requests=96',
    '--enable-priority-scheduling',
  ],
} satisfies Partial<Record<Hardware, string[]>>;
const TEMPLATES = '/sgl-workspace/sglang/examples/chat_template/tool_chat_template_';
const BY_MODEL = {
  'deepseek-r1-0528': [
    '--model-path=deepseek-ai/DeepSeek-R1-0528',
    `--chat-template=${TEMPLATES}deepseekr1.jinja`,
  ],
  'deepseek-v3-0324': [
    '--model-path=deepseek-ai/DeepSeek-V3-0324',
    `--chat-template=${TEMPLATES}deepseekv3.jinja`,
  ],
  'deepseek-r1-zero': [
    '--model-path=deepseek-ai/DeepSeek-R1-Zero',
    `--chat-template=${TEMPLATES}deepseekr1.jinja`,
  ],
};

describe.each<Case>(matrix)(EACH, ({ format, ...target }) => {
  const built = recipe(target);
  const files = bundle(built, format);
  const open = files.filter(({ mode }) => mode !== 0o600);

  it('starts the engine with all required flags and none that is left out on purpose', async () => {
    const words = await engineArguments(files, format);
    expect(words).toEqual(
      expect.arrayContaining([
        ...COMMON,
        ...BY_HARDWARE[target.hardware as keyof typeof BY_HARDWARE],
        ...BY_MODEL[target.model],
      ]),
    );
    const names = words.map((word) => word.split('=')[0]);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => LEFT_OUT.some((flag) => flag.name === name))).toEqual([]);
    const parser = words.filter((word) => word.startsWith('--reasoning-parser'));
    expect(parser).toEqual(target.model === 'deepseek-v3-0324' ? [] : ['--reasoning-parser=deepseek-r1']);
    for (const { text } of files) expect(text).not.toContain('--disable-radix-cache');
  });

  it('opens the engine to this host only', async () => {
    const all = files.map(({ text }) => text).join('\n');
    expect(all).not.toMatch(/0\.0\.0\.0|\[::\]/);
    expect(all).not.toMatch(/--publish|^\s*ports:/m);
    if (format === 'compose') {
      for (const service of Object.values(services(files))) expect(service.network_mode).toBe('host');
    } else {
      expect(await READERS[format](files)).toContain('--network=host');
    }
  });

  it('keeps secrets in files that only their owner reads', async () => {
    expect(open.length).toBeGreaterThan(0);
    for (const { name, text } of open) {
      for (const secret of [built.keys.api, built.keys.admin, JOIN_TOKEN])
        expect(text, name).not.toContain(secret);
      expect(text, name).not.toMatch(/api-key=|[\da-f]{64}/);
    }
    if (target.rank === 1) {
      expect(open).toEqual(files);
      return;
    }
    const agent = textOf(files, 'agent.env');
    expect(parseYaml(textOf(files, 'engine.yaml'))).toEqual({
      'api-key': setting(agent, 'ENGINE_API_KEY'),
      'admin-api-key': setting(agent, 'ENGINE_ADMIN_API_KEY'),
    });
    expect(setting(agent, 'ENGINE_API_KEY')).toBe(built.keys.api);
    expect(setting(agent, 'TOLLGATE_JOIN_TOKEN')).toBe(JOIN_TOKEN);
    const words = await engineArguments(files, format);
    const [, inContainer] = words.slice(words.indexOf('--config'));
    const directory = { shell: '/', compose: './', systemd: '/etc/tollgate/' }[format];
    expect(open[0]!.text).toContain(`${directory}engine.yaml:${inContainer}:ro`);
  });

  it('gives the container its GPUs', async () => {
    const { nvidia, devices, environment } = MACHINES[target.hardware];
    const text =
      format === 'compose' ? textOf(files, 'compose.yaml') : (await READERS[format](files)).join(' ');
    expect(/driver: nvidia|--gpus=all/.test(text)).toBe(nvidia);
    for (const device of devices) expect(text).toContain(device);
    for (const { name, value } of environment) expect(text).toMatch(new RegExp(`${name}(=|: ")${value}`));
    expect(text).toMatch(/memlock(=|: )-1/);
  });
});

describe('beside the engine', () => {
  it.each<Case>(matrix.filter(({ rank }) => rank === 0))(
    `is an agent behind a tunnel: ${EACH}`,
    ({ format, ...target }) => {
      const files = bundle(recipe(target), format);
      const open = files.filter(({ mode }) => mode !== 0o600);
      const agent = textOf(files, 'agent.env');
      expect(setting(agent, 'TOLLGATE_ENGINE')).toBe('http://127.0.0.1:30000');
      expect(setting(agent, 'TOLLGATE_URL')).toBe('https://node-1.test');
      expect(setting(agent, 'TOLLGATE_EDGE')).toBe('https://tollgate.test');
      expect(textOf(files, 'tunnel.env')).toContain(`http://${setting(agent, 'TOLLGATE_LISTEN')}`);
      expect(Number(setting(agent, 'TOLLGATE_DRAIN_DEADLINE'))).toBe(DRAIN_DEADLINE_MS / 1_000);
      expect(open.some(({ text }) => text.includes('gpu-pool/agent/main.ts'))).toBe(true);
      expect(open.some(({ text }) => /\btunnel\b.*--metrics.*127\.0\.0\.1:\d+.*\brun\b/.test(text))).toBe(
        true,
      );
    },
  );

  it.each<Case>(matrix.filter(({ rank }) => rank === 1))(`is nothing: ${EACH}`, ({ format, ...target }) => {
    const files = bundle(recipe(target), format);
    expect(files).toHaveLength(1);
    expect(files[0]!.text).not.toMatch(/gpu-pool\/agent|cloudflared|--config/);
  });
});

describe('a pair', () => {
  it.each(FORMATS)('differs between its hosts in the rank and the keys only, as %s', async (format) => {
    const pair = recipe({ hardware: '8xh800-pair' });
    const [node, other] = await Promise.all(
      ([0, 1] as const).map((rank) => engineArguments(bundle({ ...pair, rank }, format), format)),
    );
    expect(node).toContain('--node-rank=0');
    expect(other).toContain('--node-rank=1');
    const shared = (words: string[]) =>
      words.filter((word) => !/--node-rank|--config|engine\.yaml/.test(word));
    expect(shared(other!)).toEqual(shared(node!));
    expect(other).toContain(`--dist-init-addr=${DIST_INIT_ADDR}`);
  });
});

describe('the agent', () => {
  it.each(SHIPPED_MODELS)('accepts the engine of %s as it is launched', (model) => {
    const revision = 'c'.repeat(40);
    for (const host of hostsOf(model).filter(({ rank }) => rank === 0)) {
      const built = recipe({ model, ...host, revision });
      const set = new Map<string, unknown>(flagsOf(built).map(({ flag, value }) => [flag.name, value]));
      const facts = {
        info: {
          version: /v(\d+\.\d+\.\d+)/.exec(built.image)![1]!,
          model_path: String(set.get('--model-path')),
          weight_version: 'default',
        },
        settings: {
          reasoning_parser: (set.get('--reasoning-parser') as string | undefined) ?? null,
          chat_template: (set.get('--chat-template') as string | undefined) ?? null,
          enable_cache_report: set.has('--enable-cache-report'),
          disable_radix_cache: set.has('--disable-radix-cache'),
          max_queued_requests: set.get('--max-queued-requests') as number,
          revision: set.get('--revision') as string,
          context_length: set.get('--context-length') as number,
          enable_priority_scheduling: set.has('--enable-priority-scheduling'),
          disable_priority_preemption: set.has('--disable-priority-preemption'),
          priority_scheduling_preemption_threshold: Number(
            set.get('--priority-scheduling-preemption-threshold') ?? 10,
          ),
          schedule_low_priority_values_first: set.has('--schedule-low-priority-values-first'),
          tool_call_parser: (set.get('--tool-call-parser') as string | undefined) ?? null,
          enable_deterministic_inference: set.has('--enable-deterministic-inference'),
          log_requests: set.has('--log-requests'),
          crash_dump_folder: (set.get('--crash-dump-folder') as string | undefined) ?? null,
          enable_lmcache: set.has('--enable-lmcache'),
          hicache_storage_backend: (set.get('--hicache-storage-backend') as string | undefined) ?? null,
          enable_custom_logit_processor: set.has('--enable-custom-logit-processor'),
          chunked_prefill_size: Number(set.get('--chunked-prefill-size')),
          max_req_input_len: null,
          max_total_num_tokens: null,
          watchdog_timeout: null,
          enable_strict_thinking: true,
        },
      };
      const revisionSetting = setting(textOf(bundle(built, 'shell'), 'agent.env'), 'TOLLGATE_REVISION');
      expect(revisionSetting).toBe(revision);
      const profile = shippedProfile(model);
      // No flag of a recipe can teach the agent the markup of another family.
      const { reasoning_parser: reasoning, tool_call_parser: tools } = facts.settings;
      const left = leftToEngine({ reasoning, tools });
      const warnings = findWarnings(facts).filter((warning) => !left.some((flag) => warning.includes(flag)));
      expect(warnings).toEqual([]);
      expect(
        findFaults(facts, {
          revision: revisionSetting,
          // The weights' own context has to hold an answer, too.
          contextTokens: Math.min(131_072, longestPrompt(profile?.contextLength ?? Number.POSITIVE_INFINITY)),
          profile,
        }),
      ).toEqual([]);
      // No flag gives weights a longer context than they have, so none is advised.
      const ofWeights = profile?.contextLength ?? 0;
      const asLong = { ...facts, settings: { ...facts.settings, context_length: ofWeights } };
      expect(findFaults(asLong, { contextTokens: ofWeights, profile }).join()).toContain(
        `sell prompts of at most ${longestPrompt(ofWeights)} tokens`,
      );
    }
  });
});

describe('keys', () => {
  it('are 256 random bits, each its own', () => {
    const built = Array.from({ length: 20 }, createEngineKeys).flatMap(({ api, admin }) => [api, admin]);
    for (const key of built) expect(key).toMatch(/^[\da-f]{64}$/);
    expect(new Set(built).size).toBe(40);
  });
});

describe('compose', () => {
  const files = bundle(recipe(), 'compose');

  it('stops the agent first and waits for its drain', () => {
    const { engine, tunnel, agent } = services(files);
    expect(agent!.depends_on).toEqual({
      engine: { condition: 'service_healthy' },
      tunnel: { condition: 'service_started' },
    });
    expect(Number.parseInt(String(agent!.stop_grace_period), 10)).toBeGreaterThan(DRAIN_DEADLINE_MS / 1_000);
    // An engine that does not end on SIGTERM is killed by then.
    expect(engine!.stop_grace_period).toBe('60s');
    for (const service of [engine, tunnel, agent]) {
      expect(service!.restart).toBe('unless-stopped');
      expect((service!.healthcheck as Service).test).toBeDefined();
    }
    expect(engine!.ipc).toBe('host');
    expect([agent!.env_file, tunnel!.env_file]).toEqual([['agent.env'], ['tunnel.env']]);
  });

  it('quotes what YAML would read as something else', () => {
    const text = textOf(
      bundle(recipe({ image: 'registry.test:5000/sglang@sha256:00' }), 'compose'),
      'compose.yaml',
    );
    expect((parseYaml(text) as Service).services).toMatchObject({
      engine: { image: 'registry.test:5000/sglang@sha256:00' },
    });
    expect(() =>
      parseYaml(text.replace('network_mode: host', 'network_mode: host\n    network_mode: host')),
    ).toThrow('twice');
    expect(() => parseYaml(text.replace('\n    ipc: host', '\n     ipc: host'))).toThrow('line');
  });
});

describe('systemd', () => {
  const files = bundle(recipe({ hardware: '8xmi300x' }), 'systemd');

  it('stops the agent before the engine and the tunnel, and waits for its drain', () => {
    const agent = textOf(files, 'tollgate-agent.service');
    // An engine that does not end on SIGTERM is killed after half a minute, and systemd waits no longer than a minute.
    const engine = textOf(files, 'tollgate-engine.service');
    expect(directive(engine, 'ExecStop')).toEqual(['docker stop --time=30 tollgate-engine']);
    expect(directive(engine, 'TimeoutStopSec')).toEqual(['60']);
    for (const name of ['tollgate-engine.service', 'tollgate-tunnel.service']) {
      expect(directive(agent, 'After')[0]).toContain(name);
    }
    expect(directive(agent, 'PartOf')).toEqual(['tollgate-engine.service']);
    expect(Number(directive(agent, 'TimeoutStopSec')[0])).toBeGreaterThan(DRAIN_DEADLINE_MS / 1_000);
    expect(directive(agent, 'EnvironmentFile')).toEqual(['/etc/tollgate/agent.env']);
    // The folder that outlives restarts must be the one that the agent writes to.
    expect(`/var/lib/${directive(agent, 'StateDirectory')[0]}`).toBe(
      setting(textOf(files, 'agent.env'), 'TOLLGATE_STATE'),
    );
    for (const { name, text } of files.filter(({ name }) => name.endsWith('.service'))) {
      expect(directive(text, 'Restart'), name).toHaveLength(1);
      expect(directive(text, 'NoNewPrivileges'), name).toEqual(['yes']);
      expect(directive(text, 'ProtectSystem'), name).toEqual(['strict']);
      expect(directive(text, 'WantedBy'), name).toEqual(['multi-user.target']);
    }
  });

  it.runIf(hasSystemd).each(hostsOf('deepseek-r1-0528'))(
    'has no complaint about $hardware, rank $rank',
    async (host) => {
      // Programs and units that these units need may be missing on the test's machine, so they are replaced.
      const units = bundle(recipe(host), 'systemd').map((file) => ({
        ...file,
        text: file.text.replaceAll(/^(Exec\w+=-?)(?:docker|node|cloudflared) /gm, '$1/bin/true '),
      }));
      const directory = await unpack([
        ...units,
        { name: 'docker.service', mode: 0o644, text: '[Service]\nExecStart=/bin/true\n' },
      ]);
      const paths = units
        .filter(({ name }) => name.endsWith('.service'))
        .map(({ name }) => join(directory, name));
      const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', ...paths]);
      expect(stdout + stderr).toBe('');
    },
  );
});

describe('the script', () => {
  it.each<Case>(matrix.filter(({ format }) => format === 'shell'))(
    'is bash: $model on $hardware, rank $rank',
    async (target) => {
      const directory = await unpack(bundle(recipe(target), 'shell'));
      await expect(run('bash', ['-n', join(directory, 'start.sh')])).resolves.toMatchObject({ stderr: '' });
    },
  );
});

// The script needs setsid and a recent bash, which GPU hosts have.
describe.runIf(process.platform === 'linux')('the running script', () => {
  it('reports missing settings before it starts anything', async () => {
    const { start, log } = await setUpScript(recipe({ publicUrl: undefined }), { tunnelToken: '' });
    const { exit, stderr } = start();
    expect(await exit).toBe(1);
    expect(stderr()).toBe('Fill in TOLLGATE_URL in agent.env.\n');
    expect(await log()).toEqual([]);
  });

  it('starts engine, tunnel and agent, and stops them in reverse', async () => {
    const built = recipe();
    const { start, log } = await setUpScript(built, {});
    const { child, exit } = start();
    await expect.poll(log, PATIENT).toContain('agent up');
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    const events = await log();
    expect(events.filter((event) => /up$/.test(event)).at(-1)).toBe('agent up');
    expect(events.filter((event) => /down$/.test(event))).toEqual([
      'agent down',
      'tunnel down',
      'engine down',
    ]);
    // Each process gets only its own secrets.
    expect(events).toContain(`agent has ${built.keys.api}`);
    expect(events).toContain('tunnel has tunnel-secret');
    expect(events).toContain('engine has ');
  });

  it('ends although its engine does not', async () => {
    const { start, log } = await setUpScript(recipe(), { engineEnds: false });
    const { child, exit } = start();
    await expect.poll(log, PATIENT).toContain('agent up');
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    expect((await log()).filter((event) => /down$/.test(event))).toEqual(['agent down', 'tunnel down']);
  });

  it.each([0, 1] as const)('on rank %i bounds the stop of its engine', (rank) => {
    const text = textOf(bundle(recipe({ hardware: '8xh800-pair', rank }), 'shell'), 'start.sh');
    expect(text).toContain('timeout 60 docker stop --time=30 tollgate-engine');
    // Nothing waits for the engine without end.
    expect(text.slice(text.indexOf('stop() {'), text.indexOf('trap stop EXIT'))).not.toMatch(
      /(wait|end) "\$engine_pid"/,
    );
  });

  it('stops the others when one of them ends', async () => {
    const { start, log } = await setUpScript(recipe(), { agentExits: true });
    const { exit, stderr } = start();
    expect(await exit).toBe(1);
    expect(stderr()).toContain('exited, so the others are stopped');
    expect((await log()).filter((event) => /down$/.test(event))).toEqual(['tunnel down', 'engine down']);
  });
});

/** As long as a test may take. */
const PATIENT = { timeout: 120_000 };

/** Takes the bound from the wait for an engine that does end: a busy machine may take longer than it. */
async function waitWithoutEnd(script: string): Promise<void> {
  const text = await readFile(script, 'utf8');
  expect(text).toContain('{1..100}');
  await writeFile(script, text.replace('{1..100}', '{1..1000000}'));
}

/** Runs a script among stub programs that only log their start and end. */
async function setUpScript(
  built: Recipe,
  { tunnelToken = 'tunnel-secret', agentExits = false, engineEnds = true },
) {
  const checkoutDir = await tempDir();
  const directory = await unpack(bundle({ ...built, checkoutDir }, 'shell'));
  if (engineEnds) await waitWithoutEnd(join(directory, 'start.sh'));
  await writeFile(join(directory, 'tunnel.env'), `TUNNEL_TOKEN=${tunnelToken}\n`);
  const bin = join(directory, 'bin');
  const logFile = join(directory, 'log');
  await mkdir(bin);
  // Without the folder the stubs end by themselves, whatever happened to the script.
  onTestFinished(() => rm(bin, { recursive: true, force: true }));
  const stub = (name: string, text: string) =>
    writeFile(join(bin, name), `#!/usr/bin/env bash\nlog() { echo "$1" >>${logFile}; }\n${text}\n`, {
      mode: 0o755,
    });
  const serve = (name: string, secret: string) =>
    `trap 'log "${name} down"; exit 0' TERM\nlog "${name} has ${secret}"\nlog "${name} up"\nwhile [[ -d ${bin} && $SECONDS -lt 30 ]]; do sleep 0.05; done`;
  await stub(
    'docker',
    `case $1 in
run) echo $$ >${directory}/pid
${serve('engine', '$ENGINE_API_KEY$TUNNEL_TOKEN')} ;;
stop) ${engineEnds ? `kill -TERM "$(cat ${directory}/pid)"` : 'exit 1'} ;;
esac`,
  );
  await stub('cloudflared', serve('tunnel', '$ENGINE_API_KEY$TUNNEL_TOKEN'));
  await stub('node', agentExits ? 'exit 1' : serve('agent', '$ENGINE_API_KEY$TUNNEL_TOKEN'));
  // The engine is ready once it and the tunnel are up, so that both are there to be stopped.
  await stub('curl', `grep --quiet 'engine up' ${logFile} && grep --quiet 'tunnel up' ${logFile}`);
  await stub('sleep', 'exec /bin/sleep 0.05');
  return {
    log: async () => (await readFile(logFile, 'utf8').catch(() => '')).split('\n').filter(Boolean),
    start() {
      const child = spawn(join(directory, 'start.sh'), {
        env: { PATH: `${bin}:${process.env.PATH}` },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
      return { child, exit, stderr: () => stderr };
    },
  };
}

/** Runs the command itself. */
async function recipeCommand(...args: string[]) {
  const { TOLLGATE_EDGE: _edge, TOLLGATE_URL: _url, TOLLGATE_JOIN_TOKEN: _join, ...env } = process.env;
  return run(process.execPath, ['gpu-pool/recipes/main.ts', ...args], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code: code as number, stdout: String(stdout), stderr: String(stderr) }),
  );
}
const R1_ON_H200 = ['--model', 'deepseek-r1-0528', '--hardware', '8xh200'];

/** A model of a maker that no file names. */
const OTHER: ModelProfile = {
  ...shippedProfile('deepseek-r1-0528')!,
  repository: 'somebody/Thinker-1',
  commit: 'd'.repeat(40),
  contextLength: 40_960,
  parsers: { reasoning: 'qwen3', tools: null },
  chatTemplate: null,
  hardware: { '8xh800': { '--tp-size': 4, '--dp-size': 2, '--enable-dp-attention': true } },
};

async function profileFile(profile: unknown): Promise<string> {
  const file = join(await tempDir(), 'profile.json');
  await writeFile(file, JSON.stringify(profile));
  return file;
}

describe('a model that no file names', () => {
  it('gets the text of its flags as it is, in every format', async () => {
    const value = `$(touch x) \`y\` \${HOME} $HOME %h \\ # ' "`;
    const profile = { ...OTHER, chatTemplate: null, hardware: { '8xh800': { '--a-flag': value } } };
    const file = await profileFile(profile);
    const text = async (format: string) =>
      (await recipeCommand('--profile', file, '--hardware', '8xh800', '--format', format)).stdout;
    // Compose reads `$$` as `$`.
    const compose = /^ {6}- ("--a-flag=.*")$/m.exec(await text('compose'))![1]!;
    expect(JSON.parse(compose)).toBe(`--a-flag=${value.replaceAll('$', '$$$$')}`);
    const shell = /^ {2}('--a-flag=.*')$/m.exec(await text('shell'))![1]!;
    expect((await run('bash', ['-c', `printf '%s' ${shell}`])).stdout).toBe(`--a-flag=${value}`);
    const systemd = /^ {4}("--a-flag=.*")(?: \\)?$/m.exec(await text('systemd'))![1]!;
    expect(JSON.parse(systemd).replaceAll('$$', '$').replaceAll('%%', '%')).toBe(`--a-flag=${value}`);
  });

  const ON_H800 = ['--hardware', '8xh800', '--format', 'systemd'];

  it('gets its flags from its profile, in place of the table’s or after them', async () => {
    const { code, stdout } = await recipeCommand('--profile', await profileFile(OTHER), ...ON_H800);
    expect(code).toBe(0);
    for (const word of [
      '--model-path=somebody/Thinker-1',
      `--revision=${'d'.repeat(40)}`,
      `TOLLGATE_REVISION=${'d'.repeat(40)}`,
      '--reasoning-parser=qwen3',
      '--context-length=40960',
      '--tp-size=4',
      '--dp-size=2',
      '--enable-dp-attention',
      '--max-running-requests=128',
    ]) {
      expect(stdout).toContain(word);
    }
    expect(stdout).not.toMatch(
      /--tool-call-parser|--chat-template|--tp-size=8|trust-remote-code|THINK_TOKENS/,
    );
  });

  it.each([
    ['--host', '0.0.0.0', 'Only the agent may reach the engine'],
    ['--api-key', 'mine', 'ENGINE_API_KEY'],
    ['--model-path', '/srv/weights', 'The name under which the edge knows the model'],
    ['--log-requests', true, 'writes customers'],
    ['--enable-custom-logit-processor', true, 'unpickles code'],
  ])('may not set %s', async (flag, value, why) => {
    const hardware = { '8xh800': { [flag]: value } };
    const file = await profileFile({ ...OTHER, hardware });
    const { code, stderr } = await recipeCommand('--profile', file, ...ON_H800);
    expect(code).toBe(1);
    expect(stderr).toContain(`error: The profile may not set ${flag} for 8xh800: `);
    expect(stderr).toContain(why);
  });

  it('comes from the edge with the join token, in the context that is sold', async () => {
    const sold = { version: 'v1', profile: OTHER, context_tokens: 30_000, output_tokens_max: 4_000 };
    const seen: (string | undefined)[] = [];
    const { url } = await serve((req, res) => {
      seen.push(`${req.method} ${req.url} ${req.headers.authorization}`);
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ model: 'thinker', hardware: '8xh800', sold }));
    });
    const args = ['--join', JOIN_TOKEN, '--edge', url, '--format', 'systemd'];
    const { code, stdout } = await recipeCommand(...args);
    expect([code, seen]).toEqual([0, [`GET /fleet/model Bearer ${JOIN_TOKEN}`]]);
    expect(stdout).toContain('# Tollgate node: thinker on 8xh800.');
    expect(stdout).toContain('--context-length=34000');
    expect(stdout).toContain(`TOLLGATE_JOIN_TOKEN=${JOIN_TOKEN}`);

    const elsewhere = await recipeCommand(...args, '--hardware', '8xh200');
    expect(elsewhere.stderr).toContain('This join token is for 8xh800: leave out --hardware');
  });

  it('is not guessed where the edge does not say it', async () => {
    const { url } = await serve((_req, res) => void res.writeHead(404).end('{}'));
    const { code, stderr } = await recipeCommand('--join', JOIN_TOKEN, '--edge', url);
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`The edge at ${url} does not say which model this join token is for`),
    ]);
  });

  it('never gets a longer context than its weights allow', () => {
    const sold = { version: 'v1', profile: OTHER, context_tokens: 40_000, output_tokens_max: 4_000 };
    expect(contextLengthOf(sold)).toBe(40_960);
    expect(contextLengthOf({ ...sold, profile: { ...OTHER, contextLength: undefined } })).toBe(44_000);
  });
});

describe('a thought’s budget', () => {
  it.each(FORMATS)('has what the engine needs for it, as %s', (format) => {
    const text = bundle(recipe(), format)[0]!.text;
    expect(text).toContain('--enable-strict-thinking');
    expect(text).toMatch(/SGLANG_MAX_THINK_TOKENS(=|: ")10000000/);
    const v3 = bundle(recipe({ model: 'deepseek-v3-0324' }), format)[0]!.text;
    expect(v3).not.toMatch(/strict-thinking|MAX_THINK_TOKENS/);
  });
});

describe('npm run recipe', () => {
  it('prints both hosts of a pair, and notes to stderr', async () => {
    const { code, stdout, stderr } = await recipeCommand(
      ...['--model', 'deepseek-v3-0324', '--hardware', '8xh800-pair', '--format', 'systemd'],
    );
    expect(code).toBe(0);
    const names = [...stdout.matchAll(/^# ──── (\S+)( \(secret\))? ─+$/gm)].map(([, name]) => name);
    expect(names).toEqual([
      ...['engine.service', 'tunnel.service', 'agent.service'].map((unit) => `rank-0/tollgate-${unit}`),
      ...['rank-0/engine.yaml', 'rank-0/agent.env', 'rank-0/tunnel.env', 'rank-1/tollgate-engine.service'],
    ]);
    expect(stdout).toContain('--dist-init-addr=HOST0:5000');
    expect(stderr).toContain('TOLLGATE_JOIN_TOKEN and TOLLGATE_URL in agent.env, TUNNEL_TOKEN in tunnel.env');
    expect(stderr).toContain('HOST0:5000');
  });

  it('writes one host of a pair into the given directory', async () => {
    const out = join(await tempDir(), 'new');
    const args = [
      '--model',
      'deepseek-r1-zero',
      '--hardware',
      '8xh800-pair',
      '--rank',
      '1',
      '--format',
      'shell',
    ];
    const { code, stdout } = await recipeCommand(...args, '--dist-init-addr', '10.1.2.3:5000', '--out', out);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(await readdir(out, { recursive: true })).toEqual(['rank-1', 'rank-1/start.sh']);
    expect(await readFile(join(out, 'rank-1/start.sh'), 'utf8')).toContain('--dist-init-addr=10.1.2.3:5000');
  });

  it('writes secrets for their owner alone, and never over a file', async () => {
    const out = await tempDir();
    const args = [...R1_ON_H200, '--join', JOIN_TOKEN, '--url', 'https://node-1.test', '--out', out];
    expect((await recipeCommand(...args)).code).toBe(0);
    const mode = async (name: string) => (await stat(join(out, name))).mode & 0o777;
    for (const name of ['engine.yaml', 'agent.env', 'tunnel.env']) expect(await mode(name), name).toBe(0o600);
    expect(await mode('compose.yaml')).toBe(0o644);
    const before = await readFile(join(out, 'agent.env'), 'utf8');
    const again = await recipeCommand(...args);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(
      /^error: .*compose\.yaml already exists: choose another --out, or move the file away\.\n$/,
    );
    expect(await readFile(join(out, 'agent.env'), 'utf8')).toBe(before);
  });

  it('explains each argument instead', async () => {
    const { stdout } = await recipeCommand(...R1_ON_H200, '--explain');
    for (const { flag } of flagsOf(recipe())) expect(stdout).toContain(`\n    ${flag.source}\n`);
    expect(stdout).toContain('--disable-radix-cache');
    expect(stdout).not.toMatch(/[\da-f]{64}/);
  });

  it.each([
    ['v0.5.22', true],
    ['v0.5.23', false],
  ])('recommends a newer image than %s: %s', async (tag, recommends) => {
    const { code, stderr } = await recipeCommand(...R1_ON_H200, '--image', `lmsysorg/sglang:${tag}`);
    expect([code, stderr.includes('SGLang 0.5.23 or newer is recommended')]).toEqual([0, recommends]);
  });

  it('pins a revision and takes another image', async () => {
    const revision = 'b'.repeat(40);
    const { stdout } = await recipeCommand(...R1_ON_H200, '--revision', revision, '--image', 'sglang:v0.6.1');
    expect(stdout).toContain(`--revision=${revision}`);
    expect(stdout).toContain(`--weight-version=${revision}`);
    expect(stdout).toContain('image: sglang:v0.6.1');
  });

  it.each([
    [
      'an unknown model',
      ['--model', 'gpt-2', '--hardware', '8xh200'],
      'Allowed choices are deepseek-r1-0528',
    ],
    [
      'unknown hardware',
      ['--model', 'deepseek-r1-0528', '--hardware', '8xa100'],
      'Allowed choices are 8xh800-pair',
    ],
    [
      'hardware that the model does not fit',
      ['--model', 'deepseek-r1-0528', '--hardware', '8xh800'],
      'deepseek-r1-0528 does not fit 8xh800: its profile names 8xh800-pair, 8xh200, 8xmi300x.',
    ],
    ['no hardware', ['--model', 'deepseek-r1-0528'], 'Name the hardware of the node by --hardware.'],
    ['two models', [...R1_ON_H200, '--profile', 'x.json'], 'by --model or --profile, not both'],
    ['a profile that is not there', ['--profile', 'nowhere.json'], 'nowhere.json cannot be read'],
    ['a file that is no profile', ['--profile', 'package.json'], 'package.json is no profile of a model'],
    ['a file that is no JSON', ['--profile', 'README.md'], 'README.md is no profile of a model'],
    ['an unknown format', [...R1_ON_H200, '--format', 'helm'], 'Allowed choices are shell, compose, systemd'],
    ['an unknown rank', [...R1_ON_H200, '--rank', '2'], 'Allowed choices are 0, 1'],
    ['a rank of one host', [...R1_ON_H200, '--rank', '0'], '8xh200 is a single host: leave out --rank'],
    ['no model', ['--hardware', '8xh200'], 'Name the model by --model or --profile, or pass the join token'],
    ['a token that names no edge', ['--join', 'x.y.z'], 'The join token contains no edge URL'],
    ['an edge that is no URL', [...R1_ON_H200, '--edge', 'tollgate'], 'Enter the origin of the edge'],
    [
      'an edge without TLS',
      [...R1_ON_H200, '--edge', 'http://tollgate.test'],
      'Enter the origin of the edge',
    ],
    [
      'a URL with a path',
      [...R1_ON_H200, '--url', 'https://node-1.test/v1'],
      'public https URL without a path',
    ],
    [
      'a token of two lines',
      [...R1_ON_H200, '--join', 'a\nTOLLGATE_EDGE=https://evil.test'],
      'spaces or line breaks',
    ],
    ['an address without a port', [...R1_ON_H200, '--dist-init-addr', 'host0'], 'host:port'],
    ['a relative directory', [...R1_ON_H200, '--cache-dir', 'models'], 'absolute path'],
    ['a branch as revision', [...R1_ON_H200, '--revision', 'main'], '40 hex digits'],
    [
      'an SGLang too old',
      [...R1_ON_H200, '--image', 'lmsysorg/sglang:v0.5.19-cu129'],
      'Choose SGLang 0.5.20 or newer',
    ],
    [
      'a directory that cannot be written',
      [...R1_ON_H200, '--out', 'package.json/x'],
      'choose another --out',
    ],
  ])('refuses %s with one sentence', async (_what, args, advice) => {
    const { code, stdout, stderr } = await recipeCommand(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toContain(advice);
  });
});
