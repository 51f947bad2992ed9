/**
 * The command that starts the engine's container: the words of `docker run` and of SGLang, each with its reason.
 */
import { flagsOf } from './flags.ts';
import { MACHINES, type Machine } from './machine.ts';
import { profileEnvironment } from './profile-flags.ts';
import type { Recipe } from './recipe.ts';

/** A line of a command. */
export interface CommandLine {
  words: readonly string[];
  why?: string;
}

export const CONTAINER = 'tollgate-engine';
/**
 * Seconds after SIGTERM at which the engine is killed: SGLang before 0.5.23 may never end by itself. The agent has ended its
 * answers by then.
 */
const KILL_SECONDS = 30;
/** Seconds after which a service manager gives up on a process that outlasts even SIGKILL, as within a driver's call. */
export const ENGINE_STOP_SECONDS = 60;
export const STOP_ENGINE = `docker stop --time=${KILL_SECONDS} ${CONTAINER}`;
/** Path in the container; SGLang accepts only .yaml and .yml. */
export const CONFIG_PATH = '/run/secrets/engine.yaml';
export const LAUNCH = ['python3', '-m', 'sglang.launch_server'] as const;
export const CACHE_PATH = '/root/.cache';

/** The arguments after LAUNCH. */
export function engineArguments(recipe: Recipe): CommandLine[] {
  const flags = flagsOf(recipe);
  const config: CommandLine[] = flags.some(({ flag }) => flag.secret)
    ? [
        {
          words: ['--config', CONFIG_PATH],
          why: 'Both keys: as arguments every user of this host would see them.',
        },
      ]
    : [];
  const lines = flags
    .filter(({ flag }) => !flag.secret)
    .map(({ flag, value }) => ({
      words: [value === true ? flag.name : `${flag.name}=${value}`],
      why: flag.why,
    }));
  return [...config, ...lines];
}

/** `configFile` is the host's path of engine.yaml. */
export function dockerRun(recipe: Recipe, configFile: string): CommandLine[] {
  const machine: Machine = MACHINES[recipe.hardware];
  const [python, ...launch] = LAUNCH;
  return [
    { words: ['docker', 'run', '--rm', '--init', `--name=${CONTAINER}`] },
    {
      words: ['--network=host', '--ipc=host'],
      why: 'Loopback is shared with the agent, memory among the workers.',
    },
    {
      words: ['--ulimit=memlock=-1', '--ulimit=stack=67108864'],
      why: 'GPU and RDMA buffers are locked memory.',
    },
    {
      words: [
        ...(machine.nvidia ? ['--gpus=all'] : []),
        ...machine.devices.map((device) => `--device=${device}`),
        ...machine.groups.map((group) => `--group-add=${group}`),
        ...machine.capabilities.map((capability) => `--cap-add=${capability}`),
        ...machine.securityOptions.map((option) => `--security-opt=${option}`),
      ],
    },
    ...[...machine.environment, ...profileEnvironment(recipe)].map(({ name, value, why }) => ({
      words: [`--env=${name}=${value}`],
      why,
    })),
    {
      words: [`--volume=${recipe.cacheDir}:${CACHE_PATH}`],
      why: 'Weights and compiled kernels, up to some 700 GB.',
    },
    ...(recipe.rank === 0 ? [{ words: [`--volume=${configFile}:${CONFIG_PATH}:ro`] }] : []),
    { words: [`--entrypoint=${python}`, recipe.image, ...launch] },
    ...engineArguments(recipe),
  ];
}
