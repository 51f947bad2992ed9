/** Engines that a node accepts, at its start and when the engine has come back. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EngineFacts } from '../../../gpu-pool/agent/sglang/probe.ts';
import { judgeVersion } from '../../../gpu-pool/agent/sglang/version.ts';
import { findWarnings } from '../../../gpu-pool/agent/sglang/warnings.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import { FakeEdge, soldModel } from './fake-edge.ts';
import { expectStartRefused, generate, setUp, startTestAgent, tempDir, until } from './helpers.ts';
import { ScriptedEngine } from './scripted-engine.ts';

const R1 = shippedProfile('deepseek-r1-0528')!;
const V3 = shippedProfile('deepseek-v3-0324')!;
/** A model of a maker that no file names: its parsers need no chat template of SGLang's. */
const OTHER = {
  ...R1,
  repository: 'somebody/Thinker-1',
  parsers: { reasoning: 'qwen3', tools: 'qwen25' },
  chatTemplate: null,
};
const NEITHER = { ...OTHER, parsers: { reasoning: null, tools: null } };
const PARSERS = (reasoning: string | null, tools: string | null, template: string | null = null) =>
  set({ reasoning_parser: reasoning, tool_call_parser: tools, chat_template: template });

type Start = Parameters<typeof startTestAgent>[0];
type Script = (engine: ScriptedEngine) => void;

async function start(script: Script, options: Partial<Start> = {}, sold: unknown = soldModel(R1)) {
  const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  edge.sold = sold;
  script(engine);
  edge.modelPaths.push(engine.modelPath);
  const starting = startTestAgent({ engineUrl: engine.url, edgeUrl: edge.url, stateDir, ...options });
  return { edge, starting };
}
const set =
  (settings: Record<string, unknown>): Script =>
  (engine) => {
    Object.assign(engine.settings, settings);
  };
const serve =
  (modelPath: string, settings: Record<string, unknown> = {}): Script =>
  (engine) => {
    Object.assign(engine, { modelPath });
    Object.assign(engine.settings, settings);
  };

describe('versions', () => {
  it.each([
    ['0.5.23', 'fits'],
    ['v0.5.23', 'fits'],
    ['0.5.23.post1', 'fits'],
    ['0.5.23+g1dd8f6d5a', 'fits'],
    ['0.5.24rc1', 'fits'],
    ['0.5.20', 'outdated'],
    ['v0.5.20', 'outdated'],
    ['0.5.20.post1', 'outdated'],
    ['0.5.20+g1dd8f6d5a', 'outdated'],
    ['0.5.21rc1', 'outdated'],
    ['0.5.21.dev12+g1dd8f6d5a', 'outdated'],
    ['0.5.23rc1', 'outdated'],
    ['0.6', 'fits'],
    ['0.10.0', 'fits'],
    ['1.0.0', 'fits'],
    ['0.5.19', 'old'],
    ['0.5.19.post3', 'old'],
    ['0.4.99', 'old'],
    ['0.5.20rc1', 'old'],
    ['0.5.20.dev176+gf478b2bb2', 'old'],
    ['0.5.20rc1.dev3+gabc', 'old'],
    ['0.0.0.dev1+gdce8b0606', 'unknown'],
    ['0.0.0', 'unknown'],
    ['main', 'unknown'],
    ['unknown', 'unknown'],
    ['', 'unknown'],
  ])('%s: %s', (version, verdict) => {
    expect(judgeVersion(version)).toBe(verdict);
  });
});

