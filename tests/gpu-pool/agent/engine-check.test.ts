/** Engines that a node accepts, at its start and when the engine has come back. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { judgeVersion } from '../../../gpu-pool/agent/sglang/version.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge } from './fake-edge.ts';
import { expectStartRefused, generate, setUp, startTestAgent, tempDir, until } from './helpers.ts';
import { ScriptedEngine } from './scripted-engine.ts';

type Start = Parameters<typeof startTestAgent>[0];
type Script = (engine: ScriptedEngine) => void;

async function start(script: Script, options: Partial<Start> = {}) {
  const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  script(engine);
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
    ['0.5.20', 'fits'],
    ['v0.5.20', 'fits'],
    ['0.5.20.post1', 'fits'],
    ['0.5.20+g1dd8f6d5a', 'fits'],
    ['0.5.21rc1', 'fits'],
    ['0.5.21.dev12+g1dd8f6d5a', 'fits'],
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

describe('a start', () => {
  it.each<[string, Script, string]>([
    ['is too old', set({ version: '0.5.19' }), '--accept-engine-version 0.5.19'],
    ['is a pre-release', set({ version: '0.5.20rc1' }), '--accept-engine-version 0.5.20rc1'],
    ['has no known version', set({ version: '0.0.0.dev1+g1' }), '--accept-engine-version 0.0.0.dev1+g1'],
    ['says no version', set({ version: undefined }), '--accept-engine-version unknown'],
    ['has no reasoning parser', set({ reasoning_parser: null }), 'with --reasoning-parser deepseek-r1'],
    ['has another parser', set({ reasoning_parser: 'qwen3' }), 'with --reasoning-parser deepseek-r1'],
    ['parses V3', serve('deepseek-ai/DeepSeek-V3-0324'), 'without --reasoning-parser'],
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
    ['V3 without a parser', serve('deepseek-ai/DeepSeek-V3-0324', { reasoning_parser: null }), {}],
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
    };
    const { message } = await expectStartRefused(startTestAgent(options));
    const [title, ...faults] = message.split('\n- ');
    expect(title).toContain('has 8 problems');
    for (const advice of [
      '--accept-engine-version',
      '--revision abc',
      '--reasoning-parser',
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
