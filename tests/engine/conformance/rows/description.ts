/** How the engine describes itself, and its flags. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFaults } from '../../../../gpu-pool/agent/sglang/faults.ts';
import { SETTING_NAMES, UNUSED_RID } from '../../../../gpu-pool/agent/sglang/probe.ts';
import { judgeVersion, VERSION_MIN } from '../../../../gpu-pool/agent/sglang/version.ts';
import { FLAGS, LEFT_OUT } from '../../../../gpu-pool/recipes/flags.ts';
import { type Assumption, notApplicable, verdict, withoutFaults } from '../assumption.ts';
import type { Subject } from '../subject.ts';

const attribute = (flag: string) => flag.replace(/^--/, '').replaceAll('-', '_');
const hasKey = ({ info }: Subject, name: string) => typeof info[name] === 'string';

export const DESCRIPTION: readonly Assumption[] = [
  {
    id: 'description/version',
    says: `/server_info names a version, ${VERSION_MIN} or newer`,
    madeBy: ['gpu-pool/agent/sglang/version.ts'],
    async check({ facts }) {
      return verdict(
        'fits',
        `${judgeVersion(facts.info.version)} (${facts.info.version})`,
        ['fits', 'outdated'].includes(judgeVersion(facts.info.version)),
      );
    },
  },
  {
    id: 'description/settings',
    says: '/server_info shows every argument that decides whether an engine can be sold, under its name',
    madeBy: ['gpu-pool/agent/sglang/probe.ts'],
    async check({ info }) {
      const missing = SETTING_NAMES.filter((name) => !(name in info));
      return withoutFaults(
        `${SETTING_NAMES.length} arguments`,
        missing.map((name) => `no ${name}`),
      );
    },
  },
  {
    id: 'description/fit',
    says: 'this engine was started as the agent demands',
    madeBy: ['gpu-pool/agent/sglang/faults.ts'],
    async check({ facts, shipped }) {
      return withoutFaults('no faults', findFaults(facts, { profile: shipped?.profile }));
    },
  },
  {
    id: 'description/recipe-flags',
    says: 'each flag of a recipe is an argument of the engine',
    madeBy: ['gpu-pool/recipes/flags.ts'],
    onlyReal: 'the emulator shows no arguments that it has no use for',
    async check({ info }) {
      const unknown = [...FLAGS, ...LEFT_OUT].filter(({ name }) => !(attribute(name) in info));
      return withoutFaults(
        `${FLAGS.length} flags, and ${LEFT_OUT.length} that are left out`,
        unknown.map(({ name }) => `${name} is unknown`),
      );
    },
  },
  {
    id: 'description/read-flags',
    says: 'each flag of a recipe is read by something beside the parser of arguments, and --num-continuous-decode-steps by nothing',
    madeBy: ['gpu-pool/recipes/flags.ts'],
    onlyReal: 'the emulator has no such source',
    async check({ source }) {
      if (source === undefined) return notApplicable('--source names no package of SGLang');
      if (!existsSync(join(source, 'version.py')) && !existsSync(join(source, 'srt')))
        return notApplicable(`${source} is no package of SGLang`);
      const readers = readersIn(source);
      const unread = FLAGS.filter(({ name }) => !readers.has(attribute(name))).map(
        ({ name }) => `nothing reads ${name}`,
      );
      const continuous = readers.has('num_continuous_decode_steps')
        ? ['--num-continuous-decode-steps is read']
        : [];
      return withoutFaults(`${FLAGS.length} flags are read`, [...unread, ...continuous]);
    },
  },
  {
    id: 'description/keys-shown',
    says: '/server_info shows the engine’s keys, so that it must not be passed on',
    madeBy: ['gpu-pool/agent/sglang/probe.ts', 'gpu-pool/emulator/routes.ts'],
    async check({ engine, info }) {
      if (engine.target.key === undefined) return notApplicable('the engine was started without a key');
      return verdict('shown', info.api_key === engine.target.key ? 'shown' : 'not shown');
    },
  },
  {
    id: 'description/open-routes',
    says: '/health and /metrics need no key, and other routes need it',
    madeBy: ['gpu-pool/emulator/server.ts', 'gpu-pool/agent/engine-check.ts'],
    async check(subject) {
      if (!hasKey(subject, 'api_key')) return notApplicable('the engine was started without a key');
      const paths = [
        '/health',
        '/metrics',
        '/model_info',
        '/server_info',
        '/v1/loads?include=core',
        '/v1/models',
      ];
      const seen = await Promise.all(
        paths.map(
          async (path) => `${path} ${(await subject.engine.call(path, undefined, { key: 'none' })).status}`,
        ),
      );
      return verdict(paths.map((path, at) => `${path} ${at < 2 ? 200 : 401}`).join(', '), seen.join(', '));
    },
  },
  {
    id: 'description/abort-key',
    says: 'an engine with an admin key refuses aborts with the other key, and takes one for an id that no request has with 200',
    madeBy: ['gpu-pool/agent/sglang/probe.ts', 'gpu-pool/agent/engine-client.ts'],
    async check(subject) {
      const { engine } = subject;
      const own = (await engine.abort(UNUSED_RID)).status;
      if (!hasKey(subject, 'admin_api_key')) return verdict('200', String(own));
      const other = (await engine.call('/abort_request', { rid: UNUSED_RID })).status;
      return verdict(
        'admin key 200, key 401 or 403',
        `admin key ${own}, key ${other}`,
        own === 200 && [401, 403].includes(other),
      );
    },
  },
  {
    id: 'description/model',
    says: '/model_info names the model and the version of its weights, and /v1/models the length of its context',
    madeBy: ['gpu-pool/agent/sglang/probe.ts', 'gpu-pool/emulator/routes.ts'],
    async check({ engine, contextTokens }) {
      const { body } = await engine.call('/model_info');
      const { model_path: path, weight_version: version } = body as Record<string, unknown>;
      return verdict(
        'two strings and a length',
        `${typeof path} ${typeof version} ${contextTokens}`,
        typeof path === 'string' && typeof version === 'string' && contextTokens > 0,
      );
    },
  },
  {
    id: 'description/revision',
    says: 'weights in a snapshot folder or under --revision have a known revision',
    madeBy: ['gpu-pool/agent/sglang/faults.ts'],
    async check({ facts }) {
      const { revision } = facts.settings;
      if (revision === null) return notApplicable('the engine was started without --revision');
      return verdict('40 hex digits', revision, /^[0-9a-f]{40}$/.test(revision));
    },
  },
];

/** Names that the package reads as `.name` or `"name"` outside the files that declare arguments. */
function readersIn(source: string): Set<string> {
  const files = globSync('**/*.py', { cwd: source }).filter(
    (file) => !/arg_groups\/field|server_args\.py$|(^|\/)test/.test(file),
  );
  const text = files.map((file) => readFileSync(join(source, file), 'utf8')).join('\n');
  return new Set(
    [...FLAGS, ...LEFT_OUT]
      .map(({ name }) => attribute(name))
      .filter((name) => new RegExp(`(?:\\.|["'])${name}\\b`).test(text)),
  );
}
