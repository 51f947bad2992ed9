/**
 * What an agent stands on, in the order in which a start can fail: the state folder is this agent's alone, the
 * engine fits, the addresses are free, the journal can be written, the edge knows the node.
 */
import type { Server } from 'node:http';
import { checkEngine, type EngineDemands, parseEngine } from './engine-check.ts';
import type { Engine } from './engine-client.ts';
import { join } from './enrol.ts';
import { Journal } from './journal.ts';
import { listen, parseListen, urlOf } from './listen.ts';
import { makeStateDirectory, type NodeState, readNodeState } from './node-state.ts';
import type { AgentOptions } from './options.ts';
import type { EngineFacts } from './sglang/probe.ts';
import { StartRefused } from './start-refused.ts';
import { lockState, type StateLock } from './state-lock.ts';

export interface Preflight {
  lock: StateLock;
  engine: Engine;
  facts: EngineFacts;
  /** what the engine has to meet now and whenever it comes back */
  demands: EngineDemands;
  journal: Journal;
  node: NodeState;
  /** own addresses, `http://host:port` */
  url: string;
  operatorUrl: string;
}

/** @throws StartRefused, with everything that was opened closed again */
export async function preflight(
  options: AgentOptions,
  doors: { front: Server; operator: Server; now: () => number },
): Promise<Preflight> {
  const opened = new AsyncDisposableStack();
  try {
    return await prepare(options, doors, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

async function prepare(
  options: AgentOptions,
  { front, operator, now }: { front: Server; operator: Server; now: () => number },
  opened: AsyncDisposableStack,
): Promise<Preflight> {
  const { stateDir } = options;
  const engine = parseEngine(options);
  await makeStateDirectory(stateDir).catch(() => {
    throw new StartRefused('state_unusable', `${stateDir} cannot be created: choose another --state.`);
  });
  const lock = opened.adopt(lockState(stateDir), ({ release }) => release());
  const saved = await readNodeState(stateDir);
  if (saved !== null && 'unreadable' in saved) {
    throw new StartRefused(
      'state_unusable',
      `${saved.unreadable} is damaged: delete it and enrol with a new join token.`,
    );
  }

  const demands: EngineDemands = {
    allowExposed: options.allowExposedEngine ?? false,
    version: options.acceptEngineVersion,
    revision: options.revision,
    modelPaths: saved?.model_paths,
  };
  const facts = await checkEngine(engine, demands);

  const open = async (server: Server, flag: string, text: string | undefined, before?: string) => {
    const address = await listen(server, flag, parseListen(flag, text ?? '127.0.0.1:0', before));
    opened.defer(() => void server.close());
    return urlOf(address);
  };
  const url = await open(front, '--listen', options.listen, saved?.listen);
  const operatorUrl = await open(operator, '--metrics', options.metricsListen);
  const journal = await Journal.open(stateDir, {
    now,
    ...(options.journalCompactAtBytes ? { compactAtBytes: options.journalCompactAtBytes } : {}),
  }).catch(() => {
    throw new StartRefused(
      'state_unusable',
      `The journal in ${stateDir} cannot be written: choose another --state.`,
    );
  });
  opened.defer(() => journal.close());

  const node: NodeState =
    saved === null
      ? await join({ ...options, url, engine: facts.info })
      : { ...saved, edge_url: options.edgeUrl ?? saved.edge_url };
  return {
    lock,
    engine,
    facts,
    demands: { ...demands, modelPaths: node.model_paths },
    journal,
    node,
    url,
    operatorUrl,
  };
}