describe('a warning', () => {
  const warningsOf = async (script: Script) => {
    const logs: string[] = [];
    const { edge, starting } = await start(script, {
      log: (name, fields) => name === 'engine_warning' && logs.push(String(fields?.warnings)),
    });
    await starting;
    await until(() => edge.heartbeats.length > 2);
    return logs;
  };

  it.each<[string, Record<string, unknown>, string]>([
    ['a release that may not end on SIGTERM', { version: '0.5.22' }, 'install 0.5.23 or newer'],
    ['long prefill steps', { chunked_prefill_size: 131_072 }, '--chunked-prefill-size 8192 or less'],
    ['prefill in one step', { chunked_prefill_size: -1 }, '--chunked-prefill-size 8192 or less'],
  ])('is logged once about %s, and the node serves', async (_, settings, advice) => {
    const logs = await warningsOf(set({ version: '0.5.23', ...settings }));
    expect(logs).toHaveLength(1);
    expect(logs[0]).toContain(advice);
  });

  it.each([
    ['gpt-oss', 'gpt-oss', ['--reasoning-parser gpt-oss', '--tool-call-parser gpt-oss']],
    ['deepseek-r1', 'pythonic', ['--tool-call-parser pythonic']],
    ['qwen3', 'qwen', []],
    [null, null, []],
  ])('names parsers of families that the agent leaves to the engine: %s, %s', (reasoning, tools, named) => {
    const settings = { chunked_prefill_size: 8_192, reasoning_parser: reasoning, tool_call_parser: tools };
    const warnings = findWarnings({ info: { version: '0.5.23' }, settings } as EngineFacts);
    expect(warnings).toHaveLength(named.length > 0 ? 1 : 0);
    for (const flag of named) expect(warnings[0]).toContain(flag);
  });

  it('is not logged where there is nothing to say', async () => {
    expect(await warningsOf(set({ version: '0.5.23', chunked_prefill_size: 8_192 }))).toEqual([]);
  });
});

