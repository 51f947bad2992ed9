/**
 * The steps that must succeed before an agent serves, in this order: the state folder is locked for this agent, the
 * engine meets the requirements, the addresses are free, the journal can be written, the edge knows the node.
 */
import type { Server } from 'node:http';
import type { ModelProfile } from '../protocol/model-profile.ts';
import { shippedProfile } from '../protocol/shipped-profiles.ts';
import { awaitEngine, checkEngine, type EngineCheckOptions, parseEngine } from './engine-check.ts';
import type { Engine } from './engine-client.ts';
import { edgeOfJoinToken, join } from './enrol.ts';
import { Journal } from './journal.ts';
import { listen, parseListen, urlOf } from './listen.ts';
import type { Log } from './log.ts';
import { makeStateDirectory, type NodeState, readNodeState } from './node-state.ts';
import type { AgentOptions } from './options.ts';
import type { EngineFacts } from './sglang/probe.ts';
import { type ModelRequirements, readJoinedModel, requirementsOf } from './sold-model.ts';
import { StartRefused } from './start-refused.ts';
import { lockState, type StateLock } from './state-lock.ts';

export interface Preflight {
  lock: StateLock;
  engine: Engine;
  facts: EngineFacts;
  /** How the engine is inspected at the start, and whenever it comes back. */
  checkOptions: EngineCheckOptions;
  journal: Journal;
  node: NodeState;
  stateDir: string;
  /** The profile that this agent was shipped with for the node's model; undefined: none. */
  shipped: ModelProfile | undefined;
  /** The agent's own addresses, `http://host:port`. */
  url: string;
  metricsUrl: string;
}

interface Surroundings {
  requestServer: Server;
  metricsServer: Server;
  now: () => number;
  log: Log;
}

/** Runs all steps. @throws StartRefused after it has closed whatever was opened */
export async function preflight(options: AgentOptions, surroundings: Surroundings): Promise<Preflight> {
  const opened = new AsyncDisposableStack();
  try {
    return await prepare(options, surroundings, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

async function prepare(
  options: AgentOptions,
  { requestServer, metricsServer, now, log }: Surroundings,
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
      `${saved.unreadable} is corrupt: delete it and enrol with a new join token.`,
    );
  }

  const checkOptions: EngineCheckOptions = {
    allowExposed: options.allowExposedEngine ?? false,
    version: options.acceptEngineVersion,
    revision: options.revision,
    modelPaths: saved?.model_paths,
    ...(await requirementsBefore(options, saved)),
  };
  const waitMs = options.engineWaitMs ?? Number.POSITIVE_INFINITY;
  const facts = await awaitEngine(engine, checkOptions, { waitMs, log });

  const open = async (server: Server, flag: string, text: string | undefined, savedAddress?: string) => {
    const address = await listen(server, flag, parseListen(flag, text ?? '127.0.0.1:0', savedAddress));
    opened.defer(() => void server.close());
    return urlOf(address);
  };
  const url = await open(requestServer, '--listen', options.listen, saved?.listen);
  const metricsUrl = await open(metricsServer, '--metrics', options.metricsListen);
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
  const shipped = shippedProfile(node.model);
  const ofModel = { modelPaths: node.model_paths, ...requirementsOf(node.sold, shipped) };
  return {
    lock,
    engine,
    // Only the enrolment may have told what is sold; the engine must fit that too.
    facts: saved === null ? await checkEngine(engine, { ...checkOptions, ...ofModel }) : facts,
    checkOptions: { ...checkOptions, modelPaths: node.model_paths },
    journal,
    node,
    stateDir,
    shipped,
    url,
    metricsUrl,
  };
}

/** The model as it is sold, as far as that is known before or since enrolment; without it any model's engine passes. */
async function requirementsBefore(
  { joinToken, edgeUrl }: AgentOptions,
  saved: NodeState | null,
): Promise<ModelRequirements> {
  if (saved !== null) return requirementsOf(saved.sold, shippedProfile(saved.model));
  if (joinToken === undefined) return {};
  const edge = edgeUrl ?? edgeOfJoinToken(joinToken);
  if (edge === null || !URL.canParse(edge)) return {};
  const joined = await readJoinedModel(edge, joinToken);
  return requirementsOf(joined?.sold, undefined);
}