describe('an agent that starts before its engine', () => {
  it('waits for it and says so, and uses its join token once the engine is there', async () => {
    const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
    const logs: string[] = [];
    const port = await closedPort();
    const starting = startTestAgent({
      engineUrl: `http://127.0.0.1:${port}`,
      edgeUrl: edge.url,
      stateDir,
      log: (name, fields) => logs.push(`${name} ${fields?.advice ?? ''}`),
    });
    await until(() => logs.length > 0);
    expect(logs).toEqual([expect.stringMatching(/^waiting_for_engine No engine responds at .*start SGLang/)]);
    expect(edge.enrolments).toEqual([]);
    const proxy = createServer((req, res) => {
      req.pipe(
        request(`${engine.url}${req.url}`, { method: req.method, headers: req.headers }, (answer) => {
          res.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(res);
        }),
      );
    });
    proxy.listen(port, '127.0.0.1');
    onTestFinished(() => void proxy.close());
    await starting;
    expect(edge.enrolments).toHaveLength(1);
  });

  it('waits no longer than it was told', async () => {
    const { message, code } = await expectStartRefused(
      startTestAgent({
        engineUrl: `http://127.0.0.1:${await closedPort()}`,
        stateDir: await tempDir(),
        engineWaitMs: 50,
      }),
    );
    expect(code).toBe('engine_down');
    expect(message).toContain('start SGLang first');
  });
});

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('a start', () => {
  it.each<[string, Script, string]>([
    ['is too old', set({ version: '0.5.19' }), '--accept-engine-version 0.5.19'],
    ['is a pre-release', set({ version: '0.5.20rc1' }), '--accept-engine-version 0.5.20rc1'],
    ['has no known version', set({ version: '0.0.0.dev1+g1' }), '--accept-engine-version 0.0.0.dev1+g1'],
    ['says no version', set({ version: undefined }), '--accept-engine-version unknown'],
    ['has no reasoning parser', set({ reasoning_parser: null }), 'with --reasoning-parser deepseek-r1'],
    ['has another parser', set({ reasoning_parser: 'qwen3' }), 'with --reasoning-parser deepseek-r1'],
    ['reports no cached tokens', set({ enable_cache_report: false }), 'with --enable-cache-report'],
    ['has no radix cache', set({ disable_radix_cache: true }), 'without --disable-radix-cache'],
    ['has no queue bound', set({ max_queued_requests: null }), 'with --max-queued-requests'],
    ['has a queue that eight choices do not fit', set({ max_queued_requests: 7 }), '--max-queued-requests 8'],
    ['has another queue bound', set({ max_queued_requests: 0 }), 'with --max-queued-requests'],
    ['heeds no priorities', set({ enable_priority_scheduling: false }), 'with --enable-priority-scheduling'],
    [
      'runs the lower priority first',
      set({ schedule_low_priority_values_first: true }),
      'without --schedule-low-priority-values-first',
    ],
    ['preempts nothing', set({ disable_priority_preemption: true }), 'without --disable-priority-preemption'],
    [
      'preempts only for a greater difference than that of the agent’s priorities',
      set({ priority_scheduling_preemption_threshold: 100 }),
      '--priority-scheduling-preemption-threshold below 100',
    ],
    ['has no tool parser', set({ tool_call_parser: null }), 'with --tool-call-parser deepseekv3'],
    ['has another tool parser', set({ tool_call_parser: 'qwen' }), 'with --tool-call-parser deepseekv3'],
    ['has no chat template', set({ chat_template: null }), `with --chat-template ${R1.chatTemplate}`],
    [
      'has another chat template',
      set({ chat_template: '/tmp/other.jinja' }),
      '--chat-template /sgl-workspace',
    ],
    ['has too short a context', set({ context_length: 131_136 }), '--context-length of more than 131136'],
    ['logs requests', set({ log_requests: true }), 'without --log-requests'],
    ['keeps requests for a crash', set({ crash_dump_folder: '/tmp' }), 'without --crash-dump-folder'],
    ['shares its cache', set({ enable_lmcache: true }), 'without --enable-lmcache'],
    [
      'stores its cache elsewhere',
      set({ hicache_storage_backend: 'mooncake' }),
      'without --hicache-storage-backend',
    ],
    [
      'runs code out of requests',
      set({ enable_custom_logit_processor: true }),
      'without --enable-custom-logit-processor',
    ],
    [
      'takes no aborts',
      (engine) => {
        engine.abortStatus = 401;
      },
      'ENGINE_ADMIN_API_KEY',
    ],
  ])('is refused where the engine %s', async (_, script, advice) => {
    const { edge, starting } = await start(script);
    const { code, message } = await expectStartRefused(starting);
    expect(code).toBe('engine_unfit');
    expect(message).toContain(advice);
    expect(message).not.toContain('\n');
    expect(edge.enrolments).toEqual([]);
  });

  it.each<[string, Script, Partial<Start>]>([
    ['an accepted version', set({ version: '0.0.0.dev1+g1' }), { acceptEngineVersion: '0.0.0.dev1+g1' }],
    ['a threshold that the priorities exceed', set({ priority_scheduling_preemption_threshold: 99 }), {}],
    [
      'R1’s template wherever SGLang is installed',
      set({ chat_template: `/opt/sglang/${R1.chatTemplate?.split('/').at(-1)}` }),
      {},
    ],
    ['the wanted revision', set({ revision: 'abc123' }), { revision: 'abc123' }],
    ['a snapshot of the wanted revision', serve('/hub/snapshots/abc123'), { revision: 'abc123' }],
  ])('takes %s', async (_, script, options) => {
    const { edge, starting } = await start(script, options);
    await starting;
    expect(edge.enrolments).toHaveLength(1);
  });

  it.each<[string, Script, Partial<Start>, string]>([
    [
      'another version than the accepted one',
      set({ version: '0.5.18' }),
      { acceptEngineVersion: '0.5.19' },
      '0.5.18',
    ],
    ['another revision', set({ revision: 'def' }), { revision: 'abc' }, '--revision abc'],
    ['no revision', set({ revision: null }), { revision: 'abc' }, '--revision abc'],
  ])('is refused with %s', async (_, script, options, advice) => {
    const { starting } = await start(script, options);
    expect((await expectStartRefused(starting)).message).toContain(advice);
  });

  it.each([404, 401])('is refused where /server_info is %i', async (status) => {
    const { starting } = await start((engine) => {
      engine.settingsStatus = status;
    });
    const { code, message } = await expectStartRefused(starting);
    expect(code).toBe('engine_unreachable');
    expect(message).toContain(status === 401 ? 'ENGINE_API_KEY' : '/server_info returned 404');
  });

  it('names all faults at once, and no key', async () => {
    const edge = await FakeEdge.start();
    edge.sold = soldModel(R1);
    const emulator = await startEmulator({
      profile: '8xh200',
      version: '0.5.19',
      disableRadixCache: true,
      apiKey: 'k-engine',
      adminApiKey: 'k-admin',
    });
    onTestFinished(() => emulator.close());
    const options = {
      engineUrl: emulator.url,
      engineKey: 'k-engine',
      revision: 'abc',
      stateDir: await tempDir(),
      edgeUrl: edge.url,
    };
    const { message } = await expectStartRefused(startTestAgent(options));
    const [title, ...faults] = message.split('\n- ');
    expect(title).toContain('has 10 problems');
    for (const advice of [
      '--accept-engine-version',
      '--revision abc',
      '--reasoning-parser',
      '--tool-call-parser',
      '--chat-template',
      '--enable-cache-report',
      '--disable-radix-cache',
      '--max-queued-requests',
      '--enable-priority-scheduling',
      'ENGINE_ADMIN_API_KEY',
    ]) {
      expect(faults.filter((fault) => fault.includes(advice))).toHaveLength(1);
    }
    expect(message).not.toMatch(/k-engine|k-admin/);
  });

  it('keeps control characters of an engine off the terminal', async () => {
    const { starting } = await start(set({ version: `0.1.0\u001b[2J\n${'x'.repeat(100)}` }));
    expect((await expectStartRefused(starting)).message).not.toMatch(/\p{C}/u);
  });

  it('of an enrolled node is refused where the engine serves another model', async () => {
    const { engine, agent, stateDir } = await setUp();
    await agent.close();
    engine.modelPath = 'deepseek-ai/DeepSeek-R1-Zero';
    const { code, message } = await expectStartRefused(startTestAgent({ engineUrl: engine.url, stateDir }));
    expect(code).toBe('engine_unfit');
    expect(message).toContain('--model-path deepseek-ai/DeepSeek-R1-0528');
  });
});

describe('what is sold of the model', () => {
  it.each<[string, ModelProfile, Script]>([
    ['V3, which does not think', V3, PARSERS(null, 'deepseekv3', V3.chatTemplate)],
    ['a model of another maker', OTHER, PARSERS('qwen3', 'qwen25')],
    ['a model that neither thinks nor calls', NEITHER, PARSERS(null, null)],
  ])('takes the parsers of %s', async (_, profile, script) => {
    const { edge, starting } = await start(script, {}, soldModel(profile));
    await starting;
    expect(edge.enrolments).toHaveLength(1);
  });

  it.each<[string, ModelProfile, Script, string]>([
    [
      'a parser where V3 needs none',
      V3,
      PARSERS('deepseek-r1', 'deepseekv3', V3.chatTemplate),
      'without --reasoning-parser',
    ],
    [
      'R1’s parser for another model',
      OTHER,
      PARSERS('deepseek-r1', 'qwen25'),
      'with --reasoning-parser qwen3',
    ],
    ['R1’s tools for another model', OTHER, PARSERS('qwen3', 'deepseekv3'), 'with --tool-call-parser qwen25'],
    ['a tool parser where there are none', NEITHER, PARSERS(null, 'qwen25'), 'without --tool-call-parser'],
    [
      'a template in place of the model’s own',
      OTHER,
      PARSERS('qwen3', 'qwen25', R1.chatTemplate),
      'without --chat-template',
    ],
  ])('refuses %s before it uses the join token', async (_, profile, script, advice) => {
    const { edge, starting } = await start(script, {}, soldModel(profile));
    const { code, message } = await expectStartRefused(starting);
    expect([code, message.includes(advice)]).toEqual(['engine_unfit', true]);
    expect(edge.enrolments).toEqual([]);
  });

  it('is checked at once when a heartbeat says that it has changed, and after a restart without the edge', async () => {
    const { edge, engine, agent, stateDir, logs } = await setUp();
    edge.sold = soldModel(OTHER, { version: 'v2' });
    await until(() => edge.heartbeats.at(-1)?.sold_version === 'v2');
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    expect(logs.join()).toContain('with --reasoning-parser qwen3');
    PARSERS('qwen3', 'qwen25')(engine);
    await until(() => edge.heartbeats.at(-1)?.engine.healthy);
    await agent.close();

    edge.unreachable = true;
    PARSERS('deepseek-r1', 'deepseekv3', R1.chatTemplate)(engine);
    const { message } = await expectStartRefused(startTestAgent({ engineUrl: engine.url, stateDir }));
    expect(message).toContain('with --reasoning-parser qwen3');
  });

  it('is sent again only where the agent holds another version', async () => {
    const { edge } = await setUp();
    edge.sold = soldModel(R1, { version: 'v9' });
    await until(() => edge.heartbeats.at(-1)?.sold_version === 'v9');
    const replies = edge.soldReplies;
    await until(() => edge.heartbeats.length > 10);
    expect([edge.soldReplies, edge.heartbeats.at(-1)?.sold_version]).toEqual([replies, 'v9']);
  });

  it('in a form that the agent does not know costs it nothing else, and is logged once', async () => {
    const { edge, agent, logs } = await setUp();
    edge.sold = { version: 'v3', profile: { parsers: 'of tomorrow' } };
    await until(() => logs.some((line) => line.includes('model_unreadable')));
    const seen = edge.heartbeats.length;
    await until(() => edge.heartbeats.length > seen + 3);
    expect(logs.filter((line) => line.includes('model_unreadable'))).toHaveLength(1);
    expect(edge.heartbeats.at(-1)?.engine.healthy).toBe(true);
    expect((await generate({ agent, edge })).done).toBe(true);
  });

  it('is what the agent was shipped with where an older edge does not say, and nothing for other models', async () => {
    const edge = await FakeEdge.start();
    const engine = await ScriptedEngine.start();
    PARSERS(null, null)(engine);
    const options = { engineUrl: engine.url, edgeUrl: edge.url };
    edge.model = 'deepseek-r1-0528';
    const stateDir = await tempDir();
    const { message } = await expectStartRefused(startTestAgent({ ...options, stateDir }));
    expect(message).toContain('with --reasoning-parser deepseek-r1');
    // The node has enrolled, so that a corrected engine starts without another token.
    expect(edge.enrolments).toHaveLength(1);
    PARSERS('deepseek-r1', 'deepseekv3', R1.chatTemplate)(engine);
    await startTestAgent({ ...options, stateDir });
    expect(edge.enrolments).toHaveLength(1);

    edge.model = 'a-model-of-the-operators';
    PARSERS(null, null)(engine);
    await startTestAgent({ ...options, stateDir: await tempDir() });
  });
});

describe('an engine that comes back', () => {
  it('with faults gets no work until it fits, and its faults are logged once', async () => {
    const { edge, engine, agent, logs } = await setUp();
    const unfit = () => logs.filter((line) => line.includes('engine_unfit'));
    engine.settings.enable_cache_report = false;
    engine.health = 503;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    engine.health = 200;
    await until(() => unfit().length === 1);
    expect(unfit()[0]).toContain('--enable-cache-report');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(unfit()).toHaveLength(1);
    expect(edge.heartbeats.at(-1)?.engine.healthy).toBe(false);
    const refused = await generate({ agent, edge });
    expect([refused.status, refused.error?.code]).toEqual([502, 'engine_failed']);
    expect(engine.calls).toHaveLength(0);

    engine.settings.disable_radix_cache = true;
    await until(() => unfit().length === 2);
    Object.assign(engine.settings, { enable_cache_report: true, disable_radix_cache: false });
    await until(() => edge.heartbeats.at(-1)?.engine.healthy);
    expect(logs.filter((line) => line.includes('engine_fits'))).toHaveLength(1);
    expect((await generate({ agent, edge })).done).toBe(true);
    expect(logs.join()).not.toMatch(/engine-secret|engine-admin-secret/);
  });

  it('stays unhealthy until it was inspected', async () => {
    const { edge, engine } = await setUp();
    engine.health = 503;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    engine.silent = true;
    engine.health = 200;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(edge.heartbeats.at(-1)?.engine.healthy).toBe(false);
    engine.silent = false;
    engine.modelPath = 'deepseek-ai/DeepSeek-R1-Zero';
    await until(() => edge.heartbeats.at(-1)?.engine.model_path === engine.modelPath, 8_000);
    expect(edge.heartbeats.at(-1)?.engine.healthy).toBe(false);
    engine.modelPath = 'deepseek-ai/DeepSeek-R1-0528';
    await until(() => edge.heartbeats.at(-1)?.engine.healthy);
  });

  it('is inspected when it is another process with other arguments', async () => {
    const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
    const fitting: EmulatorOptions = {
      profile: '8xh200',
      cacheReport: true,
      reasoningParser: 'deepseek-r1',
      maxQueuedRequests: 8,
      priorities: { enabled: true },
    };
    const first = await startEmulator(fitting);
    const agent = await startTestAgent({ engineUrl: first.url, edgeUrl: edge.url, stateDir });
    await until(() => edge.heartbeats.at(-1)?.load.max_queued_requests === 8);
    await first.close();
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    const second = await startEmulator({ ...fitting, port: first.port, disableRadixCache: true });
    for (let i = 0; i < 10; i += 1) {
      expect((await generate({ agent, edge })).error?.code).toBe('engine_failed');
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(second.requests).toHaveLength(0);
    await second.close();
    const third = await startEmulator({ ...fitting, port: first.port, maxQueuedRequests: 9 });
    onTestFinished(() => third.close());
    await until(() => edge.heartbeats.at(-1)?.engine.healthy);
    await until(() => edge.heartbeats.at(-1)?.load.max_queued_requests === 9);
    expect((await generate({ agent, edge })).done).toBe(true);
  });
});
